"""Snapshots of work trees of every kind, and making them so again; a real git is the oracle."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sdqctl.errors import WorkspaceError, WorkspaceRefusedError
from sdqctl.model.session import SessionRef
from sdqctl.model.workspace import FileChange, FileStatus
from sdqctl.workspace.snapshots import Limits, Workspace
from tests.workspace.gits import git, of_user, on_disk, opened, repository, write

SESSION = SessionRef("mock", "work")


def _as_git_adds(top: Path, tmp_path: Path) -> str:
    """The tree that `git add -A` makes, by an index of its own and with the user's as its start."""
    index = tmp_path / "oracle-index"
    user = top / ".git" / "index"
    if user.exists():
        shutil.copy2(user, index)
    environment = {**os.environ, "GIT_INDEX_FILE": str(index)}
    for arguments in (["add", "-A"], ["write-tree"]):
        done = subprocess.run(
            ["git", *arguments], cwd=top, env=environment, capture_output=True, check=True
        )
    return done.stdout.decode().strip()


def _case_plain(top: Path) -> None:
    write(top, {"a.txt": "changed\n", "new/c.txt": "three\n"})
    (top / "sub/b.txt").unlink()


def _case_program_and_link(top: Path) -> None:
    (top / "a.txt").chmod(0o755)
    (top / "link").symlink_to("a.txt")
    (top / "dangling").symlink_to("/nowhere/at all")


def _case_folder_becomes_a_link(top: Path) -> None:
    (top / "sub").rename(top / "other")
    (top / "sub").symlink_to("other")


def _case_folder_becomes_an_ignored_link(top: Path) -> None:
    _case_folder_becomes_a_link(top)
    write(top, {".gitignore": "/sub\n"})


def _case_file_becomes_a_folder(top: Path) -> None:
    (top / "a.txt").unlink()
    write(top, {"a.txt/inner": "in\n"})


def _case_folder_becomes_a_file(top: Path) -> None:
    shutil.rmtree(top / "sub")
    write(top, {"sub": "a file\n"})


def _case_names(top: Path) -> None:
    for name in (b"caf\xe9", b"with\nbreak", b"-dash", b":(glob)*", b'q"uote', b"sp ace\t"):
        (Path(os.fsdecode(os.fsencode(top) + b"/" + name))).write_text("name\n")


def _case_renamed_by_case_alone(top: Path) -> None:
    (top / "a.txt").rename(top / "A.TXT")


def _case_ignored(top: Path) -> None:
    write(top, {".gitignore": "*.log\nbuild/\n", "x.log": "out\n", "build/o": "out\n", "y": "in\n"})
    write(top, {"forced.log": "in, for it is tracked\n"})
    git(top, "add", "-f", "forced.log")


def _case_dirty_index(top: Path) -> None:
    write(top, {"a.txt": "staged\n", "staged": "x\n", "ita": "later\n"})
    git(top, "add", "a.txt", "staged")
    git(top, "add", "-N", "ita")
    write(top, {"a.txt": "and changed again\n"})
    git(top, "rm", "-q", "--cached", "sub/b.txt")


def _case_conflict(top: Path) -> None:
    git(top, "checkout", "-q", "-b", "side")
    write(top, {"a.txt": "side\n"})
    git(top, "commit", "-q", "-am", "side")
    git(top, "checkout", "-q", "main")
    write(top, {"a.txt": "main\n"})
    git(top, "commit", "-q", "-am", "main")
    with pytest.raises(subprocess.CalledProcessError):
        git(top, "merge", "side")


def _case_info_exclude(top: Path) -> None:
    (top / ".git/info").mkdir(exist_ok=True)
    (top / ".git/info/exclude").write_text("secret*")
    write(top, {"secret.txt": "out\n", "open.txt": "in\n"})


