"""The real command line in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from sdqctl.cli.app import run
from tests.warm import start_variables, warm

SDQCTL = [sys.executable, "-m", "sdqctl"]
TIMEOUT = 120.0
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
    source = warm(with_sdk="COPILOT_PROVIDER_BASE_URL" in variables)
    if source.environment != start_variables(variables):
        return started(*arguments, stdin=stdin, cwd=cwd, **environment)
    done = source.run(
        [str(argument) for argument in arguments],
        None if stdin is None else stdin.encode(),
        str(cwd or os.getcwd()),
        variables,
        TIMEOUT,
    )
    return Done(done.code, _text(done.out), _text(done.err))


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
