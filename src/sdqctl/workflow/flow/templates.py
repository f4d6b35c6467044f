"""`{{ EXPRESSION }}` in the author's text: found, checked, and replaced by its value, once."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from sdqctl.workflow.flow.names import NAME
from sdqctl.workflow.flow.text import Value, text_of
from sdqctl.workflow.template import VARIABLE, variable_problem

if TYPE_CHECKING:
    from sdqctl.workflow.flow.expressions import Expression

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Mode(StrEnum):
    """What a value becomes in a text."""

    TEXT = "text"
    """Of a prompt: lists and objects over several lines."""
    ARGUMENT = "argument"
    """Of a command without a shell: within the argument in which it stands."""
    SHELL = "shell"
    """Of a shell's command: quoted, one word; `| raw` leaves the quotes out."""
    RAW = "raw"
    """As it is."""


@dataclass(frozen=True)
class Hole:
    """A `{{ ... }}` of a text: from `start` up to `end`, with `text` between the braces."""

    start: int
    end: int
    text: str
    inner: int
    """Where `text` begins."""

    @property
    def variable(self) -> str | None:
        """The name of a built-in variable, which is upper case; None: it is an expression."""
        return self.text.strip() if VARIABLE.fullmatch(f"{{{{{self.text}}}}}") else None

    def uses(self, names: Collection[str]) -> bool:
        """Whether a word in it is one of these values, though it may not parse."""
        return self.variable is None and any(word in names for word in NAME.findall(self.text))

    def expression(self) -> Expression:
        """Raises ExpressionError."""
        from sdqctl.workflow.flow.expressions import Expression

        return Expression.parse(self.text.strip())

    @property
    def column(self) -> int:
        """Where the expression begins, from 0 in the whole text."""
        return self.inner + len(self.text) - len(self.text.lstrip())


@dataclass(frozen=True)
class Finding:
    """What is wrong with a text at an offset, from 0."""

    offset: int
    message: str
    is_error: bool


@dataclass(frozen=True)
class Rendered:
    """A text with its values, and what a user should know about it."""

    text: str
    warnings: tuple[str, ...] = ()


def holes(text: str) -> Iterator[Hole]:
    """Each `{{ ... }}` of a text, in order; braces within its strings and objects end none."""
    start = text.find("{{")
    while start >= 0:
        end = _end(text, start + 2)
        if end < 0:
            start = text.find("{{", start + 2)
            continue
        yield Hole(start, end + 2, text[start + 2 : end], start + 2)
        start = text.find("{{", end + 2)


def expressions(text: str) -> Iterator[Hole]:
    """The holes of a text that hold an expression which parses."""
    from sdqctl.workflow.flow.expressions import ExpressionError

    for hole in holes(text):
        if hole.variable is None and _may_be_expression(hole.text):
            try:
                hole.expression()
            except ExpressionError:
                continue
            yield hole


def names_in(text: str) -> Iterator[str]:
    """The values that a text's expressions use, as far as these parse."""
    from sdqctl.workflow.flow.expressions import ExpressionError

    for hole in holes(text):
        if hole.variable is None and _may_be_expression(hole.text):
            try:
                yield from hole.expression().names
            except ExpressionError:
                continue


def findings(text: str, known: Collection[str]) -> Iterator[Finding]:
    """What is wrong with the expressions of a text where only `known` values are there.

    One that uses no known name stays as it is, which is a warning; a mistake in one that uses a
    known name is an error.
    """
    from sdqctl.workflow.flow.expressions import ExpressionError, unknown_name

    for hole in holes(text):
        if hole.variable is not None or not _may_be_expression(hole.text):
            continue
        try:
            expression = hole.expression()
        except ExpressionError as error:
            yield Finding(hole.column + error.column - 1, error.message, hole.uses(known))
            continue
        for name in expression.names:
            if name not in known:
                at = hole.column + max(expression.text.find(name), 0)
                partly = any(other in known for other in expression.names)
                yield Finding(at, f"{unknown_name(name, iter(known))}; it stays as it is", partly)


def render_text(
    template: str,
    values: Mapping[str, Value],
    *,
    mode: Mode = Mode.TEXT,
    variables: Mapping[str, str] = _NOTHING,
) -> Rendered:
    """A text with its expressions and its built-in variables filled in, both in one pass: what a
    value brings in is not looked at again.

    What uses an unknown name, and what does not parse, stays as it is, with a warning. Raises
    ExpressionError for an expression of known names that has no value, or none for this place.
    """
    parts: list[str] = []
    warnings: dict[str, None] = {}
    end = 0
    for hole in holes(template):
        found, warning = _filled(hole, values, variables, mode)
        if warning is not None:
            warnings[warning] = None
        as_it_is = template[hole.start : hole.end]
        parts += [template[end : hole.start], as_it_is if found is None else found]
        end = hole.end
    return Rendered("".join([*parts, template[end:]]), tuple(warnings))


def written(value: Value, mode: Mode) -> str:
    """A value as it stands in a text. Raises ValueError for one that cannot stand there."""
    text = text_of(value, indent=2 if mode is Mode.TEXT else None)
    if mode is not Mode.TEXT and "\0" in text:
        raise ValueError("a NUL character cannot stand in a command")
    return shlex.quote(text) if mode is Mode.SHELL else text


def _filled(
    hole: Hole, values: Mapping[str, Value], variables: Mapping[str, str], mode: Mode
) -> tuple[str | None, str | None]:
    """What a hole becomes (None: it stays), and a warning."""
    if (name := hole.variable) is not None:
        value = variables.get(name)
        if value is None:
            return None, variable_problem(name)
        return written(value, mode), None
    if not values or not _may_be_expression(hole.text):
        return None, None
    return _evaluated(hole, values, mode)


def _evaluated(
    hole: Hole, values: Mapping[str, Value], mode: Mode
) -> tuple[str | None, str | None]:
    from sdqctl.workflow.flow.expressions import ExpressionError, unknown_name

    shown = f"{{{{{hole.text}}}}}"
    try:
        expression = hole.expression()
    except ExpressionError as error:
        return None, f"{shown}: {error.message}; it stays as it is"
    for name in expression.names:
        if name not in values:
            return None, f"{shown}: {unknown_name(name, values)}; it stays as it is"
    how = Mode.RAW if expression.is_raw and mode is Mode.SHELL else mode
    value = expression.evaluate(values)
    try:
        return written(value, how), None
    except ValueError as error:
        raise ExpressionError(f"{shown}: {error}") from None


def _may_be_expression(text: str) -> bool:
    """Whether it is for the expressions at all; upper-case words are text."""
    return NAME.search(text) is not None and not text.strip().isupper()


def _end(text: str, index: int) -> int:
    """Where the `}}` of a hole stands; -1: nowhere."""
    depth, quote = 0, ""
    plain = text.find("}}", index)
    at = index
    while at < len(text) and plain >= 0:
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "{":
            depth += 1
        elif text.startswith("}}", at) and depth == 0:
            return at
        elif char == "}":
            depth -= 1
        at += 1
    return plain
