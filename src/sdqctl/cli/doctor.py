"""`sdqctl doctor`: whether all is here that runs need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sdqctl.cli.options import examples, format_option
from sdqctl.cli.output import counted, paint, write_json, write_painted
from sdqctl.errors import RuntimeFailure
from sdqctl.model.views.doctor import Finding
from sdqctl.text.terminal import one_line, sanitize

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.views.doctor import PartView

_COLOURS = {Finding.OK: "green", Finding.PROBLEM: "red", Finding.LACKS: "yellow"}
_STATE, _PART = 8, 14


@click.command(epilog=examples("sdqctl doctor", "sdqctl doctor --format json"))
@format_option("text", "json")
@click.pass_obj
def doctor(app: App, /, output_format: str) -> None:
    """Say what is here, and what is missing, part by part; exit 5 when runs would fail.

    Nothing is changed. The runtime may be asked for its version.
    """
    from sdqctl.sessions.doctor import examine

    parts = []
    for part in examine(app):
        parts.append(part)
        if output_format == "text":
            _print(part)
    if output_format == "json":
        write_json(parts)
    problems = [part for part in parts if part.state is Finding.PROBLEM]
    if problems:
        raise RuntimeFailure(
            f"{counted(len(problems), 'problem')}: {', '.join(part.part for part in problems)}"
        )


def _print(part: PartView) -> None:
    state = paint(f"{part.state:<{_STATE}}", _COLOURS[part.state])
    write_painted(f"{state} {part.part:<{_PART}} {one_line(part.found)}\n")
    for line in (part.hint or "").splitlines():
        write_painted(f"{'':<{_STATE + _PART + 2}}{sanitize(line.strip())}\n")
