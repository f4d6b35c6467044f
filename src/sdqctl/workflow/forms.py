"""How values are written in a file: each form reads a text, and writes a value back as one."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

from sdqctl.model.workflow import NOWHERE, SANDBOX, FileRule, Named, Reference, Requirement
from sdqctl.workflow import values
from sdqctl.workflow.equipment import parse_server
from sdqctl.workflow.references import parse_references

_T = TypeVar("_T")
DEFAULT = "default"
"""The word that goes back to what a session was opened with."""
_Choice = TypeVar("_Choice", bound=StrEnum)


class Form(NamedTuple, Generic[_T]):
    """One way to write values of a type."""

    parse: Callable[[str], _T]
    """Raises ValueError that says what is wanted."""
    write: Callable[[Any], str | None] = str
    """None: this form does not write such a value."""
    none: str | None = None
    """The word for None, where None is a value."""


def words(*known: str) -> Form[str]:
    """One of some words."""
    return Form(lambda text: values.word(text, *known))


def choice(kind: type[_Choice]) -> Form[_Choice]:
    """One of the words of an enumeration."""
    return Form(lambda text: values.choice(text, kind))


def or_default(form: Form[_T]) -> Form[_T | None]:
    """A value, or the word for none of its own."""
    return Form(lambda text: None if text.lower() == DEFAULT else form.parse(text), form.write)


def references(*, optional: bool) -> Form[tuple[Reference, ...]]:
    """`@PATH#FRAGMENT ...`."""

    def write(found: tuple[Reference, ...]) -> str | None:
        return " ".join(map(_reference, found)) if found[0].optional is optional else None

    return Form(lambda text: parse_references(text, optional=optional), write)


def _named(values_of: Callable[[str], tuple[str, ...]]) -> Form[tuple[Named, ...]]:
    """Texts that get their place."""
    return Form(
        lambda text: tuple(Named(value=value) for value in values_of(text)),
        lambda entries: str(entries[0].value),
    )


def file_rules(*, allow: bool, directory: bool) -> Form[tuple[FileRule, ...]]:
    """Patterns that allow or deny files or folders."""

    def parse(text: str) -> tuple[FileRule, ...]:
        return tuple(
            FileRule(allow=allow, directory=directory, pattern=pattern, span=NOWHERE)
            for pattern in values.items(text)
        )

    def write(rules: tuple[FileRule, ...]) -> str | None:
        own = all((rule.allow, rule.directory) == (allow, directory) for rule in rules)
        return _items([rule.pattern for rule in rules]) if own else None

    return Form(parse, write)


def _requirements(text: str) -> tuple[Requirement, ...]:
    return tuple(map(_requirement, values.items(text)))


def _requirement(word: str) -> Requirement:
    kind, colon, name = word.partition(":")
    if word.startswith("@") and len(word) > 1:
        return Requirement(kind="file", value=word[1:], span=NOWHERE)
    if colon and name and kind in ("cmd", "env", "file"):
        return Requirement(kind=kind, value=name, span=NOWHERE)
    if word == SANDBOX:
        return Requirement(kind=SANDBOX, value="", span=NOWHERE)
    raise ValueError(f"{word!r} is not @FILE, cmd:NAME, env:NAME or sandbox")


def _written_requirements(found: tuple[Requirement, ...]) -> str | None:
    return _items([f"{one.kind}:{one.value}" if one.value else one.kind for one in found])


def _checkpoints(text: str) -> str:
    """When checkpoints are made by themselves: a number of prompts, or a word."""
    if text.isdecimal():
        return str(values.number(text))
    return values.word(text, "each-cycle", "each-prompt")


def _retry(text: str) -> tuple[int, str | None]:
    """How often a command runs again, and what the agent is asked before."""
    count, prompt = [*text.split(None, 1), ""][:2]
    retries = values.number(count, least=0, most=20)
    return retries, values.unquoted(prompt.strip()) or None if retries else None


def _check(text: str) -> str:
    if text.lower() not in ("refs", "links"):
        raise ValueError(f"{text!r} is not supported; it checks refs or links")
    return text.lower()


def _items(found: tuple[str, ...] | list[str]) -> str | None:
    """Words apart by commas, also a single one that holds blanks."""
    return "".join(f"{word}," for word in found) or None


def _reference(reference: Reference) -> str:
    blank = any(char.isspace() for char in reference.pattern)
    pattern = f'"{reference.pattern}"' if blank else reference.pattern
    return f"@{pattern}" + ("" if reference.fragment is None else f"#{reference.fragment}")


def _percentage(fraction: float) -> str:
    """The shortest percentage that is read as this fraction."""
    tries = (_plain(round(fraction * 100, digits)) for digits in range(18))
    return next((f"{t}%" for t in tries if float(t) / 100 == fraction), f"{fraction * 100}%")


def _plain(number: float) -> str:
    return format(Decimal(repr(number)), "f")


TEXT: Form[str] = Form(str)
"""The text as it stands."""
NAME: Form[str] = Form(str.lower)
QUOTED: Form[str] = Form(values.unquoted, lambda text: f'"{text}"')
"""A pair of quotes around it may be left out."""
ENTRY: Form[tuple[str, ...]] = Form(lambda text: (text,), lambda texts: str(texts[0]))
"""One text of several."""
TEXT_AT_PLACE: Form[tuple[Named, ...]] = _named(lambda text: (text,))
FOLDER: Form[tuple[Named, ...]] = _named(lambda text: (values.unquoted(text),))
SERVER: Form[tuple[Named, ...]] = Form(parse_server, lambda entries: str(entries[0].value))
NUMBER: Form[int] = Form(values.number)
RETRIES: Form[int] = Form(lambda text: values.number(text, least=0, most=20))
BOOLEAN: Form[bool] = Form(values.boolean, lambda value: "true" if value else "false")
ENABLED: Form[bool] = Form(
    lambda text: values.word(text, "enabled", "disabled", "true", "false") in ("enabled", "true"),
    lambda value: "enabled" if value else "disabled",
)
STRICT: Form[bool] = Form(
    lambda text: values.word(text, "strict", "lenient") == "strict",
    lambda value: "strict" if value else "lenient",
)
PERCENTAGE: Form[float] = Form(values.percentage, _percentage)
DURATION: Form[float] = Form(values.duration, lambda seconds: f"{_plain(seconds)}s")
SIZE: Form[int | None] = Form(values.size, none="none")
ITEMS: Form[tuple[str, ...]] = Form(values.items, _items)
SOME_ITEMS: Form[tuple[str, ...]] = Form(lambda text: values.items(text) if text else (), _items)
ASSIGNMENT: Form[tuple[str, str]] = Form(values.assignment, lambda pair: f'{pair[0]}="{pair[1]}"')
RETRY: Form[tuple[int, str | None]] = Form(
    _retry, lambda retry: f'{retry[0]} "{retry[1] or ""}"' if retry[0] else "0"
)
CHECK: Form[str] = Form(_check)
CHECKPOINTS: Form[str] = Form(_checkpoints)
REQUIREMENTS: Form[tuple[Requirement, ...]] = Form(_requirements, _written_requirements)
TOPICS: Form[str] = Form(lambda text: text or "all")
INTENTS: Form[str | None] = Form(lambda text: "intents" if values.boolean(text) else None)
