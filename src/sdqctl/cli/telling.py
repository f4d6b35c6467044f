"""What `status` does. Knows no click."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import UNSET

from sdqctl import __version__
from sdqctl.cli.output import write_json, write_line
from sdqctl.cli.sessions.list import print_table
from sdqctl.sandbox.choice import held
from sdqctl.sessions.query import Entry, Query, all_entries, select, session_views
from sdqctl.text.terminal import one_line, sanitize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdqctl.adapters.base import Adapter
    from sdqctl.cli.context import App
    from sdqctl.model.health import Health, ToolNames
    from sdqctl.model.sandbox import Held
    from sdqctl.model.views.status import StatusView


@dataclass(frozen=True, kw_only=True)
class StatusRequest:
    """What is asked for."""

    sessions: bool = False
    adapters: bool = False
    auth: bool = False
    models: bool = False
    as_json: bool = False


def report_status(app: App, request: StatusRequest) -> None:
    """Print the status. Raises StoreError for a damaged or newer ledger."""
    now = datetime.now(UTC)
    entries = select(all_entries(app), Query(), now)
    health = _health(app) if request.adapters or request.auth else []
    tools = _tools(app) if request.adapters else {}
    models = _models(app) if request.models else None
    if request.as_json:
        write_json(_view(app, request, entries, health, models, tools))
        return
    if not (request.sessions or request.adapters or request.auth or request.models):
        _print_summary(app, entries)
    if request.sessions:
        print_table(entries, now)
    if request.adapters:
        _print_adapters(health, tools)
        _print_sandbox(held(app.settings.sandbox, app.environment))
    if request.auth:
        _print_auth(app, health)
    if models is not None:
        for model in models:
            write_line(one_line(model))


def _print_summary(app: App, entries: list[Entry]) -> None:
    counts = Counter(entry.status.value for entry in entries)
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    runtime, provider = _runtime(app)
    facts = {
        "sdqctl": __version__,
        "data": str(app.settings.home),
        "configuration": ", ".join(map(str, app.settings.files)) or "defaults",
        "runtime": runtime,
        "model": provider,
        "sandbox": _sandbox(held(app.settings.sandbox, app.environment)),
        "sessions": f"{len(entries)}" + (f" ({told})" if told else ""),
    }
    for name, value in facts.items():
        write_line(f"{name + ':':<15}{one_line(value)}")
    for entry in entries:
        if entry.holder is not None:
            write_line(
                f"{'running:':<15}{one_line(entry.info.label)}, {one_line(entry.holder.describe())}"
            )


def _runtime(app: App) -> tuple[str, str]:
    """The runtime that runs use where nothing else is said, and the model behind it."""
    from sdqctl.adapters.registry import entry
    from sdqctl.errors import AdapterBrokenError, UsageError

    name = app.settings.adapter
    try:
        return entry(name).outlook(app.adapter_settings(name))
    except (AdapterBrokenError, UsageError) as error:
        return error.message, "not known"


def _health(app: App) -> list[Health]:

    async def check() -> list[Health]:
        return [await adapter.check() for adapter in _adapters(app).values()]

    return app.play(check())


def _adapters(app: App) -> dict[str, Adapter]:
    """All adapters that can be made, by name; none is started."""
    from sdqctl.errors import AdapterBrokenError

    found = {}
    for one in app.entries():
        try:
            found[one.name] = app.adapter(one.name)
        except AdapterBrokenError as error:
            app.tell_broken(error)
    return found


def _models(app: App) -> list[str]:
    from sdqctl.adapters.base import ListsModels, find_power

    async def ask() -> list[str]:
        async with app.adapter() as adapter:
            lister = find_power(adapter, ListsModels)
            return [] if lister is None else list(await lister.list_models())

    return app.play(ask())


def _tools(app: App) -> dict[str, ToolNames]:
    """The tools of each runtime that reports them, by the adapter's name."""
    from sdqctl.adapters.base import ListsTools, find_power

    async def ask() -> dict[str, ToolNames]:
        listers = {name: find_power(made, ListsTools) for name, made in _adapters(app).items()}
        return {name: await one.list_tools() for name, one in listers.items() if one is not None}

    return app.play(ask())


def _print_adapters(health: list[Health], tools: Mapping[str, ToolNames]) -> None:
    for found in health:
        state = "ok" if found.problem is None else "not usable"
        version = f" {found.version}" if found.version else ""
        write_line(f"{found.adapter}: {state}{version}")
        if found.runtime_path:
            write_line(f"  runtime: {one_line(found.runtime_path)} (found by {found.found_by})")
        if names := tools.get(found.adapter):
            _print_tools(names)
        if found.problem:
            write_line(f"  problem: {one_line(found.problem)}")
        if found.hint:
            write_line(f"  hint: {one_line(found.hint)}")


def _print_tools(names: ToolNames) -> None:
    write_line(f"  tools: {', '.join(names.known)}")
    if names.unknown:
        shown = one_line(", ".join(names.unknown))
        write_line(f"  not given to agents, because not known here: {shown}")


def _sandbox(found: Held) -> str:
    """Which net holds in which modes, in a line."""
    if found.problem is not None:
        return f"{found.problem} (runs are refused)"
    if found.landlock == 0 and found.reading == "none":
        return "none: this machine has no Landlock"
    version = f" (version {found.landlock})" if found.reading == "landlock" else ""
    if found.reading == found.writing == found.full:
        return f"{found.reading}{version} in every mode"
    return f"{found.reading}{version}; {found.full} in mode full"


def _print_sandbox(found: Held) -> None:
    write_line(f"sandbox: {_sandbox(found)}")
    for lack in found.lacks:
        write_line(f"  not held: {lack}")


def _print_auth(app: App, health: list[Health]) -> None:
    from sdqctl.adapters.registry import entry

    for found in health:
        settings = app.adapter_settings(found.adapter)
        for line in entry(found.adapter).account(settings, found):
            write_line(sanitize(line))


def _view(
    app: App,
    request: StatusRequest,
    entries: list[Entry],
    health: list[Health],
    models: list[str] | None,
    tools: dict[str, ToolNames],
) -> StatusView:
    from sdqctl.model.views.status import StatusView

    runtime, provider = _runtime(app)
    return StatusView(
        version=__version__,
        home=str(app.settings.home),
        configuration=[str(file) for file in app.settings.files],
        runtime=runtime,
        provider=provider,
        sandbox=held(app.settings.sandbox, app.environment),
        sessions_by_status=dict(Counter(entry.status.value for entry in entries)),
        sessions=session_views(app, entries) if request.sessions else UNSET,
        adapters=health or UNSET,
        models=models if models is not None else UNSET,
        tools=tools or UNSET,
    )
