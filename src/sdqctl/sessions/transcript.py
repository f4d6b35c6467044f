"""A session's conversation, from the runtime's journal or, failing that, from the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sdqctl.adapters.base import SessionArchive
from sdqctl.model.run import StepRecord
from sdqctl.model.session import Turn


def read_turns(
    archive: SessionArchive, session_id: str, kept: Sequence[StepRecord]
) -> tuple[list[Turn], str | None]:
    """The turns of a session; where its journal cannot be read, those that the ledger kept.

    The second value says why the ledger had to serve.
    """
    try:
        turns = list(archive.turns(session_id))
    except OSError as error:
        return turns_kept(kept), f"the journal cannot be read ({error.strerror or error})"
    if not turns and kept:
        return turns_kept(kept), "the journal holds no turn"
    return turns, None


def turns_kept(steps: Iterable[StepRecord]) -> list[Turn]:
    """The ledger's prompts and answers as turns."""
    return [
        Turn(
            index=index,
            prompt=step.prompt or "",
            response=step.response or "",
            started_at=step.started_at,
            completed_at=step.completed_at,
            tools=step.tools,
            usage=step.usage,
            message_id=step.message_id,
        )
        for index, step in enumerate(steps, start=1)
    ]


def as_markdown(label: str, turns: Sequence[Turn]) -> str:
    """The conversation as markdown."""
    lines = [f"# {label}", ""]
    for turn in turns:
        when = f" · {turn.started_at.astimezone():%Y-%m-%d %H:%M}" if turn.started_at else ""
        lines += [f"## {turn.index}. Prompt{when}", "", turn.prompt.rstrip(), ""]
        for call in turn.tools:
            lines.append(f"- tool `{call.name}` {call.summary}: {call.outcome}")
        if turn.tools:
            lines.append("")
        lines += ["### Answer", "", _answer(turn), ""]
    return "\n".join(lines)


def _answer(turn: Turn) -> str:
    if turn.error is not None:
        return f"{turn.response}\n\n*failed: {turn.error}*".strip()
    if not turn.finished:
        return f"{turn.response}\n\n*interrupted*".strip()
    return turn.response.rstrip()
