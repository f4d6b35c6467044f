"""One self-contained HTML file of a session: no network, no script of anyone else, dark or light.

All text of models and tools is escaped; the page's policy allows its own style and script alone.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from sdqctl.model.run import RunRecord, StepRecord
from sdqctl.model.session import SessionInfo, ToolCall, Turn
from sdqctl.sessions.export.page import SCRIPT, STYLE
from sdqctl.sessions.export.prose import as_prose
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import one_line, sanitize, title

_TITLE = 70
_COMMAND = 100
Changes = Mapping[tuple[str, str], tuple[str, str]]
"""By run and step: what changed in a few words, and the diff."""


def as_html(
    info: SessionInfo,
    turns: Sequence[Turn],
    runs: Sequence[tuple[RunRecord, Sequence[StepRecord]]],
    changes: Changes,
) -> str:
    """The page; `changes` are what steps did to files."""
    most_tokens = max((_tokens(turn) for turn in turns), default=0)
    longest = max((_seconds(turn) for turn in turns), default=0.0)
    body = [
        f"<h1>{_text(info.label)}</h1>",
        _facts(info, turns),
        *(_run(run, steps, changes) for run, steps in runs if run.workflow),
        '<input id="search" type="search" placeholder="Search in this page" aria-label="Search">',
        '<p id="found" role="status"></p>',
        _contents(turns),
        *(_turn(turn, turn.model or info.model, most_tokens, longest) for turn in turns),
    ]
    policy = f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{_text(info.label)}</title>",
            f"<style>{STYLE}</style></head><body><main>",
            *body,
            f"</main><script>{SCRIPT}</script></body></html>",
            "",
        ]
    )


def _facts(info: SessionInfo, turns: Sequence[Turn]) -> str:
    facts = {
        "adapter": info.adapter,
        "model": info.model,
        "folder": info.cwd,
        "repository": info.repository,
        "branch": info.branch,
        "started": _time(info.start_time),
        "turns": str(len(turns)),
        "tokens": f"{sum(map(_tokens, turns)):,}",
        "time": format_duration(sum(map(_seconds, turns))),
    }
    rows = (f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in facts.items() if value)
    return f"<dl>{''.join(rows)}</dl>"


def _run(run: RunRecord, steps: Sequence[StepRecord], changes: Changes) -> str:
    rows = "".join(
        f'<li class="{step.status}"><span class="kind">{_text(step.kind)}</span> '
        f"{_text(step.title)} <small>{step.status}</small>"
        f"{_changed(changes.get((run.id, step.path)))}</li>"
        for step in steps
    )
    head = f"{_text(run.workflow or '')}: {run.status}, {run.steps_done} of {run.steps_total} steps"
    return f'<details class="run"><summary>{head}</summary><ol>{rows}</ol></details>'


def _changed(change: tuple[str, str] | None) -> str:
    if change is None:
        return ""
    summary, diff = map(_text, change)
    return f'<details class="diff"><summary>{summary}</summary><pre>{diff}</pre></details>'


def _contents(turns: Sequence[Turn]) -> str:
    rows = "".join(
        f'<li><a href="#turn-{turn.index}">{_text(title(turn.prompt, _TITLE))}</a></li>'
        for turn in turns
    )
    return f"<nav aria-label='Turns'><ol>{rows}</ol></nav>"


def _turn(turn: Turn, model: str | None, most_tokens: int, longest: float) -> str:
    told = " · ".join(filter(None, (_time(turn.started_at), _text(model or ""))))
    parts = [
        f'<section id="turn-{turn.index}"><h2>{turn.index}. Prompt</h2>',
        f'<p class="told"><small>{told}</small></p>' if told else "",
        f'<div class="prompt">{as_prose(turn.prompt)}</div>',
        *(_tool(call) for call in turn.tools),
        f'<div class="answer">{as_prose(turn.response)}</div>',
    ]
    if turn.error is not None or not turn.finished:
        parts.append(f'<p class="problem">{_text(turn.error or "interrupted")}</p>')
    tokens, seconds = _tokens(turn), _seconds(turn)
    parts += [
        _bar("tokens", tokens, most_tokens, f"{tokens:,} tokens"),
        _bar("time", seconds, longest, format_duration(seconds)),
        "</section>",
    ]
    return "\n".join(parts)


def _tool(call: ToolCall) -> str:
    outcome = call.outcome
    return (
        f'<details class="tool {outcome.replace(" ", "-")}"><summary>{_text(call.name)} '
        f"<code>{_text(one_line(call.summary, _COMMAND))}</code> <small>{outcome}</small></summary>"
        f"<pre>{_text(call.summary)}</pre></details>"
    )


def _bar(kind: str, value: float, most: float, told: str) -> str:
    share = round(1000 * value / most) if most else 0
    return (
        f'<div class="bar {kind}"><svg viewBox="0 0 1000 10" preserveAspectRatio="none" '
        f'role="img" aria-label="{told}"><rect width="{share}" height="10"></rect></svg>'
        f"<small>{told}</small></div>"
    )


def _text(text: str) -> str:
    return escape(sanitize(text))


def _time(moment: datetime | None) -> str | None:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else None


def _tokens(turn: Turn) -> int:
    return turn.usage.input_tokens + turn.usage.output_tokens


def _seconds(turn: Turn) -> float:
    if turn.started_at is None or turn.completed_at is None:
        return 0.0
    return max(0.0, (turn.completed_at - turn.started_at).total_seconds())


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{digest}"
