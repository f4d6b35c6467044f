"""Running git so that nothing of a repository or of the environment decides what else runs.

No hook, file system monitor, check of signatures, pager, editor, or question for a password; no
variable `GIT_*` of the user's (so a GIT_DIR that is set is not followed), and messages in English.
What a repository's configuration could run besides are filters of files, and what brings commits
from elsewhere: `repository.py` looks for the first, and nothing is fetched by its configuration.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.errors import WorkspaceError

if TYPE_CHECKING:
    from concurrent.futures import Future

Argument = str | bytes | Path
HARMLESS = (
    *("--no-pager", "--no-optional-locks", "--literal-pathspecs"),
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false", "-c", "core.quotePath=false"),
    *("-c", "log.showSignature=false"),
    *("-c", "hook.reference-transaction.enabled=false", "-c", "hook.post-checkout.enabled=false"),
    *("-c", "hook.post-index-change.enabled=false", "-c", "hook.pre-auto-gc.enabled=false"),
)
"""Hooks of a configuration (git 2.54) are no files in the folder of hooks, and are put off by their
event (git 2.55).
"""
_FIXED = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_EDITOR": ":",
    "GIT_SEQUENCE_EDITOR": ":",
    "GIT_PAGER": "cat",
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch what it lacks
    "GIT_MERGE_AUTOEDIT": "no",
}
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "sdqctl"), ("EMAIL", "sdqctl@localhost"))
}
"""Who made a commit that is sdqctl's own."""
_SECONDS = 120.0


class GitError(WorkspaceError):
    """git said no. `status` is how it ended, `text` what it said."""

    def __init__(self, message: str, *, status: int, text: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.text = text


@dataclass
class Started:
    """A git that works beside others."""

    future: Future[bytes]
    output: bytes = b""


@dataclass(frozen=True)
class Git:
    """git in a folder; `variables` are the GIT_* ones that say on which repository and index."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    """None: this process's."""
    held: Sequence[int] = ()
    """File descriptors that git keeps open, so that a lock lasts as long as it works."""

    def run(
        self,
        *arguments: Argument,
        data: bytes = b"",
        ok: Collection[int] = (0,),
        seconds: float = _SECONDS,
    ) -> bytes:
        """What git writes. `data` is its input.

        Raises GitError when it ends otherwise than `ok`, WorkspaceError when it cannot be started
        or takes longer than `seconds`.
        """
        return self.finished(*arguments, data=data, ok=ok, seconds=seconds).stdout

    def finished(
        self,
        *arguments: Argument,
        data: bytes = b"",
        ok: Collection[int] = (0,),
        seconds: float = _SECONDS,
    ) -> subprocess.CompletedProcess[bytes]:
        """The same, with how it ended and what it said on stderr."""
        command = ["git", *HARMLESS, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment(),
                input=data,
                capture_output=True,
                timeout=seconds,
                check=False,
                pass_fds=tuple(self.held),
            )
        except subprocess.TimeoutExpired as error:
            raise WorkspaceError(
                f"git {_shown(arguments)} in {self.folder} took longer than {seconds:g} s"
            ) from error
        except FileNotFoundError as error:
            raise _missing(self.folder) from error
        except OSError as error:
            raise WorkspaceError(f"git cannot be started: {error.strerror}") from error
        if done.returncode not in ok:
            text = as_text(done.stderr or done.stdout).strip()
            raise GitError(
                f"git {_shown(arguments)} failed in {self.folder}: {_last_words(text)}",
                status=done.returncode,
                text=text,
            )
        return done

    @contextmanager
    def started(self, *arguments: Argument) -> Iterator[Started]:
        """git at work while the block runs; what it wrote is there after it. Raises GitError."""
        from concurrent.futures import ThreadPoolExecutor  # what only reads history needs none

        with ThreadPoolExecutor(1) as pool:
            started = Started(pool.submit(self.run, *arguments))
            yield started
            started.output = started.future.result()

    def line(self, *arguments: Argument, ok: Collection[int] = (0,)) -> str:
        """The one line that git writes; empty when it writes none."""
        return as_text(self.run(*arguments, ok=ok)).rstrip("\n")

    def _environment(self) -> dict[str, str]:
        given = os.environ if self.environment is None else self.environment
        own = {name: value for name, value in given.items() if not name.startswith("GIT_")}
        own.pop("LANGUAGE", None)
        return {**own, **_FIXED, **self.variables}


def as_text(data: bytes) -> str:
    """What git writes as text: what is no UTF-8 stands as `\\xNN`."""
    return data.decode("utf-8", "backslashreplace")


def names(data: bytes) -> list[bytes]:
    """The names in a list that git ends each by NUL."""
    return data.split(b"\0")[:-1]


def _missing(folder: Path) -> WorkspaceError:
    if not folder.is_dir():
        return WorkspaceError(f"the folder {folder} is gone")
    return WorkspaceError("git is not installed", hint="install git 2.32 or later")


def _shown(arguments: Sequence[Argument]) -> str:
    """The subcommand: the rest may be long, or hold names."""
    return str(next((each for each in arguments if not str(each).startswith("-")), ""))


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("hint:")]
    told = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return "; ".join((told or lines)[:2]) or "it said nothing"
