"""What a run says about the repository it works in, and whether that is still as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sdqctl.cli.output import counted, note
from sdqctl.model.repository import RepositoryFile
from sdqctl.model.trust import RepositoryUse, TrustState

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.engine.repository import Repository


def note_repository(app: App, *, quiet: bool) -> None:
    """Say once, on stderr, that a repository brings what has no effect, and how it gets one."""
    if quiet or app.repository_use is RepositoryUse.NEVER:
        return
    found = app.repository
    if app.repository_is_trusted or found.state is TrustState.EMPTY or found.place in app.told:
        return
    app.told.add(found.place)
    note(f"note: {found.place} {_why(found)}")


def is_unchanged(app: App) -> bool:
    """Whether a trusted repository is as it was when the run began.

    It is asked before each opening of a session: what the agent or another program wrote there
    since has no effect, and that is said once.
    """
    from sdqctl.engine.repository import look_at_repository
    from sdqctl.errors import UsageError
    from sdqctl.project import project_file

    before = app.repository
    try:
        project = project_file(app.directory) if before.has_configuration else None
        now = look_at_repository(app.trust_home, app.directory, project, ignored=())
    except UsageError:
        return False
    if now.digest == before.digest and not now.problems:
        return True
    if ("changed", before.place) not in app.told:
        app.told.add(("changed", before.place))
        note(
            f"warning: {before.place} is not as it was when the run began; "
            "what it brings has no effect any more"
        )
    return False


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
