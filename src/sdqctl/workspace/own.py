"""Where the worktrees of sessions lie in sdqctl's data, told by a path alone."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "worktrees"


def own_folder(home: Path, path: Path) -> Path | None:
    """The tree of a session's worktree that a path is, or lies in; without links."""
    real, base = Path(os.path.realpath(path)), Path(os.path.realpath(home)) / FOLDER
    parts = real.relative_to(base).parts if real.is_relative_to(base) else ()
    return base.joinpath(*parts[:2]) if len(parts) >= 2 else None
