"""`store check` says what is true: of locks, folders that cannot be written, and missing parts."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdqctl.store import database
from tests.bench import Bench
from tests.command import Done, forked, sdqctl

NOBODY = 65534


@pytest.fixture
def ledger(bench: Bench) -> Path:
    """The ledger of a session that was run."""
    assert bench.run("PROMPT one\n").done.code == 0
    return bench.home / "sdqctl" / database.FILE_NAME


def check() -> Done:
    return sdqctl("store", "check")


def test_a_sound_ledger_is_sound(ledger: Path) -> None:
    done = check()
    assert (done.code, "sound" in done.out) == (0, True)


def test_an_emptied_ledger_is_damaged_and_not_begun_anew(bench: Bench, ledger: Path) -> None:
    ledger.write_bytes(b"")
    assert check().code == 9
    done = bench.run("PROMPT two\n", "--session-name", "t").done
    assert (done.code, "empty" in done.err) == (9, True)
    assert sdqctl("sessions", "list").code == 9


def test_a_write_ahead_log_that_is_gone_is_seen(ledger: Path, tmp_path: Path) -> None:
    writer = sqlite3.connect(ledger)
    writer.execute("UPDATE runs SET message = 'late'")
    writer.commit()
    copy = tmp_path / "copy"
    copy.mkdir()
    for end in ("", "-shm"):
        shutil.copy(f"{ledger}{end}", copy)
    writer.close()
    done = sdqctl("store", "check", SDQCTL_HOME=str(copy))
    assert (done.code, "write-ahead log" in done.out) == (9, True)


def test_a_lock_of_another_program_is_no_damage(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.1)
    other = sqlite3.connect(ledger, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE runs SET message = 'mine'")
    try:
        done = forked("store", "check")
        assert (done.code, "locked" in done.err) == (75, True)
        done = forked("resume", "s", "--prompt", "more")
        assert (done.code, "locked" in done.err) == (75, True)
    finally:
        other.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_sound_ledger_in_a_folder_that_cannot_be_written_is_sound(
    ledger: Path, open_folder: Path
) -> None:
    shutil.copy(ledger, open_folder)
    (open_folder / ledger.name).chmod(0o444)
    open_folder.chmod(0o555)
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:  # who may write everywhere
            os.setuid(NOBODY)
        done = check_as_it_is(open_folder)
        os._exit(done)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def check_as_it_is(home: Path) -> int:
    from sdqctl.store.check import check_ledger

    report = check_ledger(home)
    return 0 if report.exists and not report.problems and report.runs == 1 else 1


def test_a_file_system_without_locks_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import fcntl

    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    bench.command = forked
    done = bench.run("PROMPT one\n").done
    assert (done.code, "SDQCTL_HOME" in done.err) == (9, True)


def test_an_event_log_on_a_full_disk_ends_the_run_with_a_plain_error(bench: Bench) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full on this system")
    path = bench.write("work.conv", "ALLOW-DIR /dev\nEVENT-LOG /dev/full\nPROMPT one\n")
    done = sdqctl("run", path, "--session-name", "s")
    assert (done.code, "EVENT-LOG" in done.err, "bug" in done.err) == (4, True, False)
    path.write_text("PROMPT one\n")
    assert sdqctl("resume", "s", "--continue", path).code == 0
