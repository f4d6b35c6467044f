"""Reading the values of directives. Each function raises ValueError with what is wanted."""

from __future__ import annotations

import re
import shlex
from enum import StrEnum
from typing import TypeVar

from sdqctl.text.duration import parse_duration
from sdqctl.text.suggest import did_you_mean

_Choice = TypeVar("_Choice", bound=StrEnum)
_SIZE = re.compile(r"(\d+)\s*([KkMm]?)[Bb]?")
_NEEDS_SHELL = re.compile(r"[|&;<>()$`*?\[\]\n]|\{[^}]*(?:,|\.\.)[^}]*\}|^~|\s~|^#|\s#")


def unquoted(value: str) -> str:
    """The value without a matching pair of quotes around it."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def choice(value: str, kind: type[_Choice]) -> _Choice:
    """One of the words of an enumeration, without regard to case."""
    return kind(word(value, *(member.value for member in kind)))


def word(value: str, *words: str) -> str:
    """One of the words, without regard to case."""
    found = value.strip().lower()
    if found in words:
        return found
    raise ValueError(f"{value!r} is not one of {', '.join(words)}{did_you_mean(found, words)}")


def boolean(value: str) -> bool:
    """true or false; no value is true."""
    return word(value or "true", "true", "false", "yes", "no", "on", "off") in ("true", "yes", "on")


def number(value: str, *, least: int = 1, most: int = 10_000) -> int:
    """A whole number within bounds."""
    if not re.fullmatch(r"\d{1,9}", value):
        raise ValueError(f"{value!r} is not a whole number")
    if not least <= int(value) <= most:
        raise ValueError(f"{value} is not between {least} and {most}")
    return int(value)


def percentage(value: str) -> float:
    """A fill from 1% to 100%, as a fraction."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%?", value)
    if match is None or not 0 < float(match.group(1)) <= 100:
        raise ValueError(f"{value!r} is not a percentage such as 80%")
    return float(match.group(1)) / 100


def size(value: str) -> int | None:
    """A number of characters, `10K`, or `none`."""
    if value.lower() == "none":
        return None
    match = _SIZE.fullmatch(value)
    if match is None or int(match.group(1)) == 0:
        raise ValueError(f"{value!r} is not a size such as 10K, or none")
    return int(match.group(1)) * {"": 1, "k": 1000, "m": 1_000_000}[match.group(2).lower()]


def duration(value: str) -> float:
    """Seconds of a duration; a bare number is seconds."""
    seconds = float(value) if re.fullmatch(r"\d{1,9}", value) else parse_duration(value)
    if seconds <= 0:
        raise ValueError(f"{value!r} is no time at all")
    return seconds


def assignment(value: str) -> tuple[str, str]:
    """`NAME=value`."""
    name, equals, content = value.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name.strip()):
        raise ValueError(f"{value!r} is not NAME=value")
    return name.strip(), unquoted(content.strip())


def items(value: str) -> tuple[str, ...]:
    """Words apart by commas, or by blanks where there is no comma."""
    parts = value.split(",") if "," in value else value.split()
    found = tuple(part.strip() for part in parts if part.strip())
    if not found:
        raise ValueError("a value is missing")
    return found


def arguments(command: str) -> tuple[str, ...]:
    """A command split as a shell would split it; one that needs a shell is refused."""
    outside = _outside_quotes(command)
    match = _NEEDS_SHELL.search(outside)
    if match is not None:
        raise ValueError(
            f"{match.group().strip() or 'a line break'!r} needs a shell; "
            "write ALLOW-SHELL true before this RUN, or quote it"
        )
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise ValueError(f"the command cannot be split: {error}") from error
    if not words:
        raise ValueError("a command is missing")
    if re.match(r"[A-Za-z_]\w*=", words[0]):
        raise ValueError(
            "setting a variable for a command needs a shell; use RUN-ENV, or ALLOW-SHELL true"
        )
    return words


def _outside_quotes(command: str) -> str:
    """The command with quoted text blanked; `$` and backticks stay inside double quotes."""
    found: list[str] = []
    quote = ""
    index = 0
    while index < len(command):
        char = command[index]
        if char == "\\" and quote != "'":
            found.append("__")
            index += 2
            continue
        if quote:
            keep = quote == '"' and char in "$`"
            found.append(char if keep else "_")
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
            found.append("_")
        else:
            found.append(char)
        index += 1
    return "".join(found)
