"""A kill at every commit point, one after another, of runs, of resumes, and of what is between.

In the plainest workflow each other passing of a point is killed; in the others each seventh of
some points, from another one on at each. With `--kills` (`make crash`) it is each passing of all.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import sdqctl
from tests.command import Done
from tests.conftest import ROOT
from tests.crash.mock_story import (
    BESIDE,
    CALLING,
    FLOW,
    HEAD,
    KILLED,
    MOVING,
    STRAIGHT,
    Home,
    Workflow,
    reset,
)
from tests.released import test_released
from tests.sampling import each
from tests.waiting import remove

pytestmark = pytest.mark.crash

WORKFLOWS = {
    "straight": STRAIGHT,
    "moving": MOVING,
    "beside": BESIDE,
    "flow": FLOW,
    "calling": CALLING,
}
OF_A_RUN = [
    "ledger.run",
    "ledger.session",
    "ledger.plan",
    "ledger.begin",
    "ledger.accept",
    "ledger.finish",
]
"""Passed by every run, before and after each commit."""
AFTER_COMMITS = [f"{name}.after" for name in OF_A_RUN]
"""After one is before the next: half of the points tell nearly all."""
OF_THE_MOCK = [
    "mock.accepted",
    "mock.stored",
    "mock.answered",
    "mock.tool.before",
    "mock.tool.after",
]
OF_THE_TREE = ["workspace.index", "workspace.commit", "workspace.ref"]
"""Passed by each snapshot of a tree that changed."""
ELSEWHERE = {
    "document": "test_a_kill_around_the_writing_of_the_document",
    "ledger.tool": "test_a_kill_where_a_tool_s_request_is_recorded",
    "ledger.shown": "test_a_kill_around_the_showing_of_a_gate",
    "ledger.commands": "test_a_kill_where_the_commands_of_a_run_are_settled",
    "ledger.answer": "test_a_kill_around_an_answer_at_a_gate",
    "ledger.supersede": "test_a_kill_while_steps_are_taken_out_of_a_run",
    "ledger.rounds": "test_a_kill_while_a_list_is_decided_anew_repeats_no_round",
    "ledger.fork": "test_a_kill_during_a_fork_leaves_the_original_and_another_fork_can_be_made",
    "fork.copied": "test_a_fork_that_was_killed_is_made_by_the_same_command",
    "ledger.import": "test_a_kill_during_an_import_leaves_all_or_nothing",
    "ledger.unsettle": "test_a_kill_during_a_delete_leaves_a_session_or_what_is_restored",
    "delete.deleted": "test_what_a_killed_delete_left_is_none_of_a_new_session_of_the_name",
    "ledger.settle": "test_a_kill_while_an_import_is_settled_leaves_its_session",
    "migrate": "test_a_kill_during_a_migration_is_made_good_by_the_next_command",
    "workspace.restore": "test_a_kill_while_a_step_is_taken_back_with_its_files",
    "workspace.restored": "test_a_kill_while_a_step_is_taken_back_with_its_files",
    "ledger.half-done": "test_a_kill_while_a_step_is_taken_back_with_its_files",
    "mock.rewind": "test_a_kill_while_a_prompt_is_taken_out_of_the_context",
    "rewind.recorded": "test_a_rewind_that_was_killed_is_finished_by_the_same_command",
    "ledger.rewind": "test_a_rewind_that_was_killed_is_finished_by_the_same_command",
    "rewind.cut": "test_a_rewind_that_was_killed_is_finished_by_the_same_command",
    "ledger.redo": "test_a_redo_that_was_killed_before_anything_was_deleted_is_done_again",
    "redo.deleted": "test_a_redo_that_was_killed_leaves_the_session_in_the_trash",
    "acp.rewind": "test_going_back_is_finished_by_the_command_after_a_kill",
    "fleet.launch": "test_a_worker_that_dies_as_it_begins_a_run_leaves_it_to_others",
    "fleet.publish": "test_a_step_that_was_done_and_not_published_is_done_anew_elsewhere",
    "state.publish": "test_a_job_that_is_killed_anywhere_goes_on_where_its_state_says",
    "ledger.interrupt": "test_an_interrupt_that_was_killed_counts_once_it_is_recorded",
    "ledger.messages": "test_a_resume_that_is_killed_as_it_forgets_what_was_left_is_given_again",
    "ledger.question": "test_a_run_that_is_killed_as_it_asks_asks_again",
    "ledger.reply": "test_an_answer_that_was_killed_counts_once_it_is_recorded",
    "worktree.recorded": "test_a_worktree_that_a_kill_left_is_made_again",
    "worktree.added": "test_a_worktree_that_a_kill_left_is_made_again",
    "worktree.removed": "test_a_worktree_that_a_kill_left_is_removed",
}
"""Commit points that a plain run does not pass, and the test that kills there."""
BEGUN = [
    ("straight", "mock.tool.after:1"),
    ("moving", "ledger.run.after:3"),
    ("moving", "mock.tool.after:2"),
    ("beside", "ledger.begin.after:4"),
    ("flow", "ledger.begin.after:9"),
    ("calling", "mock.tool.after:3"),
]
"""Runs that are killed for a first time; their resumes are killed everywhere."""
_WRITE = re.compile(r"ledger\.(?!json$|db$)[a-z-]+|migrate")
"""What a write to the ledger is called."""
_SINGLE = (
    "acp.",
    "delete.",
    "fleet.",
    "fork.",
    "mock.",
    "workspace.",
    "rewind.",
    "redo.",
    "state.",
    "worktree.",
)
_MOST = 60
"""More often no point is passed in one command."""


def points(names: list[str]) -> list[str]:
    """The commit points of these names: two around each write to the ledger."""
    return [
        point
        for name in names
        for point in ([name] if name.startswith(_SINGLE) else [f"{name}.before", f"{name}.after"])
    ]


@dataclass(frozen=True)
class Passings:
    """Which passings of a point are killed: from the first, each so many."""

    first: int = 1
    step: int = 1


class Places:
    """Homes in one folder, one after another; what was begun in one is copied, not done again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._kept = folder / "one", folder / "kept"

    def new(self, workflow: Workflow) -> Home:
        """A home in which nothing was done."""
        return Home(reset(self._folder), workflow)

    def begun(self, workflow: Workflow, point: str | None) -> Home:
        """A home in which the workflow was killed at this point, or has come to its end."""
        kept = self._kept / f"{[*WORKFLOWS.values()].index(workflow)} {point}"
        if not kept.exists():
            home = self.new(workflow)
            assert home.run(point).code in (KILLED if point else (0,)), home.story()
            shutil.copytree(self._folder, kept, symlinks=True)
        remove(self._folder)
        shutil.copytree(kept, self._folder, symlinks=True)
        return Home(self._folder, workflow)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(tmp_path_factory.mktemp("places"))


