"""The page of what `--format json` writes, and its JSON schemas, from the types of it."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, get_args

from records import doc, schema, table, words_of

from sdqctl.adapters.base import Health, ToolNames
from sdqctl.model.audit import ToolRecord
from sdqctl.model.repository import Changes, RepositoryFile
from sdqctl.model.sandbox import Held
from sdqctl.model.session import ToolCall, Usage
from sdqctl.model.views import (
    agents,
    doctor,
    failure,
    queue,
    run,
    session,
    status,
    trust,
    workflow,
    workspace,
)
from sdqctl.model.views.outputs import LINES, OUTPUTS
from sdqctl.model.workspace import FileChange

_HEAD = """\
# JSON

What `--format json` writes. Fields are added by new versions, and none is renamed or taken away
within a major version; pass over what you do not know. Times are ISO 8601 with a zone. A result
goes to stdout; an error is [one object](#an-error) on stderr:
`{"error": {"code", "exit", "message", "hint"}}`, with the codes of `sdqctl help exit-codes`.

This page and the JSON schemas come from the types in `src/sdqctl/model/views` (`make docs`).

| command | writes | schema |
| --- | --- | --- |
"""


@dataclass(frozen=True)
class Section:
    """One record's part of the page. `beyond`: only what it has besides this other record."""

    title: str
    record: type
    prose: str = ""
    beyond: type | None = None


SECTIONS = (
    Section(
        "A session",
        session.SessionView,
        "`sessions list` writes an array of these, `[]` when there is none.",
    ),
    Section(
        "A session with its turns",
        session.FullSessionView,
        "`sessions show` and `sessions export` write one: a session with these fields besides, and "
        "`turns` as an array. `sessions export --format jsonl` writes a line for [the "
        'session](#a-session), `"type": "session"`, and one for each [turn](#a-turn), '
        '`"type": "turn"`.',
        beyond=session.SessionView,
    ),
    Section("A run", run.RunView),
    Section(
        "A run with its steps",
        run.FullRunView,
        "Where one run is shown it has this field, too.",
        beyond=run.RunView,
    ),
    Section("A step", run.StepView),
    Section("A gate", run.GateView, "The question at which a run waits; ASK asks it."),
    Section("A turn", session.TurnView),
    Section("A tool request", ToolRecord, "What `sessions show --audit` has of each one."),
    Section(
        "The result of a run",
        run.ResultView,
        "`run` and `resume --format json` end with this object, also when the run failed or paused "
        "(then stderr has the error, too); `--format jsonl` writes [events](events.md) and ends "
        'with it as a line of `"type": "result"`.',
    ),
    Section(
        "A run in the background",
        run.DetachedView,
        "`run` and `resume --detach` write it once the run is under way; `watch --format json` "
        "writes the [result](#the-result-of-a-run).",
    ),
    Section(
        "What a run waits for",
        session.WaitingView,
        "`sessions answer` writes it; with the answer at an ASK it writes [the run that goes "
        "on](#a-run-in-the-background).",
    ),
    Section("A permission question", session.PermissionView),
    Section("A called run", run.CalledRunView, beyond=run.RunView),
    Section("A session's name", run.SessionName),
    Section("A refused request", run.DeniedView),
    Section("The sandbox of a run", run.SandboxView),
    Section("A refused path", run.RefusedPathView),
    Section("A budget that came near", run.NearingView, "`--warn-at` says when."),
    Section(
        "One run of several",
        run.BatchRunView,
        "`apply`, and `run` with several workflows, write an array of these.",
    ),
    Section("The error of one of several", run.BatchErrorView),
    Section("A plan", run.PlanView, "What `run --dry-run` writes."),
    Section("The session of a plan", run.PlanSessionView),
    Section("A step of a plan", run.PlanStepView),
    Section("A document", workflow.AnswersView, "What OUTPUT-FORMAT json makes of the answers."),
    Section("A found place", session.HitView, "`sessions search` writes an array of these."),
    Section("Use", session.UsageView, "`sessions usage` writes an array of these."),
    Section("A deletion", session.DeletionView),
    Section("A deleted session", session.DeletedView),
    Section("A session that stayed", session.UndeletedView),
    Section("A session in the trash", session.TrashView),
    Section("A worktree", workspace.WorktreeView, "`worktrees list` writes an array of these."),
    Section("What a step changed", session.StepFilesView, "For steps that changed files."),
    Section("A file that changed", FileChange),
    Section("A run in a queue", queue.QueuedRunView, "`queue list` writes an array of these."),
    Section("The runs of a tag", queue.TagView),
    Section("The status", status.StatusView),
    Section("A part of an installation", doctor.PartView, "`doctor` writes an array of these."),
    Section("The sandbox of this machine", Held),
    Section("An adapter", Health),
    Section("The tools of an adapter", ToolNames),
    Section(
        "A finding",
        workflow.FindingView,
        "`validate` writes an array of these; first, for each INPUT of a workflow, one of severity "
        "`info` that says with `input` what it is given.",
    ),
    Section("An input", workflow.InputView),
    Section("A prompt", workflow.PromptView, "`render` writes an array of these, one a step."),
    Section("An agent", agents.AgentView, "What `agents list` has of each, and `agents info`."),
    Section("An agent that was checked", agents.CheckView, "What `agents check` writes."),
    Section("A session as its agent lists it", agents.AgentSessionView),
    Section("Trust", trust.TrustView, "What `trust` and `trust --show` write."),
    Section("A file that needs trust", RepositoryFile),
    Section("Changes", Changes),
    Section("A trusted folder", trust.TrustedView, "`trust --list` writes an array of these."),
    Section("Trust taken back", trust.DistrustView),
    Section("An error", failure.ErrorView),
    Section("A failure", failure.FailureView),
)
_TITLES = {section.record: section.title for section in SECTIONS}
_ELSEWHERE = {
    ToolCall: "[a tool call](events.md#toolcall)",
    Usage: "[use](events.md#usage)",
}


def page() -> str:
    """The page's text."""
    lines = [_HEAD.rstrip("\n")]
    for command, kind in OUTPUTS.items():
        lines.append(f"| {_command(command)} | {_written(kind)} | {_schema_link(kind)} |")
    for command, kind in LINES.items():
        lines.append(f"| `{command}` | lines | {_schema_link(kind)} |")
    for section in SECTIONS:
        lines += ["", f"## {section.title}", "", doc(section.record), ""]
        lines += [section.prose, ""] if section.prose else []
        lines += table(section.record, _link, beyond=section.beyond)
    return "\n".join(lines) + "\n"


def schemas() -> dict[str, str]:
    """File name -> text of each schema."""
    return {
        _schema_file(kind): json.dumps(_dedented(schema(kind)), indent=2) + "\n"
        for kind in (*OUTPUTS.values(), *LINES.values())
    }


def _dedented(part: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same with the texts as they are from Python 3.13 on, which dedents docstrings."""
    if isinstance(part, dict):
        return {name: _dedented(value) for name, value in part.items()}
    if isinstance(part, list):
        return [_dedented(value) for value in part]
    return inspect.cleandoc(part) if isinstance(part, str) else part


def _link(kind: type) -> str:
    if issubclass(kind, Enum):
        return words_of(kind)
    return _ELSEWHERE.get(kind) or _heading(kind, _small(_TITLES[kind]))


def _heading(kind: type, text: str) -> str:
    slug = re.sub(r"[^\w -]", "", _TITLES[kind].lower()).replace(" ", "-")
    return f"[{text}](#{slug})"


def _small(title: str) -> str:
    return title[:1].lower() + title[1:]


def _command(command: str) -> str:
    typed, _, rest = command.partition(" (")
    return f"`{typed}`" + (f" ({rest}" if rest else "") if command != "an error" else command


def _written(kind: Any) -> str:  # noqa: ANN401 - a type, or what typing makes of several
    parts = get_args(kind)
    return f"an array of: {_link(parts[0])}" if parts else _link(kind)


def _schema_file(kind: Any) -> str:  # noqa: ANN401 - a type, or what typing makes of several
    """Named after the first command that writes it."""
    command = next(name for name, known in (*OUTPUTS.items(), *LINES.items()) if known == kind)
    slug = re.sub(r"[^a-z]+", "-", command.lower().removeprefix("an ")).strip("-")
    return f"{slug}.json"


def _schema_link(kind: Any) -> str:  # noqa: ANN401 - a type, or what typing makes of several
    name = _schema_file(kind)
    return f"[{name}](schema/{name})"
