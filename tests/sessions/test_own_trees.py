"""Sessions in worktrees of their own: run, bring home, delete, restore; the snapshots with them."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import sdqctl
from tests.workspace.gits import git, on_disk, repository, write

STORY = """\
MODE implement
ALLOW-SHELL true
RUN echo two >> a.txt
PROMPT go [[tool: write new.txt text]]
"""


@pytest.fixture
def own(bench: Bench) -> Bench:
    """A session `s` that worked in its own worktree."""
    repository(bench.project, {"a.txt": "one\n", "work.conv": STORY})
    for key, value in (("user.name", "Me"), ("user.email", "me@localhost")):
        git(bench.project, "config", key, value)
    told = bench.run(STORY, "--worktree")
    assert told.done.code == 0, told.done.err
    return bench


def _tree(name: str = "s") -> Path:
    return Path(sdqctl("worktrees", "path", name).out.strip())


def _refs(top: Path) -> list[str]:
    found = git(top, "for-each-ref", "--format=%(refname)", "refs/sdqctl").split()
    return sorted({"/".join(name.split("/")[2:4]) for name in found})


def test_a_run_with_worktree_leaves_the_users_tree_alone(own: Bench) -> None:
    assert (own.project / "a.txt").read_text() == "one\n"
    assert git(own.project, "status", "--short") == ""
    assert (_tree() / "a.txt").read_text() == "one\ntwo\n"
    assert (_tree() / "new.txt").read_text() == "text"
    assert sdqctl("sessions", "show", "s", "--format", "json").json["cwd"] == str(_tree())


def test_a_workflow_after_the_flag_is_no_branch_and_a_run_goes_on_in_its_tree(own: Bench) -> None:
    story = own.write("more.conv", "RUN pwd\nPAUSE wait\nRUN pwd\nPROMPT where\n")
    assert sdqctl("run", "--worktree", story, "--session-name", "t").code == 8
    told = sdqctl("resume", "t", "--continue", "--format", "json").json
    assert told["run"]["steps"][2]["response"] == f"$ pwd\n{_tree('t')}"


def test_the_directive_names_a_branch_by_a_template(own: Bench) -> None:
    story = own.write("w.conv", "SESSION-NAME t\nWORKTREE try/{{SESSION_NAME}}\nPROMPT go\n")
    assert sdqctl("run", story).code == 0
    assert git(_tree("t"), "branch", "--show-current") == "try/t\n"


def test_what_is_not_committed_is_named_or_carried(own: Bench) -> None:
    write(own.project, {"a.txt": "mine\n"})
    warned = sdqctl("run", "-p", "go", "--session-name", "t", "--worktree")
    assert "changes that are not committed are not in the worktree: a.txt (" in warned.err
    sdqctl("run", "-p", "go", "--session-name", "u", "--worktree", "--carry-changes")
    assert (_tree("t") / "a.txt").read_text() == "one\n"
    assert (_tree("u") / "a.txt").read_text() == "mine\n"
    assert sdqctl("run", "-p", "go", "--carry-changes").code == 2


@pytest.mark.thorough
def test_runs_side_by_side_write_each_in_its_own_tree(own: Bench) -> None:
    names = [f"part{number}" for number in range(4)]
    for name in names:
        own.write(f"parts/{name}.txt", "x\n")
    git(own.project, "add", "-A")
    git(own.project, "commit", "-qm", "parts")
    story = own.write(
        "each.conv",
        "MODE implement\nALLOW-SHELL true\nSESSION-NAME {{COMPONENT_NAME}}\n"
        "RUN echo {{COMPONENT_NAME}} > mine.txt\nPROMPT go\n",
    )
    done = sdqctl("apply", story, "--components", "parts/*.txt", "--parallel", "4", "--worktree")
    assert done.code == 0, done.err
    assert [(_tree(name) / "mine.txt").read_text() for name in names] == [f"{n}\n" for n in names]
    assert not (own.project / "mine.txt").exists()


def test_the_changes_come_home_uncommitted_committed_on_a_branch_or_as_a_patch(own: Bench) -> None:
    patch = sdqctl("sessions", "apply", "s", "--patch").out
    git(own.project, "apply", "--check", data=patch.encode())
    done = sdqctl("sessions", "apply", "s", "--branch", "side")
    assert (done.code, done.out) == (0, "")
    assert git(own.project, "diff", "--name-only", "main", "side") == "a.txt\nnew.txt\n"
    assert sdqctl("sessions", "apply", "s").code == 0
    assert git(own.project, "status", "--short") == "M  a.txt\nA  new.txt\n"
    git(own.project, "reset", "-q", "--hard")
    assert sdqctl("sessions", "apply", "s", "--commit").code == 0
    assert git(own.project, "log", "-1", "--format=%s") == "Changes of the sdqctl session s\n"
    assert on_disk(own.project) == on_disk(_tree())


def test_a_conflict_ends_with_gits_words_and_exit_4(own: Bench) -> None:
    write(own.project, {"a.txt": "mine\n"})
    git(own.project, "commit", "-qam", "mine")
    done = sdqctl("sessions", "apply", "s")
    assert done.code == 4
    assert "CONFLICT (content): Merge conflict in a.txt" in done.err
    assert git(own.project, "status", "--short") == "UU a.txt\nA  new.txt\n"


def test_changes_in_the_users_own_tree_are_there_already_and_can_be_committed(own: Bench) -> None:
    own.run(STORY, "--session-name", "t")
    done = sdqctl("sessions", "apply", "t")
    assert (done.code, "there already" in done.err) == (2, True)
    assert sdqctl("sessions", "apply", "t", "--commit").code == 0
    assert git(own.project, "status", "--short") == ""


@pytest.mark.parametrize("flags", [(), ("--commit",), ("--branch", "side")])
def test_before_the_first_commit_of_a_repository_nothing_can_be_applied(
    flags: tuple[str, ...], bench: Bench
) -> None:
    git(bench.project, "init", "-q", "-b", "main")
    bench.run("MODE implement\nPROMPT a [[tool: write a.txt made]]\n")
    done = sdqctl("sessions", "apply", "s", *flags)
    assert done.code == (4 if flags else 2)
    assert "make the first commit of the repository yourself" in done.err


def test_a_worktree_goes_with_its_session_only_when_nothing_would_be_lost(own: Bench) -> None:
    tree = _tree()
    kept = sdqctl("sessions", "delete", "s", "--force")
    assert (kept.code, tree.is_dir()) == (0, True)
    assert f"2 uncommitted files (a.txt, new.txt) would be lost: {tree}" in kept.err
    assert "kept that of s: 2 uncommitted" in sdqctl("worktrees", "prune").err
    sdqctl("sessions", "restore", "s")
    sdqctl("sessions", "apply", "s", "--commit")
    assert sdqctl("sessions", "delete", "s", "--force").code == 0
    assert not tree.exists()
    assert git(own.project, "branch") == "* main\n"


def test_prune_removes_what_nobody_needs(own: Bench) -> None:
    sdqctl("sessions", "apply", "s", "--commit")
    tree = _tree()
    assert "its session is there" in sdqctl("worktrees", "prune").err
    assert "would remove" in sdqctl("worktrees", "prune", "--all", "--dry-run").err
    assert tree.is_dir()
    assert sdqctl("worktrees", "prune", "--all").code == 0
    assert not tree.exists()
    assert "there are no worktrees" in sdqctl("worktrees", "prune").err


def test_snapshots_go_into_the_trash_with_their_session_and_come_back(own: Bench) -> None:
    whole = sdqctl("sessions", "diff", "s").out
    sdqctl("sessions", "delete", "s", "--force")
    assert [name.partition("/")[0] for name in _refs(own.project)] == ["trash"]
    git(own.project, "gc", "-q", "--prune=now")
    sdqctl("sessions", "restore", "s")
    assert _refs(own.project) == ["mock/s"]
    assert sdqctl("sessions", "diff", "s").out == whole != ""
    sdqctl("sessions", "delete", "s", "--force")
    sdqctl("sessions", "trash", "empty", "--older-than", "0s", "--force")
    assert _refs(own.project) == []


def test_what_was_done_last_is_last_in_a_restored_session_too(own: Bench) -> None:
    text = "PROMPT one [[tool: write f1 x]]\nPAUSE\nPROMPT three [[tool: write f3 x]]\n"
    path = own.write("next.conv", f"SESSION-NAME t\nMODE implement\n{text}")
    assert sdqctl("run", path).code == 8
    asked = sdqctl("resume", "t", "--mode", "implement", "--prompt", "two [[tool: write f2 x]]")
    assert asked.code == 0, asked.err
    assert sdqctl("resume", "t", "--continue").code == 0
    diff = ("sessions", "diff", "t", "--name-only")
    before = sdqctl(*diff).out
    assert before.split() == ["f1", "f2", "f3"]
    assert sdqctl("sessions", "delete", "t", "--force").code == 0
    assert sdqctl("sessions", "restore", "t").code == 0
    assert sdqctl(*diff).out == before


def test_purged_sessions_leave_no_snapshot(own: Bench) -> None:
    sdqctl("sessions", "delete", "s", "--force", "--purge")
    assert _refs(own.project) == []


def test_store_check_finds_a_snapshot_that_is_gone(own: Bench) -> None:
    sound = sdqctl("store", "check")
    assert (sound.code, "3 snapshots are there" in sound.out) == (0, True)
    refs = git(own.project, "for-each-ref", "--format=%(refname)", "refs/sdqctl").split()
    for ref in refs:
        git(own.project, "update-ref", "-d", ref)
    git(own.project, "gc", "-q", "--prune=now")
    damaged = sdqctl("store", "check")
    assert (damaged.code, damaged.out.count("is not in")) == (9, 3)
    shutil.rmtree(own.project / ".git")
    assert sdqctl("store", "check").code == 0


FORKED = """\
MODE implement
ALLOW-SHELL true
RUN echo two >> a.txt
CHECKPOINT half
RUN echo three >> a.txt
PROMPT go [[tool: write new.txt text]]
"""


@pytest.fixture
def grown(bench: Bench) -> Bench:
    """A session `s` whose steps changed the files of the user's own tree, one after the other."""
    repository(bench.project, {"a.txt": "one\n", "work.conv": FORKED})
    assert bench.run(FORKED).done.code == 0
    return bench


