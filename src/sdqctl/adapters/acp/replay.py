"""What an agent replays of a conversation when it loads it, and what that says of a lost turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdqctl.adapters.folders import JOURNAL
from sdqctl.adapters.journal import read_turns
from sdqctl.adapters.journal_writer import cut_before
from sdqctl.errors import SessionUnusableError
from sdqctl.model.session import Turn

_LATEST = 5.0
"""Seconds in which a replay that comes late has begun."""
_QUIET = 0.5
_TICK = 0.05


class Replay:
    """Gathers the prompts of a conversation from the updates that come while it is loaded."""

    def __init__(self) -> None:
        self._prompts: list[str] = []
        self._in_prompt = False
        self._updates = 0

    def take(self, update: Mapping[str, Any]) -> None:
        """Take in an update. Chunks of one prompt follow on one another."""
        self._updates += 1
        kind = update.get("sessionUpdate")
        if kind == "user_message_chunk":
            text = str((update.get("content") or {}).get("text") or "")
            if self._in_prompt:
                self._prompts[-1] += text
            else:
                self._prompts.append(text)
            self._in_prompt = True
        elif kind in ("agent_message_chunk", "agent_thought_chunk", "tool_call"):
            self._in_prompt = False

    async def complete(self, *, expects: bool, open_end: Turn) -> None:
        """Wait for what an agent replays after its answer to the load.

        By the protocol all has come by then. `expects`: that something comes at all. Where the end
        of the last turn is open, nothing more may come for a while: what is not there is sent.
        """
        deadline = time.monotonic() + _LATEST
        while expects and self.is_empty and time.monotonic() < deadline:
            await asyncio.sleep(_TICK)
        seen = -1
        while _is_open(open_end) and seen != self._updates:
            seen = self._updates
            await asyncio.sleep(_QUIET)

    @property
    def is_empty(self) -> bool:
        """Whether nothing came."""
        return not self._prompts

    def count(self, prompt: str) -> int:
        """How often a prompt stands in it.

        Some agents put several prompts, or a context of their own, into one message.
        """
        wanted = _plain(prompt)
        return sum(_plain(text).count(wanted) for text in self._prompts) if wanted else 0


def reconcile(folder: Path, replay: Replay, *, who: str) -> None:
    """Hold the journal of a session against what its agent replayed of it.

    A last prompt whose end was not seen, and that the agent does not have, never arrived: it is
    taken out of the journal, so that it is sent. Raises SessionUnusableError when the agent has
    nothing of a conversation that was had.
    """
    turns = list(read_turns(folder / JOURNAL))
    if replay.is_empty and any(turn.finished for turn in turns):
        raise SessionUnusableError(
            f"{who} did not restore the conversation: {len(turns)} prompts are known, none came",
            hint="`sdqctl sessions show` shows what sdqctl kept; start a new session to go on",
        )
    if turns and _is_open(turns[-1]) and _never_arrived(turns, replay):
        drop_last(folder, turns)


def drop_last(folder: Path, turns: Sequence[Turn]) -> None:
    """Take the last turn out of a journal."""
    if turns and turns[-1].event_id is not None:
        cut_before(folder / JOURNAL, turns[-1].event_id)


def _is_open(turn: Turn) -> bool:
    return not turn.finished and turn.error is None and not turn.response and not turn.tools


def _never_arrived(turns: Iterable[Turn], replay: Replay) -> bool:
    *_, last = turns
    same = sum(turn.prompt == last.prompt for turn in turns)
    return replay.count(last.prompt) < same


def _plain(text: str) -> str:
    return " ".join(text.split())
