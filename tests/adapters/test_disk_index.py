"""A list that reads only what changed says the same as one that reads everything."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sdqctl.adapters.copilot.disk import CopilotArchive
from sdqctl.adapters.copilot.disk_index import FILE_NAME
from sdqctl.adapters.settings import AdapterSettings
from tests.adapters.test_copilot_disk import PROMPT, START, make

SESSIONS = 40
LONG_AGO = time.time() - 3600


@pytest.fixture
def state(home: Path) -> Path:
    """Forty sessions of long ago, listed once, so that they are in the index."""
    state = home / "copilot" / "session-state"
    state.mkdir(parents=True)
    for number in range(SESSIONS):
        text = f"id: s{number}\nname: name {number}\nuser_named: true\n"
        age(make(state, f"s{number}", text, START + PROMPT))
    listed(home)
    assert (home / "sdqctl" / FILE_NAME).exists()
    return state


def age(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        os.utime(path, (LONG_AGO, LONG_AGO))


def listed(home: Path, data: str = "sdqctl") -> dict[str, tuple[object, int | None, bool]]:
    archive = CopilotArchive(
        AdapterSettings(data_dir=home / data, copilot_home=home / "copilot"),
    )
    return {
        info.id: (info, archive.count_turns(info.id), archive.holder(info.id) is not None)
        for info in archive.sessions()
    }


def test_what_was_written_since_is_listed(home: Path, state: Path) -> None:
    with (state / "s3" / "events.jsonl").open("ab") as stream:
        stream.write(PROMPT)
    (state / "s4" / "workspace.yaml").write_text("id: s4\nname: other\nuser_named: true\n")
    (state / "s5" / "events.jsonl").unlink()
    for path in (state / "s6").iterdir():
        path.unlink()
    (state / "s6").rmdir()
    age(make(state, "new", "id: new\n", START))
    found = listed(home)
    assert found == listed(home, "empty")
    assert found["s3"][1] == 2
    assert found["s3"][0] != found["s2"][0]
    assert "s6" not in found and "new" in found


def test_an_in_use_mark_counts_from_the_moment_it_is_there(home: Path, state: Path) -> None:
    assert listed(home)["s7"][2] is False
    (state / "s7" / f"inuse.{os.getpid()}.lock").write_text(str(os.getpid()))
    assert listed(home)["s7"][2] is True


def test_what_changes_twice_in_one_moment_is_not_taken_from_the_index(
    home: Path, state: Path
) -> None:
    for number in range(SESSIONS):
        (state / f"s{number}" / "workspace.yaml").write_text(f"id: s{number}\nname: one\n")
    listed(home)
    seen = (state / "s0" / "workspace.yaml").stat()
    (state / "s0" / "workspace.yaml").write_text("id: s0\nname: two\n")
    os.utime(state / "s0" / "workspace.yaml", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert listed(home) == listed(home, "empty")


@pytest.mark.parametrize("content", [b"", b"\x93\x01", b"no index", b"\xc1" * 100])
def test_a_broken_index_is_made_anew(home: Path, state: Path, content: bytes) -> None:
    index = home / "sdqctl" / FILE_NAME
    whole = index.read_bytes()
    index.write_bytes(content)
    assert listed(home) == listed(home, "empty")
    assert len(index.read_bytes()) == len(whole)


def test_another_copilot_home_is_not_listed_from_this_index(home: Path, state: Path) -> None:
    other = home / "other"
    folder = other / "session-state" / "s1"
    folder.mkdir(parents=True)
    for name in ("workspace.yaml", "events.jsonl"):
        (folder / name).write_bytes(
            (state / "s1" / name).read_bytes().replace(b"name 1", b"mine 1")
        )
    age(folder)
    archive = CopilotArchive(AdapterSettings(data_dir=home / "sdqctl", copilot_home=other))
    assert [info.name for info in archive.sessions()] == ["mine 1"]


def test_a_list_works_where_the_index_cannot_be_kept(home: Path, state: Path) -> None:
    (home / "blocked").write_text("a file where the data folder would be")
    assert listed(home, "blocked") == listed(home)
