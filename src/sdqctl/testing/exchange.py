"""What a scripted model is asked and what it answers, whatever dialect its caller speaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sdqctl.model.followup import quoted_prompt

_CLOCK = re.compile(r"\A<current_datetime>.*?</current_datetime>\s*", re.DOTALL)
_CONTEXT = re.compile(r"\A\s*<environment_context>.*</environment_context>\s*\Z", re.DOTALL)
_REMINDER = re.compile(r"<(system_reminder|system-reminder|reminder)>.*?</\1>\s*", re.DOTALL)


@dataclass(frozen=True)
class Request:
    """One request as it came in. `number` counts from 0."""

    number: int
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation that the runtime sent."""
        messages: list[dict[str, Any]] = self.body.get("messages", [])
        return messages

    @property
    def user_messages(self) -> list[str]:
        """The user's texts in order, without what the runtime puts around them."""
        texts = [plain(m["content"]) for m in self.messages if m.get("role") == "user"]
        return [text for text in texts if text]

    @property
    def prompt(self) -> str:
        """The last user text."""
        texts = self.user_messages
        return texts[-1] if texts else ""

    @property
    def tool_results(self) -> list[str]:
        """The results of tools since the last user text."""
        found: list[str] = []
        for message in reversed(self.messages):
            if message.get("role") == "user":
                break
            if message.get("role") == "tool":
                found.insert(0, text_of(message.get("content")))
        return found

    def results_for(self, prompt: str) -> list[str]:
        """The results of tools for a prompt, and for follow-ups that quote it."""
        found: list[str] = []
        counts = False
        for message in self.messages:
            if message.get("role") == "user":
                text = plain(message["content"])
                counts = prompt in (text, quoted_prompt(text))
            elif message.get("role") == "tool" and counts:
                found.append(text_of(message.get("content")))
        return found


@dataclass(frozen=True)
class Reply:
    """What to answer. `tool_calls` are (name, arguments); `delay` is in seconds, and so is `pace`:
    what is waited after each word that streams.
    """

    text: str = ""
    tool_calls: Sequence[tuple[str, dict[str, Any]]] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    pace: float = 0.0
    drop: bool = False
    hang: bool = False
    malformed: bool = False
    input_tokens: int = 100
    output_tokens: int = 10


def text_of(content: object) -> str:
    """The text of a content, which may come in parts."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return str(content or "")


def plain(content: object) -> str:
    """A user's text without what the runtime puts around it."""
    return _REMINDER.sub("", _CLOCK.sub("", _CONTEXT.sub("", text_of(content))))
