"""What the mock does with a prompt: orders in its text, or in the file SDQCTL_MOCK_SCRIPT.

::

    [[reply: text]]            answer with this text; `[[reply: text x1]]` the first time only
    [[json: VALUE]]            answer with this JSON; also with a count
    [[tool: read PATH]]        ask to read a file; also `shell COMMAND`, `write PATH TEXT`
    [[fail: rate-limit]]       fail so: rate-limit, authentication, network, server, request, model
    [[fail: server x2]]        fail so the first two times
    [[stall]]                  never answer, until aborted
    [[die]]                    the runtime dies; `[[die: x1]]` the first time only
    [[empty]]                  answer with nothing
    [[delay: 0.2]]             wait so many seconds first
    [[cost: 0.5]]              report that the answer cost so much

The file is a JSON list of `{"match": "text in the prompt", "orders": "[[...]]"}`. A prompt that
says what was wrong with an answer has the orders of the prompt that it is about.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from sdqctl.errors import UsageError
from sdqctl.testing.markers import Marker, markers, without_markers


class Rule(msgspec.Struct, frozen=True):
    """One rule of a script file."""

    match: str
    orders: str


def read_script(path: str | None) -> tuple[Rule, ...]:
    """The rules of a script file. Raises UsageError for one that cannot be read."""
    if not path:
        return ()
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=tuple[Rule, ...])
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"SDQCTL_MOCK_SCRIPT {path} cannot be read: {error}") from error


def orders_of(prompt: str, rules: tuple[Rule, ...]) -> list[Marker]:
    """The orders that hold for a prompt: its own, then those of the rules that match."""
    texts = [prompt, *(rule.orders for rule in rules if rule.match in prompt)]
    return [marker for text in texts for marker in markers(text)]


def default_answer(prompt: str, number: int) -> str:
    """A deterministic answer that says what it is."""
    words = " ".join(without_markers(prompt).split())
    asked = words if len(words) <= 80 else words[:79].rstrip() + "…"
    return f"This is the mock agent, answer {number} of this conversation. You asked: “{asked}”"
