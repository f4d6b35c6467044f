"""How the directives of data and flow are written: inputs, captures, blocks, gates."""

from __future__ import annotations

import re
from typing import Any

from sdqctl.model.values import Kind, ValueType
from sdqctl.model.workflow import Branch, Capture, Input
from sdqctl.workflow import values
from sdqctl.workflow.forms import Form

Fields = dict[str, Any]
_TYPE = r"(?P<type>choice\s*\([^)]*\)?|[a-z]+)"
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'[^']*'"
_ARGUMENT = rf"[^\s=\"']+=(?:{_QUOTED}|(?:\{{\{{.*?\}}\}}|[^\s{{])+)"
_INPUT = re.compile(
    rf"(?P<name>[^\s=\"']+)(?:\s+{_TYPE})?(?:\s*=\s*(?P<default>{_QUOTED}|.*?))?"
    rf"(?:\s+(?P<doc>{_QUOTED}))?\s*\Z"
)
_CAPTURE = re.compile(
    r"(?P<name>\S+)(?:\s+AS\s+(?P<type>.+?))?(?:\s+SCHEMA\s+(?P<schema>.+))?\Z", re.S
)
_ASK = re.compile(
    rf"(?P<name>\S+)\s+(?P<question>{_QUOTED})(?:\s+{_TYPE})?"
    rf"(?:\s*=\s*(?P<default>{_QUOTED}|\S+)\s+AFTER\s+(?P<after>\S+))?\s*\Z"
)
_FOR = re.compile(
    r"(?P<name>\S+)\s+IN\s+(?P<items>.+?)(?:\s+MAX\s+(?P<most>\S+))?"
    r"(?:\s+PARALLEL\s+(?P<parallel>\S+))?\Z",
    re.S,
)
_CALL = re.compile(
    rf"(?P<file>{_QUOTED}|\S+)(?:\s+WITH(?P<with>(?:\s+{_ARGUMENT})+))?"
    r"(?:\s+AS\s+(?P<name>\S+))?(?:\s+IN\s+(?P<where>\S+))?\s*\Z",
    re.S,
)
_REPEAT = re.compile(r"(?:MAX\s+(?P<most>\S+))?\s*(?:UNTIL\s+(?P<until>.+))?\Z", re.S)
_ASKED = (Kind.TEXT, Kind.CHOICE)
_CAPTURED = tuple(kind for kind in Kind if kind is not Kind.FILE)
_GIVEN = tuple(kind for kind in Kind if kind is not Kind.LINES)
_MOST_ROUNDS = 100_000
_MOST_AT_ONCE = 64


def _input(text: str) -> tuple[Input, ...]:
    match = _INPUT.match(text)
    if match is None:
        raise ValueError('write INPUT NAME [TYPE] [= DEFAULT] ["WHAT IT IS"]')
    default = match["default"]
    if default is not None and not default:
        raise ValueError("a default is missing after =")
    found = Input(
        name=_name(match["name"]),
        type=_type(match["type"], _GIVEN) or ValueType(),
        default=None if default is None else _bare(default),
        doc=_bare(match["doc"] or ""),
    )
    return (found,)


def _written_input(found: tuple[Input, ...]) -> str:
    one = found[0]
    default = "" if one.default is None else f" = {_quoted(one.default)}"
    return f"{one.name} {one.type}{default}" + (f" {_quoted(one.doc)}" if one.doc else "")


def _capture(text: str) -> Capture:
    match = _CAPTURE.match(text)
    if match is None or re.search(r"\sAS\s*\Z|\sSCHEMA\s*\Z", text):
        raise ValueError("write CAPTURE NAME [AS TYPE] [SCHEMA @FILE|{...}]")
    if " " in text and match["type"] is None and match["schema"] is None:
        raise ValueError("write CAPTURE NAME [AS TYPE] [SCHEMA @FILE|{...}]")
    type_, schema = _type(match["type"], _CAPTURED), match["schema"]
    if schema is not None and not schema.startswith(("@", "{")):
        raise ValueError(f"SCHEMA {schema}: it is @FILE or {{...}}")
    if schema is not None and type_ is None:
        type_ = ValueType(Kind.JSON)
    return Capture(name=_name(match["name"]), type=type_, schema=schema)


def _written_capture(capture: Capture) -> str:
    type_ = "" if capture.type is None else f" AS {capture.type}"
    return f"{capture.name}{type_}" + (f" SCHEMA {capture.schema}" if capture.schema else "")


