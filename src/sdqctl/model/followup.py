"""The prompt that asks an agent to finish an interrupted one, which it quotes.

Between the two the user may have asked something else, so that "the previous prompt" would be
another one.
"""

from __future__ import annotations

QUOTED = 4000
"""The most characters that are quoted: a third from the beginning, the rest from the end, where the
step's own words stand after its files and outputs."""
_HEAD = (
    "The prompt that is quoted below was interrupted before you had finished it. Some of its tool "
    "calls may already have taken effect: look before you repeat one. Finish what it asked for, "
    "then give your complete answer to it. What was said after it stands."
)
_MARK = "> "


def follow_up(prompt: str) -> str:
    """The prompt that asks to finish `prompt`."""
    return f"{_HEAD}\n\n{_quote(_bounded(prompt))}"


def quoted_prompt(text: str) -> str | None:
    """The prompt that a follow-up quotes, as far as it does; None for any other text."""
    head, _, quote = text.partition("\n\n")
    if head != _HEAD:
        return None
    return "\n".join(line[len(_MARK) :] for line in quote.split("\n"))


def _quote(text: str) -> str:
    return "\n".join(f"{_MARK}{line}" for line in text.split("\n"))


def _bounded(text: str) -> str:
    if len(text) <= QUOTED:
        return text
    first = QUOTED // 3
    last = QUOTED - first
    left_out = len(text) - first - last
    return f"{text[:first]}\n[{left_out} characters are left out here]\n{text[-last:]}"
