"""How things stand: the sessions, the runtimes, what they are signed in to, the sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from msgspec import UNSET

from sdqctl import __version__
from sdqctl.adapters import registry
from sdqctl.adapters.base import Adapter, ListsModels, ListsTools, find_power
from sdqctl.adapters.entry import AdapterEntry, Outlook
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.config import Settings, user_file
from sdqctl.errors import AdapterBrokenError, UsageError
from sdqctl.model.health import Health, ToolNames
from sdqctl.model.sandbox import Held
from sdqctl.model.views.status import StatusView
from sdqctl.project import FILE_NAME, project_folder
from sdqctl.sandbox.choice import held
from sdqctl.sessions.access import Access
from sdqctl.sessions.query import Entry, Query, all_entries, select, session_views


class Installation(Access, Protocol):
    """Besides the sessions: the settings, and what is known of each adapter."""

    @property
    def settings(self) -> Settings:
        """The merged settings."""

    def adapter_settings(self, name: str) -> AdapterSettings:
        """The settings in the form that an adapter takes."""

    def entries(self) -> Sequence[AdapterEntry]:
        """What is known of all adapters that can be loaded."""

    def report_broken(self, error: AdapterBrokenError) -> None:
        """Say once that an adapter cannot be loaded."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What was found. `runtime` and `provider` are those of runs where nothing else is said."""

    home: Path
    configuration: list[str]
    """The files that were read."""
    configuration_places: list[str]
    """Those that would be, if they were there."""
    missing: list[str]
    """What a run would fail for, with what to do about it."""
    sessions: list[Entry]
    runtime: str
    provider: str
    sandbox: Held
    health: list[Health] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    """Lines about what each runtime is signed in to."""
    tools: dict[str, ToolNames] = field(default_factory=dict)
    models: list[str] | None = None

    @property
    def by_status(self) -> dict[str, int]:
        """How many sessions have each status."""
        return dict(Counter(entry.status.value for entry in self.sessions))


def take_overview(
    of: Installation, *, adapters: bool = False, auth: bool = False, models: bool = False
) -> Overview:
    """Look at everything; runtimes are asked only for `adapters`, `auth` and `models`.

    Raises StoreError for a damaged or newer ledger.
    """
    sessions = select(all_entries(of), Query(), datetime.now(UTC))
    health = _health(of) if adapters or auth else []
    outlook = outlook_of(of)
    return Overview(
        home=of.home,
        configuration=[str(file) for file in of.settings.files],
        configuration_places=_places(of),
        sessions=sessions,
        runtime=outlook.runtime,
        provider=outlook.model,
        missing=list(outlook.missing),
        sandbox=held(of.settings.sandbox, of.environment),
        health=health,
        accounts=_accounts(of, health) if auth else [],
        tools=_tools(of) if adapters else {},
        models=_models(of) if models else None,
    )


def overview_view(of: Access, found: Overview, *, with_sessions: bool) -> StatusView:
    """The overview as JSON shows it."""
    return StatusView(
        version=__version__,
        home=str(found.home),
        configuration=found.configuration,
        configuration_places=found.configuration_places,
        missing=found.missing,
        runtime=found.runtime,
        provider=found.provider,
        sandbox=found.sandbox,
        sessions_by_status=found.by_status,
        sessions=session_views(of, found.sessions) if with_sessions else UNSET,
        adapters=found.health or UNSET,
        models=found.models if found.models is not None else UNSET,
        tools=found.tools or UNSET,
    )


def outlook_of(of: Installation) -> Outlook:
    """What a run would use where nothing else is said."""
    name = of.settings.adapter
    try:
        return registry.entry(name).outlook(of.adapter_settings(name))
    except (AdapterBrokenError, UsageError) as error:
        missing = f"{error.message}; {error.hint}" if error.hint else error.message
        return Outlook(error.message, "not known", (missing,))


def _places(of: Installation) -> list[str]:
    """The user's file and the project's, where they are not there."""
    places = (user_file(of.environment), project_folder(of.directory) / FILE_NAME)
    return [str(place) for place in places if place is not None and not place.exists()]


def _adapters(of: Installation) -> Mapping[str, Adapter]:
    """All adapters that can be made, by name, without those of programs that are not here; none is
    started.
    """
    found = {}
    for one in of.entries():
        try:
            if one.name != of.settings.adapter and not one.is_here(of.adapter_settings(one.name)):
                continue
            found[one.name] = of.adapter(one.name)
        except AdapterBrokenError as error:
            of.report_broken(error)
    return found


def _health(of: Installation) -> list[Health]:
    async def check() -> list[Health]:
        return [await adapter.check() for adapter in _adapters(of).values()]

    return of.play(check())


def _accounts(of: Installation, health: list[Health]) -> list[str]:
    return [
        line
        for found in health
        for line in registry.entry(found.adapter).account(of.adapter_settings(found.adapter), found)
    ]


def _models(of: Installation) -> list[str]:
    async def ask() -> list[str]:
        async with of.adapter() as adapter:
            lister = find_power(adapter, ListsModels)
            return [] if lister is None else list(await lister.list_models())

    return of.play(ask())


def _tools(of: Installation) -> dict[str, ToolNames]:
    """The tools of each runtime that reports them, by the adapter's name."""

    async def ask() -> dict[str, ToolNames]:
        listers = {name: find_power(made, ListsTools) for name, made in _adapters(of).items()}
        return {name: await one.list_tools() for name, one in listers.items() if one is not None}

    return of.play(ask())
