"""Commands forked from a process that has loaded sdqctl: they are spared its start, not their own.

A command is a process of its own with its own environment, folder and streams, and it ends as the
interpreter ends. What it does not do is load modules: of that, tests of `tests.command.SDQCTL` see.
"""

from __future__ import annotations

import atexit
import faulthandler
import functools
import gc
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, NoReturn

from sdqctl.adapters.copilot.prestart import import_sdk

_LENGTH = 8
_COPILOT = "sdqctl.adapters.copilot"
_WITH_LIBRARY = "(a library)"
"""Stands for a program: it forks commands as well, and has loaded what is named."""
_AT_START = ("PYTHON", "LC_", "LANG", "COVERAGE_")
"""Beginnings of the names of variables that the interpreter reads when it starts."""
_BESIDE = ("entry", "disk", "repository_files", "account")
"""What commands load of the adapter for Copilot without its SDK."""
_NOT_LOADED = (
    *("sdqctl.testing", "sdqctl.cli.chat", "sdqctl.cli.mcp", "sdqctl.cli.ui"),
    *(_COPILOT, "sdqctl.fleet", "sdqctl.__main__"),
    *(f"sdqctl.engine.telemetry.{name}" for name in ("export", "spans", "trace", "cut_off")),
)


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
def warm(library: str = "") -> Warm:
    """The process of this test process that has loaded sdqctl, and a library if wanted."""
    return Warm(library)


