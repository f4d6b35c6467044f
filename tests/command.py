"""The real command line in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from sdqctl.cli.app import run
from tests.warm import Started, Warm, start_variables, warm

SDQCTL = [sys.executable, "-m", "sdqctl"]
TIMEOUT = 120.0
_LIBRARIES = {
    "FAKE_ACP_HOME": "acp.client",
    "COPILOT_PROVIDER_BASE_URL": "sdqctl.adapters.copilot",
    "SDQCTL_STORE": "sdqctl.fleet",
}
"""What commands with a variable load besides: it takes longer than most of them."""
Command = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """stdout as JSON."""
        return json.loads(self.out)


def sdqctl(
    *arguments: str | Path,
    stdin: str | None = None,
    cwd: str | Path | None = None,
    **environment: str,
) -> Done:
    """Run `sdqctl` with arguments; keywords are put into its environment."""
    variables = {**os.environ, **environment}
    source, is_alike = source_of(variables)
    if not is_alike:
        return started(*arguments, stdin=stdin, cwd=cwd, **environment)
    done = source.run(
        [str(argument) for argument in arguments],
        None if stdin is None else stdin.encode(errors="surrogateescape"),
        str(cwd or os.getcwd()),
        variables,
        TIMEOUT,
    )
    return Done(done.code, _text(done.out), _text(done.err))


def source_of(environment: Mapping[str, str]) -> tuple[Warm, bool]:
    """The process that forks commands, and whether it started as this environment would have it."""
    library = next((module for name, module in _LIBRARIES.items() if name in environment), "")
    source = warm(library)
    return source, source.environment == start_variables(environment)


class Running(subprocess.Popen[str]):
    """`sdqctl` at work, forked as `sdqctl` does it; else a Popen, with text in its pipes."""

    def __init__(self, *arguments: str | Path, **options: Any) -> None:  # noqa: ANN401 - Popen's
        self._forked: Started | None = None
        super().__init__([*SDQCTL, *map(str, arguments)], text=True, **options)

    def _execute_child(self, args: list[str], *options: Any) -> None:  # noqa: ANN401 - Popen's
        """What Popen starts a process with; its streams are made by then."""
        cwd, environment, pipes = options[4], options[5], options[9:15]
        variables = os.environ if environment is None else environment
        source, is_alike = source_of(variables)
        if not is_alike:
            super()._execute_child(args, *options)  # type: ignore[misc]
            return
        theirs = [pipes[0], pipes[3], pipes[5]]
        streams = [own if end == -1 else end for own, end in enumerate(theirs)]
        where = os.getcwd() if cwd is None else os.fspath(cwd)
        self._forked = source.start(args[len(SDQCTL) :], streams, where, variables)
        self.pid = self._forked.pid
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. One that does not come to it writes to stderr where it is, and ends."""
        try:
            return super().wait(timeout)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGABRT)
            super().wait(timeout)
            raise

    def _try_wait(self, flags: int) -> tuple[int, int]:
        """What Popen waits with: the process and its status, or zeros while it is at work."""
        if self._forked is None:
            found: tuple[int, int] = super()._try_wait(flags)  # type: ignore[misc]
            return found
        status = self._forked.status(time.monotonic() if flags & os.WNOHANG else None)
        return (0, 0) if status is None else (self.pid, status)

    def _internal_poll(self, *options: Any, **more: Any) -> int | None:  # noqa: ANN401 - Popen's
        """What Popen polls with."""
        if self._forked is None:
            code: int | None = super()._internal_poll(*options, **more)  # type: ignore[misc]
            return code
        pid, status = (0, 0) if self.returncode is not None else self._try_wait(os.WNOHANG)
        if pid:
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def started(
    *arguments: str | Path,
    stdin: str | None = None,
    cwd: str | Path | None = None,
    **environment: str,
) -> Done:
    """The same in an interpreter of its own, whose start and command line may matter."""
    done = subprocess.run(
        [*SDQCTL, *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=TIMEOUT,
        env={**os.environ, **environment},
        cwd=cwd,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _text(written: bytes) -> str:
    return written.decode().replace("\r\n", "\n").replace("\r", "\n")


def forked(*arguments: str | Path, **environment: str) -> Done:
    """The same in a fork of this process, with all that a test changed in the program."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _be_sdqctl([str(argument) for argument in arguments], environment, out, err)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return Done(code, out.read().decode(), err.read().decode())


def _be_sdqctl(
    arguments: list[str], environment: dict[str, str], out: IO[bytes], err: IO[bytes]
) -> NoReturn:
    code = 1
    try:
        os.environ.update(environment)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        code = run(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
