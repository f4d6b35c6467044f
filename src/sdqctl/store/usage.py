"""What runs used, summed over attempts that count and those that failed: both cost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from sdqctl.model.session import SessionRef, Usage
from sdqctl.model.views.session import UsageView
from sdqctl.store.ledger import Ledger

_SPANS: dict[str, Callable[[dict[str, str]], str]] = {
    "day": lambda row: f"{datetime.fromisoformat(row['started_at']).astimezone():%Y-%m-%d}",
    "workflow": lambda row: row["workflow"] or "single prompts",
    "model": lambda row: row["model"] or "default",
    "session": lambda row: row["session_name"] or row["session_id"],
}


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """The use of one group. `seconds` is the time in which prompts were answered."""

    group: str
    prompts: int
    tools: int
    usage: Usage
    seconds: float


def usage_values(group: str, row: UsageRow) -> dict[str, object]:
    """The use of one group as JSON and CSV show it (`UsageView`), by column."""
    usage = row.usage
    named: dict[str, Any] = {group: row.group}
    view = UsageView(
        **named,
        prompts=row.prompts,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        model_calls=usage.model_calls,
        tools=row.tools,
        cost=usage.cost,
        seconds=round(row.seconds, 3),
    )
    values: dict[str, object] = msgspec.to_builtins(view)
    return values


def usage_by(ledger: Ledger, group: str, since: datetime | None) -> list[UsageRow]:
    """The use by `day`, `workflow`, `model` or `session`, in the order of the groups' names."""
    found: dict[str, UsageRow] = {}
    rows = _attempts(ledger, since.isoformat() if since else None)
    for row in rows:
        name = _SPANS[group](row)
        earlier = found.get(name) or UsageRow(
            group=name, prompts=0, tools=0, usage=Usage(), seconds=0.0
        )
        found[name] = UsageRow(
            group=name,
            prompts=earlier.prompts + 1,
            tools=earlier.tools + len(msgspec.json.decode(row["tools"], type=list[object])),
            usage=earlier.usage + msgspec.json.decode(row["usage"], type=Usage),
            seconds=earlier.seconds + _seconds(row),
        )
    return [found[name] for name in sorted(found)]


def tokens_by_session(ledger: Ledger) -> dict[SessionRef, int]:
    """Input and output tokens of each session that sdqctl drove."""
    found: dict[SessionRef, int] = {}
    for row in _attempts(ledger, None):
        ref = SessionRef(row["adapter"], row["session_id"])
        usage = msgspec.json.decode(row["usage"], type=Usage)
        found[ref] = found.get(ref, 0) + usage.input_tokens + usage.output_tokens
    return found


def _seconds(row: dict[str, str]) -> float:
    if not row["completed_at"]:
        return 0.0
    begun, ended = map(datetime.fromisoformat, (row["started_at"], row["completed_at"]))
    return max(0.0, (ended - begun).total_seconds())


def _attempts(ledger: Ledger, since: str | None) -> list[dict[str, str]]:
    """Every attempt at a prompt, with what it used and of which run it was."""
    query = """
        SELECT a.session_id, a.tools, a.usage, a.started_at, a.completed_at,
            runs.adapter, runs.workflow, runs.model, runs.session_name
        FROM attempts AS a JOIN runs ON runs.id = a.run_id
        WHERE a.turn_id IS NOT NULL AND (? IS NULL OR a.started_at >= ?) ORDER BY a.number
    """
    return [dict(row) for row in ledger.rows(query, since, since)]


def used_by_all(ledger: Ledger) -> tuple[int, float]:
    """The tokens and the cost of everything that is recorded."""
    rows = ledger.rows(
        "SELECT sum(json_extract(usage, '$.input_tokens') + json_extract(usage, '$.output_tokens'))"
        " AS tokens, sum(json_extract(usage, '$.cost')) AS cost FROM attempts"
        " WHERE turn_id IS NOT NULL"
    )
    return (int(rows[0]["tokens"] or 0), float(rows[0]["cost"] or 0.0)) if rows else (0, 0.0)