class Warm:
    """A process that forks commands from itself; it ends with the process that made it."""

    def __init__(self, library: str) -> None:
        self.environment = start_variables(os.environ)
        self._asking = threading.Lock()
        self._channel, theirs = socket.socketpair()
        with theirs:
            wait = self._forked(library, theirs) if library else self._begun(theirs)
        atexit.register(self._end, wait)

    def _begun(self, channel: socket.socket) -> Callable[[], object]:
        """Start it, on the other end of the channel; what waits for its end."""
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(channel.fileno())],
            pass_fds=[channel.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=Path(__file__).parent.parent,
            env={"PATH": os.environ["PATH"], **self.environment},
        )
        return process.wait

    def _forked(self, library: str, channel: socket.socket) -> Callable[[], object]:
        """The same as a fork of the one that has loaded no library."""
        plain = warm("")
        self.environment = plain.environment
        started = plain.start([library], [channel.fileno()] * 3, "/", {}, program=_WITH_LIBRARY)
        return functools.partial(started.status, None)

    def _end(self, wait: Callable[[], object]) -> None:
        self._channel.close()
        wait()

    def start(
        self,
        arguments: list[str],
        streams: Sequence[int],
        cwd: str,
        environment: Mapping[str, str],
        *,
        terminal: bool = False,
        program: str | None = None,
    ) -> Started:
        """Start a command, or another program, on stdin, stdout and stderr.

        `terminal`: the three are one terminal, which it gets for its own, as from a login.
        """
        umask = os.umask(0o077)
        os.umask(umask)
        what = [arguments, cwd, dict(environment), umask, terminal, program]
        asked = json.dumps(what).encode()
        told, tells = os.pipe()
        with self._asking:
            socket.send_fds(self._channel, [len(asked).to_bytes(_LENGTH)], [*streams, tells])
            self._channel.sendall(asked)
        os.close(tells)
        return Started(told)

    def run(
        self,
        arguments: list[str],
        stdin: bytes | None,
        cwd: str,
        environment: Mapping[str, str],
        timeout: float,
    ) -> Ended:
        """Run one command to its end; `subprocess.TimeoutExpired` after so many seconds."""
        deadline = time.monotonic() + timeout
        streams = _Streams(stdin)
        command = self.start(arguments, streams.theirs, cwd, environment)
        streams.read(deadline)
        status = command.status(deadline)
        if status is None:
            os.kill(command.pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(arguments, timeout, *streams.found)
        return Ended(os.waitstatus_to_exitcode(status), *streams.found)


class Started:
    """A command at work: the number of its process, and once it has ended its wait status."""

    def __init__(self, told: int) -> None:
        self._told = told
        self._status: int | None = None
        self.pid = self._read()

    def status(self, deadline: float | None) -> int | None:
        """Its wait status; None when it has not ended by then on the clock `time.monotonic`."""
        if self._status is None:
            wait = None if deadline is None else max(deadline - time.monotonic(), 0)
            if select.select([self._told], [], [], wait)[0]:
                self._status = self._read()
                os.close(self._told)
        return self._status

    def _read(self) -> int:
        data = os.read(self._told, _LENGTH)
        assert data, "the process that forks is gone"
        return int.from_bytes(data)


class _Streams:
    """The pipes of one command: its stdin, stdout and stderr."""

    def __init__(self, stdin: bytes | None) -> None:
        self._left = stdin or b""
        self._reads = [os.pipe() for _ in range(2)]
        given, self._gives = os.pipe()
        if stdin is None:
            os.close(given)
            given = os.open(os.devnull, os.O_RDONLY)
        self.theirs = [given, *(end for _, end in self._reads)]
        self.found = [b"", b""]

    def read(self, deadline: float) -> None:
        """Pass on and read all, until nobody can write any more."""
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
        self.found = [bytes(data) for data in found.values()]

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
    """Load everything but the libraries, then fork what is asked for."""
    _load()
    _serve(socket.socket(fileno=int(sys.argv[1])))


def _serve(channel: socket.socket) -> None:
    """Fork what is asked for, until nobody can ask any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    at_work: dict[int, tuple[int, int]] = {}
    while True:
        for handle in select.select([channel.fileno(), *at_work], [], [])[0]:
            if handle != channel.fileno():
                _say_how_it_ended(handle, *at_work.pop(handle))
                continue
            streams, what = _asked(channel)
            if not streams:
                for pid, _ in at_work.values():
                    os.waitpid(pid, 0)
                return
            pid = os.fork()
            if pid == 0:
                channel.close()
                for end in [*at_work, *(tells for _, tells in at_work.values())]:
                    os.close(end)
                os.close(streams.pop())
                _become(streams, *what)
            os.write(streams[3], pid.to_bytes(_LENGTH))
            at_work[os.pidfd_open(pid)] = pid, streams.pop()
            for end in streams:
                os.close(end)


def _load() -> None:
    _import_all("sdqctl", _NOT_LOADED)
    names = ["platformdirs", "encodings.utf_8_sig", "encodings.utf_16_le"]
    names += [f"{_COPILOT}.{name}" for name in _BESIDE]
    for name in names:
        import_module(name)
    faulthandler.enable()  # SIGABRT has a command write where it is
    gc.collect()
    gc.freeze()


def _load_library(library: str) -> None:
    _import_all(library)
    if library == _COPILOT:
        import_sdk()
    gc.collect()
    gc.freeze()


def _import_all(name: str, but: tuple[str, ...] = ()) -> None:
    """Import a module, and those in it if it is a package, without some."""
    path = getattr(import_module(name), "__path__", None)
    for module in iter_modules(path, f"{name}.") if path is not None else ():
        if not module.name.startswith(but):
            _import_all(module.name, but)


def _asked(channel: socket.socket) -> tuple[list[int], list[Any]]:
    """The descriptors and the rest of what is asked for; nothing when nobody asks any more."""
    length, streams, _, _ = socket.recv_fds(channel, _LENGTH, 4)
    asked = bytearray()
    while len(asked) < int.from_bytes(length):
        asked += channel.recv(int.from_bytes(length) - len(asked))
    what: list[Any] = json.loads(asked) if asked else []
    arguments, terminal, program = (what[0], what[4], what[5]) if what else ([], False, None)
    if what and program is None:
        _load_for(arguments, what[2], terminal=terminal)
    return streams, what


def _load_for(arguments: list[str], environment: Mapping[str, str], *, terminal: bool) -> None:
    """Load what only some commands load: from then on all have it."""
    names = ["rich.markdown"] if terminal else []
    if terminal and {"resume", "chat"} & {*arguments}:
        names += ["sdqctl.cli.chat.repl"]
    if arguments[:1] == ["mcp"]:
        names += ["sdqctl.cli.mcp.serving"]
    if any(name.startswith("OTEL_EXPORTER") for name in environment):
        names += ["requests", "opentelemetry.proto.collector.trace.v1.trace_service_pb2"]
    for name in names:
        import_module(name)


def _say_how_it_ended(handle: int, pid: int, tells: int) -> None:
    os.close(handle)
    status = os.waitpid(pid, 0)[1]
    with suppress(BrokenPipeError):
        os.write(tells, status.to_bytes(_LENGTH))
    os.close(tells)


def _become(
    streams: list[int],
    arguments: list[str],
    cwd: str,
    environment: dict[str, str],
    umask: int,
    terminal: bool,
    program: str | None,
) -> NoReturn:
    """In the fork: take over what belongs to a process, and be the command to its end."""
    if program == _WITH_LIBRARY:
        for end in streams[1:]:
            os.close(end)
        _load_library(arguments[0])
        _serve(socket.socket(fileno=streams[0]))
        os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if terminal:
        os.login_tty(os.dup(streams[0]))
    for number, end in enumerate(streams):
        os.dup2(end, number)
        os.close(end)
    os.umask(umask)
    os.chdir(cwd)
    if program is not None:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execvpe(program, [program, *arguments], environment)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    _command(arguments)


def _command(arguments: list[str]) -> NoReturn:
    """End as an interpreter ends, but for taking apart what is loaded, which would copy it all."""
    from sdqctl.__main__ import main

    sys.argv = ["sdqctl", *arguments]
    code = 1
    try:
        code = main()
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
