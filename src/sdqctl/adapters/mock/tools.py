"""The tools of the scripted agent, which are real: reading, writing, and the shell."""

from __future__ import annotations

import difflib
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdqctl.adapters.journal import changed_lines
from sdqctl.model.session import ToolCall

_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class ToolEnd:
    """How a tool ended."""

    ok: bool
    exit_status: int | None = None
    diff: str | None = None

    def of(self, call: ToolCall, *, denied: bool) -> ToolCall:
        """The call with its end."""
        added, removed = changed_lines(self.diff)
        return msgspec.structs.replace(
            call,
            ok=self.ok,
            denied=denied,
            exit_status=self.exit_status,
            added=added,
            removed=removed,
        )

    def report(self) -> dict[str, object]:
        """What the journal has of it."""
        if self.exit_status is not None:
            return {"shellExecution": {"exitCode": self.exit_status}}
        if self.diff is not None:
            return {"fileEdits": [{}], "result": {"detailedContent": self.diff}}
        return {}


def use_tool(what: str, rest: str, folder: Path) -> ToolEnd:
    """Read or write a file of the folder, or run a command there."""
    try:
        if what == "read":
            (folder / rest).read_bytes()
        elif what == "write":
            name, _, content = rest.partition(" ")
            diff = diff_of(rest, folder)
            (folder / name).write_text(content, "utf-8")
            return ToolEnd(ok=True, diff=diff)
        else:
            status = _run(rest, folder)
            return ToolEnd(ok=status == 0, exit_status=status)
    except (OSError, subprocess.SubprocessError):
        return ToolEnd(ok=False)
    return ToolEnd(ok=True)


def diff_of(rest: str, folder: Path) -> str:
    """What writing a file would change; nothing of one that cannot be read."""
    name, _, content = rest.partition(" ")
    file, before = folder / name, []
    if file.is_file():
        with suppress(OSError):
            before = file.read_text("utf-8", "replace").splitlines()
    lines = difflib.unified_diff(before, content.splitlines(), name, name, lineterm="")
    return "\n".join(lines)


def _run(command: str, folder: Path) -> int:
    """Run a command; returns its exit status. Raises OSError and SubprocessError."""
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    return done.returncode
