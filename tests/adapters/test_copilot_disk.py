"""Reading the runtime's files: damage, remote sessions and odd YAML are told, not hidden."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdqctl.adapters import AdapterConfig, AdapterSettings, get_adapter
from sdqctl.adapters.copilot.disk import CopilotArchive, parse_flat_yaml
from sdqctl.errors import SessionUnusableError
from tests.command import sdqctl

START = (
    b'{"type":"session.start","data":{"sessionId":"s"},"id":"e0",'
    b'"timestamp":"2026-01-02T03:04:05.000Z"}\n'
)
PROMPT = (
    b'{"type":"user.message","data":{"content":"first words"},"id":"e1",'
    b'"timestamp":"2026-01-02T03:04:06.000Z"}\n'
)


@pytest.fixture
def state(home: Path) -> Path:
    folder = home / "copilot" / "session-state"
    folder.mkdir(parents=True)
    return folder


def make(state: Path, session_id: str, workspace: str | None, journal: bytes | None) -> Path:
    folder = state / session_id
    folder.mkdir()
    if workspace is not None:
        (folder / "workspace.yaml").write_text(workspace)
    if journal is not None:
        (folder / "events.jsonl").write_bytes(journal)
    return folder


def archive(home: Path) -> CopilotArchive:
    return CopilotArchive(AdapterSettings(data_dir=home / "sdqctl", copilot_home=home / "copilot"))


def test_a_pipe_in_place_of_a_file_is_not_waited_for(home: Path, state: Path) -> None:
    os.mkfifo(make(state, "one", None, START + PROMPT) / "workspace.yaml")
    os.mkfifo(make(state, "two", "id: two\n", None) / "events.jsonl")
    done = sdqctl("sessions", "list", "--format", "json")
    assert done.code == 0
    assert {entry["id"] for entry in done.json} <= {"one", "two"}
    assert "two" in {entry["id"] for entry in done.json}


def test_a_remote_session_is_listed_as_remote_and_refused_at_resume(
    home: Path, state: Path
) -> None:
    make(state, "far", "id: far\nname: far away\nuser_named: true\nis_remote: true\n", START)
    (entry,) = sdqctl("sessions", "list", "--format", "json").json
    assert (entry["name"], entry["is_remote"]) == ("far away", True)
    done = sdqctl("resume", "far away", "--prompt", "come back")
    assert done.code == 4
    assert "remote" in done.err


def test_a_remote_session_of_the_mock_is_refused_too(home: Path) -> None:
    settings = AdapterSettings(data_dir=home / "sdqctl", copilot_home=home / "copilot")

    async def story() -> None:
        async with get_adapter("mock", settings) as adapter:
            session = await adapter.create_session(AdapterConfig(session_name="far"))
            await session.close()
            file = home / "sdqctl" / "mock" / "far" / "session.json"
            text = file.read_text()
            file.write_text(text.replace('"remote":false', '"remote":true'))
            assert (await adapter.list_sessions())[0].is_remote
            with pytest.raises(SessionUnusableError, match="remotely"):
                await adapter.resume_session("far", AdapterConfig())

    asyncio.run(story())


@pytest.mark.parametrize(
    ("workspace", "journal", "damage"),
    [
        ("id: a\n", None, "the journal is missing"),
        ("id: a\n", b"", "the journal is empty"),
        ("::: no yaml \x00\n", START, "workspace.yaml is not what the runtime writes"),
    ],
)
def test_damage_is_reported(
    workspace: str, journal: bytes | None, damage: str, home: Path, state: Path
) -> None:
    make(state, "a", workspace, journal)
    (info,) = archive(home).sessions()
    assert info.damage == damage
    shown = sdqctl("sessions", "show", "a")
    assert shown.code == 0
    assert damage in shown.err


def test_a_session_without_a_workspace_file_is_read_from_its_journal(
    home: Path, state: Path
) -> None:
    make(state, "bare", None, START + PROMPT)
    (info,) = archive(home).sessions()
    assert info.summary == "first words"
    assert info.name is None
    assert info.start_time is not None
    assert info.start_time.isoformat() == "2026-01-02T03:04:05+00:00"
    assert archive(home).count_turns("bare") == 1


def test_what_is_no_session_is_passed_over(home: Path, state: Path) -> None:
    (state / "file").write_text("x")
    (state / "empty").mkdir()
    make(state, ".hidden", "id: h\n", START)
    (state / "link").symlink_to(state / "empty")
    assert list(archive(home).sessions()) == []
    assert archive(home).get("../session-state/empty") is None


def test_a_live_process_that_marked_the_session_is_its_holder(home: Path, state: Path) -> None:
    folder = make(state, "used", "id: used\n", START)
    assert archive(home).holder("used") is None
    (folder / "inuse.999999999.lock").touch()
    assert archive(home).holder("used") is None
    (folder / f"inuse.{os.getpid()}.lock").touch()
    holder = archive(home).holder("used")
    assert holder is not None
    assert holder.pid == os.getpid()


@pytest.mark.parametrize(
    ("program", "age", "holds"), [("other", 0, True), ("other", 60, False), ("copilot", 60, True)]
)
def test_a_mark_older_than_its_process_is_that_of_an_earlier_one(
    program: str, age: int, holds: bool, home: Path, state: Path
) -> None:
    folder = make(state, "used", "id: used\n", START)
    script = "import time; print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", script, program]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # before, the process may have no command line yet
        mark = folder / f"inuse.{process.pid}.lock"
        mark.touch()
        os.utime(mark, (time.time() - age, time.time() - age))
        assert (archive(home).holder("used") is not None) is holds
        process.kill()
    assert archive(home).holder("used") is None


def test_flat_yaml_keeps_plain_quoted_and_block_scalars() -> None:
    text = (
        "id: abc\n"
        "name: 'it''s: here'\n"
        'quoted: "a \\"b\\" \\u00e9"\n'
        "block: |-\n  one\n  two\n"
        "folded: >\n  three\n  four\n"
        "nested:\n  inner: no\n"
        "# comment: no\n"
        "url: https://host/x\n"
    )
    assert parse_flat_yaml(text) == {
        "id": "abc",
        "name": "it's: here",
        "quoted": 'a "b" é',
        "block": "one\ntwo",
        "folded": "three four",
        "nested": "",
        "url": "https://host/x",
    }


@pytest.mark.parametrize("name", [None, "good"])
@pytest.mark.parametrize(
    "workspace",
    [
        "name: evil\nuser_named: true\n",
        "branch: 'b'\nname : evil\nuser_named : true\n",
        "branch: 'b'\n\tname: evil\n\tuser_named: true\n",
        "branch: |\n x\nname: evil\u2028user_named: true\n",
    ],
)
def test_files_that_are_installed_bring_no_name_of_their_own(
    home: Path, state: Path, workspace: str, name: str | None
) -> None:
    found = archive(home)
    staged = found.stage()
    (staged / "workspace.yaml").write_text(f"id: s\n{workspace}", "utf-8")
    (staged / "events.jsonl").write_bytes(START)
    found.install(staged, "s", name=name, cwd=None)
    info = found.get("s")
    assert info is not None
    assert info.name == name
