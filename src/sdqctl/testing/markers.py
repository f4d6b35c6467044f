"""Orders to a scripted agent within a text: `[[name]]`, `[[name: value]]`, `[[json: VALUE]]`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_MARKER = re.compile(r"\[\[(\w+)(?::\s*(.*?))?\]\](?!\])", re.DOTALL)
_JSON = re.compile(r"\[\[json:\s*")
_END = re.compile(r"\s*(x\d+)?\s*\]\]")
_TIMES = re.compile(r"(?:\s*\b|\A)x(\d+)\s*\Z")


class Marker(NamedTuple):
    """One order. `times` None: always; else it holds for the first so many times."""

    name: str
    value: str
    times: int | None = None

    @property
    def key(self) -> str:
        """What its passings are counted under."""
        return f"{self.name}:{self.value}"


def markers(text: str) -> list[Marker]:
    """The orders of a text. The brackets within a JSON value end none."""
    return [marker for marker, _, _ in _found(text)]


def without_markers(text: str) -> str:
    """The text with its orders left out."""
    parts, end = [], 0
    for _, start, after in _found(text):
        parts.append(text[end:start])
        end = after
    return "".join([*parts, text[end:]])


def chosen(orders: list[Marker], is_due: Callable[[Marker], bool]) -> str | None:
    """The answer that `reply` and `json` orders mean: the first counted one that is due, else the
    last of the others; None: there is none. `is_due` counts.
    """
    answers = [order for order in orders if order.name in ("reply", "json")]
    counted = next((o for o in answers if o.times is not None and is_due(o)), None)
    always = [order for order in answers if order.times is None]
    last = counted or (always[-1] if always else None)
    return last.value if last is not None else None


def _found(text: str) -> Iterator[tuple[Marker, int, int]]:
    at = 0
    while (at := text.find("[[", at)) >= 0:
        found = _json_at(text, at) or _plain_at(text, at)
        if found is None:
            at += 2
            continue
        marker, end = found
        yield marker, at, end
        at = end


def _json_at(text: str, at: int) -> tuple[Marker, int] | None:
    if (head := _JSON.match(text, at)) is None:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(text, head.end())
    except ValueError:
        return None
    if (tail := _END.match(text, end)) is None:
        return None
    times = int(tail[1][1:]) if tail[1] else None
    return Marker("json", text[head.end() : end], times), tail.end()


def _plain_at(text: str, at: int) -> tuple[Marker, int] | None:
    if (match := _MARKER.match(text, at)) is None:
        return None
    name, value = match[1], match[2] or ""
    times = _TIMES.search(value)
    if times is None:
        return Marker(name, value), match.end()
    return Marker(name, value[: times.start()], int(times[1])), match.end()
