"""A file is replaced whole or not at all, and is on disk when that is said."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from sdqctl.errors import StoreError
from sdqctl.fs import led_to, replacing, sync_file, write_private, writing


def test_a_file_is_as_it_was_when_its_writer_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as stream:
        stream.write(b"half of the n")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_is_its_owners_alone_unless_it_is_to_have_another_mode(tmp_path: Path) -> None:
    write_private(tmp_path / "private", b"x")
    with replacing(tmp_path / "shared", mode=0o644) as stream:
        stream.write(b"x")
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("private", "shared")]
    assert modes == [0o600, 0o644]


def test_a_file_and_its_name_are_on_disk_unless_it_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def recorded(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        sync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    write_private(tmp_path / "cache", b"x", lasting=False)
    assert synced == []
    write_private(tmp_path / "file", b"x")
    file, folder = synced
    assert (os.path.dirname(file), folder) == (str(tmp_path), str(tmp_path))


def test_an_open_file_is_written_to_where_it_stands(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as log:
        log.write(b"before\n")
        os.set_inheritable(log.fileno(), True)
        with writing(Path(f"/dev/fd/{log.fileno()}")) as stream:
            stream.write(b"within\n")
        log.write(b"after\n")
    assert (tmp_path / "log").read_text() == "before\nwithin\nafter\n"


def test_a_file_that_the_program_opened_for_itself_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("kept")
    with (tmp_path / "ledger").open("r+b") as ledger:
        with pytest.raises(OSError, match="Bad file"), writing(Path(f"/dev/fd/{ledger.fileno()}")):
            pass
        assert ledger.read() == b"kept"


def test_an_output_is_led_to_before_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "stdout").symlink_to("/dev/stdout")
    (tmp_path / "link").symlink_to("file")
    assert led_to(tmp_path / "stdout") == Path("/dev/fd/1")
    assert led_to(tmp_path / "link") == tmp_path / "file"
    with writing(tmp_path / "link") as stream:
        stream.write(b"x")
    assert os.listdir(tmp_path).count("file") == 0, "a link that is there only now is replaced"


@pytest.mark.parametrize("known", [True, False])
def test_where_the_system_can_empty_the_drive_s_memory_a_file_is_past_it(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(handle: int, request: int) -> None:
        asked.append("full")
        if not known:
            raise OSError(errno.ENOTSUP, "no")

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", ask)
    monkeypatch.setattr(os, "fsync", lambda handle: asked.append("plain"))
    with (tmp_path / "file").open("w") as stream:
        sync_file(stream.fileno())
    assert asked == (["full"] if known else ["full", "plain"])


def test_a_folder_that_is_not_there_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="none/file cannot be written"):
        write_private(tmp_path / "none" / "file", b"x")
