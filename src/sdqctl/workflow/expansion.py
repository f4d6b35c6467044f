"""Template variables in commands: one argument each, or quoted for the shell that runs the line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from sdqctl.errors import StepError
from sdqctl.model.workflow import RunStep
from sdqctl.workflow.template import OUTPUT_ONLY, VARIABLE, fill, variable_problem

if TYPE_CHECKING:
    from sdqctl.workflow.flow.expressions import Expression

_NOTHING: Mapping[str, Any] = MappingProxyType({})

GIVEN = (
    "COMPONENT_NAME",
    "COMPONENT_PATH",
    "COMPONENT_DIR",
    "COMPONENT_TYPE",
    "SESSION_NAME",
    "CYCLE_NUMBER",
)
"""Variables that commands also have in their environment, as SDQCTL_<NAME>."""
_IN_DOUBLE = re.compile(r'([\\"$`])')
_REFUSED = {
    "`": "between backticks (write `$(...)`)",
    "$'": "inside $'...'",
    "}": "inside ${...}",
    "))": "inside an arithmetic expansion",
    "#": "inside a comment",
    "<<": "after a `<<`",
}
"""Places in which a value cannot be quoted for every shell."""


def expand(
    step: RunStep, variables: Mapping[str, str], values: Mapping[str, Any] = _NOTHING
) -> tuple[RunStep, list[str]]:
    """A RUN with its variables and its expressions over `values` filled in, with variables in its
    environment, and what is doubtful, each said once: what is not known stays.

    Without a shell each stands within its argument, whatever the value holds; for a shell it is
    quoted. Raises StepError where that cannot be.
    """
    visible = {name: variables[name] for name in _names(step) if name in variables}
    for name in OUTPUT_ONLY:
        visible.pop(name, None)
    problems: list[str] = []

    def filled(text: str) -> str:
        if values:
            return _with_values(step, text, visible, values, problems)
        text, names = fill(text, visible)
        problems.extend(map(variable_problem, names))
        return text

    if step.argv:
        command = filled(step.command)
    else:
        command = _fill_for_shell(step, visible, values, problems)
    expanded = msgspec.structs.replace(
        step,
        command=command,
        argv=tuple(map(filled, step.argv)) if step.argv else None,
        environment=(
            *environment(variables),
            *((name, filled(value)) for name, value in step.environment),
        ),
        cwd=filled(step.cwd) if step.cwd else None,
    )
    return expanded, list(dict.fromkeys(problems))


def environment(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What a command is told in its environment of where it stands."""
    return ((f"SDQCTL_{name}", variables[name]) for name in GIVEN if name in variables)


def unquotable(command: str, names: Collection[str] = ()) -> str | None:
    """What is wrong with the place of a variable, or of an expression over `names`, in a shell's
    command; None: nothing.
    """
    for place in _places(command, names):
        if not (problem := _REFUSED.get(place.closer)) or place.is_raw:
            continue
        if place.expression is None:
            return f"a template variable cannot stand {problem}; use its SDQCTL_ variable there"
        return f"a value cannot stand {problem}; write `| raw` if it may be part of the command"
    return None


def _names(step: RunStep) -> set[str]:
    texts = (step.command, step.cwd or "", *(value for _, value in step.environment))
    return {name for text in texts for name in VARIABLE.findall(text)}


def _with_values(
    step: RunStep,
    text: str,
    variables: Mapping[str, str],
    values: Mapping[str, Any],
    problems: list[str],
) -> str:
    """A text of a command that no shell reads."""
    from sdqctl.workflow.flow.expressions import ExpressionError
    from sdqctl.workflow.flow.templates import Mode, render_text

    try:
        rendered = render_text(text, values, mode=Mode.ARGUMENT, variables=variables)
    except ExpressionError as error:
        raise StepError(f"RUN {step.command}: {error.message}") from error
    problems.extend(rendered.warnings)
    return rendered.text


