"""Giving trust to the repository around a folder, and taking it back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sdqctl.adapters.registry import own_settings
from sdqctl.config import load_settings
from sdqctl.engine.repository import Repository, look_at_repository
from sdqctl.errors import UsageError
from sdqctl.model.repository import digests
from sdqctl.model.trust import TrustState
from sdqctl.model.views.trust import DistrustView, TrustedView, TrustView
from sdqctl.project import project_folder
from sdqctl.trust import distrust, first_trusted, trust, trust_records


def repository_around(environment: Mapping[str, str], home: Path, folder: Path) -> Repository:
    """What the repository around a folder brings; `home` holds the records of trust.

    Raises UsageError when it is no folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    directory = folder.resolve()
    settings = load_settings(environment, directory, own=own_settings())
    return look_at_repository(home, directory, settings.project, ignored=settings.ignored)


def needs_trust(found: Repository) -> bool:
    """Whether trust would let something take effect. Raises UsageError for what cannot be
    trusted.
    """
    if found.state is TrustState.REFUSED:
        file = found.problems[0]
        raise UsageError(f"{found.root / file.path} cannot be trusted: {file.problem}")
    return found.state in (TrustState.UNTRUSTED, TrustState.CHANGED)


def trust_repository(home: Path, found: Repository) -> None:
    """Record what a repository brings as trusted, as it was found. Raises StoreError."""
    trust(home, found.place, digests(found.files))


def distrust_around(home: Path, folder: Path) -> tuple[Path, list[Path]]:
    """Take back the trust that a folder, or the repository around it, has; returns the repository's
    folder, and the folders that had any.
    """
    folder = folder.resolve()
    root = project_folder(folder)
    inside = [place for place in (folder, *folder.parents) if place.is_relative_to(root)]
    return root, [place for place in inside if distrust(home, place)]


def trusted_paths(home: Path) -> list[TrustedView]:
    """The trusted folders, and the files that version 0.1 was told to trust."""
    folders = [
        TrustedView(folder=record.folder, trusted_at=record.trusted_at, files=record.files)
        for record in trust_records(home)
    ]
    first = sorted(first_trusted(home))
    return [*folders, *(TrustedView(folder=str(Path(path).parent), file=path) for path in first)]


def distrust_view(removed: list[Path]) -> DistrustView:
    """What was taken back, as JSON shows it."""
    return DistrustView(removed=[*map(str, removed)])


def trust_view(found: Repository) -> TrustView:
    """A repository as JSON shows it."""
    return TrustView(
        folder=str(found.place),
        root=str(found.root),
        state=found.state,
        digest=found.digest,
        trusted_at=found.record.trusted_at if found.record else None,
        files=found.files,
        changes=found.changes,
    )
