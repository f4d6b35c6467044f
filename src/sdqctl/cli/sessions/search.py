"""What `sessions search` does. Knows no click."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sdqctl.cli.output import counted, is_terminal, note, paint, write_json, write_painted
from sdqctl.cli.sessions.list import all_entries
from sdqctl.cli.table import age, iso
from sdqctl.model.session import SessionRef
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.sessions.search import Hit

_KINDS = {"prompts": ("prompt",), "answers": ("answer",), "all": ("prompt", "answer")}


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """What `search` was asked for."""

    text: str
    where: str = "all"
    since: float | None = None
    limit: int = 20
    adapter: str | None = None
    output_format: str | None = None


def search_sessions(app: App, request: SearchRequest) -> None:
    """Print the places where all words stand. Raises UsageError without a word."""
    from sdqctl.sessions.search import SearchIndex
    from sdqctl.store.redact import Redactor

    since = datetime.now(UTC) - timedelta(seconds=request.since) if request.since else None
    archives = app.archives(request.adapter)
    with SearchIndex.open(app.settings.home, Redactor(app.environment)) as index:
        index.update(app.archives())
        found = index.search(
            request.text, kinds=_KINDS[request.where], since=since, limit=request.limit
        )
    found = [hit for hit in found if hit.ref.adapter in archives]
    names = {entry.ref: entry.info.label for entry in all_entries(app, request.adapter)}
    if request.output_format == "json":
        write_json([_object(hit, names) for hit in found])
        return
    for hit in found:
        write_painted((_line(hit, names) if is_terminal() else _tsv(hit, names)) + "\n")
    if not found:
        note("nothing found")
    elif is_terminal():
        note(f"{counted(len(found), 'place')}; `sdqctl sessions show NAME --transcript` shows all")


def _plain(snippet: str) -> str:
    return snippet.replace("\x02", "").replace("\x03", "")


def _label(hit: Hit, names: dict[SessionRef, str]) -> str:
    return names.get(hit.ref, hit.ref.id)


def _line(hit: Hit, names: dict[SessionRef, str]) -> str:
    shown = []
    for number, part in enumerate(hit.snippet.replace("\x03", "\x02").split("\x02")):
        text = one_line(f"|{part}|")[1:-1]
        shown.append(paint(text, "bold") if number % 2 else text)
    head = f"{one_line(_label(hit, names))} · {hit.kind} {hit.turn} · {age(hit.at)}"
    return f"{paint(head, 'blue')}\n    {''.join(shown)}"


def _tsv(hit: Hit, names: dict[SessionRef, str]) -> str:
    values = (_label(hit, names), hit.ref.id, str(hit.turn), hit.kind, iso(hit.at))
    return "\t".join(map(one_line, (*values, _plain(hit.snippet))))


def _object(hit: Hit, names: dict[SessionRef, str]) -> dict[str, object]:
    return {
        "id": hit.ref.id,
        "name": names.get(hit.ref),
        "adapter": hit.ref.adapter,
        "turn": hit.turn,
        "in": hit.kind,
        "at": hit.at,
        "snippet": _plain(hit.snippet),
    }
