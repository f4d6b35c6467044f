"""The repository a run works in: what it brings, and whether the user trusts that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sdqctl.adapters.registry import own_settings, repository_files
from sdqctl.config import project_settings
from sdqctl.foreign import UnsafeFileError, strangers_hand
from sdqctl.model.repository import (
    Changes,
    RepositoryFile,
    changes,
    content_digest,
    digests,
    total_digest,
)
from sdqctl.model.trust import TrustState
from sdqctl.project import ProjectFile, project_folder
from sdqctl.text.terminal import one_line
from sdqctl.trust import TrustRecord, trust_record, was_trusted_first
from sdqctl.workspace.own import own_folder

CONFIGURATION = "configuration"
"""The kind of the file that is sdqctl's own; the other kinds are the adapters'."""


@dataclass(frozen=True)
class Repository:
    """What lies in a repository as it was when it was looked at, and the trust in it."""

    place: Path
    """What is trusted: the repository's folder, or one in it that brings files of its own."""
    root: Path
    files: tuple[RepositoryFile, ...]
    """The configuration file first, then the agent's; paths start from `root`."""
    ignored: tuple[str, ...]
    """The settings of the configuration file that count only with trust."""
    record: TrustRecord | None
    configuration_trusted_first: bool = False
    """Whether version 0.1 was told to trust the configuration file as it is now."""

    @cached_property
    def digest(self) -> str:
        """What trust binds to."""
        return total_digest(digests(self.files))

    @property
    def has_configuration(self) -> bool:
        """Whether there is a configuration file."""
        return any(file.kind == CONFIGURATION for file in self.files)

    @property
    def that_need_trust(self) -> tuple[RepositoryFile, ...]:
        """The files in which trust would change anything."""
        return tuple(file for file in self.files if file.kind != CONFIGURATION or self.ignored)

    @property
    def problems(self) -> tuple[RepositoryFile, ...]:
        """The files that cannot be trusted."""
        return tuple(file for file in self.files if file.problem is not None)

    @property
    def state(self) -> TrustState:
        """Whether what it brings takes effect."""
        if not self.that_need_trust:
            return TrustState.EMPTY
        if self.problems:
            return TrustState.REFUSED
        if self.record is None:
            return TrustState.UNTRUSTED
        same = self.record.digest == self.digest
        return TrustState.TRUSTED if same else TrustState.CHANGED

    @property
    def changes(self) -> Changes:
        """What is not as it was when it was trusted; nothing where it never was."""
        if self.record is None:
            return Changes()
        return changes(self.record.files, digests(self.files))


def look_at_repository(
    home: Path, directory: Path, project: ProjectFile | None, *, ignored: tuple[str, ...]
) -> Repository:
    """The repository around a folder. `project` is its configuration file, read already, and
    `ignored` the settings in it that count only with trust. `home` holds the records.
    """
    root = project.root if project is not None else project_folder(directory)
    folder = Path(os.path.realpath(directory))
    first = project is not None and was_trusted_first(home, project.path, project.data)
    if first:
        ignored = ()
    agents = repository_files(root, folder)
    files = tuple(agents if project is None else [_configuration(project, ignored), *agents])
    place = _place(root, folder, files)
    return Repository(
        place=place,
        root=root,
        files=files,
        ignored=ignored,
        record=trust_record(home, place) or _of_original(home, place),
        configuration_trusted_first=first and files[0].problem is None,
    )


def _of_original(home: Path, place: Path) -> TrustRecord | None:
    """The trust in what a worktree of sdqctl's own was made from: it holds for the same files."""
    top = own_folder(home, place)
    if top is None:
        return None
    from sdqctl.workspace.worktrees import worktree_around  # loaded only within one

    worktree = worktree_around(home, place)
    if worktree is None:
        return None
    return trust_record(home, Path(worktree.top) / place.relative_to(top))


def _configuration(project: ProjectFile, ignored: tuple[str, ...]) -> RepositoryFile:
    try:
        hand = strangers_hand(project.root, project.name)
    except UnsafeFileError as error:
        hand = str(error)
    return RepositoryFile(
        path=project.name,
        kind=CONFIGURATION,
        summary=_settings(project, ignored),
        digest=content_digest(project.data),
        problem=hand,
    )


def _settings(project: ProjectFile, ignored: tuple[str, ...]) -> str:
    """The settings that need trust, as they would be taken."""
    values = project_settings(project, own_settings()) if ignored else {}
    told = (f"{name} = {_told(values[name])}" for name in ignored)
    return "sets " + "; ".join(told) if ignored else "sets nothing that needs trust"


def _told(value: object) -> str:
    return one_line(", ".join(map(str, value)) if isinstance(value, tuple) else str(value))


def _place(root: Path, folder: Path, files: tuple[RepositoryFile, ...]) -> Path:
    """The deepest folder from the root to the working directory that brings a file.

    So that the trust in one folder of a large repository does not end in another one.
    """
    for level in (folder, *folder.parents):
        if level == root:
            break
        prefix = f"{level.relative_to(root).as_posix()}/"
        if any(file.path.startswith(prefix) for file in files):
            return level
    return root
