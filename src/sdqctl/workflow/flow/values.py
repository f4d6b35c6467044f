"""From a text to a value of a type, with a reason that an agent or a user can act on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.model.values import Kind, ValueType
from sdqctl.text.fences import closes, opening
from sdqctl.text.suggest import did_you_mean
from sdqctl.text.undecoded import is_decoded
from sdqctl.workflow.flow.text import LARGEST, Value, too_large

if TYPE_CHECKING:
    from sdqctl.workflow.flow.schemas import Schema

_CHOICE = re.compile(r"choice\s*\((.*)\)", re.DOTALL)
_TRUE, _FALSE = ("true", "yes"), ("false", "no")
_MOST_PLACES = 200
"""How many brackets of a text are tried as the begin of JSON."""


def parse_type(text: str, allowed: Collection[Kind] = tuple(Kind)) -> ValueType:
    """`int`, `choice(low|high)`, ... Raises ValueError that says what is wanted."""
    match = _CHOICE.fullmatch(text.strip())
    if match is not None and Kind.CHOICE in allowed:
        return ValueType(Kind.CHOICE, _choices(match[1]))
    words = [kind.value for kind in allowed if kind is not Kind.CHOICE]
    if text.strip() in words:
        return ValueType(Kind(text.strip()))
    shown = [*words, *(["choice(a|b)"] if Kind.CHOICE in allowed else [])]
    hint = did_you_mean(text.partition("(")[0], [*words, "choice"])
    raise ValueError(f"{text!r} is not one of {', '.join(shown)}{hint}")


def _choices(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split("|"))
    if len(words) < 2 or not all(words):
        raise ValueError("a choice has two words or more: choice(a|b)")
    folded = [word.casefold() for word in words]
    if twice := next((word for word in words if folded.count(word.casefold()) > 1), None):
        raise ValueError(f"{twice!r} stands twice in the choice")
    return words


def read_text(
    text: str, type_: ValueType, *, schema: Schema | None = None, folder: Path | None = None
) -> Value:
    """What a user typed, or a command printed, as a value; `folder` is where files are looked for.

    Raises ValueError that says what is wrong and what is wanted.
    """
    if not is_decoded(text):
        raise ValueError("it is not UTF-8")
    if type_.kind is Kind.FILE:
        return _file(text.strip(), folder)
    return _checked(_READ[type_.kind](text, type_), schema)


def read_answer(text: str, type_: ValueType, *, schema: Schema | None = None) -> Value:
    """An agent's answer as a value. It may stand in a fenced block or at the end of other text.

    Raises ValueError that says what is wrong and what is wanted.
    """
    if type_.kind is Kind.TEXT:
        return _checked(text.strip(), schema)
    if type_.kind is Kind.JSON:
        return _checked(_json_of_answer(text), schema)
    if type_.kind is Kind.LINES:
        return _checked(_lines_of_answer(text), schema)
    read = _READ[type_.kind]
    reason: ValueError | None = None
    found: list[Value] = []
    for candidate in _candidates(text):
        try:
            value = read(candidate, type_)
        except ValueError as error:
            reason = reason or error
        else:
            found += [] if value in found else [value]
    if len(found) > 1:
        raise ValueError(f"there are {len(found)} values in it, and one is wanted")
    if not found:
        raise reason or ValueError("it is empty")
    return _checked(found[0], schema)


def instruction(type_: ValueType, schema: Schema | None = None) -> str:
    """What an agent is told about the form of its answer; nothing for text without a schema."""
    words = {
        Kind.TEXT: "",
        Kind.LINES: "Answer with one item a line, and nothing else.",
        Kind.JSON: "Answer with JSON, and nothing else.",
        Kind.INT: "Answer with a whole number, and nothing else.",
        Kind.NUMBER: "Answer with a number, and nothing else.",
        Kind.BOOL: "Answer with true or false, and nothing else.",
        Kind.CHOICE: f"Answer with one of these, and nothing else: {', '.join(type_.choices)}",
        Kind.FILE: "",
    }[type_.kind]
    if schema is None:
        return words
    return f"{words}\nIt has to fit this JSON Schema:\n{schema.text()}".strip()


# -- one kind each --------------------------------------------------------------------------------


def _plain(text: str, type_: ValueType) -> Value:
    return text


def _lines(text: str, type_: ValueType) -> Value:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _json(text: str, type_: ValueType) -> Value:
    return _decoded(text)


def _int(text: str, type_: ValueType) -> Value:
    if not re.fullmatch(r"\s*[+-]?\d{1,300}\s*", text):
        raise ValueError(f"{_short(text)} is not a whole number such as 42")
    return int(text)


def _number(text: str, type_: ValueType) -> Value:
    if re.fullmatch(r"\s*[+-]?\d{1,300}\s*", text):
        return int(text)
    if not re.fullmatch(r"\s*[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?\s*", text):
        raise ValueError(f"{_short(text)} is not a number such as 0.5")
    return _finite(text)


def _bool(text: str, type_: ValueType) -> Value:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{_short(text)} is not true or false")


def _choice(text: str, type_: ValueType) -> Value:
    word = " ".join(text.split()).casefold()
    for known in type_.choices:
        if known.casefold() == word:
            return known
    near = did_you_mean(text.strip(), type_.choices)
    raise ValueError(f"{_short(text)} is not one of {', '.join(type_.choices)}{near}")


_READ: dict[Kind, Callable[[str, ValueType], Value]] = {
    Kind.TEXT: _plain,
    Kind.LINES: _lines,
    Kind.JSON: _json,
    Kind.INT: _int,
    Kind.NUMBER: _number,
    Kind.BOOL: _bool,
    Kind.CHOICE: _choice,
}


def _file(text: str, folder: Path | None) -> str:
    if not text:
        raise ValueError("the name of a file is missing")
    path = (folder or Path.cwd()) / Path(text).expanduser()
    try:
        found, found_other = path.is_file(), path.exists()
    except (OSError, ValueError):
        found = found_other = False
    if not found:
        if found_other:
            raise ValueError(f"{text!r} is no file")
        near = did_you_mean(path.name, _names_in(path.parent))
        raise ValueError(f"there is no file {text!r}{near}")
    return text


def _names_in(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir() if entry.is_file()]
    except (OSError, ValueError):
        return []


def _checked(value: Value, schema: Schema | None) -> Value:
    if problem := too_large(value):
        raise ValueError(problem)
    if schema is not None and (problems := schema.problems(value)):
        raise ValueError("it does not fit the schema:\n" + "\n".join(f"- {p}" for p in problems))
    return value


# -- what stands around it ------------------------------------------------------------------------


def _candidates(text: str) -> Iterator[str]:
    """Where a short value may stand in an answer: all of it, its block, its first or last line."""
    lines = [line for line in text.strip().splitlines() if opening(line) is None and line.strip()]
    whole = " ".join(lines)
    yield _bare(whole)
    if len(lines) > 1:
        yield _bare(lines[0])
        yield _bare(lines[-1])
    if lines and ":" in lines[-1]:
        yield _bare(lines[-1].rpartition(":")[2])


def _bare(text: str) -> str:
    """A value without what markdown and JSON put around it."""
    return text.strip().strip("*_`\"'").rstrip(".!").strip("*_`\"'").strip()


def _lines_of_answer(text: str) -> Value:
    blocks = _blocks(text)
    body = blocks[0][1] if len(blocks) == 1 else text
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    marked = [re.sub(r"^(?:[-*+•]|\d{1,4}[.)])\s+", "", line) for line in lines]
    is_list = all(bare != line for bare, line in zip(marked, lines, strict=True))
    return [*(marked if is_list else lines)]


def _json_of_answer(text: str) -> Value:
    """The JSON of an answer: all of it, its one block, or what stands between other words."""
    try:
        return _decoded(text)
    except ValueError as error:
        whole = error
    blocks = _blocks(text)
    if not blocks:
        found = list(_embedded(text))
        if len(found) > 1:
            raise ValueError(_SEVERAL.format(len(found)))
        if not found:
            raise whole
        return found[0]
    if len(blocks) == 1:
        return _decoded(blocks[0][1])
    marked = [body for info, body in blocks if info.lower().startswith("json")]
    if len(marked) == 1:
        return _decoded(marked[0])
    fitting = [value for _, body in blocks for value in _tried(body)]
    if len(fitting) != 1:
        raise ValueError(_SEVERAL.format(len(marked or blocks)))
    return fitting[0]


_SEVERAL = "there are {} pieces of JSON in it, and one is wanted; answer with one alone"


def _decoded(text: str) -> Value:
    """Raises ValueError with the place of the mistake."""
    if not text.strip():
        raise ValueError("it is empty, and JSON is wanted")
    if len(text) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} characters")
    try:
        value: Value = json.loads(text.strip(), parse_constant=_no_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(
            f"it is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ValueError("lists and objects stand too deep in one another") from None
    except UnicodeEncodeError:
        raise ValueError("it is not JSON: half of a character (a lone surrogate)") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{_short(text)} is too large")
    return value


def _tried(text: str) -> Iterator[Value]:
    try:
        yield _decoded(text)
    except ValueError:
        return


def _embedded(text: str) -> Iterator[Value]:
    """The objects and lists that stand in other text."""
    decoder = json.JSONDecoder()
    end = 0
    for match in list(re.finditer(r"[\[{]", text))[:_MOST_PLACES]:
        if match.start() < end:
            continue
        try:
            _, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        yield from _tried(text[match.start() : end])


def _blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a text: what stands behind the first marks, and the text within."""
    found: list[tuple[str, str]] = []
    mark, info, body = "", "", list[str]()
    for line in text.splitlines():
        if mark and closes(line, mark):
            found.append((info, "\n".join(body)))
            mark = ""
        elif mark:
            body.append(line)
        elif (opened := opening(line)) is not None:
            mark, body = opened, []
            info = line.strip().removeprefix(opened).strip()
    return found


def _short(text: str) -> str:
    shown = repr(" ".join(text.split()))
    return shown if len(shown) <= 60 else shown[:59] + "…"
