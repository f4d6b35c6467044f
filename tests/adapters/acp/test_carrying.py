"""Sessions of agents on another machine: their own files go along in a bundle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdqctl.adapters import AdapterSettings
from sdqctl.adapters.acp.archive import AcpArchive, Metadata, write_metadata
from sdqctl.adapters.acp.own_files import own_files, place_files
from sdqctl.errors import SessionUnusableError
from tests.adapters.acp.scripted import Scripted
from tests.command import sdqctl

_ID = "s-0123456789ab"


@contextmanager
def _elsewhere(home: Path) -> Iterator[tuple[Scripted, pytest.MonkeyPatch]]:
    """Another machine: a HOME of its own, where the agent knows nothing."""
    other = home.with_name("other")
    with pytest.MonkeyPatch.context() as patch:
        other.mkdir()
        patch.setenv("HOME", str(other))
        patch.setenv("SDQCTL_HOME", str(other / "sdqctl"))
        yield Scripted(other, patch), patch


def _said(scripted: Scripted, **table: object) -> None:
    scripted.configure(**table)
    Path("talk.conv").write_text(
        "SESSION-NAME talk\nMODE implement\nPROMPT One. [[reply: first]]\nPROMPT Two.\n"
    )
    assert sdqctl("run", "talk.conv").code == 0


def test_a_bundle_carries_the_agents_own_conversation(scripted: Scripted, home: Path) -> None:
    _said(scripted, files=["${FAKE_ACP_HOME:-}/{id}.json"])
    exported = sdqctl("sessions", "export", "talk", "-o", "talk.sdqctl")
    assert (exported.code, "store of its own" in exported.err) == (0, False)
    with _elsewhere(home) as (there, _):
        there.configure(files=["${FAKE_ACP_HOME:-}/{id}.json"])
        assert sdqctl("sessions", "import", "talk.sdqctl").code == 0
        done = sdqctl("resume", "talk", "--prompt", "Three.")
        assert done.code == 0, done.err
        assert there.prompts() == ["One. [[reply: first]]", "Two.", "Three."]
    assert scripted.prompts() == ["One. [[reply: first]]", "Two."]


def test_what_cannot_be_carried_is_told_where_it_is_exported(
    scripted: Scripted, home: Path
) -> None:
    _said(scripted)
    exported = sdqctl("sessions", "export", "talk", "-o", "talk.sdqctl")
    assert exported.code == 0
    assert "scripted keeps the conversation in a store of its own" in exported.err
    with _elsewhere(home):
        assert sdqctl("sessions", "import", "talk.sdqctl").code == 0
        assert "first" in sdqctl("sessions", "show", "talk", "--transcript").out
        refused = sdqctl("resume", "talk", "--prompt", "Three.")
        assert refused.code == 4
        assert "no such session" in refused.err


def test_a_deleted_session_comes_back_with_the_agents_part(scripted: Scripted) -> None:
    _said(scripted, files=["${FAKE_ACP_HOME:-}/{id}.json"])
    assert sdqctl("sessions", "delete", "talk", "--force").code == 0
    for file in scripted.home.glob("*.json"):
        file.unlink()
    assert sdqctl("sessions", "restore", "talk").code == 0
    assert sdqctl("resume", "talk", "--prompt", "Three.").code == 0
    assert len(scripted.prompts()) == 3


def test_a_bundle_with_a_file_that_is_none_of_the_session_is_refused_whole(
    scripted: Scripted, home: Path
) -> None:
    _said(scripted, files=["${FAKE_ACP_HOME:-}/{id}.json"])
    sdqctl("sessions", "export", "talk", "-o", "talk.sdqctl")
    with zipfile.ZipFile("talk.sdqctl") as good, zipfile.ZipFile("bad.sdqctl", "w") as bad:
        for name in good.namelist():
            data = good.read(name)
            if name == "manifest.json":
                manifest = json.loads(data)
                files = manifest["files"]
                (own,) = [file for file in files if "/agent/" in file]
                files["session/agent/0/config.json"] = files.pop(own)
                data = json.dumps(manifest).encode()
            bad.writestr("session/agent/0/config.json" if "/agent/" in name else name, data)
    with _elsewhere(home) as (there, _):
        there.configure(files=["${FAKE_ACP_HOME:-}/{id}.json"])
        refused = sdqctl("sessions", "import", "bad.sdqctl")
        assert refused.code == 4
        assert "no file that the agent keeps of this session" in refused.err
        assert not there.home.exists()
        assert sdqctl("sessions", "list").out == ""


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A bundle that was unpacked, with nothing of an agent."""
    folder = tmp_path / "staged"
    folder.mkdir()
    return folder


