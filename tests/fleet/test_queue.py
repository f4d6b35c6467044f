"""Runs in a queue: put in once, done within the worker's policy, given back, taken over."""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg
import pytest

from sdqctl.fleet.address import store_address
from sdqctl.fleet.database import Database
from sdqctl.fleet.queue import take_over
from tests.cli.test_json import read
from tests.command import Running
from tests.fleet.machines import PATIENCE, Fleet, Machine
from tests.sampling import some
from tests.waiting import wait_for
from tests.workspace.gits import git, write

STORY = """\
SESSION-NAME q-{{COMPONENT_NAME}}
MODE implement
ALLOW-SHELL true
PROMPT look at {{COMPONENT_PATH}} [[reply: A]]
RUN echo {{COMPONENT_NAME}} >> done.txt
PROMPT more [[tool: write new.txt text]] [[reply: B]]
"""
WAITS = """\
SESSION-NAME q
MODE implement
ALLOW-SHELL true
PROMPT a [[reply: A]]
RUN echo line >> done.txt; until test -e {go}; do sleep 0.1; done
PROMPT b [[reply: B]]
"""
CALLS = """\
SESSION-NAME q
MODE implement
ALLOW-SHELL true
PROMPT a [[reply: A]]
FOR x IN [1, 2, 3]
  CALL lib/part.conv WITH n={{x}} AS way
END
PROMPT b {{ way_all | join(",") }} [[reply: B]]
"""
PART = """\
MODE implement
ALLOW-SHELL true
INPUT n
RUN echo {{n}} >> done.txt
CALL last.conv WITH n={{n}} AS found
RETURN found
"""
LAST = """\
MODE implement
ALLOW-SHELL true
INPUT n
PROMPT {{n}} [[reply: P]]
RUN until test {{n}} != 2 -o -e GO; do sleep 0.1; done
RETURN n
"""
SIDE_BY_SIDE = """\
SESSION-NAME q
MODE implement
FOR x IN [1] PARALLEL 2
  CALL other.conv
END
"""


@pytest.fixture
def parts(fleet: Fleet) -> Fleet:
    """A repository with two components, which all have cloned."""
    write(fleet.origin, {"parts/x.txt": "x\n", "parts/y.txt": "y\n"})
    git(fleet.origin, "add", "-A")
    git(fleet.origin, "commit", "-qm", "parts")
    return fleet


def worker(fleet: Fleet, name: str, *more: str, mode: str = "implement") -> tuple[str | Path, ...]:
    """The arguments of a worker on a machine, which ends when nothing is left."""
    machine = fleet.machine(name)
    clone = f"{fleet.origin}={machine.clone}"
    return ("worker", "--mode", mode, "--take-over", "3s", "--repository", clone, *more)


def states(fleet: Fleet) -> list[tuple[object, ...]]:
    """How the runs stand."""
    return fleet.asked("SELECT name, status FROM sdqctl.runs ORDER BY number")


def working(fleet: Fleet, name: str, *more: str) -> Running:
    """A worker at work on the run that waits, in its second step."""
    machine = fleet.machine(name)
    running = machine.start(*worker(fleet, name, *more))
    trees = machine.folder / "home" / "sdqctl" / "worktrees"
    try:
        wait_for(lambda: any(trees.glob("*/*/done.txt")))
    except BaseException:
        running.kill()
        raise
    return running


def enqueued(fleet: Fleet) -> Machine:
    """The machine that put in a run, which waits for the file `go`."""
    one = fleet.machine("a")
    one.run("run", fleet.write(WAITS.format(go=fleet.folder / "go")), "--queue")
    return one


def check_whole(fleet: Fleet, session: str = "q") -> None:
    """What was done of the run that waited is whole, and each line there once."""
    one = fleet.machine("home")
    one.run("sessions", "pull", session)
    assert one.answers(session) == ["A", "B"]
    assert (one.tree(session) / "done.txt").read_text() == "line\n"


