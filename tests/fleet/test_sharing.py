"""Sessions move between machines through a store, with talk, runs and files: one writer a time."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from sdqctl.model.session import SessionRef
from sdqctl.store.locks import SessionLock
from tests.fleet.machines import PATIENCE, Fleet, Machine
from tests.waiting import has_line, wait_for

STORY = """\
SESSION-NAME s
MODE implement
ALLOW-SHELL true
PROMPT a [[reply: A]]
RUN echo two >> a.txt
PAUSE
RUN echo three >> a.txt
PROMPT b [[reply: B]]
RUN echo line >> new.txt; until test -e {go}; do sleep 0.1; done
PROMPT c [[reply: C]]
"""
ON = ("resume", "s", "--store", "--continue", "--mode", "implement")
SECRET = "hunter2" * 2


def waiting(fleet: Fleet) -> None:
    """The same, but its fifth step waits for the file `go`."""
    one = fleet.machine("a")
    one.run("run", fleet.write(STORY.format(go=fleet.folder / "go")), code=8)
    one.run("sessions", "push", "s")


@pytest.fixture
def paused(fleet: Fleet) -> Fleet:
    """A session `s` that paused on machine `a` and was pushed."""
    waiting(fleet)
    (fleet.folder / "go").touch()
    return fleet


def listed(machine: Machine) -> dict[str, object]:
    """The one session that a machine sees."""
    (found,) = machine.run("sessions", "list", "--store", "--format", "json").json
    assert isinstance(found, dict)
    return found


def test_a_session_goes_on_elsewhere_with_talk_and_files_and_comes_back(paused: Fleet) -> None:
    one, two = paused.machine("a"), paused.machine("b")
    (paused.folder / "work.conv").unlink()
    seen = listed(two)
    assert (seen["name"], seen["is_remote"], seen["status"], seen["turns"]) == (
        *("s", True, "paused"),
        1,
    )
    assert two.run("sessions", "list", "--format", "json").json == []
    two.run(*ON)
    assert (two.tree() / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert (listed(two)["is_remote"], listed(two)["status"]) == (False, "completed")
    assert one.answers() == ["A"]
    done = one.run("sessions", "pull", "s")
    assert "the copy that was here is in the trash" in done.err
    assert one.answers() == two.answers() == ["A", "B", "C"]
    assert (one.tree() / "new.txt").read_text() == "line\n"
    assert (one.clone / "a.txt").read_text() == "one\ntwo\n"
    assert "nothing newer" in one.run("sessions", "pull", "s").err
    two.run("sessions", "pull", "s", "--force")
    assert len([*(two.folder / "home" / "sdqctl" / "workflows").iterdir()]) == 1


@pytest.mark.thorough
def test_what_is_unchanged_is_not_published_again_and_only_some_states_are_kept(
    paused: Fleet,
) -> None:
    one = paused.machine("a")
    assert "as it is here" in one.run("sessions", "push", "s").err
    one.run("resume", "s", "--store", "--continue", "--mode", "implement")
    for number in range(3):
        one.run("resume", "s", "--store", "--prompt", f"more {number} [[reply: {number}]]")
    count = "SELECT count(*), max(number) > 6 FROM sdqctl.states"
    assert paused.asked(count) == [(5, True)]
    orphans = "SELECT 1 FROM sdqctl.pieces AS p WHERE NOT EXISTS (SELECT 1 FROM sdqctl.states AS t "
    assert paused.asked(f"{orphans} WHERE p.digest = ANY(t.pieces))") == []


def test_nothing_is_pushed_of_a_session_that_another_process_writes(paused: Fleet) -> None:
    one = paused.machine("a")
    one.run("resume", "s", "--prompt", "more [[reply: more]]")
    with SessionLock.acquire(Path(one.environment["SDQCTL_HOME"]), SessionRef("mock", "s")):
        busy = one.run("sessions", "push", "s", code=75)
    assert "is being written by" in busy.err
    assert "as it is here" not in one.run("sessions", "push", "s").err


def stalled(fleet: Fleet, one: Machine) -> None:
    """Have a machine stand in the last step, with what came before it in the store."""
    done = "SELECT count(*) FROM sdqctl.states WHERE view LIKE '%\"steps_done\":5%'"
    wait_for(lambda: fleet.asked(done) == [(1,)])
    wait_for(lambda: "[6/7] run" in one.said() and has_line(one.clone / "new.txt"))


@pytest.mark.thorough
def test_a_killed_run_goes_on_elsewhere_at_the_step_that_it_was_in(fleet: Fleet) -> None:
    one, two = fleet.machine("a"), fleet.machine("b")
    waiting(fleet)
    running = one.start(*ON)
    try:
        stalled(fleet, one)
        busy = two.run(*ON, code=75)
        assert "session 's' is held by process" in busy.err
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    fleet.let_leases_end()
    (fleet.folder / "go").touch()
    two.run(*ON)
    assert two.answers() == ["A", "B", "C"]
    assert (two.tree() / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert (two.tree() / "new.txt").read_text() == "line\n"


@pytest.mark.thorough
def test_a_step_that_was_done_and_not_published_is_done_anew_elsewhere(paused: Fleet) -> None:
    one, two = paused.machine("a"), paused.machine("b")
    one.run(*ON, code=-signal.SIGKILL, SDQCTL_CRASH_AT="fleet.publish:1")
    paused.let_leases_end()
    two.run(*ON)
    assert two.answers() == ["A", "B", "C"]
    assert (two.tree() / "a.txt").read_text() == "one\ntwo\nthree\n"


def test_a_frozen_run_that_was_taken_over_publishes_nothing_more(fleet: Fleet) -> None:
    one, two = fleet.machine("a"), fleet.machine("b")
    waiting(fleet)
    running = one.start(*ON)
    try:
        stalled(fleet, one)
        running.send_signal(signal.SIGSTOP)
        fleet.let_leases_end()
        (fleet.folder / "go").touch()
        two.run(*ON)
        states = fleet.asked("SELECT number, token FROM sdqctl.states ORDER BY 1")
        running.send_signal(signal.SIGCONT)
        assert running.wait(PATIENCE) == 75
    finally:
        running.kill()
        running.wait()
    assert "session 's' was taken over" in one.said()
    assert fleet.asked("SELECT number, token FROM sdqctl.states ORDER BY 1") == states
    assert "went apart" in one.run("sessions", "pull", "s", code=7).err
    one.run("sessions", "pull", "s", "--force")
    assert one.answers() == two.answers() == ["A", "B", "C"]


def test_copies_that_went_apart_are_not_mixed(paused: Fleet) -> None:
    one, two = paused.machine("a"), paused.machine("b")
    two.run("resume", "s", "--store", "--prompt", "x [[reply: X]]")
    one.run("resume", "s", "--prompt", "y [[reply: Y]]")
    assert "a newer state" in one.run("sessions", "push", "s", code=7).err
    assert "--name NEW" in one.run("sessions", "pull", "s", code=7).err
    one.run("sessions", "pull", "s", "--name", "theirs")
    assert (one.answers(), one.answers("theirs")) == (["A", "Y"], ["A", "X"])
    other = paused.machine("c")
    other.run("run", "-p", "other", "--session-name", "s")
    assert "another session named 's'" in other.run("sessions", "push", "s", code=7).err


def test_a_stored_session_is_as_a_strangers_bundle(paused: Fleet) -> None:
    two = paused.machine("b")
    two.run("sessions", "pull", "s", "--name", "t")
    assert two.run("resume", "t", "--continue", "--mode", "audit").code == 0
    two.run("sessions", "delete", "t", "--force")
    paused.asked("UPDATE sdqctl.pieces SET data = '\\x00'")
    done = two.run("sessions", "pull", "s", code=2)
    assert "a piece of the state" in done.err
    paused.asked("UPDATE sdqctl.states SET view = '{}'")
    assert two.run("sessions", "pull", "s", code=7).err
    assert two.run("sessions", "list", "--format", "json").json == []


def test_secrets_stay_on_their_machine(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", SECRET)
    one, two = fleet.machine("a"), fleet.machine("b")
    one.run("run", "-p", f"say {SECRET} [[reply: it is {SECRET}]]", "--session-name", "s")
    assert "looks like a secret" in one.run("sessions", "push", "s").err
    monkeypatch.delenv("MY_TOKEN")
    two.run("sessions", "pull", "s")
    assert two.answers() == ["it is [redacted]"]
    for path in two.folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_a_store_that_cannot_be_used_says_why(paused: Fleet) -> None:
    one = paused.machine("a")
    gone = paused.store.replace("host=", "host=/nowhere")
    done = one.run("sessions", "push", "s", SDQCTL_STORE=gone, code=75)
    assert "nothing was lost here" in done.err
    missing = paused.store.replace("/test_", "/none_")
    assert "createdb" in one.run("sessions", "push", "s", SDQCTL_STORE=missing, code=9).err
    paused.asked("INSERT INTO sdqctl.migrations (name) VALUES ('9999-later')")
    done = one.run("sessions", "list", "--store", code=9)
    assert "newer sdqctl" in done.err


def test_a_password_stands_in_no_file_list_or_error(paused: Fleet, home: Path) -> None:
    one, secret = paused.machine("a"), "xyzzy-plugh"
    address = paused.store.replace("postgres:@", f"postgres:{secret}@")
    refused = one.run("sessions", "push", "s", "--store", address, code=2)
    assert "PGPASSWORD" in refused.err
    one.run("sessions", "list", "--store", SDQCTL_STORE=address)
    gone = address.replace("host=", "host=/nowhere")
    failed = one.run("sessions", "push", "s", SDQCTL_STORE=gone, code=75)
    one.run("resume", "s", "--store", "--continue", "--mode", "implement", SDQCTL_STORE=address)
    assert secret not in refused.err + failed.err
    for path in one.folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sessions", "push", "s"], "no shared store is named"),
        (["sessions", "pull", "s", "--store", "mysql://x/y"], "none of Postgres"),
        (["resume", "--store"], "the name of a session"),
        (["resume", "s", "--store"], "--prompt or --continue"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], said: str, paused: Fleet) -> None:
    done = paused.machine("a").run(*arguments, code=2, SDQCTL_STORE="")
    assert said in done.err
