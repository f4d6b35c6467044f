"""A policy on record: one record for a call, however often it is judged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdqctl.engine.audit import recorded
from sdqctl.model.audit import Source
from sdqctl.model.session import SessionRef
from sdqctl.model.tools import (
    AsksHumans,
    ToolDecision,
    ToolKind,
    ToolPolicy,
    ToolRequest,
    evaluate,
    may_allow,
    on_record,
)
from sdqctl.policy.ask import Answer, AskingPolicy, Reply
from sdqctl.policy.policy import build_policy
from sdqctl.store.audit import requests_of
from sdqctl.store.ledger import Ledger

REF = SessionRef("mock", "s")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home") as ledger:
        ledger.record_session(REF, name="s", cwd=None, created_at=datetime.now(UTC))
        yield ledger


@pytest.fixture
def run(ledger: Ledger) -> str:
    return ledger.start_run(
        adapter="mock",
        session_id="s",
        session_name="s",
        workflow=None,
        workflow_path=None,
        workflow_text=None,
        steps_total=1,
        options="{}",
        cwd=None,
        model=None,
    ).id


def rows(ledger: Ledger) -> list[tuple[str, str | None, bool, str, str]]:
    found = requests_of(ledger, REF)
    return [(r.target, r.tool_call_id, r.allowed, r.by, r.source) for r in found]


def before(kind: ToolKind, target: str) -> ToolRequest:
    return ToolRequest(kind=kind, target=target, tool="t", source=Source.HOOK)


def asked(kind: ToolKind, target: str, call: str) -> ToolRequest:
    return ToolRequest(kind=kind, target=target, tool_call_id=call)


def policy(tmp_path: Path, *allow: str) -> ToolPolicy:
    return build_policy(mode="audit", cwd=tmp_path, allow_tools=allow)


def test_a_call_that_is_judged_before_and_when_the_runtime_asks_is_one_record(
    ledger: Ledger, run: str, tmp_path: Path
) -> None:
    kept = recorded(policy(tmp_path, "shell(ls:*)"), ledger, run)
    place = str(tmp_path)
    for call in ("1", "2"):
        assert kept.decide(before(ToolKind.SHELL, "ls")).allowed
        assert kept.decide(before(ToolKind.READ, f"{place}/src/../a")).allowed
        assert kept.decide(asked(ToolKind.SHELL, "ls", f"s{call}")).allowed
        assert kept.decide(asked(ToolKind.READ, f"{place}/a", f"r{call}")).allowed
        assert kept.decide(asked(ToolKind.READ, f"{place}/a", f"r{call}")).allowed
    assert rows(ledger) == [
        ("ls", "s1", True, "shell(ls:*)", "policy"),
        (f"{place}/src/../a", "r1", True, "mode audit", "policy"),
        ("ls", "s2", True, "shell(ls:*)", "policy"),
        (f"{place}/src/../a", "r2", True, "mode audit", "policy"),
    ]


def test_what_is_judged_before_alone_stays_a_record_of_its_own(
    ledger: Ledger, run: str, tmp_path: Path
) -> None:
    kept = recorded(policy(tmp_path, "mcp(lab)"), ledger, run)
    assert kept.decide(before(ToolKind.MCP, "lab:ping")).allowed
    assert not kept.decide(before(ToolKind.SHELL, "rm x")).allowed
    odd = ToolDecision(False, "odd", final=True, by="sdqctl", why="not understood")
    assert on_record(kept, before(ToolKind.OTHER, "view"), odd) == odd
    assert rows(ledger) == [
        ("lab:ping", None, True, "mcp(lab)", "hook"),
        ("rm x", None, False, "mode audit", "hook"),
        ("view", None, False, "sdqctl", "hook"),
    ]


def test_what_a_human_may_lift_is_recorded_with_the_answer(
    ledger: Ledger, run: str, tmp_path: Path
) -> None:
    async def yes(request: ToolRequest, decision: ToolDecision) -> Reply:
        return Reply(Answer.ONCE)

    kept = recorded(AskingPolicy(policy(tmp_path), yes), ledger, run)
    assert isinstance(kept, AsksHumans)
    assert not kept.decide(before(ToolKind.SHELL, "ls")).allowed
    assert asyncio.run(evaluate(kept, asked(ToolKind.SHELL, "ls", "1"))).allowed
    assert rows(ledger) == [("ls", "1", True, "the user", "user")]


def test_a_policy_that_asks_nobody_asks_nobody_on_record(
    ledger: Ledger, run: str, tmp_path: Path
) -> None:
    kept = recorded(policy(tmp_path, "shell(ls:*)"), ledger, run)
    assert not isinstance(kept, AsksHumans)
    allowed = [kind for kind in ToolKind if may_allow(kept, kind)]
    assert allowed == [ToolKind.SHELL, ToolKind.READ, ToolKind.OTHER]
