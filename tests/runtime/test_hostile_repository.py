"""What a cloned repository brings runs nothing, whatever the mode, on the real runtime."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdqctl.adapters.base import AdapterConfig
from sdqctl.adapters.copilot.adapter import CopilotAdapter
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl
from tests.runtime.hostile import (
    INSTRUCTIONS,
    HostileRepository,
    plant,
    plant_few,
    plant_lacking,
)
from tests.runtime.plans import Call, Plans, sub_agent, tools_offered
from tests.sampling import some
from tests.terminal import CTRL_D, ENTER, Terminal

pytestmark = pytest.mark.runtime

LSP: Call = ("lsp", {"operation": "hover", "file": "main.rs", "line": 1, "character": 1})
SKILLS: list[Call] = [("skill", {"skill": f"evil-{index}"}) for index in range(3)]
TOUCHING: list[Call] = [
    ("view", {"path": "notes.txt"}),
    ("grep", {"pattern": "hello"}),
    ("glob", {"pattern": "**/*"}),
    ("bash", {"command": "git status; ls; uname; which node", "description": "look"}),
    LSP,
    *SKILLS,
    ("sql", {"description": "count", "query": "select 1"}),
    ("create", {"path": "made.txt", "file_text": "made"}),
]
AGENTS = ("task", *(f"evil-{index}" for index in range(3)))


@pytest.fixture(autouse=True)
def without_a_net(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sandbox, which would keep programs from leaving their marks."""
    (home / "my.toml").write_text('sandbox = "none"\n')
    monkeypatch.setenv("SDQCTL_CONFIG", str(home / "my.toml"))


@pytest.fixture
def repository(home: Path, project: Path) -> HostileRepository:
    return plant(project, home.parent / "marks")


@pytest.fixture
def planned(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackModel]:
    plans = {
        "main": [*TOUCHING, *(sub_agent("sub", kind) for kind in AGENTS)],
        "sub": TOUCHING,
        "look": TOUCHING[:1],
    }
    with LoopbackModel(Plans(plans)) as model:
        for name, value in model.environment().items():
            monkeypatch.setenv(name, value)
        yield model


def workflow(home: Path) -> Path:
    path = home / "w.conv"
    path.write_text("PROMPT PLAN:main on {{GIT_BRANCH}} at {{GIT_COMMIT}}\n")
    return path


@pytest.mark.parametrize(
    ("mode", "with_fork"),
    some(1, [("full", False), ("full", True), ("audit", True), ("implement", True)]),
)
def test_a_planted_repository_runs_nothing_on_run_resume_and_in_a_fork(
    home: Path, repository: HostileRepository, planned: LoopbackModel, mode: str, with_fork: bool
) -> None:
    run = sdqctl("run", workflow(home), "--session-name", "planted", "--mode", mode)
    assert run.code == 0, run.err
    assert "PLAN:main on main at " in planned.user_messages(0)[0]
    resumed = sdqctl("resume", "planted", "--prompt", "PLAN:main", "--mode", mode)
    assert resumed.code == 0, resumed.err
    if with_fork:
        assert sdqctl("sessions", "fork", "planted", "forked").code == 0
        forked = sdqctl("resume", "forked", "--prompt", "PLAN:main", "--mode", mode)
        assert forked.code == 0, forked.err
    assert repository.marks == []
    for plan in ("main", "sub"):
        offered = tools_offered(planned, plan)
        assert offered, plan
        assert all("view" in names and not names & {"lsp", "skill"} for names in offered)
    assert any("bash" in names for names in tools_offered(planned, "sub")) is (mode != "audit")


def test_a_planted_repository_runs_nothing_when_a_workflow_is_applied_to_a_file_of_it(
    home: Path, repository: HostileRepository, planned: LoopbackModel
) -> None:
    done = sdqctl("apply", workflow(home), "--components", "*.rs", "--mode", "implement")
    assert done.code == 0, done.err
    assert len(tools_offered(planned, "main")) > len(TOUCHING)
    assert repository.marks == []


def test_nothing_is_fetched_by_what_a_repository_names(
    home: Path, project: Path, planned: LoopbackModel
) -> None:
    repository = plant_lacking(project, home.parent / "marks")
    run = sdqctl("run", workflow(home), "--mode", "audit")
    assert run.code == 0, run.err
    assert repository.marks == []
    asked = ["git", "cat-file", "-e", "HEAD^{commit}"]
    assert subprocess.run(asked, cwd=project, check=False).returncode == 0
    assert repository.marks == ["upload-pack"]