def _fill_for_shell(
    step: RunStep, variables: Mapping[str, str], values: Mapping[str, Any], problems: list[str]
) -> str:
    if problem := unquotable(step.command, values.keys()):
        raise StepError(f"RUN {step.command}: {problem}")
    parts: list[str] = []
    end = 0
    for place in _places(step.command, values.keys()):
        value = _value_at(place, step, variables, values)
        if value is None:
            problems.append(variable_problem(place.text))
            continue
        quoted = value if place.is_raw else _QUOTED.get(place.closer, shlex.quote)(value)
        parts += [step.command[end : place.start], quoted]
        end = place.end
    return "".join([*parts, step.command[end:]])


def _value_at(
    place: _Place, step: RunStep, variables: Mapping[str, str], values: Mapping[str, Any]
) -> str | None:
    """What stands at a place; None: a variable that is not known."""
    if place.expression is None:
        return variables.get(place.text)
    from sdqctl.workflow.flow.expressions import ExpressionError
    from sdqctl.workflow.flow.templates import Mode, written

    try:
        return written(place.expression.evaluate(values), Mode.ARGUMENT)
    except (ExpressionError, ValueError) as error:
        raise StepError(f"RUN {step.command}: {error}") from error


def _in_double(value: str) -> str:
    return _IN_DOUBLE.sub(r"\\\1", value)


def _in_single(value: str) -> str:
    return value.replace("'", "'\\''")


_QUOTED: dict[str, Callable[[str], str]] = {'"': _in_double, "'": _in_single}
"""How a value is quoted by where it stands; bare, it is a word of its own."""


@dataclass(frozen=True)
class _Place:
    """A variable, or an expression, of a command."""

    start: int
    end: int
    text: str
    """The variable's name."""
    closer: str
    """What closes the place in which it stands."""
    expression: Expression | None = None

    @property
    def is_raw(self) -> bool:
        """Whether it is part of the command as it is."""
        return self.expression is not None and self.expression.is_raw


def _places(command: str, names: Collection[str] = ()) -> Iterator[_Place]:
    """The variables of a command, and its expressions over `names`."""
    expressions = _expressions(command, names) if names else {}
    open_: list[str] = [""]
    index = 0
    while index < len(command):
        match = VARIABLE.match(command, index)
        if index in expressions:
            end, expression = expressions[index]
            yield _Place(index, end, "", open_[-1], expression)
            index = end
        elif match is not None:
            yield _Place(index, match.end(), match.group(1), open_[-1])
            index = match.end()
        else:
            index += _step(command, index, open_)


def _expressions(command: str, names: Collection[str]) -> dict[int, tuple[int, Expression]]:
    """The expressions over `names`, and where they end, by where they begin."""
    from sdqctl.workflow.flow.templates import expressions

    found = ((hole, hole.expression()) for hole in expressions(command))
    return {hole.start: (hole.end, e) for hole, e in found if {*e.names} <= {*names}}


def _step(command: str, index: int, open_: list[str]) -> int:
    """Take one word of the shell's quoting in; returns its length."""
    place, rest = open_[-1], command[index:]
    if place in ("'", "$'", "#", "<<"):
        return _closed(place, rest, open_)
    if rest[0] == "\\":
        return 2
    if place and rest.startswith(place):
        open_.pop()
        return len(place)
    for opener, closer in _openers(place, command, index):
        if rest.startswith(opener):
            open_.append(closer)
            return len(opener)
    return 1


def _closed(place: str, rest: str, open_: list[str]) -> int:
    """In a place without expansion: only its end counts (a `<<` has none here)."""
    if place == "$'" and rest[0] == "\\":
        return 2
    if rest[0] == {"#": "\n", "<<": ""}.get(place, "'"):
        open_.pop()
    return 1


def _openers(place: str, command: str, index: int) -> Iterator[tuple[str, str]]:
    """What may open another place within this one."""
    yield from (("$((", "))"), ("$(", ")"), ("${", "}"), ("`", "`"))
    if place != '"':
        yield from (("$'", "$'"), ('"', '"'), ("'", "'"))
        yield from (("((", "))"), ("<<", "<<"), ("(", ")"))
        if index == 0 or command[index - 1] in " \t\n;&|(":
            yield ("#", "#")
