"""The page of the events that `--format jsonl` and EVENT-LOG write, from their records."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any, get_args

import msgspec

from sdqctl.model import events, session

_HEAD = """\
# Events

What `run` and `resume --format jsonl` write to stdout, and EVENT-LOG to its file: one JSON object
a line, each with a `type`. This page comes from the records in `src/sdqctl/model/events.py`
(`make docs`).

- The last line of `--format jsonl` is no event but the result: `"type": "result"`, with the fields
  of [the result of a run](json.md#the-result-of-a-run). EVENT-LOG has no such line, and no
  `text.delta`: answers come whole there, and without secrets.
- New types and new fields may come with a new version; pass over what you do not know.
- An event with a `run_id` is of the run, one with a `turn_id` of one prompt and its answer:
  `prompt.begun` says which step of the run a turn belongs to. Times are seconds.

```sh
sdqctl run audit.conv --format jsonl | jq -c 'select(.type == "permission.decided")'
```
"""


def page() -> str:
    """The page's text."""
    lines = [_HEAD]
    of_turns = get_args(events.TurnEvent)
    of_runs = [record for record in get_args(events.Event) if record not in of_turns]
    for record in (*of_runs, *of_turns):
        lines += [f"## `{record.__struct_config__.tag}`", "", _doc(record), "", *_table(record), ""]
    lines += ["## Records in them", ""]
    for record in (session.ToolCall, session.Usage):
        lines += [f"### {record.__name__}", "", _doc(record), "", *_table(record), ""]
    lines += ["### FailureKind", "", _doc(events.FailureKind), ""]
    lines += [" ".join(f"`{kind.value}`" for kind in events.FailureKind), ""]
    return "\n".join(lines)


def _doc(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "")


def _table(record: type[msgspec.Struct]) -> list[str]:
    docs = _field_docs(record)
    lines = ["| field | type | default | |", "| --- | --- | --- | --- |"]
    for field in msgspec.structs.fields(record):
        default = "" if field.required else f"`{_default(field)}`"
        kind = _kind(field.type)
        lines.append(f"| `{field.name}` | {kind} | {default} | {docs.get(field.name, '')} |")
    return lines


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is msgspec.NODEFAULT:
        return str(msgspec.json.encode(field.default_factory()), "utf-8")
    if isinstance(field.default, msgspec.Struct):
        return "{}"
    return str(msgspec.json.encode(field.default), "utf-8")


def _kind(kind: Any) -> str:  # noqa: ANN401 - a type, or what typing makes of several
    """A type in JSON's words."""
    plain = {str: "text", int: "number", float: "number", bool: "true or false", type(None): "null"}
    if kind in plain:
        return plain[kind]
    parts = get_args(kind)
    if getattr(kind, "__origin__", None) is tuple:
        return f"list of {_kind(parts[0])}"
    if parts:
        return " or ".join(map(_kind, parts))
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _field_docs(record: type) -> dict[str, str]:
    """The text after each field that has one."""
    tree = ast.parse(Path(inspect.getfile(record)).read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node.name != record.__name__:
            continue
        for field, text in zip(node.body, node.body[1:], strict=False):
            is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and is_text:
                assert isinstance(field.target, ast.Name)
                found[field.target.id] = " ".join(str(text.value.value).split())
    return found
