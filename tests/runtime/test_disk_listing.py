"""Reading the runtime's files by hand tells what the SDK tells, for all kinds of sessions."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sdqctl.adapters import AdapterConfig, AdapterSettings, get_adapter, get_archive
from sdqctl.adapters.copilot.adapter import CopilotAdapter
from sdqctl.model.session import SessionInfo
from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl
from tests.conftest import RUNTIME

pytestmark = pytest.mark.runtime


def settings(home: Path) -> AdapterSettings:
    return AdapterSettings(
        data_dir=home / "sdqctl",
        copilot_home=home / "copilot",
        runtime_path=RUNTIME,
        environment=dict(os.environ),
    )


async def fill(home: Path, project: Path) -> list[str]:
    """Two dozen sessions: named, unnamed, never prompted, forked and renamed; returns their ids."""
    made = []
    async with CopilotAdapter(settings(home)) as adapter:
        for number in range(15):
            name = f"session {number}: 'q' é" if number % 3 else None
            config = AdapterConfig(session_name=name, working_directory=project)
            session = await adapter.create_session(config)
            if number % 5:
                async for _ in session.send(f"# {number} [[reply: yes]]", turn_id="t"):
                    pass
                made.append(session.info.id)
            await session.close()
        for number, session_id in enumerate(made[:8]):
            await adapter.fork_session(session_id, f"fork {number}")
        for number, session_id in enumerate(made[8:12]):
            await adapter.rename_session(session_id, f"renamed {number}")
    return made


def native(count: int) -> None:
    for number in range(count):
        subprocess.run(
            [RUNTIME, "-p", f"native {number} [[reply: yes]]"],
            capture_output=True,
            timeout=120,
            check=True,
        )


def damage(home: Path, ids: list[str]) -> None:
    """Torn ends, garbage in the middle, and a folder that is gone."""
    state = home / "copilot" / "session-state"
    for session_id in ids[:3]:
        file = state / session_id / "events.jsonl"
        file.write_bytes(file.read_bytes()[:-20])
    for session_id in ids[3:6]:
        with (state / session_id / "events.jsonl").open("ab") as stream:
            stream.write(b"\0\xff garbage\n{}\n")
    shutil.rmtree(state / ids[6])


def facts(info: SessionInfo) -> tuple[object, ...]:
    return (info.id, info.name, info.is_remote, info.cwd, info.repository, info.branch)


@pytest.mark.thorough
def test_sessions_of_all_kinds_are_listed_as_the_sdk_lists_them(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    ids = asyncio.run(fill(home, project))
    native(1)
    damage(home, ids)

    async def listed() -> list[SessionInfo]:
        async with get_adapter("copilot", settings(home)) as adapter:
            return list(await adapter.list_sessions())

    told = {info.id: facts(info) for info in asyncio.run(listed())}
    read = {info.id: info for info in get_archive("copilot", settings(home)).sessions()}
    assert len(told) >= 18
    more = {session_id for session_id in read if session_id not in told}
    assert all(not read[session_id].stored for session_id in more), more
    assert {session_id: facts(read[session_id]) for session_id in told} == told


@pytest.mark.thorough
def test_an_unknown_layout_is_left_to_the_sdk(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "w.conv").write_text("SESSION-NAME x\nPROMPT a [[reply: b]]\n")
    assert sdqctl("run", "w.conv").code == 0
    folder = home / "copilot" / "session-state" / "x"
    quiet = sdqctl("sessions", "list", "-v", "--format", "json")
    assert "unknown way" not in quiet.err
    for name in ("workspace.yaml", "events.jsonl"):
        (folder / name).rename(folder / f"new-{name}")
    told = sdqctl("sessions", "list", "-v", "--format", "json")
    assert told.code == 0, told.err
    assert "unknown way" in told.err
    assert told.json == []