def test_a_batch_is_put_in_once_and_waited_for_as_on_one_machine(parts: Fleet) -> None:
    one, two = parts.machine("a"), parts.machine("b")
    batch = ("apply", parts.write(STORY), "--components", "parts/*.txt", "--queue")
    assert "2 runs put in" in one.run(*batch).err
    assert "0 runs put in, 0 again, 2 there" in one.run(*batch).err
    two.run(*worker(parts, "b", "--until-idle", "--parallel", "2"))
    done = one.run(*batch, "--wait", "1m", "--format", "json").json
    assert [(run["label"], run["status"], run["steps_done"]) for run in done] == [
        ("parts/x.txt", "completed", 3),
        ("parts/y.txt", "completed", 3),
    ]
    one.run("sessions", "pull", "q-y")
    assert (one.tree("q-y") / "done.txt").read_text() == "y\n"
    assert one.answers("q-y") == ["A", "B"]
    other = one.run("apply", parts.write(f"{STORY}PROMPT c\n"), *batch[2:], code=7)
    assert "another run in session 'q-x'" in other.err


def test_a_run_is_waited_for_also_where_its_session_is_by_now(fleet: Fleet) -> None:
    one = fleet.machine("a")
    put_in = ("run", "-p", "say [[reply: A]]", "--session-name", "q", "--queue", "--wait", "1m")
    one.run(*put_in[:-2])
    one.run(*worker(fleet, "a", "--until-idle"))
    assert "0 runs put in, 0 again, 1 there" in one.run(*put_in).err
    two = fleet.machine("b")
    two.run("run", "-p", "other", "--session-name", "mine")
    other = two.run("run", "-p", "say", "--session-name", "mine", "--queue", code=7)
    assert "'mine' exists already" in other.err
    assert states(fleet) == [("q", "completed")]


def test_a_run_of_a_worker_goes_on_elsewhere_for_its_component(parts: Fleet) -> None:
    one, go = parts.machine("a"), parts.folder / "go"
    story = parts.write(STORY.replace("RUN ", f"RUN test -e {go} && "))
    one.run("apply", story, "--components", "parts/y.txt", "--queue")
    parts.machine("b").run(*worker(parts, "b", "--until-idle"))
    go.touch()
    one.run("resume", "q-y", "--store", "--continue", "--mode", "implement")
    assert (one.tree("q-y") / "done.txt").read_text() == "y\n"


def test_a_run_does_no_more_than_its_worker_allows(parts: Fleet) -> None:
    one = parts.machine("a")
    text = "SESSION-NAME q\nMODE implement\nPROMPT a [[tool: write new.txt text]] [[reply: A]]\n"
    one.run("run", parts.write(text), "--queue", "--allow-all-tools")
    parts.machine("b").run(*worker(parts, "b", "--until-idle", mode="audit"))
    assert states(parts)[0][1] == "completed"
    trees = parts.machine("b").folder / "home" / "sdqctl" / "worktrees"
    assert [*trees.glob("*/*/a.txt")]
    assert not [*trees.glob("*/*/new.txt")]
    spec = str(parts.asked("SELECT spec FROM sdqctl.runs")[0][0])
    assert '"allow_all_tools\\":true' not in spec.replace(" ", "")


def test_a_worker_that_is_told_to_stop_gives_its_run_back(fleet: Fleet) -> None:
    enqueued(fleet)
    running = working(fleet, "b")
    running.send_signal(signal.SIGTERM)
    assert running.wait(PATIENCE) == 0
    assert states(fleet) == [("q", "queued")]
    (fleet.folder / "go").touch()
    fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
    assert states(fleet) == [("q", "completed")]
    check_whole(fleet)


def test_a_worker_takes_the_runs_of_its_tags_alone(fleet: Fleet) -> None:
    one = fleet.machine("a")
    for tag in ("big", "fast", "default"):
        put_in = ("run", "-p", "say [[reply: A]]", "--session-name", tag, "--queue", "--tag", tag)
        one.run(*put_in)
    fleet.machine("b").run(*worker(fleet, "b", "--until-idle", "--tags", "fast, big"))
    assert states(fleet) == [("big", "completed"), ("fast", "completed"), ("default", "queued")]


@pytest.mark.thorough
def test_a_worker_that_dies_as_it_begins_a_run_leaves_it_to_others(fleet: Fleet) -> None:
    enqueued(fleet)
    (fleet.folder / "go").touch()
    one = fleet.machine("b")
    one.run(*worker(fleet, "b"), code=-signal.SIGKILL, SDQCTL_CRASH_AT="fleet.launch:1")
    fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
    assert states(fleet) == [("q", "completed")]
    check_whole(fleet)


