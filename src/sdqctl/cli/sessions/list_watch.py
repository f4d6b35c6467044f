"""`sdqctl sessions list --watch`: a line for each session that changes, until it is interrupted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sdqctl.cli.output import write_line
from sdqctl.sessions.board import Board, Item
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.model.session import SessionRef
    from sdqctl.model.tools import PermissionQuestion
    from sdqctl.sessions.access import Access
    from sdqctl.sessions.query import Entry

_LOOK = 0.5
"""Seconds between looks whether the ledger changed."""


def watch_list(
    access: Access,
    shown: Sequence[Entry],
    choose: Callable[[list[Entry]], list[Entry]],
    write: Callable[[Item, bool], None],
) -> None:
    """Write each chosen session of this machine that is not as it was shown; with True when it is
    gone. Ends by Ctrl-C.
    """
    states = {entry.ref: _state(entry, None) for entry in shown}
    known: dict[SessionRef, Item] = {}
    board = Board(access)
    try:
        while True:
            items = {item.entry.ref: item for item in board.changed() or ()}
            chosen = choose([item.entry for item in items.values()])
            for entry in chosen:
                item = known[entry.ref] = items[entry.ref]
                state = _state(entry, item.question)
                if states.get(entry.ref) != state:
                    write(item, False)
                states[entry.ref] = state
            for ref in known.keys() - items.keys() if items else ():
                del states[ref]
                write(known.pop(ref), True)
            sys.stdout.flush()
            time.sleep(_LOOK)
    finally:
        board.close()


def write_words(item: Item, gone: bool) -> None:
    """A line that can be read aloud: what the session is, how far, and what it asks."""
    entry, run = item.entry, item.entry.run
    words = [f"{one_line(entry.info.label)}: {'gone' if gone else entry.status}"]
    if run is not None and not gone:
        words.append(f"{run.steps_done} of {run.steps_total} steps done")
    if item.question is not None and not gone:
        request = item.question.request
        words.append(f"asks about {request.kind} {one_line(request.target)}")
    write_line(", ".join(words))


def _state(entry: Entry, question: PermissionQuestion | None) -> tuple[object, ...]:
    """What makes a line new when it is another."""
    steps = entry.run.steps_done if entry.run else None
    asked = question.number if question else None
    return entry.info.label, entry.status, entry.kept, steps, asked
