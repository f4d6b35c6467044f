"""The snapshots of a session as one file of git's, which another clone of the repository takes."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from sdqctl.errors import WorkspaceError
from sdqctl.model.session import SessionRef
from sdqctl.workspace.history import History, session_refs

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")


def is_commit(text: object) -> bool:
    """Whether a text has the form of a commit's whole id."""
    return isinstance(text, str) and _COMMIT.match(text) is not None


def pack(
    history: History, session: SessionRef, base: str, target: Path, *, steady: bool = False
) -> None:
    """Write all snapshots of a session into a git bundle (git-bundle(1)) that needs nothing but
    the commit `base`. `steady`: an object is the same bytes in each bundle, none a difference to
    another one. Raises WorkspaceError.
    """
    how = ("-c", "pack.window=0") if steady else ()
    chosen = (f"--glob={session_refs(session)}/*", "--not", base)
    history.git.run(*how, "bundle", "create", "--quiet", target, *chosen)


def unpack(history: History, file: Path, base: str, wanted: Collection[str]) -> None:
    """Take the objects of a git bundle in; no ref is made, so keep what is wanted at once.

    Raises WorkspaceError when `base` is not there, the file is damaged, or does not have all that
    is wanted.
    """
    if not all(map(is_commit, (base, *wanted))):
        raise WorkspaceError("the snapshots of the bundle are none")
    if not history.exists(base):
        raise WorkspaceError(f"the repository does not have commit {base[:12]}")
    history.git.run("bundle", "unbundle", file)
    if gone := history.missing(wanted):
        raise WorkspaceError(f"the bundle lacks snapshot {min(gone)}")
    history.git.run("rev-list", "--objects", "--quiet", *wanted, "--not", base)