def test_a_job_whose_worker_did_not_hear_of_it_is_put_in_again(fleet: Fleet) -> None:
    one = fleet.machine("a")
    one.run("run", "-p", "say [[reply: A]]", "--session-name", "q", "--queue")
    fleet.asked(
        "SET search_path TO sdqctl;"
        "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() + interval '1 h');"
        "UPDATE procrastinate_jobs SET status = 'doing', "
        "worker_id = (SELECT max(id) FROM procrastinate_workers);"
        "UPDATE procrastinate_events SET at = at - interval '1 minute'"
    )
    fleet.machine("b").run(*worker(fleet, "b", "--until-idle"))
    assert states(fleet) == [("q", "completed")]


def test_runs_are_taken_over_by_one_worker_at_a_time(fleet: Fleet) -> None:
    one = fleet.machine("a")
    one.run("run", "-p", "say [[reply: A]]", "--session-name", "q", "--queue")
    fleet.asked("SET search_path TO sdqctl; UPDATE procrastinate_jobs SET status = 'cancelled'")
    address = store_address(fleet.store, {"SDQCTL_STORE": fleet.store})
    with Database(address) as database, psycopg.connect(fleet.store) as other:
        other.execute("SELECT pg_advisory_xact_lock(7365712)")
        assert take_over(database, 3.0) == 0
        other.rollback()
        assert take_over(database, 3.0) == 1
        assert take_over(database, 3.0) == 0


@pytest.mark.parametrize("number", some(1, [signal.SIGSTOP, signal.SIGKILL]))
def test_the_run_of_a_dead_or_frozen_worker_is_taken_over(
    number: signal.Signals, fleet: Fleet
) -> None:
    enqueued(fleet)
    running = working(fleet, "b")
    try:
        running.send_signal(number)
        (fleet.folder / "go").touch()
        fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
        assert states(fleet) == [("q", "completed")]
        published = fleet.asked("SELECT number, token FROM sdqctl.states")
        if number is signal.SIGSTOP:
            running.send_signal(signal.SIGCONT)
            wait_for(lambda: "was taken over" in fleet.machine("b").said())
            running.send_signal(signal.SIGTERM)
            assert running.wait(PATIENCE) == 0
        assert fleet.asked("SELECT number, token FROM sdqctl.states") == published
        assert states(fleet) == [("q", "completed")]
    finally:
        running.kill()
        running.wait()
    check_whole(fleet)


@pytest.mark.thorough
def test_a_run_in_a_later_conversation_is_taken_over_there(fleet: Fleet) -> None:
    go = fleet.folder / "go"
    later = "NEW-CONVERSATION\nPROMPT n [[reply: N]]\nRUN echo"
    story = WAITS.format(go=go).replace("RUN echo", later)
    fleet.machine("a").run("run", fleet.write(story), "--queue")
    running = working(fleet, "b")
    running.send_signal(signal.SIGKILL)
    running.wait()
    go.touch()
    done = fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
    assert states(fleet) == [("q", "completed")], done.err
    (run,) = read(fleet.machine("a").run("queue", "list", "--format", "json"), "queue list")
    assert (run["steps_done"], run["steps_total"]) == (5, 5)


@pytest.mark.thorough
def test_what_a_run_calls_is_done_anew_where_it_is_taken_over(fleet: Fleet) -> None:
    """In a tree that never saw its half; what was done before is not done again."""
    go, one = fleet.folder / "go", fleet.machine("a")
    (fleet.folder / "lib").mkdir()
    fleet.write(PART, "lib/part.conv")
    fleet.write(LAST.replace("GO", str(go)), "lib/last.conv")
    one.run("run", fleet.write(CALLS), "--queue")
    running = fleet.machine("b").start(*worker(fleet, "b"))
    trees = fleet.machine("b").folder / "home" / "sdqctl" / "worktrees"
    wait_for(lambda: any("2" in file.read_text() for file in trees.glob("*/*/done.txt")))
    running.send_signal(signal.SIGKILL)
    running.wait()
    go.touch()
    done = fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
    assert states(fleet) == [("q", "completed")], done.err
    one.run("sessions", "pull", "q")
    assert one.answers("q") == ["A", "B"]
    assert "b 1,2,3" in one.run("sessions", "show", "q", "--transcript").out
    assert (one.tree("q") / "done.txt").read_text() == "1\n2\n3\n"