@pytest.mark.each(4)
@pytest.mark.parametrize(
    ("at", "text", "has_new"),
    [
        (["--at", "1"], "one\ntwo\n", False),
        (["--at", "half"], "one\ntwo\n", False),
        (["--at", "3"], "one\ntwo\nthree\n", False),
        ([], "one\ntwo\nthree\n", True),
    ],
)
def test_a_fork_has_the_files_as_they_were_there(
    at: list[str], text: str, has_new: bool, grown: Bench
) -> None:
    write(grown.project, {"a.txt": "mine\n"})
    before = on_disk(grown.project)
    told = sdqctl("sessions", "fork", "s", "other", *at, "--worktree")
    assert (told.code, told.out) == (0, "other\n"), told.err
    assert f"its files are in {_tree('other')}, on branch sdqctl/other" in told.err
    assert (_tree("other") / "a.txt").read_text() == text
    assert (_tree("other") / "new.txt").exists() is has_new
    assert on_disk(grown.project) == before
    assert git(_tree("other"), "rev-parse", "HEAD") == git(grown.project, "rev-parse", "HEAD")


def test_a_fork_goes_on_in_its_own_tree(grown: Bench) -> None:
    assert sdqctl("sessions", "fork", "s", "other", "--at", "1", "--worktree").code == 0
    assert sdqctl("resume", "other", "--continue").code == 0
    assert (_tree("other") / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert (grown.project / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert (
        sdqctl("resume", "other", "-p", "more [[tool: write late.txt x]]", "--mode", "write").code
        == 0
    )
    assert (_tree("other") / "late.txt").read_text() == "x"
    assert not (grown.project / "late.txt").exists()
    shown = sdqctl("sessions", "show", "other", "--format", "json").json
    assert shown["cwd"] == str(_tree("other"))


@pytest.mark.thorough
def test_the_snapshots_of_a_fork_outlast_the_original(grown: Bench) -> None:
    assert sdqctl("sessions", "fork", "s", "other", "--at", "3").code == 0
    assert sdqctl("sessions", "delete", "s", "--force", "--purge").code == 0
    git(grown.project, "gc", "--quiet", "--prune=now")
    assert sdqctl("store", "check").code == 0
    assert "+three" in sdqctl("sessions", "diff", "other", "3").out


@pytest.mark.thorough
def test_a_fork_starts_from_the_commit_that_its_steps_were_made_on(grown: Bench) -> None:
    git(grown.project, "commit", "-qam", "the changes")
    assert sdqctl("sessions", "fork", "s", "other", "--at", "1", "--worktree").code == 0
    assert git(_tree("other"), "status", "--short") == " M a.txt\n"
    assert git(_tree("other"), "rev-parse", "HEAD") == git(grown.project, "rev-parse", "HEAD^")


@pytest.mark.parametrize(
    "point", ["fork.copied:1", "worktree.recorded:1", "worktree.added:1", "ledger.fork.before:2"]
)
def test_a_fork_that_was_killed_is_made_with_its_files_by_the_same_command(
    point: str, grown: Bench
) -> None:
    fork = ("sessions", "fork", "s", "other", "--at", "1", "--worktree")
    for _ in range(2):
        assert grown.command(*fork, SDQCTL_CRASH_AT=point).code == -9
    told = sdqctl(*fork)
    assert told.code == 0, told.err
    listed = sdqctl("worktrees", "list", "--format", "json").json
    assert [each["branch"] for each in listed] == ["sdqctl/other"]
    assert (_tree("other") / "a.txt").read_text() == "one\ntwo\n"
    assert sdqctl("resume", "other", "--continue").code == 0
    assert (_tree("other") / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert (grown.project / "a.txt").read_text() == "one\ntwo\nthree\n"


def test_a_fork_removes_no_worktree_of_a_cut_off_copy_that_was_worked_in(grown: Bench) -> None:
    fork = ("sessions", "fork", "s", "other", "--at", "1", "--worktree")
    assert grown.command(*fork, SDQCTL_CRASH_AT="ledger.fork.before:2").code == -9
    tree = Path(sdqctl("worktrees", "list", "--format", "json").json[0]["path"])
    (tree / "own.txt").write_text("mine\n")
    told = sdqctl(*fork)
    assert told.code == 2
    assert str(tree) in told.err
    assert (tree / "own.txt").read_text() == "mine\n"


@pytest.mark.parametrize("how", ["branch", "snapshots"])
def test_a_fork_that_cannot_have_its_files_leaves_nothing(how: str, grown: Bench) -> None:
    if how == "branch":
        git(grown.project, "branch", "taken")
        told = sdqctl("sessions", "fork", "s", "other", "--worktree", "taken")
        assert "the branch taken exists already" in told.err
    else:
        story = grown.write("none.conv", "SESSION-NAME n\nPROMPT go\n")
        assert sdqctl("run", story, "--no-snapshots").code == 0
        told = sdqctl("sessions", "fork", "n", "other", "--worktree")
        assert "no snapshots of its files" in told.err
    assert told.code == 2
    assert sdqctl("sessions", "show", "other").code == 7
    assert "there are no worktrees" in sdqctl("worktrees", "list").err


def _elsewhere(bench: Bench, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A clone of the project as it was before the session, and a machine of its own."""
    clone, home = tmp_path / "clone", tmp_path / "there"
    git(tmp_path, "clone", "--quiet", str(bench.project), str(clone))
    home.mkdir()
    return clone, {"HOME": str(home), "SDQCTL_HOME": str(home / "sdqctl")}


def test_a_bundle_with_its_workspace_goes_on_with_talk_and_files_elsewhere(
    grown: Bench, tmp_path: Path
) -> None:
    assert sdqctl("sessions", "fork", "s", "part", "--at", "1", "--worktree").code == 0
    file = tmp_path / "part.sdqctl"
    told = sdqctl("sessions", "export", "part", "--workspace", "-o", file)
    assert told.code == 0, told.err
    assert "as they are, with any secrets" in told.err
    clone, there = _elsewhere(grown, tmp_path)
    told = sdqctl("sessions", "import", file, "--cwd", clone, **there)
    assert (told.code, told.out) == (0, "part\n"), told.err
    tree = Path(sdqctl("worktrees", "path", "part", **there).out.strip())
    assert (tree / "a.txt").read_text() == "one\ntwo\n"
    assert (clone / "a.txt").read_text() == "one\n"
    assert sdqctl("store", "check", **there).code == 0
    assert "+two" in sdqctl("sessions", "diff", "part", "1", **there).out
    told = sdqctl("resume", "part", "--continue", **there)
    assert told.code == 0, told.err
    assert (tree / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert sdqctl("sessions", "rewind", "part", "--to", "1", **there).code == 0
    assert (tree / "a.txt").read_text() == "one\ntwo\n"


@pytest.mark.thorough
def test_a_tree_that_arrives_leaves_a_branch_of_its_name_alone(
    grown: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "s.sdqctl"
    assert sdqctl("sessions", "export", "s", "--workspace", "-o", file).code == 0
    clone, there = _elsewhere(grown, tmp_path)
    for branch in ("sdqctl/s", "sdqctl/s-2"):
        git(clone, "branch", branch)
    told = sdqctl("sessions", "import", file, "--cwd", clone, **there)
    assert told.code == 0, told.err
    tree = Path(sdqctl("worktrees", "path", "s", **there).out.strip())
    assert git(tree, "branch", "--show-current") == "sdqctl/s-3\n"
    assert git(clone, "rev-parse", "sdqctl/s") == git(clone, "rev-parse", "HEAD")


def test_a_bundle_with_a_workspace_is_taken_whole_or_not_at_all(
    grown: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "s.sdqctl"
    assert sdqctl("sessions", "export", "s", "--workspace", "-o", file).code == 0
    clone, there = _elsewhere(grown, tmp_path)
    told = sdqctl("sessions", "import", file, "--cwd", tmp_path, **there)
    assert told.code == 2
    assert "is in no git repository" in told.err
    other = tmp_path / "other"
    repository(other, {"b.txt": "b\n"})
    told = sdqctl("sessions", "import", file, "--cwd", other, **there)
    assert told.code == 2
    assert "does not have commit" in told.err
    assert sdqctl("sessions", "list", "--format", "json", **there).json == []
    assert "there are no worktrees" in sdqctl("worktrees", "list", **there).err
    told = sdqctl("sessions", "import", file, "--cwd", clone, "--no-workspace", **there)
    assert told.code == 0, told.err
    assert "no snapshots" in sdqctl("sessions", "diff", "s", **there).err


@pytest.mark.thorough
def test_an_import_that_fails_in_the_end_leaves_no_worktree_and_no_snapshots(
    grown: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "s.sdqctl"
    assert sdqctl("sessions", "export", "s", "--workspace", "-o", file).code == 0
    clone, there = _elsewhere(grown, tmp_path)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(tmp_path / "bad.sdqctl", "w") as bad:
        rows = json.loads(old.read("ledger.json"))
        del rows["runs"][0]["keeper"]
        data = json.dumps(rows).encode()
        manifest = json.loads(old.read("manifest.json"))
        digest = hashlib.sha256(data).hexdigest()
        manifest["files"]["ledger.json"] = {"size": len(data), "sha256": digest}
        new = {"ledger.json": data, "manifest.json": json.dumps(manifest).encode()}
        for name in old.namelist():
            bad.writestr(name, new.get(name) or old.read(name))
    told = sdqctl("sessions", "import", tmp_path / "bad.sdqctl", "--cwd", clone, **there)
    assert told.code == 2
    assert "the ledger's rows miss 'keeper'" in told.err
    assert _refs(clone) == []
    assert git(clone, "branch", "--list", "sdqctl/*") == ""
    assert "there are no worktrees" in sdqctl("worktrees", "list", **there).err
