"""Commands forked from a process that has loaded sdqctl: they are spared its start, not their own.

A command is a process of its own with its own environment, folder and streams, and it ends as the
interpreter ends. What it does not do is load modules: of that, tests of `tests.command.SDQCTL` see.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import NoReturn

import sdqctl

_LENGTH = 8
_AT_START = ("PYTHON", "LC_", "LANG", "COVERAGE_")
"""Beginnings of the names of variables that the interpreter reads when it starts."""
_NOT_LOADED = ("sdqctl.testing", "sdqctl.cli.chat", "sdqctl.adapters.copilot", "sdqctl.__main__")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: bytes
    err: bytes


def start_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that only a new interpreter could take over."""
    return {name: value for name, value in environment.items() if name.startswith(_AT_START)}


@functools.cache
def warm(*, with_sdk: bool) -> Warm:
    """The process of this test process that has loaded sdqctl, and the runtime's SDK if wanted."""
    return Warm(with_sdk=with_sdk)


class Warm:
    """A process that forks commands from itself; it ends with the process that made it."""

    def __init__(self, *, with_sdk: bool) -> None:
        self.environment = start_variables(os.environ)
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), *["sdk"][: int(with_sdk)]],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=Path(__file__).parent.parent,
                env={"PATH": os.environ["PATH"], **self.environment},
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._channel.close()
        self._process.wait()

    def run(
        self,
        arguments: list[str],
        stdin: bytes | None,
        cwd: str,
        environment: Mapping[str, str],
        timeout: float,
    ) -> Ended:
        """Run one command to its end; `subprocess.TimeoutExpired` after so many seconds."""
        umask = os.umask(0o077)
        os.umask(umask)
        asked = json.dumps([arguments, cwd, dict(environment), umask]).encode()
        streams = _Streams(stdin)
        socket.send_fds(self._channel, [len(asked).to_bytes(_LENGTH)], streams.theirs)
        self._channel.sendall(asked)
        pid, _, status = streams.read(time.monotonic() + timeout).partition(b"\n")
        if not status:
            os.kill(int(pid), signal.SIGKILL)
            raise subprocess.TimeoutExpired(arguments, timeout, *streams.found)
        return Ended(os.waitstatus_to_exitcode(int(status)), *streams.found)


class _Streams:
    """The pipes of one command: its stdin, stdout and stderr, and one that says how it ended."""

    def __init__(self, stdin: bytes | None) -> None:
        self._left = stdin or b""
        self._reads = [os.pipe() for _ in range(3)]
        given, self._gives = os.pipe()
        if stdin is None:
            os.close(given)
            given = os.open(os.devnull, os.O_RDONLY)
        self.theirs = [given, *(end for _, end in self._reads)]
        self.found = [b"", b""]
        self._status = b""

    def read(self, deadline: float) -> bytes:
        """Pass on and read all until the command has ended; what its keeper says about it."""
        for end in self.theirs:
            os.close(end)
        ends = [end for end, _ in self._reads]
        found = {end: bytearray() for end in ends}
        with selectors.DefaultSelector() as selector:
            self._register(selector, ends)
            while selector.get_map():
                ready = selector.select(deadline - time.monotonic())
                if not ready and time.monotonic() >= deadline:
                    break
                for key, _ in ready:
                    if key.fd == self._gives:
                        self._give(selector)
                    elif data := os.read(key.fd, 65536):
                        found[key.fd] += data
                    else:
                        selector.unregister(key.fd)
        for end in ends:
            os.close(end)
        out, err, status = map(bytes, found.values())
        self.found = [out, err]
        return status

    def _register(self, selector: selectors.BaseSelector, ends: list[int]) -> None:
        for end in ends:
            selector.register(end, selectors.EVENT_READ)
        if self._left:
            os.set_blocking(self._gives, False)
            selector.register(self._gives, selectors.EVENT_WRITE)
        else:
            os.close(self._gives)

    def _give(self, selector: selectors.BaseSelector) -> None:
        try:
            self._left = self._left[os.write(self._gives, self._left) :]
        except BrokenPipeError:
            self._left = b""
        if not self._left:
            selector.unregister(self._gives)
            os.close(self._gives)


# -- in the process that forks -----------------------------------------------------------------


def main() -> None:
    """Load everything, then fork what is asked for, until nobody can ask any more."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    _load(with_sdk="sdk" in sys.argv[2:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        length, streams, _, _ = socket.recv_fds(channel, _LENGTH, 4)
        with suppress(ChildProcessError):
            while os.waitpid(-1, 0 if not length else os.WNOHANG)[0]:
                pass
        if not length:
            return
        asked = bytearray()
        while len(asked) < int.from_bytes(length):
            asked += channel.recv(int.from_bytes(length) - len(asked))
        if os.fork() == 0:
            channel.close()
            _keep(streams, *json.loads(asked))
        for end in streams:
            os.close(end)


def _load(*, with_sdk: bool) -> None:
    for module in walk_packages(sdqctl.__path__, "sdqctl."):
        if not module.name.startswith(_NOT_LOADED):
            import_module(module.name)
    if with_sdk:
        for module in walk_packages([f"{sdqctl.__path__[0]}/adapters/copilot"]):
            import_module(f"sdqctl.adapters.copilot.{module.name}")
        import_module("copilot")
    gc.collect()
    gc.freeze()


def _keep(
    streams: list[int], arguments: list[str], cwd: str, environment: dict[str, str], umask: int
) -> None:
    """Fork the command, and say its number and how it ended. The command returns from here."""
    told = streams.pop()
    pid = os.fork()
    if pid:
        for end in streams:
            os.close(end)
        os.write(told, b"%d\n" % pid)
        os.write(told, b"%d" % os.waitpid(pid, 0)[1])
        os._exit(0)
    os.close(told)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, end in enumerate(streams):
        os.dup2(end, number)
        os.close(end)
    os.umask(umask)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    _command(arguments)


def _command(arguments: list[str]) -> NoReturn:
    from sdqctl.__main__ import main

    sys.argv = ["sdqctl", *arguments]
    sys.exit(main())


if __name__ == "__main__":
    main()
