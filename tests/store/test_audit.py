"""The table of tool requests: under which step a request is put, and when it is on disk."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdqctl.errors import StoreError
from sdqctl.model.run import StepStatus
from sdqctl.model.session import SessionRef
from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.store.audit import record_net_refusal, record_request, requests_of
from sdqctl.store.ledger import Ledger
from sdqctl.store.transfer import SessionRows, put_rows, take_rows

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
        steps_total=2,
        options="{}",
        cwd=None,
        model=None,
    ).id


def begin(ledger: Ledger, run: str, path: str, session: str = "s") -> None:
    ledger.begin_step(
        run,
        path=path,
        cycle=1,
        kind="prompt",
        title="t",
        digest="d",
        session_id=session,
        turn_id=f"turn-{path}",
        prompt="p",
    )


def ask(ledger: Ledger, run: str, target: str, *, allowed: bool = True) -> None:
    request = ToolRequest(kind=ToolKind.SHELL, target=target, tool_call_id=target)
    record_request(ledger, run, request, ToolDecision(allowed, "because", by="shell"))


def test_a_request_is_put_under_the_step_that_is_at_work(ledger: Ledger, run: str) -> None:
    ask(ledger, run, "before")
    begin(ledger, run, "1")
    ask(ledger, run, "first")
    ledger.finish_step(run, "1", StepStatus.FAILED)
    begin(ledger, run, "1")
    ask(ledger, run, "again")
    ledger.finish_step(run, "1", StepStatus.DONE)
    begin(ledger, run, "2")
    ask(ledger, run, "second", allowed=False)
    found = [(r.target, r.position, r.attempt, r.turn_id) for r in requests_of(ledger, REF)]
    assert found == [
        ("before", None, None, None),
        ("first", 1, 1, "turn-1"),
        ("again", 1, 2, "turn-1"),
        ("second", 2, 1, "turn-2"),
    ]


def test_a_request_belongs_to_the_session_that_its_step_is_in(ledger: Ledger, run: str) -> None:
    begin(ledger, run, "1")
    ask(ledger, run, "here")
    ledger.finish_step(run, "1", StepStatus.DONE)
    begin(ledger, run, "2", session="s-2")
    ask(ledger, run, "there")
    assert [r.target for r in requests_of(ledger, REF)] == ["here"]
    assert [r.target for r in requests_of(ledger, SessionRef("mock", "s-2"))] == ["there"]


def test_what_the_net_refused_is_recorded_as_its_refusal(ledger: Ledger, run: str) -> None:
    begin(ledger, run, "1")
    record_net_refusal(
        ledger, run, kind=ToolKind.WRITE, target="/etc/x", by="the net", reason="outside", tool="sh"
    )
    [record] = requests_of(ledger, REF)
    assert (record.source, record.by, record.allowed, record.tool) == (
        "net",
        "the net",
        False,
        "sh",
    )


def synchronous(ledger: Ledger) -> int:
    return int(ledger.database.rows("PRAGMA synchronous")[0][0])


def test_only_what_may_have_an_effect_waits_for_the_disk(ledger: Ledger, run: str) -> None:
    full, normal = 2, 1
    seen = []
    redact = ledger.redact

    def looking(text: str) -> str:
        seen.append(synchronous(ledger))
        return redact(text)

    ledger.redact = looking
    ask(ledger, run, "acts")
    ask(ledger, run, "refused", allowed=False)
    read = ToolRequest(kind=ToolKind.READ, target="reads")
    record_request(ledger, run, read, ToolDecision(True, "because", by="mode audit"))
    assert seen[::3] == [full, normal, normal]
    assert synchronous(ledger) == full


def test_a_request_of_a_run_that_is_gone_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="is not in the ledger"):
        ask(ledger, "nothing", "x")


@pytest.mark.parametrize(
    "wrong",
    [
        {"source = 'x'; --": 1},
        {"run_id": "another"},
        {"kind": None},
        {"decided_at": "yesterday"},
        {"position": "first"},
    ],
    ids=str,
)
def test_rows_of_a_bundle_that_are_no_requests_are_refused(
    wrong: dict[str, object], ledger: Ledger, run: str
) -> None:
    begin(ledger, run, "1")
    ask(ledger, run, "x")
    rows = take_rows(ledger, REF)
    bad = [row | wrong for row in rows.tool_requests]
    broken = SessionRows(runs=rows.runs, attempts=rows.attempts, tool_requests=bad)
    with (
        pytest.raises(ValueError, match=r"rows|column"),
        ledger.database.write("test") as connection,
    ):
        put_rows(connection, broken)
