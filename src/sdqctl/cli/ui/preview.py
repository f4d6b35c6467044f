"""What is shown of the session under the cursor, and of a session in full."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sdqctl.cli.ui.text import Line, lines_of
from sdqctl.model.run import StepRecord
from sdqctl.sessions.access import Access
from sdqctl.sessions.board import Item
from sdqctl.sessions.detail import SessionDetail
from sdqctl.sessions.following import Following, last_words
from sdqctl.text.terminal import one_line

_MOST_PROMPT = 6
"""Lines of a prompt."""


def of_session(access: Access, item: Item) -> list[Line]:
    """A session that nobody can be heard in: how it stands, and what was said last."""
    with access.ledger(read_only=True) as ledger:
        prompt, answer = last_words(access, item.entry.ref, ledger)
    return [*_head(item), *_said(prompt, answer)]


def of_remote(item: Item) -> list[Line]:
    """A session that lives elsewhere: how it stands, as far as the store tells."""
    turns = item.entry.turns
    talk = f", {turns} turn{'' if turns == 1 else 's'}" if turns is not None else ""
    return [*_head(item), Line(f"It is in the shared store{talk}; g brings it here.", "dim")]


def of_following(item: Item, following: Following) -> list[Line]:
    """A session whose run goes on, as it is heard."""
    doing = [Line(one_line(following.doing), "blue")] if following.doing else []
    return [*_head(item), *doing, *_said(following.prompt, following.answer)]


def _head(item: Item) -> list[Line]:
    entry, info = item.entry, item.entry.info
    run = entry.run
    model = info.model or (run.model if run else None)
    about = [info.adapter, model, info.branch, _below_home(info.cwd)]
    lines = [
        Line(one_line(info.label), "bold"),
        Line(one_line(" · ".join(part for part in about if part)), "dim"),
    ]
    if run is not None:
        name = run.workflow or "a prompt"
        steps = f"{run.steps_done} of {run.steps_total} steps"
        lines.append(Line(one_line(f"{name}: {run.status}, {steps}")))
        if run.message and run.status.unfinished:
            lines += lines_of(run.message, "yellow")
    if info.damage:
        lines.append(Line(one_line(info.damage), "red"))
    if entry.holder is not None and item.question is None:
        who = entry.holder
        by = who.describe() if info.is_remote else f"process {who.pid}"
        lines.append(Line(one_line(f"open in {by}"), "dim"))
    if item.question is not None:
        lines += [Line(""), *question_lines(item)]
    return [*lines, Line("")]


def _below_home(folder: str | None) -> str | None:
    """A folder as a shell would show it."""
    home = os.path.expanduser("~")
    below = folder is not None and folder.startswith(f"{home}{os.sep}")
    return f"~{folder[len(home) :]}" if folder is not None and below else folder


def question_lines(item: Item) -> list[Line]:
    """The permission question that a run waits with."""
    question = item.question
    if question is None:
        return []
    request = question.request
    lines = [Line(one_line(f"the agent wants: {request.kind}"), "bold yellow")]
    lines += lines_of(request.target, "bold", "  ")
    if request.intention:
        lines += lines_of(f"for: {request.intention}", "dim", "  ")
    lines += lines_of(f"asked because: {question.why}", "yellow", "  ")
    if request.detail:
        lines += diff_lines(request.detail)
    return lines


def _said(prompt: str, answer: str) -> Iterator[Line]:
    asked = lines_of(prompt, "dim", "> ") if prompt.strip() else []
    yield from asked[:_MOST_PROMPT]
    if len(asked) > _MOST_PROMPT:
        yield Line(f"> … {len(asked) - _MOST_PROMPT} more lines", "dim")
    if asked:
        yield Line("")
    if answer.strip():
        yield from lines_of(answer)


_COLOURS = {"+": "green", "-": "red", "@": "blue"}


def diff_lines(text: str) -> list[Line]:
    """A diff, its lines coloured."""
    return [Line(line.text, _COLOURS.get(line.text[:1], "")) for line in lines_of(text)]


def detail_lines(found: SessionDetail) -> list[Line]:
    """A session in full: its runs with their steps, then the whole talk."""
    lines = [Line(one_line(found.entry.info.label), "bold"), Line("")]
    changed = {(one.run_id, one.path): one.summary for one in found.files}
    for tree, steps in found.runs:
        run = tree.run
        head = f"{run.workflow or 'a prompt'}: {run.status}, {run.steps_done}/{run.steps_total}"
        lines.append(
            Line(one_line(f"run {head}  {run.started_at.astimezone():%Y-%m-%d %H:%M}"), "bold")
        )
        lines += [_step_line(step, changed.get((run.id, step.path), "")) for step in steps]
        lines.append(Line(""))
    if found.why:
        lines += [Line(one_line(found.why), "yellow"), Line("")]
    for turn in found.turns:
        when = f"  {turn.started_at.astimezone():%Y-%m-%d %H:%M}" if turn.started_at else ""
        lines.append(Line(f"── {turn.index}{when} ──", "bold"))
        lines += [*lines_of(turn.prompt, "dim", "> "), Line("")]
        for call in turn.tools:
            end = "" if call.ok else call.outcome
            lines.append(Line(f"  {one_line(f'{call.name} {call.summary}  {end}')}", "blue"))
        lines += lines_of(turn.response) if turn.response else []
        if turn.error:
            lines += lines_of(turn.error, "red")
        lines.append(Line(""))
    return lines


_STEP_COLOURS = {"failed": "red", "begun": "yellow", "interrupted": "yellow", "skipped": "dim"}


def _step_line(step: StepRecord, changed: str) -> Line:
    took = "" if step.seconds is None else f"  {step.seconds:.1f}s"
    said = one_line(f"{step.kind}: {step.title}{took}  {changed}")
    return Line(f"  {step.path:>4} {step.status:<11} {said}", _STEP_COLOURS.get(step.status, ""))
