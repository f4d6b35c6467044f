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
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """The Copilot runtime that would be used, and the model behind it; nothing is started."""
    from sdqctl.adapters.copilot.account import describe_account
    from sdqctl.adapters.copilot.provider import describe_provider
    from sdqctl.adapters.copilot.runtime import find_runtime
    from sdqctl.errors import RuntimeMissingError

    provider = describe_provider(app.environment) or describe_account(app.adapter_settings)
    try:
        program = find_runtime(app.adapter_settings)
    except RuntimeMissingError as error:
        return error.message, provider
    if program is None:
        return "the GitHub Copilot runtime is not installed", provider
    return f"{program.path} (found by {program.found_by})", provider


def _health(app: App) -> list[Health]:
    from sdqctl.adapters.registry import adapter_names

    async def check() -> list[Health]:
        return [await app.adapter(name).check() for name in adapter_names()]

    return app.play(check())


def _models(app: App) -> list[str]:
    from sdqctl.adapters.base import ListsModels

    async def ask() -> list[str]:
        async with app.adapter() as adapter:
            return list(await adapter.list_models()) if isinstance(adapter, ListsModels) else []

    return app.play(ask())


def _tools(app: App) -> dict[str, ToolNames]:
    """The tools of each runtime that tells them, by the adapter's name."""
    from sdqctl.adapters.base import ListsTools
    from sdqctl.adapters.registry import adapter_names

    async def ask() -> dict[str, ToolNames]:
        adapters = {name: app.adapter(name) for name in adapter_names()}
        return {
            name: await adapter.list_tools()
            for name, adapter in adapters.items()
            if isinstance(adapter, ListsTools)
        }

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
    from sdqctl.adapters.copilot.account import WAYS_IN, describe_account, stored_login

    for found in health:
        if found.adapter != "copilot":
            continue
        if found.provider is not None:
            write_line(f"copilot: a provider of your own, {one_line(found.provider)}")
        else:
            write_line(f"copilot: {one_line(describe_account(app.adapter_settings))}")
            if stored_login(app.adapter_settings.copilot_home) is None and not found.signed_in:
                write_line(f"  a login in a keychain is seen by the runtime alone; else {WAYS_IN}")


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
