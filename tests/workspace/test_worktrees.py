"""Worktrees of sdqctl's own: made, found again, carried into, merged from, removed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sdqctl.errors import UsageError, WorkspaceError, WorkspaceRefusedError
from sdqctl.model.session import SessionRef
from sdqctl.policy.policy import build_policy
from sdqctl.workspace.merge import Change, Target
from sdqctl.workspace.own import own_folder
from sdqctl.workspace.worktrees import (
    Made,
    make_worktree,
    remove_worktree,
    worktree_around,
    worktrees,
    would_lose,
)
from tests.bench import Bench
from tests.command import sdqctl
from tests.workspace.gits import git, of_user, on_disk, repository, write

SESSION = SessionRef("mock", "work")


def _made(top: Path, home: Path, **options: object) -> Made:
    return make_worktree(home / "sdqctl", top, SESSION, "my work", **options)  # type: ignore[arg-type]


def test_a_worktree_is_made_once_on_a_branch_of_its_own(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    first, again = _made(top / "sub", home), _made(top, home)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.worktree == again.worktree
    assert (first.cwd, again.cwd) == (first.worktree.tree / "sub", first.worktree.tree)
    assert git(again.cwd, "branch", "--show-current") == "sdqctl/my-work\n"
    assert on_disk(again.cwd) == on_disk(top)
    assert worktrees(home / "sdqctl") == [first.worktree]
    assert worktree_around(home / "sdqctl", first.cwd) == first.worktree
    assert own_folder(home / "sdqctl", first.cwd) == first.worktree.tree


@pytest.mark.parametrize("carry", [True, False])
def test_uncommitted_changes_go_along_or_are_named(carry: bool, home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    write(top, {"a.txt": "changed\n", "new": "x\n"})
    before = of_user(top)[:4], on_disk(top)
    made = _made(top, home, carry=carry)
    assert made.behind == (() if carry else ("a.txt", "new"))
    assert (on_disk(made.cwd) == on_disk(top)) is carry
    assert git(made.cwd, "status", "--short") == (" M a.txt\n?? new\n" if carry else "")
    assert (of_user(top)[:4], on_disk(top)) == before


@pytest.mark.parametrize(
    ("branch", "error"), [("main", "exists already"), ("a..b", "is no name of a branch")]
)
def test_a_branch_that_cannot_be_is_refused_and_leaves_nothing(
    branch: str, error: str, home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project")
    with pytest.raises(UsageError, match=error):
        _made(top, home, branch=branch)
    assert worktrees(home / "sdqctl") == []
    assert _made(top, home, branch="other").worktree.branch == "other"


def test_there_is_no_worktree_without_a_commit_or_a_repository(home: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for said in ("no git repository", "without a commit"):
        with pytest.raises(WorkspaceRefusedError, match=said):
            _made(tmp_path / "new", home)
        git(tmp_path / "new", "init", "-q")


@pytest.mark.parametrize("point", ["worktree.recorded", "worktree.added"])
def test_a_worktree_that_a_kill_left_is_made_again(point: str, bench: Bench) -> None:
    path = _begun(bench)
    assert bench.command("run", path, "--worktree", SDQCTL_CRASH_AT=f"{point}:1").code == -9
    done = sdqctl("run", path, "--worktree")
    assert done.code == 0, done.err
    listed = sdqctl("worktrees", "list", "--format", "json").json
    assert [each["branch"] for each in listed] == ["sdqctl/s"]


def test_a_worktree_that_a_kill_left_is_removed(bench: Bench) -> None:
    path = _begun(bench)
    assert sdqctl("run", path, "--worktree").code == 0
    command = ("sessions", "delete", "s", "--force")
    assert bench.command(*command, SDQCTL_CRASH_AT="worktree.removed:1").code == -9
    assert sdqctl("worktrees", "prune").code == 0
    assert sdqctl("worktrees", "list", "--format", "json").json == []
    assert git(bench.project, "branch", "--list", "sdqctl/*") == ""


def _begun(bench: Bench) -> Path:
    """A workflow in a repository with a commit."""
    repository(bench.project)
    return bench.write("w.conv", "SESSION-NAME s\nMODE implement\nPROMPT One\n")


def test_what_would_be_lost_is_told_and_merged_or_clean_is_nothing(
    home: Path, tmp_path: Path
) -> None:
    top, data = repository(tmp_path / "project"), home / "sdqctl"
    worktree = _made(top, home).worktree
    assert not would_lose(data, worktree)
    write(worktree.tree, {"a.txt": "changed\n", "new": "x\n"})
    assert would_lose(data, worktree).describe() == "2 uncommitted files (a.txt, new)"
    git(worktree.tree, "add", "-A")
    git(worktree.tree, "commit", "-q", "-m", "theirs")
    assert would_lose(data, worktree).describe() == "1 commit that no other branch has"
    git(top, "merge", "-q", worktree.branch)
    assert not would_lose(data, worktree)
    remove_worktree(data, worktree)
    assert worktrees(data) == []
    assert git(top, "branch") == "* main\n"
    assert len(git(top, "worktree", "list").splitlines()) == 1


def test_what_was_committed_elsewhere_by_hand_would_not_be_lost(home: Path, tmp_path: Path) -> None:
    top, data = repository(tmp_path / "project"), home / "sdqctl"
    worktree = _made(top, home).worktree
    write(worktree.tree, {"a.txt": "changed\n", "new": "x\n"})
    write(top, {"a.txt": "changed\n", "new": "x\n"})
    assert would_lose(data, worktree), "nothing of it is committed yet"
    git(top, "add", "a.txt")
    git(top, "commit", "-q", "-m", "one of them")
    assert would_lose(data, worktree), "the other one is not"
    git(top, "add", "new")
    write(top, {"b.txt": "and more\n"})
    git(top, "add", "b.txt")
    git(top, "commit", "-q", "-m", "the other")
    assert not would_lose(data, worktree)
    write(top, {"a.txt": "changed again\n"})
    git(top, "commit", "-q", "-a", "-m", "on the same line")
    assert would_lose(data, worktree), "that is told where it cannot be known"


def test_tools_may_write_in_the_sessions_own_worktree_and_not_beside_it(
    home: Path, tmp_path: Path
) -> None:
    from sdqctl.model.tools import ToolKind, ToolRequest

    top, data = repository(tmp_path / "project"), home / "sdqctl"
    cwd = _made(top, home).cwd
    policy = build_policy(
        mode="implement",
        cwd=cwd,
        allow_tools=(f"write({home}/**)",),
        protected=(data,),
        own=own_folder(data, cwd),
    )
    for path, allowed in (
        (cwd / "new", True),
        (data / "ledger.db", False),
        (cwd.parent / "worktree.json", False),
        (cwd / "../worktree.json", False),
    ):
        request = ToolRequest(kind=ToolKind.WRITE, target=str(path))
        assert policy.decide(request).allowed is allowed, path


def _change(top: Path, files: dict[str, str]) -> Change:
    """A change from what is committed, as trees."""
    before = git(top, "rev-parse", "HEAD").strip()
    write(top, files)
    git(top, "add", "-A")
    after = git(top, "stash", "create").strip()
    git(top, "reset", "-q", "--hard")
    return Change(before, after, "changes")


def test_a_change_is_merged_into_the_tree_and_the_index(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project", {"a.txt": "1\n2\n3\n4\n5\n"})
    change = _change(top, {"a.txt": "1\n2\n3\n4\nfive\n", "new": "x\n"})
    write(top, {"a.txt": "one\n2\n3\n4\n5\n"})
    git(top, "commit", "-q", "-am", "mine")
    Target(top).merge(change)
    assert (top / "a.txt").read_text() == "one\n2\n3\n4\nfive\n"
    assert git(top, "status", "--short") == "M  a.txt\nA  new\n"


def test_a_conflict_is_told_as_git_tells_it_and_left_to_be_resolved(
    home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project")
    change = _change(top, {"a.txt": "theirs\n"})
    write(top, {"a.txt": "mine\n"})
    git(top, "commit", "-q", "-am", "mine")
    head = git(top, "rev-parse", "HEAD")
    with pytest.raises(WorkspaceError, match=r"CONFLICT \(content\): Merge conflict in a.txt"):
        Target(top).commit_on("side", change, None)
    assert (git(top, "status", "--short"), git(top, "branch")) == ("", "* main\n")
    with pytest.raises(WorkspaceError, match=r"CONFLICT \(content\): Merge conflict in a.txt"):
        Target(top).merge_and_commit(change)
    assert (git(top, "status", "--short"), git(top, "rev-parse", "HEAD")) == ("UU a.txt\n", head)
    git(top, "reset", "-q", "--merge")
    assert git(top, "status", "--short") == ""


def test_local_changes_in_the_way_stay_as_they_are(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    change = _change(top, {"a.txt": "theirs\n"})
    write(top, {"a.txt": "not committed\n"})
    with pytest.raises(WorkspaceError, match="local changes"):
        Target(top).merge(change)
    assert (top / "a.txt").read_text() == "not committed\n"
    git(top, "add", "a.txt")
    with pytest.raises(WorkspaceError, match="staged"):
        Target(top).merge_and_commit(change)


def test_a_change_is_committed_on_another_branch_or_in_place(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    git(top, "config", "user.name", "Me")
    git(top, "config", "user.email", "me@localhost")
    change = _change(top, {"a.txt": "theirs\n"})
    for branch in ("side", "side"):
        Target(top).commit_on(branch, change, None)
    assert git(top, "show", "side:a.txt") == "theirs\n"
    with pytest.raises(UsageError, match="checked out"):
        Target(top).commit_on("main", change, None)
    write(top, {"a.txt": "theirs\n", "sub/b.txt": "mine, not committed\n"})
    commit = Target(top).commit_in_place(change)
    assert git(top, "rev-parse", "HEAD").strip() == commit
    assert git(top, "status", "--short") == " M sub/b.txt\n"
    assert git(top, "log", "-1", "--format=%an %s") == "Me changes\n"


def test_a_program_to_merge_with_in_the_repositorys_configuration_is_refused(
    home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project")
    git(top, "config", "merge.x.driver", "touch /tmp/never")
    with pytest.raises(WorkspaceRefusedError, match=r"merge\.x\.driver"):
        Target(top)


def test_no_program_of_the_repository_runs_where_it_is_named_for_other_branches_alone(
    home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project", {"a.txt": "one\n", ".gitattributes": "* filter=x\n"})
    more = f'[filter "x"]\n\tsmudge = touch {tmp_path}/ran; cat\n'
    write(top, {".git/more": more})
    git(top, "config", "includeIf.onbranch:sdqctl/**.path", "more")
    with pytest.raises(WorkspaceRefusedError, match="another work tree"):
        _made(top, home)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "parts", [["objects", "packed-refs", part] for part in ("refs", "refs/heads")]
)
def test_a_git_folder_whose_parts_are_links_shows_no_other_repository(
    parts: list[str], home: Path, tmp_path: Path
) -> None:
    other = repository(tmp_path / "other", {"secret.txt": "secret\n"})
    git(other, "pack-refs", "--all")
    top = repository(tmp_path / "project")
    for part in parts:
        path = top / ".git" / part
        if path.is_dir():
            shutil.rmtree(path)
        path.symlink_to(other / ".git" / part)
    with pytest.raises(WorkspaceRefusedError, match="link out of the git folder"):
        _made(top, home)
