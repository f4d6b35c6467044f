"""`sdqctl status`: what is installed, signed in, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from sdqctl import __version__
from sdqctl.cli.options import examples, format_option
from sdqctl.cli.output import is_terminal, terminal_width, write_json, write_line
from sdqctl.cli.sessions.list import print_table
from sdqctl.text.terminal import one_line, sanitize

_LABEL = 15
_NARROWEST = 20

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.health import Health, ToolNames
    from sdqctl.model.sandbox import Held
    from sdqctl.sessions.overview import Overview


@click.command(epilog=examples("sdqctl status", "sdqctl status --adapters --auth"))
@click.option("--sessions", is_flag=True, help="The sessions, as a table.")
@click.option("--adapters", is_flag=True, help="Which runtimes were found, and by what.")
@click.option("--auth", is_flag=True, help="Which model provider or account is used; no secrets.")
@click.option("--models", is_flag=True, help="The models; this may start the runtime.")
@format_option("text", "json")
@click.pass_obj
def status(
    app: App, /, sessions: bool, adapters: bool, auth: bool, models: bool, output_format: str
) -> None:
    """Show how things stand. Without options nothing is started."""
    from sdqctl.sessions import overview

    found = overview.take_overview(app, adapters=adapters, auth=auth, models=models)
    if output_format == "json":
        write_json(overview.overview_view(app, found, with_sessions=sessions))
        return
    if not (sessions or adapters or auth or models):
        _print_summary(found)
    if sessions:
        print_table(found.sessions, datetime.now(UTC))
    if adapters:
        _print_adapters(found.health, found.tools)
        _print_sandbox(found.sandbox)
    for line in found.accounts:
        write_line(sanitize(line))
    for model in found.models or ():
        write_line(one_line(model))


def _print_summary(found: Overview) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(found.by_status.items()))
    facts = {
        "sdqctl": __version__,
        "data": str(found.home),
        "configuration": ", ".join(found.configuration) or "none was read",
        "runtime": found.runtime,
        "model": found.provider,
        "sandbox": _sandbox(found.sandbox),
        "sessions": f"{len(found.sessions)}" + (f" ({counts})" if counts else ""),
    }
    for name, value in facts.items():
        _print_fact(name, value)
        if name == "configuration":
            for place in found.configuration_places:
                _print_fact("", f"not there: {place}")
    for entry in found.sessions:
        if entry.holder is not None:
            _print_fact("running", f"{entry.info.label}, {entry.holder.describe()}")
    for line in found.missing:
        first, *more = line.splitlines()
        _print_fact("missing", first)
        for way in more:
            write_line(sanitize(way))


def _print_fact(name: str, value: str) -> None:
    """A line; on a terminal folded between words, so that a path stays whole."""
    label = f"{name + ':' if name else '':<{_LABEL}}"
    lines = [one_line(value)]
    if is_terminal():
        width = max(terminal_width() - 1 - _LABEL, _NARROWEST)
        lines = wrap(lines[0], width, break_long_words=False, break_on_hyphens=False)
    write_line(label + f"\n{'':<{_LABEL}}".join(lines))


def _print_adapters(health: Sequence[Health], tools: Mapping[str, ToolNames]) -> None:
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