def _with(staged: Path, name: str, text: str = "text") -> Path:
    file = staged / "agent" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("pattern", "name", "agent_id"),
    [
        ("{id}.json", f"1/{_ID}.json", _ID),
        ("{id}.json", f"x/{_ID}.json", _ID),
        ("{id}.json", "0/other.json", _ID),
        ("{id}.json", f"0/{_ID}.json/more", _ID),
        ("*/{id}.json", f"0/{_ID}.json", _ID),
        ("{id}/**", f"0/{_ID}", _ID),
        ("{id}/**", "0/other/file", _ID),
        ("{id}.json", "0/a*.json", "a*"),
        ("{id}.json", "0/...json", ".."),
        ("{id}.json", f"0/{_ID}.json", None),
    ],
)
def test_a_file_goes_nowhere_but_where_the_pattern_says(
    tmp_path: Path, staged: Path, pattern: str, name: str, agent_id: str | None
) -> None:
    _with(staged, name)
    with pytest.raises(SessionUnusableError):
        place_files(staged, [f"{tmp_path}/store/{pattern}"], agent_id, {})
    assert not (tmp_path / "store").exists()


def test_a_link_is_not_followed_and_nothing_is_written_over(tmp_path: Path, staged: Path) -> None:
    patterns = [f"{tmp_path}/store/{{id}}/**"]
    kept = _with(staged, f"0/{_ID}/kept", "from the bundle")
    there = tmp_path / "store" / _ID
    there.mkdir(parents=True)
    (there / "kept").write_text("mine")
    assert place_files(staged, patterns, _ID, {}) == []
    assert (there / "kept").read_text() == "mine"
    _with(staged, f"0/{_ID}/a")
    kept.parent.joinpath("link").symlink_to("/etc/hostname")
    with pytest.raises(SessionUnusableError):
        place_files(staged, patterns, _ID, {})
    assert [path.name for path in there.iterdir()] == ["kept"]


def test_files_deep_below_a_session_are_found_and_marks_of_processes_are_not(
    tmp_path: Path,
) -> None:
    for name in ("a", "deep/er/b", "inuse.7.lock"):
        file = tmp_path / _ID / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("text")
    found = own_files([f"{tmp_path}/{{id}}/**"], _ID, {})
    assert [name for name, _ in found] == [f"agent/0/{_ID}/a", f"agent/0/{_ID}/deep/er/b"]
    assert own_files([f"{tmp_path}/{{id}}/**"], "../x", {}) == []


@pytest.mark.parametrize("pattern", ["{id}/**", "*/{id}.jsonl"])
def test_nothing_behind_a_link_is_one_of_the_agents_own_files(pattern: str, tmp_path: Path) -> None:
    """The agent's tools may write where it keeps them."""
    kept, outside = tmp_path / "kept", tmp_path / "outside"
    kept.mkdir()
    outside.mkdir()
    (outside / f"{_ID}.jsonl").write_text("secret")
    (kept / (_ID if "**" in pattern else "any")).symlink_to(outside)
    assert own_files([f"{kept}/{pattern}"], _ID, {}) == []


def test_files_that_are_installed_bring_no_name_of_their_own(tmp_path: Path) -> None:
    archive = AcpArchive("scripted", AdapterSettings(data_dir=tmp_path))
    staged = archive.stage()
    when = datetime.now(UTC)
    write_metadata(staged, Metadata(name="evil", cwd="/", created_at=when))
    archive.install(staged, "s", name=None, cwd=None)
    info = archive.get("s")
    assert info is not None
    assert info.name is None
