"""Reading in a folder that may be a stranger's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdqctl.foreign import UnsafeFileError, list_foreign, read_foreign, strangers_hand

STRANGER = 54321


def test_a_file_is_read_and_a_missing_one_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("text")
    assert read_foreign(tmp_path, "a/b") == b"text"
    assert read_foreign(tmp_path, "a/c") is None
    assert read_foreign(tmp_path, "a/b/c") is None


def test_no_link_is_followed_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("text")
    (tmp_path / "file").symlink_to("real/file")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "folder/file", "dangling"):
        with pytest.raises(UnsafeFileError, match="link"):
            read_foreign(tmp_path, name)
    assert list(list_foreign(tmp_path, "folder")) == ["folder"]


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsafeFileError, match="no file"):
        read_foreign(tmp_path, "pipe")
    (tmp_path / "large").write_bytes(b"x" * 11)
    with pytest.raises(UnsafeFileError, match="larger than 10 bytes"):
        read_foreign(tmp_path, "large", largest=10)


def test_a_list_names_links_and_goes_into_no_linked_folder(tmp_path: Path) -> None:
    for name in ("top/b", "top/deep/c", "elsewhere/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "top" / "a").symlink_to(tmp_path / "elsewhere")
    assert list(list_foreign(tmp_path, "top")) == ["top/a", "top/b"]
    assert list(list_foreign(tmp_path, "top", deep=True)) == ["top/a", "top/b", "top/deep/c"]
    assert list(list_foreign(tmp_path, "missing")) == []


def test_a_file_of_another_user_is_in_a_strangers_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "file"
    file.write_text("")
    assert strangers_hand(tmp_path, "a/file") is None
    if os.geteuid() == 0:  # what root owns is trusted, so the file is given away
        os.chown(file, STRANGER, STRANGER)
        assert strangers_hand(tmp_path, "a/file") == "it belongs to another user"
    else:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
        assert "belongs to another user" in str(strangers_hand(tmp_path, "a/file"))


def test_a_folder_that_everyone_can_write_is_a_strangers_hand_unless_it_is_sticky(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("")
    folder.chmod(0o777)
    assert strangers_hand(tmp_path, "folder/file") == (
        f"the folder {folder} can be written by everyone"
    )
    folder.chmod(0o1777)
    assert strangers_hand(tmp_path, "folder/file") is None
