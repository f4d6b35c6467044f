"""The ledger keeps intents and outcomes, refuses what it does not know, and loses nothing."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sdqctl.errors import StoreDamagedError, StoreError, StoreNewerError
from sdqctl.model.run import RunStatus, StepStatus
from sdqctl.model.session import SessionRef, ToolCall, Usage
from sdqctl.store.check import backup_ledger, check_ledger
from sdqctl.store.database import FILE_NAME, Database
from sdqctl.store.ledger import Ledger
from sdqctl.store.migrations import MIGRATIONS
from sdqctl.store.redact import Redactor


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path) as ledger:
        yield ledger


def start(ledger: Ledger, session: str = "s", steps: int = 2) -> str:
    run = ledger.start_run(
        adapter="mock",
        session_id=session,
        session_name=session,
        workflow="w",
        workflow_path="/w.conv",
        workflow_text="PROMPT x",
        steps_total=steps,
        options="{}",
        cwd="/",
        model=None,
    )
    return run.id


def begin(ledger: Ledger, run_id: str, path: str = "1", prompt: str = "do it") -> None:
    ledger.begin_step(
        run_id,
        path=path,
        cycle=1,
        kind="prompt",
        title="step",
        digest=f"d{path}",
        session_id="s",
        turn_id="t1",
        prompt=prompt,
        journal_position=7,
    )


def test_a_step_is_kept_from_its_intent_to_its_outcome(ledger: Ledger, tmp_path: Path) -> None:
    run_id = start(ledger)
    begin(ledger, run_id)
    with Ledger.open(tmp_path, read_only=True) as other:
        step = other.step(run_id, "1")
        assert step is not None
        assert (step.status, step.prompt) == (StepStatus.BEGUN, "do it")
        assert (step.journal_position, step.message_id) == (7, None)
    ledger.accept_step(run_id, "1", "m1")
    tool = ToolCall(id="c", name="view", summary="x", ok=True)
    ledger.finish_step(
        run_id, "1", StepStatus.DONE, response="done", tools=[tool], usage=Usage(model_calls=1)
    )
    with Ledger.open(tmp_path, read_only=True) as other:
        (step,) = other.steps(run_id)
        assert (step.status, step.message_id, step.response) == (StepStatus.DONE, "m1", "done")
        assert (step.tools, step.usage.model_calls, step.attempts) == ((tool,), 1, 1)
        run = other.run(run_id)
        assert run is not None
        assert (run.steps_done, run.steps_total) == (1, 2)


def test_an_outcome_is_never_overwritten(ledger: Ledger) -> None:
    run_id = start(ledger)
    begin(ledger, run_id)
    ledger.finish_step(run_id, "1", StepStatus.DONE, response="first")
    with pytest.raises(StoreError, match="has its outcome already"):
        ledger.finish_step(run_id, "1", StepStatus.FAILED, error="second")
    with pytest.raises(StoreError):
        ledger.accept_step(run_id, "1", "m2")
    step = ledger.step(run_id, "1")
    assert step is not None
    assert step.response == "first"


def test_another_attempt_is_counted_and_the_last_one_holds(ledger: Ledger) -> None:
    run_id = start(ledger)
    begin(ledger, run_id)
    ledger.finish_step(run_id, "1", StepStatus.FAILED, error="bad luck")
    begin(ledger, run_id)
    step = ledger.step(run_id, "1")
    assert step is not None
    assert (step.status, step.attempts) == (StepStatus.BEGUN, 2)
    assert len(ledger.attempts(run_id)) == 2


def test_a_new_plan_moves_known_steps_and_supersedes_the_others(ledger: Ledger) -> None:
    run_id = start(ledger)
    for path in ("1", "2"):
        begin(ledger, run_id, path)
        ledger.finish_step(run_id, path, StepStatus.DONE, response=f"r{path}")
    ledger.place_attempts(run_id, {"1": "2"})
    assert [(s.path, s.response) for s in ledger.steps(run_id)] == [("2", "r1")]
    assert [s.superseded for s in ledger.attempts(run_id)] == [False, True]


def test_a_write_that_fails_leaves_nothing_behind(ledger: Ledger, tmp_path: Path) -> None:
    run_id = start(ledger)
    with pytest.raises(StoreError):
        begin(ledger, "no such run")
    assert ledger.steps(run_id) == []
    assert check_ledger(tmp_path).problems == ()


def test_two_writers_wait_for_each_other(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            with Ledger.open(tmp_path) as ledger:
                for _ in range(20):
                    run_id = start(ledger, name)
                    begin(ledger, run_id)
                    ledger.finish_step(run_id, "1", StepStatus.DONE)
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"s{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    report = check_ledger(tmp_path)
    assert (report.runs, report.attempts, report.problems) == (80, 80, ())


def test_the_runs_of_a_session_are_found_without_a_look_at_those_of_others(ledger: Ledger) -> None:
    """Counted in steps of SQLite's machine: with 200 runs, and with 1,200."""
    steps = []
    for more in (200, 1000):
        for number in range(more):
            start(ledger, f"other-{more}-{number}")
        begin(ledger, start(ledger, f"mine-{more}"))
        steps.append(steps_of(ledger, SessionRef("mock", f"mine-{more}")))
    assert steps[1] <= steps[0] * 1.1, steps