@pytest.mark.thorough
def test_what_a_run_called_before_it_went_elsewhere_does_not_count_when_it_comes_back(
    fleet: Fleet,
) -> None:
    ok, one = fleet.folder / "ok", fleet.machine("a")
    ok.touch()
    part = "MODE implement\nALLOW-SHELL true\nRUN echo line >> done.txt\nRUN test -e OK\n"
    fleet.write(part.replace("OK", str(ok)), "part.conv")
    text = "SESSION-NAME q\nMODE implement\nPROMPT a [[reply: A]]\nCALL part.conv\nPROMPT b\n"
    one.run("run", fleet.write(text), "--queue")
    two = fleet.machine("b")
    two.run(*worker(fleet, "b"), code=-signal.SIGKILL, SDQCTL_CRASH_AT="ledger.finish.before:4")
    ok.unlink()
    fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
    assert states(fleet) == [("q", "failed")]
    ok.touch()
    one.run("queue", "retry", "q")
    two.run(*worker(fleet, "b", "--until-idle"))
    assert states(fleet) == [("q", "completed")]
    one.run("sessions", "pull", "q")
    assert (one.tree("q") / "done.txt").read_text() == "line\n"


def test_runs_are_paused_cancelled_put_in_again_and_taken_out(fleet: Fleet) -> None:
    one = fleet.machine("a")
    one.run("queue", "pause")
    for name in ("q", "r"):
        one.run("run", "-p", f"say [[reply: {name}]]", "--session-name", name, "--queue")
    assert states(fleet) == [("q", "held"), ("r", "held")]
    one.run("queue", "cancel", "R")
    one.run("queue", "pause", "--off")
    assert states(fleet) == [("q", "queued"), ("r", "cancelled")]
    fleet.machine("b").run(*worker(fleet, "b", "--until-idle"))
    (told,) = read(one.run("queue", "status", "--format", "json"), "queue status")
    listed = read(one.run("queue", "list", "--format", "json"), "queue list")
    shown = read(one.run("queue", "show", "q", "--format", "json"), "queue show")
    assert (listed[0], [run["name"] for run in listed]) == (shown, ["q", "r"])
    assert (told["tag"], told["paused"]) == ("default", False)
    assert told["runs"] == {"cancelled": 1, "completed": 1}
    one.run("queue", "purge", "--older-than", "0")
    assert states(fleet) == []
    assert "no run 'q'" in one.run("queue", "show", "q", code=7).err


def test_a_pause_frees_the_worker_and_a_retry_goes_on(fleet: Fleet) -> None:
    one, story = fleet.machine("a"), "SESSION-NAME q\nPROMPT a [[reply: A]]\nPAUSE look\nPROMPT b\n"
    waited = ("run", fleet.write(story), "--queue", "--wait", "1m")
    one.run(*waited[:-2])
    fleet.machine("b").run(*worker(fleet, "b", "--until-idle"))
    assert "q: paused" in one.run(*waited, code=8).err
    assert "look" in one.run("queue", "show", "q").out
    one.run("queue", "retry", "q")
    fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
    assert states(fleet) == [("q", "completed")]
    asks = 'SESSION-NAME z\nASK go "On?" choice(yes|no)\nPROMPT {{go}}\n'
    one.run("run", fleet.write(asks), "--queue")
    fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
    assert "On?" in one.run("queue", "show", "z").out
    one.run("queue", "answer", "z", "yes")
    one.run("run", fleet.write("SESSION-NAME bad\nRUN false\n"), "--queue")
    fleet.machine("b").run(*worker(fleet, "b", "--until-idle"))
    assert states(fleet)[1:] == [("z", "completed"), ("bad", "failed")]
    assert one.run("queue", "show", "bad", "--format", "json").json["exit_code"] == 4


def waiting(fleet: Fleet, text: str) -> Machine:
    """The machine that put in a run `q`, which a worker has left where it waits."""
    one = fleet.machine("a")
    one.run("run", fleet.write(f"SESSION-NAME q\n{text}"), "--queue")
    fleet.machine("b").run(*worker(fleet, "b", "--until-idle"))
    assert states(fleet) == [("q", "paused")]
    return one


def test_a_pause_takes_no_answer_and_is_not_passed_by_one(fleet: Fleet) -> None:
    one = waiting(fleet, 'PAUSE look at it\nPROMPT a\nASK v "Publish?" choice(yes|no)\n')
    done = one.run("queue", "answer", "q", "no", "--comment", "wait", code=2)
    assert "waits at no ASK" in done.err
    assert "look at it" in done.err
    assert "queue retry" in done.err
    assert states(fleet) == [("q", "paused")]