def test_no_program_is_found_where_the_work_is_done(
    home: Path,
    repository: HostileRepository,
    planned: LoopbackModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", f".::{os.environ['PATH']}:bin")
    run = sdqctl("run", workflow(home), "--mode", "audit")
    assert run.code == 0, run.err
    assert "PLAN:main on main at " in planned.user_messages(0)[0]
    assert repository.marks == []


@pytest.mark.thorough
def test_a_planted_repository_runs_nothing_in_a_conversation(
    home: Path, repository: HostileRepository, planned: LoopbackModel
) -> None:
    path = workflow(home)
    path.write_text("PROMPT PLAN:look\n")
    assert sdqctl("run", path, "--session-name", "talk").code == 0
    with Terminal(["resume", "talk", "--mode", "full"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        before = len(planned.requests)
        terminal.type(f"PLAN:sub{ENTER}")
        terminal.wait_until(lambda: len(planned.requests) - before > len(TOUCHING))
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    assert repository.marks == []


async def ask_twice(settings: AdapterSettings, config: AdapterConfig, marks: Path) -> list[str]:
    """A prompt in a new session, and one in it resumed; the marks that only the second left."""
    async with CopilotAdapter(settings) as adapter:
        session = await adapter.create_session(config)
        async for _ in session.send("PLAN:look", turn_id="new"):
            pass
        await session.close()
    first = sorted(path.name for path in marks.iterdir())
    for path in marks.iterdir():
        path.unlink()
    async with CopilotAdapter(settings) as adapter:
        session = await adapter.resume_session(session.info.id, config)
        async for _ in session.send("PLAN:look", turn_id="again"):
            pass
        await session.close()
    return first


@pytest.mark.thorough
def test_a_trusted_repository_gets_what_it_brings_in_new_and_in_resumed_sessions(
    home: Path, project: Path, planned: LoopbackModel
) -> None:
    """What is planted does run when it may: one file of each kind, for all would take minutes."""
    repository = plant_few(project, home.parent / "marks")
    settings = AdapterSettings(
        data_dir=home / "sdqctl",
        copilot_home=home / "copilot",
        runtime_path=Path(os.environ["COPILOT_CLI_PATH"]),
        environment=dict(os.environ),
    )
    config = AdapterConfig(working_directory=repository.folder, trust_repository=True)
    first = asyncio.run(ask_twice(settings, config, repository.marks_folder))
    hooks = {"hook-hooks-sessionStart", "hook-hooks-preToolUse"}
    for marks in (first, repository.marks):
        assert {*hooks, "mcp-file-0", "extension-evil"} <= set(marks)


@pytest.mark.thorough
def test_instructions_are_read_as_text_unless_one_leads_out_of_the_repository(
    home: Path, repository: HostileRepository, planned: LoopbackModel
) -> None:
    stray = sdqctl("run", workflow(home))
    assert stray.code == 0, stray.err
    assert "link.instructions.md leads out of the repository" in stray.err
    told = str([request.body for request in planned.requests])
    assert "OUTSIDE-SECRET" not in told
    assert "INSTRUCTION-" not in told
    (repository.folder / ".github/instructions/link.instructions.md").unlink()
    planned.requests.clear()
    clean = sdqctl("run", workflow(home))
    assert clean.code == 0, clean.err
    assert "leads out" not in clean.err
    told = str([request.body for request in planned.requests])
    assert f"INSTRUCTION-{INSTRUCTIONS.index('AGENTS.md')}" in told
    assert "OUTSIDE-SECRET" not in told
    assert repository.marks == []


@pytest.mark.thorough
def test_nothing_runs_in_a_trusted_repository_but_what_trust_shows(
    home: Path, repository: HostileRepository, planned: LoopbackModel
) -> None:
    shown = sdqctl("trust", "--show", "--format", "json").json
    for file in shown["files"]:
        (repository.folder / file["path"]).unlink()
    (repository.folder / ".github/hooks").mkdir(parents=True, exist_ok=True)
    repository.write(
        ".github/hooks/left.json",
        {
            "version": 1,
            "hooks": {"sessionStart": [{"type": "command", "bash": repository.command("left")}]},
        },
    )
    run = sdqctl("run", workflow(home), "--mode", "full", "--trust-once")
    assert run.code == 0, run.err
    assert repository.marks == ["left"]
