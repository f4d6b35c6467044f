"""What a run in the background says just now, by its log; and what was said last in a session."""

from __future__ import annotations

from collections import deque

from sdqctl.errors import SdqctlError
from sdqctl.model.events import (
    MessageAdded,
    PromptBegun,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolFinished,
    ToolStarted,
)
from sdqctl.model.session import SessionRef
from sdqctl.sessions.access import Access
from sdqctl.store.ledger import Ledger
from sdqctl.store.redact import Redactor
from sdqctl.store.run_logs import LogReader, log_path

_LAST = """
    SELECT a.prompt, a.response FROM attempts AS a JOIN runs ON runs.id = a.run_id
    WHERE runs.adapter = ? AND a.session_id = ? AND a.turn_id IS NOT NULL AND a.superseded = 0
    ORDER BY a.number DESC LIMIT 1
"""
_MOST = 20_000
"""Characters that are kept of an answer: its end."""


class Following:
    """The log of a run, looked at from time to time. Raises FileNotFoundError where it has none."""

    def __init__(self, access: Access, run_id: str) -> None:
        self._log = LogReader(log_path(access.home, run_id))
        self.prompt = ""
        self.answer = ""
        self.doing = ""
        """The step, or the tool that is at work."""

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def look(self) -> bool:
        """Take in what is new; returns whether anything was."""
        changed = False
        for line in self._log.lines():
            changed = True
            match line:
                case StepStarted():
                    self.doing = f"[{line.path}] {line.kind}: {line.title}"
                case PromptBegun():
                    self.prompt, self.answer = line.prompt, ""
                case TextDelta():
                    self.answer = (self.answer + line.text)[-_MOST:]
                case MessageAdded() | StepFinished() if text_of(line):
                    self.answer = text_of(line)[-_MOST:]
                case ToolStarted():
                    self.doing = f"{line.call.name} {line.call.summary}"
                case ToolFinished():
                    self.doing = ""
        return changed


def text_of(line: MessageAdded | StepFinished) -> str:
    """The answer that an event has whole."""
    if isinstance(line, MessageAdded):
        return line.text
    return line.response if line.kind == "prompt" else ""


def last_words(access: Access, ref: SessionRef, ledger: Ledger) -> tuple[str, str]:
    """The last prompt of a session and its answer, without secrets; empty where nothing is known.

    The ledger's where it has any: a journal is read whole to find its end.
    """
    rows = ledger.rows(_LAST, ref.adapter, ref.id)
    if rows and rows[0]["response"]:
        return rows[0]["prompt"] or "", rows[0]["response"]
    redact = Redactor(access.environment)
    try:
        turns = deque(access.archive(ref.adapter).turns(ref.id), maxlen=1)
    except (SdqctlError, OSError):
        return (rows[0]["prompt"] or "", "") if rows else ("", "")
    return (redact(turns[0].prompt), redact(turns[0].response)) if turns else ("", "")
