"""Prompts of our own about another prompt: to finish one that was interrupted, which is quoted, for
the user may have asked something else in between; and to correct the answer to the last one.
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
_CORRECTION = "Your answer cannot be used: "


def follow_up(prompt: str, *, whole: bool = False) -> str:
    """The prompt that asks to finish `prompt`; `whole`: which the agent has nowhere else."""
    return f"{_HEAD}\n\n{_quote(prompt if whole else _bounded(prompt))}"


def quoted_prompt(text: str) -> str | None:
    """The prompt that a follow-up quotes, as far as it does; None for any other text."""
    head, _, quote = text.partition("\n\n")
    if head != _HEAD:
        return None
    return "\n".join(line[len(_MARK) :] for line in quote.split("\n"))


def correction(reason: str, wanted: str) -> str:
    """The prompt that says what is wrong with the last answer, and what is wanted."""
    return f"{_CORRECTION}{reason}\n\n{wanted}".rstrip()


def is_correction(text: str) -> bool:
    """Whether a prompt asks to correct the answer before it."""
    return text.startswith(_CORRECTION)


def _quote(text: str) -> str:
    return "\n".join(f"{_MARK}{line}" for line in text.split("\n"))


def _bounded(text: str) -> str:
    if len(text) <= QUOTED:
        return text
    first = QUOTED // 3
    last = QUOTED - first
    left_out = len(text) - first - last
    return f"{text[:first]}\n[{left_out} characters are left out here]\n{text[-last:]}"