def _ask(text: str) -> Fields:
    match = _ASK.match(text)
    if match is None:
        raise ValueError('write ASK NAME "QUESTION" [text|choice(a|b)] [= DEFAULT AFTER DUR]')
    fields: Fields = {"name": _name(match["name"]), "question": _bare(match["question"])}
    if type_ := _type(match["type"], _ASKED):
        fields["type"] = type_
    if match["after"] is not None:
        fields |= {"default": _bare(match["default"]), "after": values.duration(match["after"])}
    return fields


def _written_ask(step: Any) -> str:  # noqa: ANN401 - an AskStep
    after = f" = {_quoted(step.default)} AFTER {step.after:g}s" if step.after else ""
    return f"{step.name} {_quoted(step.question)} {step.type}{after}"


def _for(text: str) -> Fields:
    match = _FOR.match(text)
    if match is None:
        raise ValueError("write FOR NAME IN EXPRESSION [MAX N] [PARALLEL N]")
    most, side = match["most"], match["parallel"]
    return {
        "name": _name(match["name"]),
        "items": match["items"].strip(),
        "most": None if most is None else values.number(most, most=_MOST_ROUNDS),
        "parallel": None if side is None else values.number(side, most=_MOST_AT_ONCE),
    }


def _written_for(step: Any) -> str:  # noqa: ANN401 - a ForStep
    most = f" MAX {step.most}" if step.most else ""
    side = f" PARALLEL {step.parallel}" if step.parallel else ""
    return f"{step.name} IN {step.items}{most}{side}"


def _call(text: str) -> Fields:
    match = _CALL.match(text)
    if match is None or match["where"] not in (None, "new", "same"):
        raise ValueError("write CALL FILE [WITH NAME=VALUE ...] [AS NAME] [IN new|same]")
    found = [_argument(one) for one in re.findall(_ARGUMENT, match["with"] or "", re.S)]
    for name in (names := [name for name, _ in found]):
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice")
    fields: Fields = {
        "file": _bare(match["file"]).removeprefix("@"),
        "arguments": tuple(found),
        "same": match["where"] == "same",
    }
    if match["name"] is not None:
        fields["capture"] = Capture(name=_name(match["name"]))
    return fields


def _argument(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return _name(name), _bare(value)


def _written_call(step: Any) -> str:  # noqa: ANN401 - a CallStep
    given = "".join(f" {name}={_word(value)}" for name, value in step.arguments)
    capture = f" AS {step.capture.name}" if step.capture else ""
    return (
        _word(step.file)
        + (f" WITH{given}" if given else "")
        + capture
        + (" IN same" if step.same else "")
    )


def _word(text: str) -> str:
    """A text as it may stand between spaces."""
    return text if re.fullmatch(r"(?:\{\{.*?\}\}|[^\s{\"'])+", text) else _quoted(text)


def _repeat(text: str) -> Fields:
    match = _REPEAT.match(text)
    if match is None:
        raise ValueError("write REPEAT [MAX N] [UNTIL EXPRESSION]")
    most = values.number(match["most"], most=_MOST_ROUNDS) if match["most"] else 10
    return {"most": most, "until": match["until"]}


def _written_repeat(step: Any) -> str:  # noqa: ANN401 - a RepeatStep
    return f"MAX {step.most}" + (f" UNTIL {step.until}" if step.until else "")


def _else(text: str) -> str | None:
    if not text:
        return None
    word, _, condition = text.partition(" ")
    if word != "IF" or not condition.strip():
        raise ValueError("write ELSE, or ELSE IF EXPRESSION")
    return condition.strip()


def _name(text: str) -> str:
    from sdqctl.workflow.flow.names import parse_name

    return parse_name(text)


def _type(text: str | None, allowed: tuple[Kind, ...]) -> ValueType | None:
    if text is None:
        return None
    from sdqctl.workflow.flow.values import parse_type

    return parse_type(text, allowed)


def _bare(text: str) -> str:
    """What stands in quotes, or the text as it is."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return values.unquoted(text)


def _quoted(text: str) -> str:
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


INPUT: Form[tuple[Input, ...]] = Form(_input, _written_input)
CAPTURE: Form[Capture] = Form(_capture, _written_capture)
ASK: Form[Fields] = Form(_ask, _written_ask)
FOR: Form[Fields] = Form(_for, _written_for)
CALL: Form[Fields] = Form(_call, _written_call)
REPEAT: Form[Fields] = Form(_repeat, _written_repeat)
IF: Form[Fields] = Form(
    lambda text: {"branches": (Branch(condition=text),)},
    lambda step: str(step.branches[0].condition),
)
ELSE: Form[str | None] = Form(_else, lambda text: f"IF {text}" if text else "")