def steps_of(ledger: Ledger, ref: SessionRef) -> int:
    """The steps of SQLite's machine in which a session's runs are found."""
    count = 0

    def counted() -> int:
        nonlocal count
        count += 1
        return 0

    connection = ledger.database._connection
    connection.set_progress_handler(counted, 1)
    try:
        assert [run.session_id for run in ledger.runs_of(ref, called=False)] == [ref.id]
    finally:
        connection.set_progress_handler(None, 1)
    return count


def test_a_single_prompt_hides_no_unfinished_workflow(ledger: Ledger) -> None:
    run_id = start(ledger)
    ledger.update_run(run_id, status=RunStatus.PAUSED)
    single = ledger.start_run(
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
    )
    ledger.update_run(single.id, status=RunStatus.COMPLETED)
    assert ledger.last_runs()[SessionRef("mock", "s")].id == run_id


def test_a_completed_workflow_hides_no_unfinished_one(ledger: Ledger) -> None:
    first, later = start(ledger), start(ledger)
    ledger.update_run(first, status=RunStatus.PAUSED)
    found = []
    for status in (RunStatus.RUNNING, RunStatus.COMPLETED, RunStatus.FAILED):
        ledger.update_run(later, status=status)
        found.append(ledger.last_runs()[SessionRef("mock", "s")].id)
    assert found == [later, first, later]


def test_a_forgotten_session_leaves_no_row(ledger: Ledger, tmp_path: Path) -> None:
    run_id = start(ledger)
    begin(ledger, run_id)
    ledger.forget_session(SessionRef("mock", "s"))
    assert ledger.run(run_id) is None
    report = check_ledger(tmp_path)
    assert (report.runs, report.attempts, report.problems) == (0, 0, ())


@pytest.mark.parametrize("count", range(len(MIGRATIONS) + 1))
def test_every_older_schema_is_brought_up_to_date(count: int, tmp_path: Path) -> None:
    """A ledger as each older version left it, with a run in it where it has the tables."""
    connection = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    if count:
        connection.execute(
            "CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)"
        )
    for name, statements in MIGRATIONS[:count]:
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO migrations VALUES (?, '2026-01-01')", (name,))
    if count:
        connection.execute(
            "INSERT INTO runs (id, adapter, session_id, session_name, status, steps_total, options,"
            " started_at, updated_at) VALUES ('r', 'mock', 's', 's', 'paused', 3, '{}',"
            " '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00')"
        )
    connection.close()
    with Ledger.open(tmp_path) as ledger:
        assert bool(ledger.runs_of(SessionRef("mock", "s"))) is bool(count)
        run_id = start(ledger)
        begin(ledger, run_id)
        assert ledger.step(run_id, "1") is not None
    assert check_ledger(tmp_path).migrations == tuple(name for name, _ in MIGRATIONS)


