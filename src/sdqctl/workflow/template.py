"""Template variables: `{{NAME}}` in the author's text."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

VARIABLE = re.compile(r"\{\{\s*([A-Z_]+)\s*\}\}")
"""A variable in a text; its name is the group."""
_GIT_SECONDS = 5.0
_HARMLESS = (
    *("--no-pager", "--no-optional-locks"),
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
)
"""A repository's configuration names programs; asking about it must start none of them."""
OUTPUT_ONLY = frozenset({"WORKFLOW_NAME", "WORKFLOW_PATH"})
"""Variables that stand in output paths only: a file's name sways the agent."""
COMPONENT = frozenset(
    {
        "COMPONENT_NAME",
        "COMPONENT_PATH",
        "COMPONENT_DIR",
        "COMPONENT_TYPE",
        "ITERATION_INDEX",
        "ITERATION_TOTAL",
    }
)
"""Variables that `apply` sets, of the component that a run is for."""
KNOWN = COMPONENT | frozenset(
    {
        "DATE",
        "DATETIME",
        "CWD",
        "GIT_BRANCH",
        "GIT_COMMIT",
        "CYCLE_NUMBER",
        "CYCLE_TOTAL",
        "MAX_CYCLES",
        "SESSION_NAME",
        "__WORKFLOW_NAME__",
    }
)
"""Variables of prompts."""


def fill(text: str, variables: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with its variables filled in, and the names that are not known (they stay)."""
    unknown: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        try:
            return variables[name]
        except KeyError:
            unknown.append(name)
            return match.group()

    return VARIABLE.sub(value, text), unknown


def joined(text: str) -> str:
    """The text with no blanks within its variables, so that each is one word."""
    return VARIABLE.sub(r"{{\1}}", text)


def unknown_variables(text: str) -> Iterator[str]:
    """The names in a prompt that no variable has."""
    return (name for name in VARIABLE.findall(text) if name not in KNOWN)


def variable_problems(text: str) -> Iterator[str]:
    """What is wrong with the variables in a prompt, each said once."""
    return (variable_problem(name) for name in dict.fromkeys(unknown_variables(text)))


def variable_problem(name: str) -> str:
    """Why a variable is not filled in."""
    if name in OUTPUT_ONLY:
        return f"{{{{{name}}}}} stands in output paths only; {{{{__WORKFLOW_NAME__}}}} is its name"
    return f"the variable {{{{{name}}}}} is not known here; it stays as it is"


def standard_variables(
    *, cwd: Path, session_name: str, workflow_path: str, now: datetime | None = None
) -> Mapping[str, str]:
    """The variables of a run. The GIT ones are looked up when they are first used."""
    moment = now or datetime.now().astimezone()
    path = Path(workflow_path) if workflow_path else None
    values = {
        "DATE": f"{moment:%Y-%m-%d}",
        "DATETIME": moment.isoformat(timespec="seconds"),
        "CWD": str(cwd),
        "SESSION_NAME": session_name,
        "__WORKFLOW_NAME__": path.stem if path else "",
        "WORKFLOW_NAME": path.stem if path else "",
        "WORKFLOW_PATH": str(path) if path else "",
    }
    return _Variables(values, cwd)


class _Variables(Mapping[str, str]):
    """Plain values, and those of git, which cost a process."""

    _GIT = {  # noqa: RUF012 - a constant table
        "GIT_BRANCH": (
            ("symbolic-ref", "--quiet", "--short", "HEAD"),  # also of a branch without a commit
            ("rev-parse", "--abbrev-ref", "HEAD"),  # `HEAD` where none is checked out
        ),
        "GIT_COMMIT": (("rev-parse", "--short", "HEAD"),),
    }

    def __init__(self, values: dict[str, str], cwd: Path) -> None:
        self._values = values
        self._cwd = cwd

    def __getitem__(self, name: str) -> str:
        if name not in self._values and name in self._GIT:
            self._values[name] = next(filter(None, map(self._ask_git, self._GIT[name])), "")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._values, **self._GIT})

    def __len__(self) -> int:
        return len({**self._values, **self._GIT})

    def _ask_git(self, arguments: tuple[str, ...]) -> str:
        """What git says, nothing outside of a repository."""
        try:
            done = subprocess.run(
                ["git", *_HARMLESS, *arguments],
                cwd=self._cwd,
                capture_output=True,
                text=True,
                errors="backslashreplace",
                timeout=_GIT_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout.strip()
