"""What an agent replays of a conversation when it loads it, and what that says of a lost turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdqctl.adapters.folders import JOURNAL
from sdqctl.adapters.journal import read_turns
from sdqctl.adapters.journal_writer import cut_before
from sdqctl.errors import SessionUnusableError
from sdqctl.model.session import Turn


class Replay:
    """Gathers the prompts of a conversation from the updates that come while it is loaded."""

    def __init__(self) -> None:
        self._prompts: list[str] = []
        self._in_prompt = False

    def take(self, update: Mapping[str, Any]) -> None:
        """Take in an update. Chunks of one prompt follow on one another."""
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
