"""Looking at what steps did to files, going back to a step in talk and files, and undoing that."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdqctl.model.run import StepRecord, StepStatus
from sdqctl.sessions.places import last_done
from tests.bench import Bench
from tests.command import sdqctl
from tests.terminal import Terminal
from tests.workspace.gits import git, of_user, on_disk, repository, write

STORY = """\
MODE implement
ALLOW-SHELL true
PROMPT first [[tool: write one.txt 1]]
RUN echo two >> a.txt
PROMPT second
RUN echo three >> a.txt; rm one.txt
PROMPT third
"""


@pytest.fixture
def ran(bench: Bench) -> Bench:
    """A session `s` whose five steps changed files of a repository."""
    repository(bench.project, {"a.txt": "one\n", "work.conv": STORY})
    assert bench.run(STORY).done.code == 0
    return bench


def test_a_diff_shows_what_a_step_or_all_of_them_changed_as_git_does(ran: Bench) -> None:
    git(ran.project, "add", "-A")
    whole = sdqctl("sessions", "diff", "s", "--patch")
    assert whole.out == git(ran.project, "diff", "--cached", "-M", "HEAD")
    assert sdqctl("sessions", "diff", "s", "2", "--name-only").out == "a.txt\n"
    assert sdqctl("sessions", "diff", "s", "1..2", "--name-only").out == "a.txt\none.txt\n"
    assert sdqctl("sessions", "diff", "s", "4..", "--name-only").out == "a.txt\none.txt\n"
    assert " 1 file changed, 2 insertions(+)" in sdqctl("sessions", "diff", "s", "--stat").out
    nothing = sdqctl("sessions", "diff", "s", "3")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "nothing changed\n")


def test_a_patch_in_a_pipe_can_be_applied(ran: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(ran.project), str(other))
    git(other, "apply", data=sdqctl("sessions", "diff", "s", "1..2").out.encode())
    assert on_disk(other).keys() == {b"a.txt", b"one.txt", b"work.conv"}


@pytest.mark.each(4)
@pytest.mark.parametrize("steps", ["9", "2..1", "x", ".."])
def test_steps_that_are_none_are_a_usage_error(steps: str, ran: Bench) -> None:
    assert sdqctl("sessions", "diff", "s", steps).code == 2


def test_a_session_without_snapshots_says_so(bench: Bench) -> None:
    bench.run("PROMPT one\n", "--no-snapshots")
    done = sdqctl("sessions", "diff", "s")
    assert done.code == 4
    assert "has no snapshots" in done.err


def test_show_and_the_page_say_what_each_step_changed(ran: Bench) -> None:
    told = sdqctl("sessions", "show", "s").out
    assert "                2 files +1 -1\n" in told
    assert "                  deleted   one.txt +0 -1\n" in told
    files = sdqctl("sessions", "show", "s", "--format", "json").json["files"]
    assert [(each["path"], len(each["files"])) for each in files] == [("1", 1), ("2", 1), ("4", 2)]
    page = sdqctl("sessions", "export", "s", "--format", "html").out
    assert '<details class="diff"><summary>1 file +1 -0</summary><pre>diff --git a/a.txt' in page


def test_a_rewind_takes_back_talk_and_files_and_the_run_goes_on_from_there(ran: Bench) -> None:
    done = sdqctl("sessions", "rewind", "s", "--to", "2")
    assert done.code == 0
    assert (ran.project / "a.txt").read_text() == "one\ntwo\n"
    assert (ran.project / "one.txt").read_text() == "1"
    shown = sdqctl("sessions", "show", "s", "--format", "json").json
    assert (shown["run"]["steps_done"], shown["status"]) == (2, "interrupted")
    assert [turn["prompt"] for turn in shown["turns"]] == ["first [[tool: write one.txt 1]]"]
    told = ran.resume("--continue")
    assert told.steps == [("prompt", "done"), ("run", "done"), ("prompt", "done")]
    assert (ran.project / "a.txt").read_text() == "one\ntwo\nthree\n"


@pytest.mark.parametrize("part", ["--files", "--conversation"])
def test_files_and_talk_go_back_by_themselves(part: str, ran: Bench) -> None:
    assert sdqctl("sessions", "rewind", "s", "--to", "2", part).code == 0
    turns = sdqctl("sessions", "show", "s", "--format", "json").json["turns"]
    lines = (ran.project / "a.txt").read_text().splitlines()
    assert (len(turns), len(lines)) == ((3, 2) if part == "--files" else (1, 3))


def test_what_the_user_changed_comes_back_with_redo_and_git_looks_the_same(ran: Bench) -> None:
    write(ran.project, {"a.txt": "mine\n", "mine.txt": "new\n", "staged": "x\n"})
    git(ran.project, "add", "staged")
    git(ran.project, "stash", "-q")
    write(ran.project, {"a.txt": "mine again\n", "mine.txt": "new\n", "staged": "y\n"})
    git(ran.project, "add", "staged")
    user, files = of_user(ran.project), on_disk(ran.project)
    turns = sdqctl("sessions", "show", "s", "--format", "json").json["turns"]
    assert sdqctl("sessions", "rewind", "s", "--to", "2").code == 0
    assert not (ran.project / "mine.txt").exists()
    assert of_user(ran.project)[1:] == user[1:]
    assert sdqctl("sessions", "redo", "s").code == 0
    assert (on_disk(ran.project), of_user(ran.project)) == (files, user)
    shown = sdqctl("sessions", "show", "s", "--format", "json").json
    assert (shown["turns"], shown["run"]["steps_done"]) == (turns, 5)
    assert sdqctl("sessions", "trash", "list", "--format", "json").json == []


def test_each_rewind_is_undone_once_and_none_is_left(ran: Bench) -> None:
    for step in ("4", "2"):
        assert sdqctl("sessions", "rewind", "s", "--to", step).code == 0
    for lines in (3, 3):
        assert sdqctl("sessions", "redo", "s").code == 0
        assert len((ran.project / "a.txt").read_text().splitlines()) == lines
    done = sdqctl("sessions", "redo", "s")
    assert (done.code, "nothing to redo" in done.err) == (2, True)
    assert list((ran.home / "sdqctl" / "rewinds").iterdir()) == []
    assert "dangling" not in git(ran.project, "fsck")


@pytest.mark.thorough
def test_a_talk_that_went_on_is_not_put_back(ran: Bench) -> None:
    sdqctl("sessions", "rewind", "s", "--to", "2")
    ran.resume("--continue")
    done = sdqctl("sessions", "redo", "s")
    assert (done.code, "went on after the rewind" in done.err) == (2, True)
    assert len(sdqctl("sessions", "show", "s", "--format", "json").json["turns"]) == 3


@pytest.mark.thorough
def test_later_prompts_of_the_session_go_back_with_the_step(ran: Bench) -> None:
    sdqctl("resume", "s", "--prompt", "and more")
    sdqctl("sessions", "rewind", "s", "--to", "4")
    assert len(sdqctl("sessions", "show", "s", "--format", "json").json["turns"]) == 2
    assert ran.resume("--continue").prompts[-1].endswith("third")


@pytest.mark.each(3)
@pytest.mark.parametrize(
    "point",
    [
        "rewind.recorded",
        "rewind.cut",
        "workspace.restore",
        "ledger.rewind.before",
        "ledger.rewind.after",
    ],
)
def test_a_rewind_that_was_killed_is_finished_by_the_same_command(point: str, ran: Bench) -> None:
    write(ran.project, {"mine.txt": "new\n"})
    files = on_disk(ran.project)
    killed = ran.command("sessions", "rewind", "s", "--to", "2", SDQCTL_CRASH_AT=f"{point}:1")
    assert killed.code == -9
    assert sdqctl("sessions", "rewind", "s", "--to", "2").code == 0
    assert (ran.project / "a.txt").read_text() == "one\ntwo\n"
    assert len(sdqctl("sessions", "show", "s", "--format", "json").json["turns"]) == 1
    assert sdqctl("sessions", "redo", "s").code == 0
    assert on_disk(ran.project) == files
    assert len(sdqctl("sessions", "show", "s", "--format", "json").json["turns"]) == 3


def test_a_redo_that_was_killed_leaves_the_session_in_the_trash(ran: Bench) -> None:
    sdqctl("sessions", "rewind", "s", "--to", "2")
    assert ran.command("sessions", "redo", "s", SDQCTL_CRASH_AT="redo.deleted:1").code == -9
    assert sdqctl("sessions", "restore", "s").code == 0
    assert len(sdqctl("sessions", "show", "s", "--format", "json").json["turns"]) == 3


@pytest.mark.parametrize("point", ["ledger.redo.before", "ledger.redo.after"])
def test_a_redo_that_was_killed_before_anything_was_deleted_is_done_again(
    point: str, ran: Bench
) -> None:
    sdqctl("sessions", "rewind", "s", "--to", "2")
    assert ran.command("sessions", "redo", "s", SDQCTL_CRASH_AT=f"{point}:1").code == -9
    assert sdqctl("sessions", "redo", "s").code == 0
    assert len(sdqctl("sessions", "show", "s", "--format", "json").json["turns"]) == 3


def test_a_diff_on_a_terminal_goes_through_the_pager_that_git_uses(ran: Bench) -> None:
    git(ran.project, "config", "core.pager", "touch stranger")
    git(ran.project, "config", "--global", "core.pager", "sed s/three/paged/")
    with Terminal(["sessions", "diff", "s", "4"], colours=True) as terminal:
        assert terminal.wait_for_end() == 0
        assert b"\x1b[32m+\x1b[m\x1b[32mpaged" in terminal.raw
    assert not (ran.project / "stranger").exists()


@pytest.mark.parametrize("point", ["delete.deleted", "ledger.session.before"])
def test_what_a_rewind_kept_comes_back_after_a_delete_that_was_killed(
    point: str, ran: Bench
) -> None:
    files = on_disk(ran.project)
    assert sdqctl("sessions", "rewind", "s", "--to", "2").code == 0
    delete = ("sessions", "delete", "s", "--force")
    assert ran.command(*delete, SDQCTL_CRASH_AT=f"{point}:1").code == -9
    ran.write("other.conv", "ADAPTER mock\nSESSION-NAME other\nPROMPT x\n")
    assert sdqctl("run", ran.project / "other.conv").code == 0
    assert kept(ran, "rewinds") == []
    assert sdqctl("sessions", "restore", "s").code == 0
    assert sdqctl("store", "check").code == 0
    assert sdqctl("sessions", "redo", "s").code == 0
    assert on_disk(ran.project) == files


@pytest.mark.parametrize("name", ["s", "other"])
def test_what_a_rewind_kept_goes_into_the_trash_and_comes_back(name: str, ran: Bench) -> None:
    files = on_disk(ran.project)
    assert sdqctl("sessions", "rewind", "s", "--to", "2").code == 0
    assert sdqctl("sessions", "delete", "s", "--force").code == 0
    assert kept(ran, "rewinds") == []
    assert sdqctl("sessions", "restore", "s", "--name", name).code == 0
    assert kept(ran, "trash") == []
    done = sdqctl("sessions", "redo", name)
    assert done.code == 0, done.err
    shown = sdqctl("sessions", "show", name, "--format", "json").json
    assert (shown["name"], len(shown["turns"]), shown["run"]["steps_done"]) == (name, 3, 5)
    assert len(sdqctl("sessions", "list", "--format", "json").json) == 1
    assert on_disk(ran.project) == files
    assert kept(ran, "rewinds", "trash") == []


@pytest.mark.parametrize("flag", ["", "--purge"])
def test_what_a_rewind_kept_goes_for_good_with_its_session(flag: str, ran: Bench) -> None:
    assert sdqctl("sessions", "rewind", "s", "--to", "2").code == 0
    if flag:
        assert sdqctl("sessions", "delete", "s", "--force", flag).code == 0
    else:
        assert sdqctl("sessions", "cleanup", "--older-than", "0", "--include-unfinished").code == 0
        assert len(kept(ran, "trash")) == 3
        emptied = sdqctl("sessions", "trash", "empty", "--older-than", "0", "--force")
        assert emptied.code == 0
    assert kept(ran, "rewinds", "trash") == []


def test_a_redo_leaves_a_session_that_was_renamed_its_name(ran: Bench) -> None:
    assert sdqctl("sessions", "rewind", "s", "--to", "2").code == 0
    assert sdqctl("sessions", "rename", "s", "other").code == 0
    assert sdqctl("sessions", "redo", "other").code == 0
    shown = sdqctl("sessions", "show", "other", "--format", "json").json
    assert (shown["id"], len(shown["turns"]), shown["run"]["steps_done"]) == ("s", 3, 5)


ASIDE = """\
MODE implement
PROMPT one [[reply: 1]]
PAUSE look
PROMPT three [[tool: write f3 x]] [[reply: 3]]
PROMPT four [[tool: write f4 x]] [[reply: 4]]
"""


@pytest.fixture
def with_aside(bench: Bench) -> Bench:
    """A session `s` in which another prompt was asked while its run was paused."""
    repository(bench.project, {"base.txt": "base\n", "work.conv": ASIDE})
    assert bench.run(ASIDE).done.code == 8
    aside = "aside [[tool: write fa x]] [[reply: A]]"
    assert sdqctl("resume", "s", "--mode", "implement", "--prompt", aside).code == 0
    assert bench.resume("--continue").done.code == 0
    return bench


@pytest.mark.each(3)
@pytest.mark.parametrize(
    ("step", "talk", "files", "runs"),
    [
        ("4", ["one", "aside", "three", "four"], ["f3", "f4", "fa"], [4, 1]),
        ("3", ["one", "aside", "three"], ["f3", "fa"], [3, 1]),
        ("2", ["one"], [], [2]),
        ("1", ["one"], [], [1]),
    ],
)
def test_what_other_prompts_did_goes_by_when_they_were_asked(
    step: str, talk: list[str], files: list[str], runs: list[int], with_aside: Bench
) -> None:
    whole = asked(), with_runs()
    done = sdqctl("sessions", "rewind", "s", "--to", step)
    assert done.code == 0, done.err
    assert (asked(), made(with_aside)) == (talk, files)
    assert sorted(with_runs(), reverse=True) == runs
    assert sdqctl("sessions", "redo", "s").code == 0
    assert ((asked(), with_runs()), made(with_aside)) == (whole, ["f3", "f4", "fa"])
    assert sdqctl("sessions", "rewind", "s", "--to", step).code == 0
    assert sdqctl("resume", "s", "--continue").code == (8 if step == "1" else 0)
    assert sdqctl("resume", "s", "--continue").code == 0
    stays = "aside" in talk
    assert asked() == ["one", *(["aside"] if stays else []), "three", "four"]
    assert made(with_aside) == ["f3", "f4", *(["fa"] if stays else [])]


@pytest.mark.parametrize(("step", "files"), [("2", []), ("3", ["f3", "fa"])])
def test_a_fork_has_the_files_of_its_place(step: str, files: list[str], with_aside: Bench) -> None:
    done = sdqctl("sessions", "fork", "s", "copy", "--at", step, "--worktree")
    assert done.code == 0, done.err
    tree = Path(sdqctl("worktrees", "path", "copy").out.strip())
    assert sorted(path.name for path in tree.glob("f?")) == files


def test_what_a_user_changed_at_a_pause_stays_behind_it(bench: Bench) -> None:
    repository(bench.project, {"base.txt": "base\n"})
    assert bench.run(ASIDE).done.code == 8
    bench.write("fu", "mine")
    assert bench.resume("--continue").done.code == 0
    assert sdqctl("sessions", "rewind", "s", "--to", "2").code == 0
    assert made(bench) == ["fu"]


CALLING = """\
MODE implement
PROMPT one [[reply: 1]]
CALL inner.conv IN same
PROMPT three [[tool: write f3 x]] [[reply: 3]]
"""


@pytest.fixture
def with_call(bench: Bench) -> Bench:
    """A session `s` whose run called another workflow in its own conversation."""
    repository(bench.project, {"base.txt": "base\n", "work.conv": CALLING})
    bench.write("inner.conv", "PROMPT inner [[tool: write fi x]] [[reply: I]]\n")
    assert bench.run(CALLING).done.code == 0
    return bench


@pytest.mark.parametrize(
    ("step", "talk", "files"),
    [("2", ["one", "inner"], ["fi"]), ("1", ["one"], [])],
)
def test_what_was_called_in_the_same_conversation_goes_with_its_step(
    step: str, talk: list[str], files: list[str], with_call: Bench
) -> None:
    assert sdqctl("sessions", "rewind", "s", "--to", step).code == 0
    assert (asked(), made(with_call)) == (talk, files)
    assert sdqctl("sessions", "redo", "s").code == 0
    assert (asked(), made(with_call)) == (["one", "inner", "three"], ["f3", "fi"])
    assert sdqctl("sessions", "rewind", "s", "--to", step).code == 0
    assert sdqctl("resume", "s", "--continue").code == 0
    assert (asked(), made(with_call)) == (["one", "inner", "three"], ["f3", "fi"])


def test_steps_that_ran_again_go_with_their_earlier_answers(with_call: Bench) -> None:
    assert sdqctl("resume", "s", "--continue", "--from", "2").code == 0
    assert asked() == ["one", "inner", "three", "inner", "three"]
    assert sdqctl("sessions", "rewind", "s", "--to", "2").code == 0
    assert asked() == ["one", "inner", "three", "inner"]
    assert sdqctl("sessions", "rewind", "s", "--to", "1").code == 0
    assert asked() == ["one"]
    assert sdqctl("resume", "s", "--continue").code == 0
    assert asked() == ["one", "inner", "three"]


@pytest.mark.parametrize("part", ["", "--files"])
def test_a_session_whose_run_was_called_goes_back_with_its_caller(part: str, bench: Bench) -> None:
    repository(bench.project, {"base.txt": "base\n"})
    bench.write("part.conv", "PROMPT a [[tool: write fa x]]\nPROMPT b [[tool: write fb x]]\n")
    assert bench.run("MODE implement\nCALL part.conv\nPROMPT [[tool: write f3 x]]\n").done.code == 0
    done = sdqctl("sessions", "rewind", "s/part", "--to", "1", *([part] if part else []))
    assert (done.code, "`sdqctl sessions rewind s --to STEP`" in done.err) == (2, True)
    assert (made(bench), len(asked("s/part"))) == (["f3", "fa", "fb"], 2)


@pytest.mark.parametrize("crash", ["ledger.finish.after:3", ""])
def test_a_redo_brings_back_what_was_called_in_another_session(crash: str, bench: Bench) -> None:
    repository(bench.project, {"base.txt": "base\n"})
    bench.write(
        "part.conv", "".join(f"PROMPT [[tool: shell echo p{n} >> log]]\n" for n in (1, 2, 3))
    )
    text = "MODE implement\nPROMPT one\nCALL part.conv AS got\nPROMPT three\n"
    bench.run(text, SDQCTL_CRASH_AT=crash)
    log = (bench.project / "log").read_text().split()
    assert log == ["p1", "p2", "p3"][: 2 if crash else 3]
    assert sdqctl("sessions", "rewind", "s", "--to", "1").code == 0
    assert sdqctl("sessions", "redo", "s").code == 0
    assert "session s/part" in sdqctl("sessions", "show", "s").out
    assert sdqctl("resume", "s", "--continue").code == 0
    assert (bench.project / "log").read_text().split() == ["p1", "p2", "p3"]
    listed = sdqctl("sessions", "list", "--children", "--format", "json").json
    assert {entry["name"] for entry in listed} == {"s", "s/part"}


def test_there_is_no_going_back_to_after_a_step_that_is_not_done(bench: Bench) -> None:
    repository(bench.project, {"base.txt": "base\n"})
    bench.write("inner.conv", "PROMPT inner [[tool: write fi x]]\nPAUSE look\n")
    told = bench.run("MODE implement\nPROMPT one\nCALL inner.conv IN same\n")
    assert told.done.code == 8
    done = sdqctl("sessions", "rewind", "s", "--to", "2")
    assert (done.code, "step 2 (inner.conv) is not done" in done.err) == (2, True)
    assert (asked(), made(bench)) == (["one", "inner"], ["fi"])
    assert sdqctl("sessions", "rewind", "s", "--to", "1").code == 0
    assert (asked(), made(bench)) == (["one"], [])


@pytest.mark.parametrize(
    ("ended", "last"),
    [([9, 5, 7], "2[1].1"), ([5, 7, 9], "2[3].1"), ([5, 9, None], "2[2].1")],
)
def test_of_items_side_by_side_the_one_that_ended_last_left_the_files(
    ended: list[int | None], last: str
) -> None:
    items = [
        step(number + 2, f"2[{number}].1", second) for number, second in enumerate(ended, start=1)
    ]
    assert last_done([step(1, "1", 11), step(2, "2", 4, "for"), *items]).path == last
    assert last_done([*items, step(6, "3", 1, "prompt")]).path == "3"


def step(number: int, path: str, ended: int | None, kind: str = "call") -> StepRecord:
    return StepRecord(
        number=number,
        run_id="r",
        path=path,
        cycle=1,
        kind=kind,
        title="",
        digest="",
        status=StepStatus.DONE,
        attempts=1,
        completed_at=None if ended is None else datetime.fromtimestamp(ended, UTC),
    )


def asked(name: str = "s") -> list[str]:
    """The first word of each prompt of a session."""
    shown = sdqctl("sessions", "show", name, "--format", "json").json
    return [turn["prompt"].split()[0] for turn in shown["turns"]]


def with_runs(name: str = "s") -> list[int]:
    """How many steps are done of each run that is shown."""
    shown = sdqctl("sessions", "show", name, "--format", "json").json
    return [run["steps_done"] for run in shown["runs"]]


def made(bench: Bench) -> list[str]:
    """The files that steps wrote."""
    return sorted(path.name for path in bench.project.glob("f?"))


def kept(bench: Bench, *folders: str) -> list[Path]:
    """The files below some folders of sdqctl's data."""
    found = (path for name in folders for path in (bench.home / "sdqctl" / name).rglob("*"))
    return [path for path in found if path.is_file()]