@pytest.fixture
def passings(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Passings:
    """The passings of a point that are killed in this test."""
    if pytestconfig.getoption("--kills"):
        return Passings()
    each = 2 if "straight-" in request.node.name else 7
    return Passings(1 + zlib.crc32(request.node.name.encode()) % each, each)


def kill_everywhere(
    point: str,
    attempt: Callable[[str], tuple[Home, Done]],
    then: Callable[[Home, int], None],
    passings: Passings | None = None,
) -> int:
    """Kill at each passing of a point, in a home of its own, and look at it when it was finished.

    `attempt` makes the home, and the command that is killed at a passing. Returns how many kills
    there were; a point that is passed less often than the first number is killed at its first.
    """
    wanted = passings or Passings()
    for kills, number in enumerate(range(wanted.first, _MOST, wanted.step)):
        home, done = attempt(f"{point}:{number}")
        if done.code in KILLED:
            then(home, number)
        elif kills or wanted.first == 1:
            return kills
        else:
            return kill_everywhere(point, attempt, then, Passings(1, wanted.step))
    raise AssertionError(f"{point} is passed without end")


def finish(home: Home, number: int) -> None:
    """Go on to the end, where everything was done once."""
    home.finish()
    home.check()


OTHERS = [
    *(("moving", point) for point in [*AFTER_COMMITS, *OF_THE_MOCK]),
    *(("beside", point) for point in [*AFTER_COMMITS, *OF_THE_MOCK[:3]]),
    *(("flow", point) for point in ["ledger.begin.after", "ledger.finish.after", *OF_THE_MOCK]),
    *(("calling", point) for point in points(OF_A_RUN) + OF_THE_MOCK),
]
RESUMES = [(*begun, point) for begun in BEGUN for point in [*AFTER_COMMITS, *OF_THE_MOCK]]


@pytest.mark.parametrize(
    ("name", "point"),
    [
        *each(4, [("straight", point) for point in points(OF_A_RUN + OF_THE_MOCK + OF_THE_TREE)]),
        *each(8, OTHERS),
    ],
)
def test_a_kill_at_any_commit_point_loses_and_repeats_nothing(
    name: str, point: str, home: Path, places: Places, passings: Passings
) -> None:
    def attempt(at: str) -> tuple[Home, Done]:
        place = places.new(WORKFLOWS[name])
        return place, place.run(at)

    def then(home: Home, number: int) -> None:
        asides = between(home, number)
        home.finish()
        home.check(asides)

    kills = kill_everywhere(point, attempt, then, passings)
    assert kills > 0, f"{point} is never passed"


def between(home: Home, number: int) -> int:
    """What a user does between a kill and the resume: each time another thing.

    Returns how many prompts that made in the first conversation.
    """
    match number % 4:
        case 1:
            done = home.command("resume", "victim", "--prompt", "aside [[reply: beside]]")
            assert done.code in (0, 7), home.story()
            return 1 if done.code == 0 else 0
        case 2:
            done = home.command("sessions", "fork", "victim", "copy")
            assert done.code in (0, 7), home.story()
        case 3:
            done = home.command("sessions", "delete", "victim", "--force")
            assert done.code in (0, 7), home.story()
            if done.code == 0:
                assert home.command("sessions", "restore", "victim").code == 0, home.story()
    return 0


@pytest.mark.parametrize(("name", "first", "point"), each(11, RESUMES))
def test_a_kill_during_a_resume_loses_and_repeats_nothing(
    name: str, first: str, point: str, home: Path, places: Places, passings: Passings
) -> None:
    def attempt(at: str) -> tuple[Home, Done]:
        place = places.begun(WORKFLOWS[name], first)
        return place, place.go_on(crash=at)

    kill_everywhere(point, attempt, finish, passings)


@pytest.mark.parametrize("point", points(["ledger.shown"]))
def test_a_kill_around_the_showing_of_a_gate(point: str, home: Path, tmp_path: Path) -> None:
    place = Home(tmp_path / "one", BESIDE)
    assert place.run(f"{point}:1").code in KILLED
    assert place.go_on().code == (8 if point.endswith("before") else 0)
    place.finish()
    place.check()


@pytest.mark.parametrize("point", points(["ledger.answer"]))
def test_a_kill_around_an_answer_at_a_gate(point: str, home: Path, tmp_path: Path) -> None:
    text = f'{HEAD}ASK go "Which?" choice(left|right)\nRUN sh -c "echo {{{{go}}}} >> lines"\n'
    place = Home(tmp_path / "one", Workflow(text, 2, {}, lines=("left",)))
    assert place.run().code == 8
    killed = place.command("resume", "victim", "--answer", "left", crash=f"{point}:1")
    assert killed.code in KILLED
    if point.endswith("before"):
        assert place.go_on().code == 8
        assert place.command("resume", "victim", "--answer", "left").code == 0
    else:
        assert place.command("resume", "victim", "--answer", "right").code == 2
        place.finish()
    place.check()


@pytest.mark.parametrize("point", points(["ledger.commands"]))
def test_a_kill_where_the_commands_of_a_run_are_settled(
    point: str, home: Path, places: Places
) -> None:
    def attempt(at: str) -> tuple[Home, Done]:
        place = places.new(STRAIGHT)
        return place, place.run(at)

    assert kill_everywhere(point, attempt, finish) > 0


@pytest.mark.parametrize("point", points(["ledger.tool"]))
def test_a_kill_where_a_tool_s_request_is_recorded(point: str, home: Path, places: Places) -> None:
    def attempt(at: str) -> tuple[Home, Done]:
        place = places.new(STRAIGHT)
        return place, place.run(at)

    assert kill_everywhere(point, attempt, finish) > 0


@pytest.mark.parametrize("point", points(["document"]))
def test_a_kill_around_the_writing_of_the_document(point: str, home: Path, tmp_path: Path) -> None:
    workflow = replace(STRAIGHT, text=f"{STRAIGHT.text}OUTPUT-FILE out.md\n")
    place = Home(tmp_path / "one", workflow)
    assert place.run(f"{point}:1").code in KILLED
    place.finish()
    place.check()
    assert (place.project / "out.md").read_text() == "one\n\ntwo\n\nthree\n"


@pytest.mark.parametrize("point", points(["ledger.supersede"]))
def test_a_kill_while_steps_are_taken_out_of_a_run(point: str, home: Path, places: Places) -> None:
    """`--from 3` has steps 3 to 6 run again; whichever were taken out, all are done in the end."""

    def attempt(at: str) -> tuple[Home, Done]:
        place = places.begun(STRAIGHT, None)
        return place, place.go_on("--from", "3", crash=at)

    def then(home: Home, number: int) -> None:
        assert home.go_on("--from", "3").code == 0, home.story()
        done = home.rows("SELECT path FROM attempts WHERE superseded = 0 AND status = 'done'")
        assert sorted(row["path"] for row in done) == [*"123456"]
        asked = [e["data"]["content"] for e in home.journal("victim") if "content" in e["data"]]
        assert sum(text.startswith("first") for text in asked) == 1
        assert sum(text.startswith("third") for text in asked) == 2

    assert kill_everywhere(point, attempt, then) == 4


OF_A_FORK = ["ledger.fork.before:1", "ledger.fork.after:1", "fork.copied:1", "ledger.fork.before:2"]
"""Where a fork may be killed before it is whole; after the last of them it is."""


@pytest.mark.parametrize("point", [*OF_A_FORK, "ledger.fork.after:2"])
def test_a_kill_during_a_fork_leaves_the_original_and_another_fork_can_be_made(
    point: str, home: Path, places: Places
) -> None:
    place = places.begun(STRAIGHT, "ledger.begin.after:3")
    assert place.command("sessions", "fork", "victim", "copy", crash=point).code in KILLED
    listed = place.command("sessions", "list")
    assert listed.code == 0, place.story()
    assert place.command("sessions", "fork", "victim", "other").code == 0, place.story()
    assert place.command("resume", "other", "--continue").code == 0, place.story()
    forget_effects(place)
    assert place.command("sessions", "delete", "other", "--force").code == 0
    if "copy" in listed.out:
        assert place.command("sessions", "delete", "copy", "--force").code == 0
    place.finish()
    place.check()


@pytest.mark.parametrize("point", OF_A_FORK)
def test_a_fork_that_was_killed_is_made_by_the_same_command(
    point: str, home: Path, places: Places
) -> None:
    """The copy goes on where the original stood: what that did by then is not done again."""
    place = places.begun(STRAIGHT, "ledger.begin.after:3")
    for _ in range(2):
        assert place.command("sessions", "fork", "victim", "copy", crash=point).code in KILLED
    assert place.command("sessions", "fork", "victim", "copy").code == 0, place.story()
    listed = json.loads(place.command("sessions", "list", "--format", "json").out)
    assert [one["name"] for one in listed].count("copy") == 1
    assert place.command("resume", "copy", "--continue").code == 0, place.story()
    asked = [e["data"]["content"] for e in place.journal("copy") if "content" in e["data"]]
    assert [sum(text.startswith(word) for text in asked) for word in ("first", "third")] == [1, 1]
    assert (place.project / "lines").read_text() == "line\n", place.story()
    assert (place.project / "effects").read_text() == "1\n2\n", place.story()
    forget_effects(place)
    assert place.command("sessions", "delete", "copy", "--force").code == 0
    place.finish()
    place.check()


def test_a_fork_that_was_killed_is_made_also_when_the_original_went_on_since(
    home: Path, places: Places
) -> None:
    place = places.begun(STRAIGHT, "mock.stored:2")  # the prompt is taken out of the talk, and sent
    fork = ("sessions", "fork", "victim", "copy")
    assert place.command(*fork, crash="fork.copied:1").code in KILLED
    place.finish()
    place.check()
    assert place.command(*fork).code == 0, place.story()
    assert place.command("resume", "copy", "--continue").code == 0, place.story()
    assert (place.project / "lines").read_text() == "line\n", place.story()
    assert (place.project / "effects").read_text() == "1\n2\n", place.story()


@pytest.mark.parametrize("point", ["fork.copied:1", "ledger.fork.before:2"])
def test_a_copy_that_a_kill_left_is_taken_for_no_session_that_has_done_nothing(
    point: str, home: Path, places: Places, tmp_path: Path
) -> None:
    place = places.begun(STRAIGHT, "ledger.begin.after:3")
    assert place.command("sessions", "fork", "victim", "copy", crash=point).code in KILLED
    bundle = tmp_path / "copy.sdqctl"
    for command in (
        ("resume", "copy", "--continue"),
        ("resume", "copy", "--continue", place.file),
        ("resume", "copy", "--prompt", "aside"),
        ("run", place.file, "--session-name", "copy"),
        ("run", place.file, "--session-name", "copy", "--resume-if-exists"),
        ("resume", "copy", "--continue", "--dry-run"),
        ("sessions", "fork", "copy", "again"),
        ("sessions", "rename", "copy", "again"),
        ("sessions", "export", "copy", "--format", "bundle", "-o", bundle),
    ):
        done = place.command(*command)
        assert done.code == 4, place.story()
        assert "sdqctl sessions fork victim copy" in done.err, place.story()
    assert "not whole" in place.command("sessions", "show", "copy").err
    assert (place.project / "lines").read_text() == "line\n", place.story()
    assert not (place.project / "effects").exists(), place.story()


def test_a_copy_that_was_never_made_keeps_its_name_from_nobody(home: Path, places: Places) -> None:
    place = places.begun(STRAIGHT, "ledger.begin.after:3")
    fork = ("sessions", "fork", "victim", "copy")
    assert place.command(*fork, crash="ledger.fork.after:1").code in KILLED
    assert place.command("sessions", "rename", "victim", "copy").code == 0, place.story()
    assert place.command("resume", "copy", "--continue").code == 0, place.story()
    assert place.command("sessions", "rename", "copy", "victim").code == 0, place.story()
    assert place.command(*fork, crash="ledger.fork.after:1").code in KILLED
    (place.project / "other.conv").write_text("ADAPTER mock\nPROMPT x\n")
    other = ("run", place.project / "other.conv", "--session-name", "copy")
    assert place.command(*other, crash="ledger.begin.after:1").code in KILLED
    assert place.command("resume", "copy", "--continue").code == 0, place.story()


def test_a_copy_that_a_kill_left_and_that_went_on_elsewhere_is_not_removed_by_a_fork(
    home: Path, places: Places
) -> None:
    place = places.begun(STRAIGHT, "ledger.begin.after:3")
    fork = ("sessions", "fork", "victim", "copy")
    assert place.command(*fork, crash="fork.copied:1").code in KILLED
    said = place.journal_file("copy")
    event = {"type": "user.message", "data": {"content": "of another client", "messageId": "m"}}
    said.write_text(said.read_text() + json.dumps(event) + "\n")
    assert place.command(*fork).code == 7, place.story()
    assert "of another client" in place.journal_file("copy").read_text()


def forget_effects(place: Home) -> None:
    """Leave of what was done what the original had done before its fork."""
    (place.project / "effects").unlink(missing_ok=True)
    (place.project / "lines").write_text("line\n")


@pytest.mark.parametrize("point", points(["ledger.import"]))
def test_a_kill_during_an_import_leaves_all_or_nothing(
    point: str, home: Path, places: Places, tmp_path: Path
) -> None:
    other, bundle = carried(places, tmp_path)
    bring = ("sessions", "import", bundle, "--cwd", other.project)
    assert other.command(*bring, crash=f"{point}:1").code in KILLED
    assert other.command(*bring).code == 0, other.story()
    other.finish()
    other.check()


@pytest.mark.parametrize("point", points(["ledger.settle"]))
def test_a_kill_while_an_import_is_settled_leaves_its_session(
    point: str, home: Path, places: Places, tmp_path: Path
) -> None:
    place, bundle = carried(places, tmp_path)
    bring = ("sessions", "import", bundle, "--cwd", place.project)
    assert place.command(*bring, crash=f"{point}:1").code in KILLED
    assert place.command("sessions", "keep", "victim", crash=f"{point}:1").code in (0, *KILLED)
    place.finish()
    place.check()


@pytest.mark.parametrize("how", ["again", "after another workflow"])
def test_what_a_killed_import_left_is_none_of_a_new_session_of_the_name(
    how: str, home: Path, places: Places, tmp_path: Path
) -> None:
    place, bundle = carried(places, tmp_path)
    bring = ("sessions", "import", bundle, "--cwd", place.project)
    assert place.command(*bring, crash="ledger.import.after:1").code in KILLED
    begin_anew(place, how)


OF_A_DELETE = [*points(["ledger.unsettle"]), "delete.deleted", *points(["ledger.session"])]


@pytest.mark.parametrize("point", OF_A_DELETE)
def test_a_kill_during_a_delete_leaves_a_session_or_what_is_restored(
    point: str, home: Path, places: Places
) -> None:
    place = places.begun(STRAIGHT, "mock.tool.after:1")
    delete = ("sessions", "delete", "victim", "--force")
    assert place.command(*delete, crash=f"{point}:1").code in KILLED
    if place.command("resume", "victim", "--continue").code == 7:
        assert place.command("sessions", "restore", "victim").code == 0, place.story()
    place.finish()
    place.check()


@pytest.mark.parametrize("how", ["again", "after another workflow"])
@pytest.mark.parametrize("point", OF_A_DELETE[2:])
def test_what_a_killed_delete_left_is_none_of_a_new_session_of_the_name(
    point: str, how: str, home: Path, places: Places
) -> None:
    place = places.begun(STRAIGHT, "mock.tool.after:1")
    delete = ("sessions", "delete", "victim", "--force")
    assert place.command(*delete, crash=f"{point}:1").code in KILLED
    begin_anew(place, how)


@pytest.mark.parametrize("how", ["again", "after another workflow"])
def test_what_is_recorded_of_a_session_that_others_deleted_is_none_of_a_new_one(
    how: str, home: Path, places: Places
) -> None:
    place = places.begun(STRAIGHT, "mock.tool.after:1")
    shutil.rmtree(place.data / "mock" / "victim")
    begin_anew(place, how)
    assert "kept as 'victim (gone)'" in place.story()
    query = "SELECT status FROM attempts WHERE session_id GLOB 'victim-gone-*' ORDER BY number"
    assert [row["status"] for row in place.rows(query)] == ["done", "done", "begun"]
    assert place.command("resume", "victim (gone)", "--continue").code == 7, place.story()


def test_a_deleted_conversation_that_a_run_has_left_is_none_of_a_new_session(
    home: Path, places: Places
) -> None:
    text = f"{HEAD}PROMPT a [[reply: A]]\nNEW-CONVERSATION\nPROMPT b [[reply: B]]\n"
    workflow = Workflow(text, 3, {"victim": {"a": "A"}, "victim (2)": {"b": "B"}})
    place = places.new(workflow)
    assert place.run("mock.stored:2").code in KILLED
    assert place.command("sessions", "delete", "victim", "--force").code == 0, place.story()
    file = place.project / "aside.conv"
    file.write_text("ADAPTER mock\nPROMPT aside\n")
    assert place.command("run", file, "--session-name", "victim").code == 0, place.story()
    assert place.command("run", place.file, "--resume-if-exists").code == 0, place.story()
    asked = [e["data"]["content"] for e in place.journal("victim") if "content" in e["data"]]
    assert [text.split()[0] for text in asked if "[[" in text or text == "aside"] == ["aside", "a"]


@pytest.mark.parametrize("then", ["restore", "begin anew"])
def test_what_a_killed_redo_left_is_restored_and_is_none_of_a_new_session(
    then: str, home: Path, places: Places
) -> None:
    place = places.begun(STRAIGHT, None)
    assert place.command("sessions", "rewind", "victim", "--to", "2", "--conversation").code == 0
    redo = ("sessions", "redo", "victim")
    assert place.command(*redo, crash="ledger.session.before:1").code in KILLED
    if then == "restore":
        assert place.command("resume", "victim", "--continue").code == 7, place.story()
        assert place.command("sessions", "restore", "victim").code == 0, place.story()
        place.check()
    else:
        begin_anew(place, "after another workflow")


def carried(places: Places, folder: Path) -> tuple[Home, Path]:
    """A home without any session, and a bundle of one that was killed elsewhere."""
    place = places.begun(STRAIGHT, "mock.tool.after:1")
    bundle = folder / "victim.sdqctl"
    export = ("sessions", "export", "victim", "--format", "bundle", "-o", bundle)
    assert place.command(*export).code == 0
    other = Home(folder / "other", STRAIGHT)
    shutil.copytree(place.project, other.project, dirs_exist_ok=True)
    return other, bundle


def begin_anew(place: Home, how: str) -> None:
    """Do the workflow in a new session of the name, killed on its way: all of it, once."""
    for path in ("effects", "lines"):
        (place.project / path).unlink(missing_ok=True)
    if how == "again":
        assert place.run("ledger.begin.after:2").code in KILLED
        place.finish()
        place.check()
        return
    file = place.project / "aside.conv"
    file.write_text("ADAPTER mock\nPROMPT aside\n")
    assert place.command("run", file, "--session-name", "victim").code == 0, place.story()
    assert place.command("resume", "victim", "--continue").code == 0, place.story()
    assert not (place.project / "lines").exists(), place.story()
    assert place.command("run", place.file, "--resume-if-exists").code == 0, place.story()
    assert (place.project / "lines").read_text() == "line\n", place.story()
    assert (place.project / "effects").read_text() == "1\n2\n", place.story()


@pytest.mark.parametrize("point", points(["migrate"]))
def test_a_kill_during_a_migration_is_made_good_by_the_next_command(
    point: str, home: Path, places: Places
) -> None:
    """A ledger of version 0.1, killed before and after all that it misses is applied."""
    workflow = Workflow(HEAD + "PROMPT first [[reply: one]]\n", 1, {"victim": {"first": "one"}})

    def attempt(at: str) -> tuple[Home, Done]:
        place = places.new(workflow)
        place.data.mkdir()
        shutil.copy(test_released.VERSION / "home" / "sdqctl" / "ledger.db", place.data)
        return place, place.run(at)

    def then(home: Home, number: int) -> None:
        home.finish()
        home.command("sessions", "list")
        runs = home.rows("SELECT number FROM runs ORDER BY number")
        assert [row["number"] for row in runs] == list(range(1, len(runs) + 1))
        kept = home.rows("SELECT count(*) AS n FROM attempts")
        assert kept[0]["n"] > 30

    assert kill_everywhere(point, attempt, then) >= 1


@pytest.mark.parametrize("policy", ["continue", "resend"])
def test_a_kill_while_a_prompt_is_taken_out_of_the_context(
    policy: str, home: Path, places: Places
) -> None:
    first = "mock.stored:2" if policy == "continue" else "mock.tool.before:1"
    place = places.begun(STRAIGHT, first)
    flags = ["--on-interrupted", policy]
    for number in (1, 1):
        assert place.go_on(*flags, crash=f"mock.rewind:{number}").code in KILLED
    assert place.go_on(*flags).code == 0, place.story()
    place.check()


@pytest.mark.parametrize(
    "point",
    each(
        3,
        [
            *points(["ledger.half-done", "workspace.restore", "workspace.restored", "mock.rewind"]),
            *OF_THE_TREE,
            "ledger.begin.after",
            "mock.tool.after",
            "ledger.finish.before",
        ],
    ),
)
def test_a_kill_while_a_step_is_taken_back_with_its_files(
    point: str, home: Path, places: Places, passings: Passings
) -> None:
    def attempt(at: str) -> tuple[Home, Done]:
        place = places.new(STRAIGHT)  # a copied folder is another one, whose files are not touched
        assert place.run("mock.tool.after:1").code in KILLED
        return place, place.go_on(*flags, crash=at)

    def then(home: Home, number: int) -> None:
        home.finish(*flags)
        home.check()

    flags = ("--on-interrupted", "rewind")
    assert kill_everywhere(point, attempt, then, passings) > 0


def test_the_suite_kills_at_every_commit_point_there_is() -> None:
    """Found in the source: what `commit_point` and the ledger's `write` are called with."""
    known = {*points(OF_A_RUN + OF_THE_MOCK + OF_THE_TREE), *points([*ELSEWHERE])}
    found = set()
    for path in Path(sdqctl.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and _WRITE.fullmatch(text):
                found |= {f"{text}.before", f"{text}.after"}
            if isinstance(node, ast.Call) and "commit_point" in ast.unparse(node.func):
                name = ast.unparse(node.args[0])
                assert re.fullmatch(r"'[a-z.]+'|f'\{name\}\.(before|after)'", name), (path, name)
                found |= {name.strip("'")} if name.startswith("'") else set()
    assert found == known
    texts = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    tests = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert set(ELSEWHERE.values()) <= tests
