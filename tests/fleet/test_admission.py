"""How many runs go at a time, over all workers, and what a batch may use."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_json import read
from tests.fleet.machines import PATIENCE, Fleet, Machine
from tests.fleet.test_queue import states, worker
from tests.waiting import wait_for

WAITS = """\
SESSION-NAME q-{{{{COMPONENT_NAME}}}}
MODE implement
ALLOW-SHELL true
RUN until test -e {go}; do sleep 0.1; done
"""
_BEGUN = "SELECT count(*) FROM sdqctl.runs WHERE started_at IS NOT NULL"
_AT_ONCE = """
    SELECT max(others) FROM (SELECT (SELECT count(*) FROM sdqctl.runs AS b
        WHERE {} AND b.started_at <= a.started_at AND a.started_at < b.ended_at) AS others
    FROM sdqctl.runs AS a) AS c
"""
"""How many of some runs went at the same time, at most."""


def batch(fleet: Fleet, text: str, *names: str) -> tuple[str | Path, ...]:
    """The command that puts in a run for each name."""
    fleet.write("".join(f"{name}\n" for name in names), "names")
    return ("apply", fleet.write(text), "--components", f"@{fleet.folder / 'names'}", "--queue")


def prepared(fleet: Fleet) -> Machine:
    """The machine whose batches wait for the file `go`."""
    one = fleet.machine("a")
    one.run("queue", "init")
    return one


def test_so_many_runs_go_at_a_time_over_all_workers(fleet: Fleet) -> None:
    one, go = prepared(fleet), fleet.folder / "go"
    text = WAITS.format(go=go)
    one.run("queue", "limit", "--max-running", "3")
    one.run("queue", "limit", "--max-running", "1", "--tag", "big")
    one.run(*batch(fleet, text, "a", "b", "c"), "--tag", "big")
    one.run(*batch(fleet, text.replace("q-", "r-"), "a", "b", "c", "d"))
    slow = ("--parallel", "4", "--take-over", "5m")  # a starved worker is not a dead one
    workers = [fleet.machine(name).start(*worker(fleet, name, *slow)) for name in "bc"]
    try:
        wait_for(lambda: fleet.asked(f"{_BEGUN} AND tag = 'big'") == [(1,)])
        wait_for(lambda: fleet.asked(f"{_BEGUN}") == [(3,)])
        wait_for(lambda: fleet.asked("SELECT count(*) FROM sdqctl.runs WHERE waits") == [(4,)])
        (waiting,) = fleet.asked("SELECT min(name) FROM sdqctl.runs WHERE waits AND tag = 'big'")
        assert "at a time" in one.run("queue", "show", str(waiting[0])).out
        told = read(one.run("queue", "status", "--format", "json"), "queue status")
        bounds = [(tag["tag"], tag["max_running"], tag["max_running_in_all"]) for tag in told]
        assert bounds == [("big", 1, 3), ("default", None, 3)]
        go.touch()
        wait_for(lambda: {status for _, status in states(fleet)} == {"completed"})
    finally:
        for running in workers:
            running.terminate()
            assert running.wait(PATIENCE) == 0
    assert fleet.asked(_AT_ONCE.format("true")) == [(3,)]
    assert fleet.asked(_AT_ONCE.format("b.tag = 'big'")) == [(1,)]
    assert fleet.asked("SELECT max(attempts) FROM sdqctl.runs") == [(1,)]


def test_a_bound_that_is_lifted_lets_those_begin_that_wait(fleet: Fleet) -> None:
    one = prepared(fleet)
    one.run("queue", "limit", "--max-running", "0")
    one.run("run", "-p", "say [[reply: A]]", "--session-name", "q", "--queue")
    running = fleet.machine("b").start(*worker(fleet, "b"))
    try:
        wait_for(lambda: fleet.asked("SELECT waits FROM sdqctl.runs") == [(True,)])
        one.run("queue", "limit", "--off")
        wait_for(lambda: states(fleet) == [("q", "completed")])
    finally:
        running.terminate()
        assert running.wait(PATIENCE) == 0


def test_a_batch_begins_no_run_once_its_budget_is_used_up(fleet: Fleet) -> None:
    one = prepared(fleet)
    text = "SESSION-NAME q-{{COMPONENT_NAME}}\nPROMPT a [[reply: A]]\n"
    given = batch(fleet, text, "a", "b", "c")
    assert "--queue" in one.run(*given[:-1], "--batch-max-tokens", "1", code=2).err
    one.run(*given, "--batch-max-tokens", "1")
    fleet.machine("b").run(*worker(fleet, "b", "--until-idle"))
    assert [status for _, status in states(fleet)] == ["completed", "failed", "failed"]
    assert fleet.asked("SELECT tokens > 0 FROM sdqctl.batches") == [(True,)]
    assert one.run("queue", "show", "q-c", "--format", "json").json["exit_code"] == 4
    assert "--batch-max-tokens" in one.run("queue", "show", "q-c").out
    one.run(*given, "--batch-max-tokens", "1000000")
    fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
    assert {status for _, status in states(fleet)} == {"completed"}
    assert fleet.asked("SELECT count(*) FROM sdqctl.batches") == [(1,)]