def opened(file: Path) -> Iterator[int]:
    """The descriptors of this process that are open on a file."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):
            if os.path.samestat(os.fstat(int(name)), file.stat()):
                yield int(name)


def test_a_newer_ledger_is_refused_for_reading_and_writing(tmp_path: Path) -> None:
    Ledger.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    connection.execute("INSERT INTO migrations VALUES ('9999-next', '2099-01-01')")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(StoreNewerError, match="9999-next") as refused:
            Ledger.open(tmp_path, read_only=read_only)
        assert refused.tb is not None, "its frames hold what was open"
        assert not [*opened(tmp_path / FILE_NAME)]


def test_a_damaged_ledger_is_reported_with_what_can_be_read(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        for number in range(200):
            run_id = start(ledger, f"s{number}")
            begin(ledger, run_id, prompt="word " * 200)
    file = tmp_path / FILE_NAME
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = b"\xff" * 20_000
    file.write_bytes(bytes(data))
    report = check_ledger(tmp_path)
    assert report.problems
    assert report.runs > 0
    with pytest.raises(StoreDamagedError), Ledger.open(tmp_path) as ledger:
        for number in range(200):
            ledger.runs_of(SessionRef("mock", f"s{number}"))
            ledger.turns_of(SessionRef("mock", f"s{number}"))
            for run in ledger.runs_of(SessionRef("mock", f"s{number}")):
                ledger.attempts(run.id)


def test_a_deleted_ledger_is_noticed_before_anything_is_lost_in_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    run_id = start(ledger)
    (tmp_path / FILE_NAME).unlink()
    with pytest.raises(StoreError, match="deleted or replaced"):
        begin(ledger, run_id)


def test_a_backup_is_a_whole_ledger_and_replaces_nothing(ledger: Ledger, tmp_path: Path) -> None:
    run_id = start(ledger)
    begin(ledger, run_id)
    folder = tmp_path / "copy"
    folder.mkdir()
    backup_ledger(tmp_path, folder / FILE_NAME)
    with Ledger.open(folder, read_only=True) as copy:
        assert copy.step(run_id, "1") is not None
    with pytest.raises(StoreError, match="exists already"):
        backup_ledger(tmp_path, folder / FILE_NAME)
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "none", read_only=True) as ledger:
        assert ledger.last_runs() == {}
        with pytest.raises(StoreError, match="for reading"):
            ledger.discard_run("r")
    assert not (tmp_path / "none").exists()


def test_secrets_are_in_no_column(tmp_path: Path) -> None:
    secret = "s3cr3t-value-of-a-key"
    token = "ghp_" + "a" * 36
    with Ledger.open(tmp_path, redact=Redactor({"SERVICE_API_KEY": secret})) as ledger:
        run_id = start(ledger)
        begin(ledger, run_id, prompt=f"use {secret} and {token}")
        ledger.finish_step(
            run_id,
            "1",
            StepStatus.FAILED,
            response=f"I used {secret}",
            error=f"401 for {token}",
            tools=[ToolCall(id="c", name="bash", summary=f"curl -H {token}")],
        )
        ledger.update_run(run_id, message=f"{secret} is wrong")
    for path in tmp_path.glob(f"{FILE_NAME}*"):
        data = path.read_bytes()
        assert secret.encode() not in data
        assert token.encode() not in data


def test_a_transaction_that_is_rolled_back_frees_the_ledger(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    with pytest.raises(RuntimeError), database.write("test"):
        raise RuntimeError("in the middle")
    with database.write("test") as connection:
        connection.execute("DELETE FROM runs")
    database.close()
