"""Template variables in commands: one argument each, or quoted for the shell that runs the line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping

import msgspec

from sdqctl.errors import StepError
from sdqctl.model.workflow import RunStep
from sdqctl.workflow.template import OUTPUT_ONLY, VARIABLE, fill

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


def expand(step: RunStep, variables: Mapping[str, str]) -> tuple[RunStep, list[str]]:
    """A RUN with its variables filled in and in its environment, and the names that are not known,
    which stay.

    Without a shell each stands within its argument, whatever the value holds; for a shell it is
    quoted. Raises StepError where that cannot be.
    """
    visible = {name: variables[name] for name in _names(step) if name in variables}
    for name in OUTPUT_ONLY:
        visible.pop(name, None)
    unknown: list[str] = []

    def filled(text: str) -> str:
        text, names = fill(text, visible)
        unknown.extend(names)
        return text

    command = filled(step.command) if step.argv else _fill_for_shell(step, visible, unknown)
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
    return expanded, list(dict.fromkeys(unknown))


def environment(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What a command is told in its environment of where it stands."""
    return ((f"SDQCTL_{name}", variables[name]) for name in GIVEN if name in variables)


def unquotable(command: str) -> str | None:
    """What is wrong with the place of a variable in a shell's command; None: nothing."""
    for _, place in _places(command):
        if problem := _REFUSED.get(place):
            return f"a template variable cannot stand {problem}; use its SDQCTL_ variable there"
    return None


def _names(step: RunStep) -> set[str]:
    texts = (step.command, step.cwd or "", *(value for _, value in step.environment))
    return {name for text in texts for name in VARIABLE.findall(text)}


def _fill_for_shell(step: RunStep, variables: Mapping[str, str], unknown: list[str]) -> str:
    if problem := unquotable(step.command):
        raise StepError(f"RUN {step.command}: {problem}")
    parts: list[str] = []
    end = 0
    for match, place in _places(step.command):
        value = variables.get(match.group(1))
        if value is None:
            unknown.append(match.group(1))
            continue
        parts += [step.command[end : match.start()], _QUOTED.get(place, shlex.quote)(value)]
        end = match.end()
    return "".join([*parts, step.command[end:]])


def _in_double(value: str) -> str:
    return _IN_DOUBLE.sub(r"\\\1", value)


def _in_single(value: str) -> str:
    return value.replace("'", "'\\''")


_QUOTED: dict[str, Callable[[str], str]] = {'"': _in_double, "'": _in_single}
"""How a value is quoted by where it stands; bare, it is a word of its own."""


def _places(command: str) -> Iterator[tuple[re.Match[str], str]]:
    """The variables of a command, each with what closes the place in which it stands."""
    open_: list[str] = [""]
    index = 0
    while index < len(command):
        match = VARIABLE.match(command, index)
        if match is not None:
            yield match, open_[-1]
            index = match.end()
        else:
            index += _step(command, index, open_)


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