def test_an_answer_that_fits_no_more_leaves_the_run_where_it_waits(fleet: Fleet) -> None:
    text = 'ASK v "Publish?" choice(yes|no)\nPAUSE look at it\nPROMPT {{v}}\n'
    one = waiting(fleet, text)
    one.run("resume", "q", "--store", "--answer", "yes", code=8)
    one.run("queue", "answer", "q", "no")
    said = fleet.machine("b").run(*worker(fleet, "b", "--until-idle")).err
    assert "q: paused: look at it; the answer 'no' was not taken" in said
    assert "'no' was not taken" in one.run("queue", "show", "q").out
    assert "waits at no ASK" in one.run("queue", "answer", "q", "no", code=2).err
    assert states(fleet) == [("q", "paused")]


def test_a_run_waits_for_an_answer_that_is_one_of_the_choices(fleet: Fleet) -> None:
    one = waiting(fleet, 'ASK v "Publish?" choice(yes|no)\nPROMPT {{v}}\n')
    one.run("queue", "answer", "q", "maybe")
    fleet.machine("b").run(*worker(fleet, "b", "--until-idle"))
    assert states(fleet) == [("q", "paused")]
    assert "'maybe' was not taken" in one.run("queue", "show", "q").out
    one.run("queue", "answer", "q", "yes")
    fleet.machine("b").run(*worker(fleet, "b", "--until-idle"))
    assert states(fleet) == [("q", "completed")]


@pytest.mark.parametrize(("said", "is_told"), [("yes", False), ("no", True)])
def test_the_answer_of_a_worker_that_died_is_for_its_question_alone(
    said: str, is_told: bool, fleet: Fleet
) -> None:
    """It is in the queue still, as the worker had published what it was given and died."""
    one = waiting(fleet, 'ASK v "One?" choice(yes|no)\nASK w "Two?" choice(yes|no)\n')
    first = fleet.asked("SELECT gate FROM sdqctl.runs")[0][0]
    one.run("queue", "answer", "q", "yes")
    fleet.machine("b").run(*worker(fleet, "b", "--until-idle"))
    fleet.asked(
        "UPDATE sdqctl.runs SET status = 'running', "
        f"answer = '{said}', gate = '{first}' WHERE name = 'q'"
    )
    fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
    assert states(fleet) == [("q", "paused")]
    shown = one.run("queue", "show", "q").out
    assert "Two?" in shown
    assert ("was not taken" in shown) is is_told


@pytest.mark.thorough
def test_a_rate_limit_of_one_makes_all_wait(fleet: Fleet) -> None:
    one, text = fleet.machine("a"), "SESSION-NAME {}\nPROMPT a {}\n"
    one.run("run", fleet.write(text.format("q", "[[fail: rate-limit x1]] [[reply: A]]")), "--queue")
    running = fleet.machine("b").start(*worker(fleet, "b"))
    try:
        wait_for(lambda: fleet.asked("SELECT adapter FROM sdqctl.limits") == [("mock",)])
        fleet.asked("UPDATE sdqctl.limits SET not_before = now() + interval '3 s'")
        one.run("run", fleet.write(text.format("r", "[[reply: A]]")), "--queue")
        fleet.machine("c").run(*worker(fleet, "c", "--until-idle"))
    finally:
        running.terminate()
        running.wait()
    waited = "SELECT name, ended_at > not_before FROM sdqctl.runs, sdqctl.limits ORDER BY number"
    assert fleet.asked(waited) == [("q", True), ("r", True)]


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PROMPT a\n", "needs a name"),
        ("SESSION-NAME q\nALLOW-DIR HERE\nCALL ../other.conv\n", "leads out of"),
        ("SESSION-NAME q\nCALL asks.conv\n", "waits for somebody"),
        (SIDE_BY_SIDE, "cannot change files"),
        ("SESSION-NAME q\nPROMPT key hunter2hunter2\n", "looks like a secret"),
    ],
)
def test_what_a_queue_cannot_hold_is_refused(text: str, said: str, fleet: Fleet) -> None:
    (fleet.folder / "in").mkdir()
    fleet.write("PROMPT x\n", "other.conv")
    fleet.write("PROMPT x\n", "in/other.conv")
    fleet.write('ASK ok "Go on?" choice(yes|no)\n', "in/asks.conv")
    file = fleet.write(text.replace("HERE", str(fleet.folder)), "in/work.conv")
    done = fleet.machine("a").run("run", file, "--queue", code=2, MY_TOKEN="hunter2" * 2)
    assert said in done.err
