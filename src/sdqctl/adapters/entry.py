"""What an entry point of the group `sdqctl.adapters` names: one adapter, and the facts about it.

All that the house knows of an agent is asked here. Making an entry imports nothing: each method
imports what it needs when it is called, so that reading from disk loads no runtime's client.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from dataclasses import Field
    from pathlib import Path
    from typing import Any

    from sdqctl.adapters.base import Adapter, Health, SessionArchive
    from sdqctl.adapters.settings import AdapterSettings
    from sdqctl.model.repository import RepositoryFile
    from sdqctl.model.sandbox import SandboxNeeds


class Outlook(NamedTuple):
    """What a run would use, in words for the user; nothing is started to tell it."""

    runtime: str
    model: str
    missing: tuple[str, ...] = ()
    """What a run would fail for, each with what to do about it; only what is known for sure."""


class AdapterEntry(ABC):
    """One adapter. `name` is what `-a` takes; it is the entry point's name, too."""

    name: str
    reading_tools: ClassVar[frozenset[str]] = frozenset()
    """Names of tools that only read: a turn that was cut off after no others is sent again."""
    steering: ClassVar[tuple[str, ...]] = ()
    """Globs over the names below a folder: files by which the agent can be made to run something.
    They are written only when a rule names them."""
    variables: ClassVar[tuple[str, ...]] = ()
    """Globs of the variables that the runtime is given whatever the setting `env` leaves out."""
    model_variable: ClassVar[str | None] = None
    """The runtime's own variable that names its model, before any file does."""
    help_environment: ClassVar[tuple[tuple[str, str], ...]] = ()
    """The variables that users should know, each with a line for `sdqctl help environment`."""

    @abstractmethod
    def adapter(self, settings: AdapterSettings) -> Adapter:
        """A new adapter, not started."""

    @abstractmethod
    def archive(self, settings: AdapterSettings) -> SessionArchive:
        """The reader of its sessions on disk. Imports neither the adapter nor a client of it."""

    def settings(self) -> Mapping[str, Field[Any]]:
        """The settings that sdqctl.toml may have for it, by name: fields of a dataclass with
        `sdqctl.config.about` as metadata. They arrive in `AdapterSettings.own`.
        """
        return {}

    def is_here(self, settings: AdapterSettings) -> bool:
        """Whether `sdqctl status` tells of it also where it is not the one that is used; False for
        one of many agents whose program is not installed.
        """
        return True

    def declared(self, own: Mapping[str, object]) -> Iterable[AdapterEntry]:
        """Further adapters that the user's configuration makes of this one; `own` is what is set
        of the settings that adapters declare.
        """
        return ()

    def folders(self, settings: AdapterSettings) -> tuple[Path, ...]:
        """The agent's own folders: no tool writes in them, and RUN commands do not see them."""
        return ()

    def sandbox_needs(self, settings: AdapterSettings) -> SandboxNeeds | None:
        """What the runtime's processes cannot do without in a sandbox; None: it starts none."""
        return None

    def repository_files(self, root: Path, folder: Path) -> list[RepositoryFile]:
        """What of the repository `root` would take effect, beyond text, for a session in `folder`
        (both without links).
        """
        return []

    def outlook(self, settings: AdapterSettings) -> Outlook:
        """What a run would use, for `sdqctl status`."""
        return Outlook(f"the {self.name} adapter", "the agent's choice")

    def account(self, settings: AdapterSettings, health: Health) -> list[str]:
        """Who would answer, in lines for `sdqctl status --auth`; `health` is what a check found."""
        return []

    def what_stays(self, *, purged: bool) -> str | None:
        """What the runtime still keeps of deleted sessions, in a line for the user.

        `purged`: whether the adapter was told to forget them (`--purge`).
        """
        return None
