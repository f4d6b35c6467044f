"""The pager that git uses, by the user's own configuration: a repository's could be any program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sdqctl.workspace.git import Git, GitError

_NO = ("false", "no", "off", "0")
_YES = ("true", "yes", "on", "1")


def pager_command(environment: Mapping[str, str]) -> str | None:
    """The command line that git pages a diff with; None for none.

    As git-config(1) has it: `pager.diff`, GIT_PAGER, `core.pager`, PAGER, less.
    """
    git = Git(Path("/"), {"GIT_DIR": os.devnull}, environment=environment)
    own = _setting(git, "pager.diff")
    if own.lower() in _NO:
        return None
    chosen = (
        (own if own.lower() not in _YES else "")
        or environment.get("GIT_PAGER")
        or _setting(git, "core.pager")
        or environment.get("PAGER", "less")
    )
    return None if chosen in ("", "cat") else chosen


def paged(text: str, environment: Mapping[str, str]) -> bool:
    """Show a text through that pager; returns whether there is one."""
    command = pager_command(environment)
    if command is None:
        return False
    variables = {"LESS": "FRX", "LV": "-c", **environment}
    subprocess.run(command, shell=True, input=text.encode(), env=variables, check=False)
    return True


def _setting(git: Git, key: str) -> str:
    """A setting of the user's, or of the system's; empty when there is none."""
    for scope in ("--global", "--system"):
        try:
            if value := git.line("config", scope, "--includes", "--get", key, ok=(0, 1)):
                return value
        except GitError:  # its file is not there
            continue
    return ""
