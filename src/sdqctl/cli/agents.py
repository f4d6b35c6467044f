"""`sdqctl agents`: the agents of the Agent Client Protocol, and what holds on them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sdqctl.adapters.acp.entry import AcpEntry
from sdqctl.adapters.acp.inspection import agent_sessions, check_agent, check_view, describe
from sdqctl.cli.options import examples, format_option
from sdqctl.cli.output import note, write_json, write_line
from sdqctl.cli.table import Cell, Column, print_rows
from sdqctl.errors import CapabilityError, UsageError
from sdqctl.text.suggest import meant

if TYPE_CHECKING:
    from sdqctl.adapters.acp.checks import Check
    from sdqctl.adapters.settings import AdapterSettings
    from sdqctl.cli.context import App
    from sdqctl.model.views.agents import AgentView, CheckView


@click.group()
def agents() -> None:
    """See which other agents can be used, and what holds on them."""


@agents.command("list", epilog=examples("sdqctl agents list", "sdqctl agents list --format json"))
@format_option("table", "json")
@click.pass_obj
def list_agents(app: App, /, output_format: str) -> None:
    """List the agents: what is installed, and whether it was seen to ask before it acts."""

    async def views() -> list[AgentView]:
        found = [describe(one, app.adapter_settings(one.name)) for one in _entries(app)]
        return list(await asyncio.gather(*found))

    known = asyncio.run(views())
    if output_format == "json":
        write_json(known)
        return
    columns = [Column("AGENT"), Column("VERSION", shrinks=True), Column("CHECKED", shrinks=True)]
    print_rows(columns, [_row(view) for view in known])


@agents.command(epilog=examples("sdqctl agents info opencode", "sdqctl agents info codex"))
@click.argument("name")
@format_option("text", "json")
@click.pass_obj
def info(app: App, /, name: str, output_format: str) -> None:
    """Tell all that is known of one agent."""
    view = asyncio.run(describe(*_chosen(app, name)))
    if output_format == "json":
        write_json(view)
        return
    for line in _lines(view):
        write_line(line)


@agents.command(
    epilog=examples("sdqctl agents check opencode", "sdqctl agents check opencode --offline")
)
@click.argument("name")
@click.option("--offline", is_flag=True, help="With a scripted model on loopback, no account.")
@format_option("text", "json")
@click.pass_obj
def check(app: App, /, name: str, offline: bool, output_format: str) -> None:
    """Find out whether an agent asks before it acts, and keep it for this version.

    The agent is told to run a harmless command in a temporary folder, which is refused. It costs
    a prompt of your account, unless it is --offline. Modes in which nothing may be changed are
    refused on an agent that has not passed.
    """
    from sdqctl.testing.offline_agents import check_offline

    entry, settings = _chosen(app, name)
    if not offline:
        note(f"asking {name} to run a harmless command, which is refused")
    found = asyncio.run((check_offline if offline else check_agent)(entry, settings))
    if output_format == "json":
        write_json(check_view(found))
    else:
        write_line(f"{name} {found.version or ''}: {_verdict(found)}")
    if not found.passed:
        raise CapabilityError(
            f"{name} {_verdict(found)}: it is refused in modes in which nothing may be changed",
            hint=f"a mode in which it asks can be named: `[agents.{name}] mode` in sdqctl.toml",
        )


@agents.command(
    epilog=examples("sdqctl agents sessions opencode", "sdqctl agents sessions codex --format json")
)
@click.argument("name")
@format_option("table", "json")
@click.pass_obj
def sessions(app: App, /, name: str, output_format: str) -> None:
    """List the sessions as the agent itself knows them, also those that sdqctl did not make."""
    found = asyncio.run(agent_sessions(*_chosen(app, name)))
    if output_format == "json":
        write_json(found)
        return
    columns = [
        Column("NAME", shrinks=True),
        Column("TITLE", shrinks=True),
        Column("FOLDER", shrinks=True, dropped=2),
        Column("ID", dropped=1),
    ]
    rows = [
        [Cell(one.name or "-"), Cell(one.title or ""), Cell(one.cwd), Cell(one.id)] for one in found
    ]
    print_rows(columns, rows)


def _entries(app: App) -> Iterator[AcpEntry]:

    return (one for one in app.entries() if isinstance(one, AcpEntry))


def _chosen(app: App, name: str) -> tuple[AcpEntry, AdapterSettings]:
    """One agent and its settings. Raises UsageError with what was meant."""
    known = {one.name: one for one in _entries(app)}
    if name not in known:
        raise UsageError(f"unknown agent {name!r}", hint=meant(name, known, "agents"))
    return known[name], app.adapter_settings(name)


def _row(view: AgentView) -> list[Cell]:
    version = view.version or ("not installed" if not view.installed else view.problem or "?")
    checked = view.checks[-1] if view.checks else None
    told = "" if checked is None else _verdict(checked)
    return [Cell(view.name), Cell(version), Cell(told or ("not checked" if view.installed else ""))]


def _lines(view: AgentView) -> Iterator[str]:
    yield f"{view.name}: {view.title}"
    yield f"  command   {' '.join(view.command)}"
    if view.installed:
        yield f"  program   {view.program}"
        yield f"  version   {view.version or view.problem}" + (
            f" (sdqctl was tried with {view.seen})" if view.seen else ""
        )
    else:
        yield f"  program   {view.problem}"
    yield f"  mode      {view.mode or 'it has but one'}"
    yield f"  powers    {', '.join(view.powers)}"
    for one in view.checks:
        yield f"  checked   {one.version}: {_verdict(one)} ({one.checked_at:%Y-%m-%d})"
    if not view.checks:
        yield f"  checked   not yet: `sdqctl agents check {view.name}`"


def _verdict(check: Check | CheckView) -> str:
    """What a check found, in words."""
    told = "asks before it acts" if check.asks else "acts WITHOUT asking"
    if check.asks and not check.heeds:
        told = "asks, and acts although it was refused"
    return told if check.restores else f"{told}; its conversations are not restored"
