"""The clones of a worker: what is brought into them, and what is not run for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest

from sdqctl.cli.runs import enqueueing
from sdqctl.errors import WorkspaceError
from sdqctl.fleet.database import Database
from sdqctl.fleet.jobs import Origin, origin_of
from sdqctl.fleet.repositories import Repositories
from tests.workspace.gits import git, repository, write

NO_STORE = cast("Database", None)


def _clone(folder: Path) -> tuple[Path, Path, str]:
    """A repository, a clone of it, and a commit that the clone does not have."""
    source = repository(folder / "source")
    git(folder, "clone", "-q", str(source), "clone")
    write(source, {"a.txt": "newer\n"})
    git(source, "commit", "-q", "-a", "-m", "second")
    return source, folder / "clone", git(source, "rev-parse", "HEAD").strip()


@pytest.mark.parametrize("shallow", [False, True])
@pytest.mark.parametrize("branch", [False, True])
def test_a_commit_is_brought_into_a_clone_that_was_given(
    branch: bool, shallow: bool, tmp_path: Path
) -> None:
    source, clone, base = _clone(tmp_path)
    url = f"file://{source}"
    if shallow:
        git(tmp_path, "clone", "-q", "--depth", "1", url, "shallow")
        clone = tmp_path / "shallow"
        write(source, {"a.txt": "newest\n"})
        git(source, "commit", "-q", "-a", "-m", "third")
        base = git(source, "rev-parse", "HEAD").strip()
    if branch:
        git(source, "commit", "-q", "--allow-empty", "-m", "more")
    top = Repositories(tmp_path, {url: clone}).ready(
        Origin(base=base, url=url, inside="."), NO_STORE
    )
    assert top == clone
    assert git(clone, "rev-parse", f"refs/heads/sdqctl-base/{base[:12]}").strip() == base
    git(clone, "fsck", "--connectivity-only")


def test_no_program_runs_that_a_tool_wrote_into_the_configuration_of_the_clone(
    tmp_path: Path,
) -> None:
    source, clone, base = _clone(tmp_path)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    program.chmod(0o755)
    url, plain = "ssh://nobody@localhost:1/x", f"file://{source}"
    git(clone, "config", "core.sshCommand", str(program))
    git(clone, "config", f"remote.{plain}.uploadpack", str(program))
    for address in (url, plain):
        found = Repositories(tmp_path, {address: clone})
        origin = Origin(base=base, url=address, inside=".")
        if address == url:
            with pytest.raises(WorkspaceError, match="cannot be fetched"):
                found.ready(origin, NO_STORE)
        else:
            found.ready(origin, NO_STORE)
    assert not (tmp_path / "ran").exists()


def test_putting_a_run_in_runs_no_program_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = repository(tmp_path / "project", {"a.txt": "one\n", ".gitattributes": "* filter=x\n"})
    git(top, "config", "filter.x.clean", f"touch {tmp_path}/ran; cat")
    os.utime(top / "a.txt", (1, 1))
    monkeypatch.setattr("sdqctl.fleet.queue.get_base", lambda *_: b"there")
    found = origin_of(top)
    assert found is not None
    enqueueing._carry(NO_STORE, *found)
    assert not (tmp_path / "ran").exists()
