"""How a run ended as markdown, for the page that a CI system shows of a job."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sdqctl.cli.ci.findings import Finding
from sdqctl.cli.ci.outcome import Outcome
from sdqctl.model.run import StepRecord
from sdqctl.model.views.run import GateView
from sdqctl.text.duration import format_duration
from sdqctl.text.fences import fenced
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.runs.batch_report import Item

_MOST_OUTPUT = 200_000
"""Characters; GitHub takes one MiB a step."""
_MOST_ROWS = 200
_WORST = ("failed", "interrupted", "paused")
_MARKS = {"completed": "✅", "paused": "⏸️", "failed": "❌", "interrupted": "🛑"}


def summary(outcome: Outcome, findings: Sequence[Finding]) -> str:
    """The whole text."""
    return "\n".join(_lines(outcome, findings)) + "\n"


def _lines(outcome: Outcome, findings: Sequence[Finding]) -> Iterator[str]:
    yield f"## {_MARKS.get(outcome.status, '❌')} {_cell(outcome.title)}: {outcome.status}"
    yield ""
    if outcome.session:
        used = f", {outcome.tokens} tokens" if outcome.tokens else ""
        done = f"{outcome.steps_done} of {outcome.steps_total} steps done"
        yield f"Session `{_code(outcome.session)}`, {done}{used}."
        yield ""
    yield from _ending(outcome)
    if outcome.steps:
        yield from _table(outcome.steps)
    if findings:
        yield from _findings(findings)
    if outcome.output:
        cut = outcome.output[:_MOST_OUTPUT]
        more = "\n\n[cut]" if len(cut) < len(outcome.output) else ""
        yield from ("<details><summary>Answers</summary>", "", cut + more, "", "</details>", "")


def batch_summary(title: str, items: Sequence[Item]) -> str:
    """The same of several runs: a row each."""
    ended = Counter(item.outcome.value for item in items)
    counts = ", ".join(f"{number} {status}" for status, number in ended.items())
    worst = next((each for each in _WORST if ended[each]), "completed")
    lines = [f"## {_MARKS[worst]} {_cell(title)}: {counts}", ""]
    lines += ["| run | status | session | time | why |", "| --- | --- | --- | --- | --- |"]
    for item in items[:_MOST_ROWS]:
        why = item.error.message.partition("\n")[0] if item.error is not None else ""
        took, name = format_duration(item.seconds), item.context.target.name
        cells = (item.label, item.outcome.value, name, took, why)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    if len(items) > _MOST_ROWS:
        lines.append(f"| {len(items) - _MOST_ROWS} more | | | | |")
    return "\n".join([*lines, "", ""])


def _ending(outcome: Outcome) -> Iterator[str]:
    if outcome.gate is not None:
        yield from _question(outcome.gate)
    elif outcome.status == "paused":
        yield from _quoted(outcome.message)
    elif outcome.message:
        yield from (fenced("Why:\n", outcome.message), "")
    if outcome.hint:
        yield from (_cell(outcome.hint), "")


def _question(gate: GateView) -> Iterator[str]:
    yield f"**{_cell(gate.name)}** is asked for:"
    yield ""
    yield from _quoted(gate.question)
    if gate.choices:
        yield "Answers: " + ", ".join(f"`{_code(choice)}`" for choice in gate.choices)
        yield ""


def _table(steps: Sequence[StepRecord]) -> Iterator[str]:
    yield "| step | kind | what | status | time |"
    yield "| --- | --- | --- | --- | --- |"
    for step in steps[:_MOST_ROWS]:
        took = "" if step.seconds is None else format_duration(step.seconds)
        cells = (step.path, step.kind, step.title, step.status.value, took)
        yield f"| {' | '.join(map(_cell, cells))} |"
    if len(steps) > _MOST_ROWS:
        yield f"| | | {len(steps) - _MOST_ROWS} more | | |"
    yield ""


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    yield f"### Findings: {len(findings)}"
    yield ""
    yield "| where | severity | what |"
    yield "| --- | --- | --- |"
    for one in findings[:_MOST_ROWS]:
        yield f"| {_cell(f'{one.file}:{one.line}')} | {one.severity} | {_cell(one.message)} |"
    yield ""


def _quoted(text: str) -> Iterator[str]:
    yield from (f"> {line}".rstrip() for line in text.splitlines())
    yield ""


def _cell(text: str) -> str:
    """A text in one cell of a table: no markdown of its own but code."""
    return re.sub(r"[|<>\[\]*_\\]", r"\\\g<0>", one_line(text))


def _code(text: str) -> str:
    return one_line(text).replace("`", "'")
