"""What is known of a run's commands outside the ledger: a private folder for each.

A command has no journal, so it gets a small one, which `engine.command.keeper` writes while the
command runs: that it was started, its output, and how it ended. The ledger's attempt names the
folder, so it is known wherever an edit moves the step, and each attempt has its own. A background
command that is started again goes on in a numbered folder within it.

The keeper works in the command's net, so the command can write there as well: what it put there may
be a link to any file of the user's, or a pipe. No link is followed, and nothing but files is read.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import StoreError
from sdqctl.foreign import LARGEST_FILE, UnsafeFileError, read_foreign
from sdqctl.fs import FOLDER_MODE, make_private_folder, write_private
from sdqctl.model.run import StepRecord, is_run_id
from sdqctl.model.session import SessionRef
from sdqctl.store.ledger import Ledger

KEEP = LARGEST_FILE
"""Bytes of head, and at least of tail, that are kept of a flood."""
ENDED = "ended"
"""What stands in place of the folder's name when all that is kept is that a command ended."""
_NAME = re.compile(r"[0-9a-f]{1,64}\Z")
_OLD_NAME = 16


@dataclass(frozen=True)
class Output:
    """Part of a command's output. `cut` are the bytes that are missing after `head`."""

    head: bytes = b""
    cut: int = 0
    tail: bytes = b""
    end: int = 0
    """The position after it, in bytes since the command's start."""

    @property
    def text(self) -> str:
        """Decoded, with a line where bytes are missing."""
        gap = f"\n[... {self.cut} bytes left out ...]\n".encode() if self.cut else b""
        return (self.head + gap + self.tail).decode("utf-8", "replace")


class Evidence:
    """The folder of one start of a command. `run` is that of the run's commands, around it."""

    def __init__(self, folder: Path, run: Path) -> None:
        self.folder = folder
        self._run = run

    @property
    def exists(self) -> bool:
        """Whether the folder is there; one that came from elsewhere has none."""
        return self.folder.is_dir()

    @property
    def started(self) -> bool:
        """Whether the command may have been started."""
        return (self.folder / "started").exists()

    @property
    def ended(self) -> int | None:
        """Its exit status, if it came to its end by itself."""
        return self._number("ended")

    @property
    def limit(self) -> str | None:
        """The limit that it was ended by."""
        data = self._data("limit")
        return None if data is None else data.decode("utf-8", "replace")

    def note_limit(self, limit: str) -> None:
        """Record which limit the command is about to be ended by."""
        write_private(self.folder / "limit", limit.encode())

    @property
    def told(self) -> int:
        """How much of the output the run has recorded, in bytes; -1: all, and the end."""
        return self._number("told") or 0

    def note_told(self, position: int) -> None:
        """Record how much of the output the run has recorded."""
        write_private(self.folder / "told", str(position).encode())

    def output(self, since: int = 0) -> Output:
        """The output from a position on."""
        head = self._read("head")
        tails = self._tails()
        gap = tails[0] * KEEP if tails else 0
        tail = b"".join(self._read(f"tail.{number}") for number in tails)
        end = len(head) + gap + len(tail)
        rest = len(head) + gap
        cut = max(0, rest - max(since, len(head)))
        return Output(head[since:], cut, tail[max(0, since - rest) :], end)

    @property
    def stdout(self) -> str:
        """Its stdout alone, where that is kept apart."""
        own = Evidence(self.folder / "stdout", self._run)
        return own.output().text if own.exists else ""

    def _tails(self) -> list[int]:
        """The numbers of the last two parts; a third may be about to go."""
        try:
            names = [path.name for path in self.folder.glob("tail.*")]
        except OSError:
            return []
        numbers = (name.removeprefix("tail.") for name in names)
        return sorted(int(number) for number in numbers if number.isdecimal())[-2:]

    def _read(self, name: str) -> bytes:
        return self._data(name) or b""

    def _number(self, name: str) -> int | None:
        try:
            return int(self._data(name) or b"")
        except ValueError:
            return None

    def _data(self, name: str) -> bytes | None:
        """The content of a file; None for one that is missing, or is not the keeper's."""
        try:
            inside = (self.folder / name).relative_to(self._run).as_posix()
            return read_foreign(self._run, inside, largest=KEEP)
        except UnsafeFileError:
            return None


class CommandFolders:
    """The folders of one run's commands."""

    def __init__(self, home: Path, run_id: str) -> None:
        self._run_id = run_id
        self.folder = home / "commands" / run_id

    def make(self, name: str) -> Evidence:
        """A new, empty folder of this name. Raises StoreError."""
        try:
            self.folder.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self.folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be made: {error.strerror}") from error
        folder = self.folder / name
        make_private_folder(folder)
        return Evidence(folder, self.folder)

    def found(self, record: StepRecord) -> Evidence:
        """What is known of the last start of an attempt's command; it may not exist."""
        folder = self._of(record)
        starts = self._starts(folder)
        return Evidence(folder / str(starts[-1]) if starts else folder, self.folder)

    def make_again(self, record: StepRecord) -> Evidence:
        """A new folder for one more start of an attempt's command."""
        folder = self._of(record)
        starts = self._starts(folder)
        return self.make(f"{folder.name}/{(starts[-1] if starts else 1) + 1}")

    def settle(self, ledger: Ledger, ended: Collection[str]) -> None:
        """Remove them all; of the attempts at `ended` paths it stays known that they ended."""
        marks = ", ".join("?" for _ in ended)
        with ledger.database.write("ledger.commands") as connection:
            connection.execute(
                f"UPDATE attempts SET command = CASE WHEN path IN ({marks}) THEN ? END "
                "WHERE run_id = ? AND command IS NOT NULL",
                (*ended, ENDED, self._run_id),
            )
        self.remove()

    def remove(self) -> None:
        """Remove them all; what cannot be removed stays."""
        if is_run_id(self._run_id):  # an older version took any from a bundle
            shutil.rmtree(self.folder, ignore_errors=True)

    def _of(self, record: StepRecord) -> Path:
        names = (record.command or "", record.digest[:_OLD_NAME])  # the latter in version 0.1
        return self.folder / next(filter(_NAME.match, names), "-")  # a bundle may say anything

    def _starts(self, folder: Path) -> list[int]:
        if not folder.is_dir():
            return []
        with os.scandir(folder) as found:
            folders = [each.name for each in found if each.is_dir(follow_symlinks=False)]
        return sorted(int(name) for name in folders if name.isdecimal())


def copy_commands(home: Path, run_id: str, new_id: str) -> None:
    """Let another run start from what is known of a run's commands."""
    old = CommandFolders(home, run_id).folder
    if old.is_dir():
        new = CommandFolders(home, new_id).folder
        shutil.copytree(old, new, symlinks=True, ignore=_no_files)


def remove_commands_of(home: Path, ref: SessionRef, ledger: Ledger) -> None:
    """Remove the folders of the runs that stand in a session."""
    for run in ledger.runs_of(ref):
        if run.session_id == ref.id:
            CommandFolders(home, run.id).remove()


def remove_forgotten_commands(home: Path, ledger: Ledger) -> None:
    """Remove the folders of runs that the ledger does not have any more."""
    for folder in (home / "commands").glob("*"):
        if ledger.run(folder.name) is None:
            shutil.rmtree(folder, ignore_errors=True)


def _no_files(folder: str, names: Sequence[str]) -> list[str]:
    """What a command left that is neither a file nor a folder."""
    modes = {name: os.lstat(os.path.join(folder, name)).st_mode for name in names}
    return [name for name, mode in modes.items() if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))]
