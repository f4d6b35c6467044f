"""What a run says about the repository it works in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sdqctl.cli.output import counted, note
from sdqctl.model.repository import RepositoryFile
from sdqctl.model.trust import RepositoryUse, TrustState

if TYPE_CHECKING:
    from sdqctl.engine.repository import Repository
    from sdqctl.engine.setup import Setup


def note_repository(setup: Setup, *, quiet: bool) -> None:
    """Say once, on stderr, that a repository brings what has no effect, and how it gets one."""
    if quiet or setup.repository_use is RepositoryUse.NEVER:
        return
    found = setup.repository
    if (
        setup.repository_is_trusted
        or found.state is TrustState.EMPTY
        or found.place in setup.reported
    ):
        return
    setup.reported.add(found.place)
    note(f"note: {found.place} {_why(found)}")


def summary(files: Iterable[RepositoryFile]) -> str:
    """What is there, in a few words: `2 hooks, 1 skill`."""
    kinds = Counter(file.kind for file in files)
    return ", ".join(
        kind if kind == "configuration" else counted(number, kind) for kind, number in kinds.items()
    )


def _why(found: Repository) -> str:
    what = summary(found.that_need_trust)
    if found.state is TrustState.REFUSED:
        file = found.problems[0]
        return (
            f"brings what cannot be trusted and has no effect ({what}): {file.path}: {file.problem}"
        )
    if found.state is TrustState.CHANGED:
        return (
            f"has changed since it was trusted; what it brings has no effect ({what}) "
            "until `sdqctl trust`"
        )
    return f"brings what is not trusted and has no effect ({what}); see `sdqctl trust`"
