"""Where git keeps the repository of a folder; only what belongs to it for certain.

A `.git` file may have been put there to lead elsewhere, so it counts only when what it names leads
back (gitrepository-layout(5), git-worktree(1)).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_LARGEST = 65_536


def work_tree(folder: str) -> str | None:
    """The top of the work tree that a folder lies in."""
    for place in (Path(folder), *Path(folder).parents):
        if (place / ".git").exists():
            return str(place)
    return None


def git_folders(folder: str) -> tuple[str, ...]:
    """The git folders of the repository that a folder lies in: its own, and the common one of a
    worktree.
    """
    top = work_tree(folder)
    if top is None:
        return ()
    mark = Path(top, ".git")
    if mark.is_symlink():
        return ()
    if mark.is_dir():
        return (str(mark),)
    named = _read(mark).removeprefix("gitdir:").strip()
    own = Path(os.path.realpath(os.path.join(top, named)))
    if not named or not (own / "HEAD").is_file():
        return ()
    common = _common_of_worktree(mark, own)
    if common is not None:
        return (str(own), common)
    return (str(own),) if _is_of_submodule(top, own) else ()


def _common_of_worktree(mark: Path, own: Path) -> str | None:
    back = _read(own / "gitdir").strip()
    named = _read(own / "commondir").strip()
    if not back or not named or os.path.realpath(own / back) != os.path.realpath(mark):
        return None
    common = Path(os.path.realpath(own / named))
    is_git_folder = (common / "HEAD").is_file() and (common / "objects").is_dir()
    return str(common) if own.parent == common / "worktrees" and is_git_folder else None


def _is_of_submodule(top: str, own: Path) -> bool:
    found = re.search(r"^\s*worktree\s*=\s*(.+?)\s*$", _read(own / "config"), re.MULTILINE)
    return found is not None and os.path.realpath(own / found.group(1)) == os.path.realpath(top)


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(_LARGEST)
    except OSError:
        return ""
