"""The page of the events that `--format jsonl` and EVENT-LOG write, from their records."""

from __future__ import annotations

from typing import get_args

import msgspec
from records import doc, field_docs, kind_words, words_of

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
        lines += [f"## `{record.__struct_config__.tag}`", "", doc(record), "", *_table(record), ""]
    lines += ["## Records in them", ""]
    for record in (session.ToolCall, session.Usage):
        lines += [f"### {record.__name__}", "", doc(record), "", *_table(record), ""]
    lines += ["### FailureKind", "", doc(events.FailureKind), ""]
    lines += [words_of(events.FailureKind), ""]
    return "\n".join(lines)


def _table(record: type[msgspec.Struct]) -> list[str]:
    docs = field_docs(record)
    lines = ["| field | type | default | |", "| --- | --- | --- | --- |"]
    for field in msgspec.structs.fields(record):
        default = "" if field.required else f"`{_default(field)}`"
        kind = kind_words(field.type, lambda kind: f"[{kind.__name__}](#{kind.__name__.lower()})")
        lines.append(f"| `{field.name}` | {kind} | {default} | {docs.get(field.name, '')} |")
    return lines


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is msgspec.NODEFAULT:
        return str(msgspec.json.encode(field.default_factory()), "utf-8")
    if isinstance(field.default, msgspec.Struct):
        return "{}"
    return str(msgspec.json.encode(field.default), "utf-8")
