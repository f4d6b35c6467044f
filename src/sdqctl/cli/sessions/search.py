"""`sdqctl sessions search`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from sdqctl.cli.options import DURATION, adapter_option, examples
from sdqctl.cli.output import counted, is_terminal, note, paint, write_json, write_painted
from sdqctl.cli.table import age, iso
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.sessions.search import Hit

_KINDS = {"prompts": ("prompt",), "answers": ("answer",), "all": ("prompt", "answer")}


@click.command(
    epilog=examples(
        "sdqctl sessions search sql injection",
        "sdqctl sessions search timeout --in prompts --since 7d",
    )
)
@click.argument("text", nargs=-1, required=True)
@click.option(
    "--in",
    "where",
    type=click.Choice(["prompts", "answers", "all"]),
    default="all",
    show_default=True,
    help="Where to look.",
)
@click.option("--since", type=DURATION, metavar="DUR", help="Only what was said since then.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N")
@adapter_option
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), help="json: data.")
@click.pass_obj
def search(
    app: App,
    /,
    text: tuple[str, ...],
    where: str,
    since: float | None,
    limit: int,
    adapter: str | None,
    output_format: str | None,
) -> None:
    """Find the places where all words of TEXT stand, the best first.

    Columns in a pipe: name, id, turn, prompt or answer, time (ISO), text.
    """
    from sdqctl.sessions.search import search_sessions

    start = datetime.now(UTC) - timedelta(seconds=since) if since else None
    kinds = _KINDS[where]
    found = search_sessions(app, " ".join(text), adapter, kinds=kinds, since=start, limit=limit)
    if output_format == "json":
        write_json([place.view() for place in found])
        return
    for place in found:
        write_painted((_line(place) if is_terminal() else _tsv(place)) + "\n")
    if not found:
        note("nothing found")
    elif is_terminal():
        note(f"{counted(len(found), 'place')}; `sdqctl sessions show NAME --transcript` shows all")


def _label(hit: Hit) -> str:
    return hit.ref.id if hit.name is None else hit.name


def _line(hit: Hit) -> str:
    shown = []
    for number, part in enumerate(hit.snippet.replace("\x03", "\x02").split("\x02")):
        text = one_line(f"|{part}|")[1:-1]
        shown.append(paint(text, "bold") if number % 2 else text)
    head = f"{one_line(_label(hit))} · {hit.kind} {hit.turn} · {age(hit.at)}"
    return f"{paint(head, 'blue')}\n    {''.join(shown)}"


def _tsv(hit: Hit) -> str:
    values = (_label(hit), hit.ref.id, str(hit.turn), hit.kind, iso(hit.at))
    return "\t".join(map(one_line, (*values, hit.plain)))
