"""Components in worktrees of their own, killed at random: each tree has its own changes, once."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl
from tests.crash.killer import Killer
from tests.crash.test_rewind_kills import FLAGS, VICTIMS_ENDS, prompt
from tests.workspace.gits import git

pytestmark = [pytest.mark.crash, pytest.mark.runtime, pytest.mark.thorough]

_COMPONENTS = [f"part{number:02}" for number in range(12)]
_STEPS = 2
_KILLS = 10
"""Without `--kills`."""
_MOST_COMMANDS = 200
_WORKFLOW = "ADAPTER copilot\nMODE implement\nALLOW-SHELL true\n" + "".join(
    prompt(number, owner="{{COMPONENT_NAME}}-") for number in range(1, _STEPS + 1)
)


def test_each_component_s_tree_has_its_lines_once_and_no_other_s(
    home: Path,
    project: Path,
    model: LoopbackModel,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kills = pytestconfig.getoption("--kills")
    seed = pytestconfig.getoption("--crash-seed") or (random.randrange(10**9) if kills else 1)
    wanted = int(kills or _KILLS)
    killer = Killer(home, model, seed)
    rounds = 0
    while killer.kills.total() < wanted:
        rounds += 1
        folder = repository(project / str(rounds))
        before = git(folder, "status", "--porcelain"), git(folder, "rev-parse", "HEAD")
        told = f"seed {seed}\n{play(folder, killer, wanted)}"
        look(folder, told)
        assert (git(folder, "status", "--porcelain"), git(folder, "rev-parse", "HEAD")) == before
    with capsys.disabled():
        print(f"\ncomponents in worktrees: seed {seed}, {dict(killer.kills)} in {rounds} batches")


def repository(folder: Path) -> Path:
    """A repository with a workflow and a list of components."""
    folder.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    (folder / "work.conv").write_text(_WORKFLOW)
    names = "".join(f"{folder.name}-{name}\n" for name in _COMPONENTS)
    (folder / "parts").write_text(names)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "begin")
    return folder


def play(folder: Path, killer: Killer, wanted: int) -> str:
    """Give the same command until all components are done; what all of them said."""
    arguments = ("apply", "work.conv", "--components", "@parts", "--worktree", "--parallel", "4")
    told = ""
    with ThreadPoolExecutor(1) as pool:
        for _ in range(_MOST_COMMANDS):
            command = pool.submit(sdqctl, *arguments, *FLAGS, cwd=folder)
            if killer.kills.total() < wanted:
                killer.strike(command)
            done = command.result()
            told += f"{' '.join(arguments)} -> {done.code}\n{done.err}"
            if done.code == 0:
                return told
            assert done.code in VICTIMS_ENDS, told
    raise AssertionError(f"it never came to its end\n{told}")


def look(folder: Path, told: str) -> None:
    """Each component's worktree holds its own files, each with its line."""
    rows = sdqctl("worktrees", "list", "--format", "json", cwd=folder).json
    tops = [Path(row["path"]) for row in rows if row["repository"] == str(folder)]
    found = Counter[str]()
    for top in tops:
        files = {path.name: path.read_text() for path in top.glob("*-*-*-*")}
        (owner,) = {name.split("-", 1)[1].rsplit("-", 1)[0] for name in files}
        kinds = [f"{kind}-{owner}-{n}" for n in range(1, _STEPS + 1) for kind in ("own", "seen")]
        assert files == dict.fromkeys(kinds, "line\n"), told
        found[owner] += 1
    assert found == Counter(f"{folder.name}-{name}" for name in _COMPONENTS), told