def _case_line_ends(top: Path) -> None:
    write(top, {".gitattributes": "*.txt text=auto eol=crlf\n"})
    (top / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")


def _case_submodule(top: Path) -> None:
    other = repository(top.parent / "other")
    git(top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "module")
    write(top, {"module/inner": "belongs to the module\n"})


CASES = {
    name.removeprefix("_case_"): case
    for name, case in sorted(globals().items())
    if name.startswith("_case_")
}
LEAVES = {"folder_becomes_an_ignored_link", "ignored", "info_exclude", "submodule"}
"""Those whose restored tree is not the whole of it: ignored files and what modules hold stay."""


@pytest.mark.each(2)
@pytest.mark.parametrize("case", CASES)
def test_a_tree_is_what_git_add_would_make_and_the_user_sees_nothing(
    case: str, home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project")
    CASES[case](top)
    before, files = of_user(top), on_disk(top)
    workspace = opened(top, home)
    expected = _as_git_adds(top, tmp_path)
    first = workspace.snapshot(SESSION, "run/start")
    assert first.tree == expected == git(top, "rev-parse", f"{first.commit}^{{tree}}").strip()
    assert on_disk(top) == files
    for now, then in zip(of_user(top), before, strict=True):
        assert now == then


@pytest.mark.each(2)
@pytest.mark.parametrize("case", [name for name in CASES if name not in LEAVES])
@pytest.mark.parametrize("way", ["back", "forth"])
def test_a_tree_that_was_restored_is_byte_for_byte_what_it_was(
    case: str, way: str, home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project")
    workspace = opened(top, home)
    before, first = on_disk(top), workspace.snapshot(SESSION, "run/start")
    CASES[case](top)
    after, second = on_disk(top), workspace.snapshot(SESSION, "run/1", parent=first)
    user = of_user(top)[1:]
    assert workspace.restore(first).tree == first.tree
    if way == "back":
        assert on_disk(top) == before
    else:
        assert workspace.restore(second).tree == second.tree
        assert on_disk(top) == after
    assert of_user(top)[1:] == user
    assert "dangling" not in git(top, "fsck") or case in ("conflict", "dirty_index")


def test_a_tree_in_which_nothing_changed_gives_the_snapshot_before(
    home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project")
    workspace = opened(top, home)
    first = workspace.snapshot(SESSION, "run/start")
    os.utime(top / "a.txt")
    assert workspace.snapshot(SESSION, "run/1", parent=first) == first
    assert [each.path for each in workspace.history.list(SESSION)] == ["run/start"]


def test_a_snapshot_descends_from_the_commit_that_is_checked_out_and_from_the_one_before(
    home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project")
    workspace = opened(top, home)
    first = workspace.snapshot(SESSION, "run/start")
    write(top, {"a.txt": "two\n"})
    second = workspace.snapshot(SESSION, "run/1", parent=first)
    assert git(top, "rev-list", second.commit).split() == [
        second.commit,
        first.commit,
        git(top, "rev-parse", "HEAD").strip(),
    ]


def test_what_changed_is_counted_in_lines_as_git_counts(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    workspace = opened(top, home)
    first = workspace.snapshot(SESSION, "run/start")
    write(top, {"a.txt": "one\nmore\n", "new": "x\ny\n"})
    (top / "image").write_bytes(b"\0\1\2")
    (top / "sub/b.txt").unlink()
    (top / "sub/b.txt").symlink_to("../a.txt")
    second = workspace.snapshot(SESSION, "run/1", parent=first)
    assert workspace.changes(first.tree, second.commit) == [
        FileChange(path="a.txt", status=FileStatus.MODIFIED, added=1, removed=0),
        FileChange(path="image", status=FileStatus.ADDED),
        FileChange(path="new", status=FileStatus.ADDED, added=2, removed=0),
        FileChange(path="sub/b.txt", status=FileStatus.RETYPED, added=1, removed=1),
    ]


def test_the_paths_of_steps_and_ids_of_sessions_need_not_be_names_of_refs(
    home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project")
    workspace = opened(top, home)
    session = SessionRef("mock", "..a b~^:?*[é@{.lock")
    paths = ["run/6[3].1", "run/5.then.2", "run/5", "run/a..b.lock"]
    made = [workspace.snapshot(session, path) for path in paths]
    other = workspace.snapshot(SESSION, "run/1")
    kept = workspace.history.list(session)
    assert sorted(each.path for each in kept) == sorted(paths)
    assert {each.snapshot for each in kept} == {*made}
    assert workspace.history.delete(session, ["run/5"]) == 1
    assert workspace.history.delete(session) == 3
    assert [each.snapshot for each in workspace.history.list()] == [other]


def test_outside_of_a_repository_the_snapshots_lie_in_one_of_sdqctls_own(
    home: Path, tmp_path: Path
) -> None:
    top = tmp_path / "plain"
    write(top, {"a": "1\n", "d/b": "2\n"})
    workspace = opened(top, home)
    before, first = on_disk(top), workspace.snapshot(SESSION, "run/start")
    write(top, {"a": "other\n", "e/c": "3\n"})
    second = workspace.snapshot(SESSION, "run/1", parent=first)
    assert [each.path for each in workspace.changes(first.tree, second.tree)] == ["a", "e/c"]
    assert workspace.restore(first).tree == first.tree
    assert on_disk(top) == before
    assert not (top / "e").exists()
    assert str(home) in str(workspace.keeper)


def test_a_repository_without_a_commit_has_snapshots(home: Path, tmp_path: Path) -> None:
    top = tmp_path / "new"
    top.mkdir()
    git(top, "init", "-q")
    write(top, {"a": "1\n"})
    git(top, "add", "a")
    workspace = opened(top, home)
    first = workspace.snapshot(SESSION, "run/start")
    write(top, {"a": "2\n"})
    assert workspace.restore(first).tree == first.tree
    assert git(top, "status", "--porcelain") == "A  a\n"


def test_a_worktree_of_the_users_own_and_a_folder_within_mean_the_whole_tree(
    home: Path, tmp_path: Path
) -> None:
    main = repository(tmp_path / "project")
    git(main, "worktree", "add", "-q", str(tmp_path / "second"), "-b", "second")
    workspace = opened(tmp_path / "second" / "sub", home)
    write(tmp_path / "second", {"a.txt": "there\n"})
    first = workspace.snapshot(SESSION, "run/start")
    assert workspace.top == tmp_path / "second"
    assert opened(main, home).keeper == workspace.keeper == main / ".git"
    assert git(main, "show", f"{first.commit}:a.txt") == "there\n"


def test_a_variable_of_git_in_the_environment_is_not_followed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = repository(tmp_path / "project")
    other = tmp_path / "bare.git"
    git(tmp_path, "init", "-q", "--bare", str(other))
    monkeypatch.setenv("GIT_DIR", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nothing"))
    assert opened(top, home).keeper == top / ".git"


def test_a_link_into_a_repository_leads_there(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    (tmp_path / "link").symlink_to(top / "sub")
    assert opened(tmp_path / "link", home).keeper == top / ".git"


@pytest.mark.parametrize("place", ["bare.git", "project/.git"])
def test_a_repository_without_a_work_tree_is_refused(
    place: str, home: Path, tmp_path: Path
) -> None:
    repository(tmp_path / "project")
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    with pytest.raises(WorkspaceRefusedError, match="without a work tree"):
        opened(tmp_path / place, home)


def test_the_home_folder_and_a_checkout_in_part_are_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceRefusedError, match="holds your home"):
        opened(home, home)
    top = repository(tmp_path / "project")
    git(top, "sparse-checkout", "set", "sub")
    with pytest.raises(WorkspaceRefusedError, match="in part"):
        opened(top, home)


@pytest.mark.parametrize(
    ("limits", "told"),
    [(Limits(files=3), "4 files, more than 3"), (Limits(bytes=10), "16 bytes")],
)
def test_a_tree_over_a_limit_is_refused(
    limits: Limits, told: str, home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project")
    write(top, {"c": "12345678", "d": "12345678"})
    with pytest.raises(WorkspaceRefusedError, match=told):
        opened(top, home, limits).tree()


def test_no_program_of_the_repository_runs(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    trace = tmp_path / "ran"
    program = top / "evil.sh"
    program.write_text(f"#!/bin/sh\necho $0 >> {trace}\ncat\n")
    program.chmod(0o755)
    hooks = top / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("reference-transaction", "post-index-change", "post-checkout", "pre-commit"):
        shutil.copy(program, hooks / hook)
    for key in ("core.fsmonitor", "diff.external", "diff.x.textconv", "diff.x.command"):
        git(top, "config", key, str(program))
    for key in ("core.pager", "core.editor", "core.askPass", "core.sshCommand", "gpg.program"):
        git(top, "config", key, str(program))
    git(top, "config", "commit.gpgSign", "true")
    write(top, {".gitattributes": "* diff=x filter=x\n"})
    trace.unlink(missing_ok=True)
    workspace = opened(top, home)
    first = workspace.snapshot(SESSION, "run/start")
    write(top, {"a.txt": "two\n"})
    second = workspace.snapshot(SESSION, "run/1", parent=first)
    workspace.history.diff(first.tree, second.tree)
    workspace.restore(first)
    workspace.history.delete(SESSION)
    assert not trace.exists()
    git(top, "config", "filter.x.clean", str(program))
    with pytest.raises(WorkspaceRefusedError, match=r"filter\.x\.clean"):
        opened(top, home)


def test_a_filter_of_the_users_own_configuration_keeps_pointers(home: Path, tmp_path: Path) -> None:
    for name, script in (("clean", "sed s/big/pointer/"), ("smudge", "sed s/pointer/big/")):
        git(tmp_path, "config", "--global", f"filter.lfs.{name}", script)
    top = repository(tmp_path / "project", {".gitattributes": "*.bin filter=lfs\n"})
    write(top, {"x.bin": "big one\n"})
    workspace = opened(top, home)
    first = workspace.snapshot(SESSION, "run/start")
    assert git(top, "cat-file", "-p", f"{first.commit}:x.bin") == "pointer one\n"
    (top / "x.bin").unlink()
    workspace.restore(first)
    assert (top / "x.bin").read_text() == "big one\n"


def test_repositories_within_stay_as_they_are(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    workspace = opened(top, home)
    first = workspace.snapshot(SESSION, "run/start")
    repository(top / "clone")
    (top / "empty").mkdir()
    git(top / "empty", "init", "-q")
    assert workspace.snapshot(SESSION, "run/1", parent=first) == first
    write(top, {"a.txt": "two\n"})
    restored = workspace.restore(first)
    assert (restored.tree, restored.left) == (first.tree, ())
    assert (top / "clone/a.txt").exists()
    assert workspace.repositories_within() == ["clone", "empty"]


def test_the_data_folder_within_a_tree_does_not_belong_to_it(tmp_path: Path, home: Path) -> None:
    top = tmp_path / "plain"
    write(top, {"a": "1\n", ".data [x]/ledger": "all\n", ".agent/journal": "talk\n"})
    workspace = Workspace.open(top, top / ".data [x]", outside=[top / ".agent"])
    first = workspace.snapshot(SESSION, "run/start")
    write(top, {".data [x]/ledger": "more\n", ".agent/journal": "more talk\n"})
    assert workspace.snapshot(SESSION, "run/1", parent=first) == first
    assert workspace.changes(workspace.tree(), first.tree) == []


def test_a_restore_never_writes_over_an_ignored_file(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    write(top, {"app.log": "kept\n", "logs/old": "kept\n"})
    workspace = opened(top, home)
    first = workspace.snapshot(SESSION, "run/start")
    (top / "app.log").unlink()
    shutil.rmtree(top / "logs")
    write(top, {".gitignore": "*.log\n/logs\n"})
    second = workspace.snapshot(SESSION, "run/1", parent=first)
    write(top, {"app.log": "of nobody's snapshot\n", "logs": "neither\n"})
    assert workspace.tree() == second.tree
    before = on_disk(top)
    with pytest.raises(WorkspaceError, match=r"app\.log, logs"):
        workspace.restore(first)
    assert on_disk(top) == before
    assert workspace.restoring is None


def test_files_that_were_ignored_are_left_and_named(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    workspace = opened(top, home)
    first = workspace.snapshot(SESSION, "run/start")
    write(top, {".gitignore": "*.log\n", "app.log": "out\n"})
    workspace.snapshot(SESSION, "run/1", parent=first)
    restored = workspace.restore(first)
    assert restored.left == ("app.log",)
    assert (top / "app.log").read_text() == "out\n"


def test_snapshots_outlive_the_collection_of_garbage_and_the_user_can_pack(
    home: Path, tmp_path: Path
) -> None:
    top = repository(tmp_path / "project")
    workspace = opened(top, home)
    write(top, {"new": "x\n"})
    first = workspace.snapshot(SESSION, "run/start")
    (top / "new").unlink()
    workspace.snapshot(SESSION, "run/1", parent=first)
    git(top, "gc", "-q", "--prune=now")
    assert workspace.history.missing([first.commit, "0" * 40]) == {"0" * 40}
    assert workspace.restore(first).tree == first.tree


def test_an_index_whose_objects_were_collected_is_made_again(home: Path, tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    workspace = opened(top, home)
    write(top, {"new": "x\n"})
    first = workspace.snapshot(SESSION, "run/start")
    workspace.history.delete(SESSION)
    git(top, "gc", "-q", "--prune=now")
    write(top, {"a.txt": "changed\n"})
    again = workspace.snapshot(SESSION, "run/2")
    assert workspace.history.missing([first.commit, again.commit]) == {first.commit}
    assert git(top, "show", f"{again.commit}:new") == "x\n"


def test_a_repository_of_the_other_hash_has_snapshots(home: Path, tmp_path: Path) -> None:
    top = tmp_path / "project"
    top.mkdir()
    git(top, "init", "-q", "--object-format=sha256")
    write(top, {"a": "1\n"})
    workspace = opened(top, home)
    first = workspace.snapshot(SESSION, "run/start")
    write(top, {"a": "2\n"})
    assert len(first.commit) == 64
    assert workspace.restore(first).tree == first.tree


def _work_tree_elsewhere(top: Path, other: Path) -> None:
    git(top, "config", "core.worktree", "../..")


def _git_folder_of_another(top: Path, other: Path) -> None:
    shutil.rmtree(top / ".git")
    write(top, {".git": f"gitdir: {other}/.git\n"})


def _link_to_another(top: Path, other: Path) -> None:
    shutil.rmtree(top / ".git")
    (top / ".git").symlink_to(other / ".git")


def _objects_of_another(top: Path, other: Path) -> None:
    write(top, {".git/commondir": f"{other}/.git\n"})


@pytest.mark.parametrize(
    "astray", [_work_tree_elsewhere, _git_folder_of_another, _link_to_another, _objects_of_another]
)
def test_a_git_folder_that_came_along_makes_nothing_outside_part_of_the_tree(
    astray: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    """Else a snapshot would bring HOME's files where tools read, or show another repository's."""
    top, other = repository(tmp_path / "in" / "project"), tmp_path / "other"
    shutil.copytree(top, other)
    astray(top, other)
    with pytest.raises(WorkspaceRefusedError, match="name one another"):
        opened(top, tmp_path)


def test_a_submodule_and_a_worktree_are_known_to_be_whole(tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    _case_submodule(top)
    git(top, "worktree", "add", "-q", str(tmp_path / "tree"))
    for folder in (top / "module", tmp_path / "tree"):
        assert opened(folder, tmp_path).top == folder


def test_no_program_checks_signatures(tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    git(top, "config", "log.showSignature", "true")
    git(top, "config", "gpg.program", str(program))
    head = git(top, "cat-file", "commit", "HEAD")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n"
    signed = tmp_path / "signed"
    signed.write_text(head.replace("\n\n", f"\n{signature}", 1) + "\n")
    git(top, "reset", "-q", git(top, "hash-object", "-t", "commit", "-w", str(signed)).strip())
    workspace = opened(top, tmp_path)
    start = workspace.snapshot(SESSION, "RUN/start")
    assert workspace.history.base(start.commit) == git(top, "rev-parse", "HEAD").strip()
    assert not (tmp_path / "ran").exists()


def test_a_pipe_in_the_git_folder_is_not_waited_for(tmp_path: Path) -> None:
    top = repository(tmp_path / "project")
    for name in ("index", "info/exclude", "info/attributes"):
        (top / ".git" / name).unlink(missing_ok=True)
        os.mkfifo(top / ".git" / name)
    assert opened(top, tmp_path).tree() == git(top, "rev-parse", "HEAD^{tree}").strip()
