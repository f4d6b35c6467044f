"""What the user names as an output: a device, a FIFO and a link stay what they are."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import sdqctl

RUN = ("run", "-a", "mock", "--session-name", "one", "-p", "hi [[reply: done]]")
EXPORT = ("sessions", "export", "one", "--format", "jsonl", "-o")
BUNDLE = ("sessions", "export", "one", "--format", "bundle", "-o")
WAYS = [(*RUN, "--output"), (*RUN, "--summary"), (*RUN, "--junit"), EXPORT, BUNDLE]
each_way = pytest.mark.parametrize(
    "way", WAYS, ids=["output", "summary", "junit", "text", "bundle"]
)


@contextmanager
def fifo(path: Path) -> Iterator[int]:
    """A FIFO that is read: the handle to read from."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield reader
    finally:
        os.close(reader)


def full_device(folder: Path) -> Path:
    """A device that takes nothing; a user who could break that of the system gets another one."""
    if os.geteuid() != 0:
        return Path("/dev/full")
    path = folder / "full"
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        path.open("wb").close()
    except PermissionError:
        pytest.skip("no device can be made here")
    return path


@pytest.fixture(autouse=True)
def session(home: Path, project: Path) -> None:
    """A session to export."""
    assert sdqctl(*RUN).code == 0


def outcome(way: tuple[str, ...], target: Path) -> tuple[int, str]:
    """A command's exit code and errors, with its output in `target`."""
    typed = [word if word != "one" or way[0] == "sessions" else "two" for word in way]
    done = sdqctl(*typed, target)
    return done.code, done.err


@each_way
def test_a_fifo_is_written_to(way: tuple[str, ...], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    with fifo(pipe) as reader:
        code, err = outcome(way, pipe)
        assert code == 0, err
        assert len(os.read(reader, 100_000)) > 4
    assert pipe.is_fifo()


@each_way
def test_a_device_that_is_full_is_an_error_and_stays(way: tuple[str, ...], tmp_path: Path) -> None:
    device = full_device(tmp_path)
    code, err = outcome(way, device)
    assert code == 9, err
    assert "No space left" in err
    assert "exported" not in err
    assert device.is_char_device()


@each_way
def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(
    way: tuple[str, ...], tmp_path: Path
) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    file.write_text("old")
    link.symlink_to(file)
    code, err = outcome(way, link)
    assert code == 0, err
    assert link.is_symlink()
    assert b"old" not in file.read_bytes()
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".new-")]


def test_stdout_by_its_name_is_written_to(tmp_path: Path) -> None:
    link = tmp_path / "out"
    link.symlink_to("/dev/stdout")
    done = sdqctl(*EXPORT, link)
    assert done.code == 0, done.err
    assert json.loads(done.out.splitlines()[0])["type"] == "session"
    assert link.is_symlink()


def test_a_state_stays_behind_its_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    link, file = tmp_path / "state", tmp_path / "kept/state"
    link.symlink_to(file)
    Path("w.conv").write_text("PROMPT hi [[reply: done]]\n")
    done = sdqctl("run", "-a", "mock", "w.conv", "--state", link)
    assert done.code == 0, done.err
    assert link.is_symlink()
    assert file.is_file()


def test_a_link_that_a_run_leaves_in_place_of_the_output_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("kept")
    links = "".join(f"RUN ln -sf ../outside {name}\n" for name in ("out.md", "sum.md"))
    Path("w.conv").write_text(f"{links}PROMPT hi [[reply: done]]\n")
    done = sdqctl("run", "-a", "mock", "w.conv", "--output", "out.md", "--summary", "sum.md")
    assert done.code == 0, done.err
    assert not any(Path(name).is_symlink() for name in ("out.md", "sum.md"))
    assert (tmp_path / "outside").read_text() == "kept"


def test_a_fifo_that_a_workflow_names_is_refused_before_anything_runs(project: Path) -> None:
    Path("w.conv").write_text("OUTPUT-FILE pipe\nRUN touch ran\nPROMPT hi\n")
    with fifo(Path("pipe")):
        done = sdqctl("run", "-a", "mock", "w.conv")
        assert done.code == 3, done.err
        assert "w.conv:1:13: OUTPUT-FILE pipe is there already, and is no file" in done.err
        assert sdqctl("validate", "w.conv").code == 3
    assert not Path("ran").exists()
    assert Path("pipe").is_fifo()


def test_an_event_log_that_is_a_fifo_is_written_to(project: Path) -> None:
    Path("w.conv").write_text("EVENT-LOG pipe\nPROMPT hi [[reply: done]]\n")
    with fifo(Path("pipe")) as reader:
        done = sdqctl("run", "-a", "mock", "w.conv")
        assert done.code == 0, done.err
        assert b'"type"' in os.read(reader, 100_000)
    assert Path("pipe").is_fifo()
