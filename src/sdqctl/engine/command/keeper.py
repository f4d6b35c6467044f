"""The program that keeps one command: it starts it, stores what it says, and notes how it ended.

    python -I -S -c '...keeper.main()' FOLDER KEEP[+] COMMAND [ARGUMENT...]

It is a process of its own so that a kill of sdqctl loses nothing: then its input ends, it kills the
command's group, and stores what is still in the pipe. In FOLDER, which is the command's own:

- `started`: there before the command is started.
- `head`: the first KEEP bytes of its output (stdout and stderr as they come).
- `tail.N`: the N-th (from 0) KEEP bytes after those; the last two are there.
- `stdout/`: the same for stdout alone, with a `+`; then the two come by pipes of their own.
- `ended`: its exit status, if it came to its end by itself.

The exit status is the command's, 128 and more for a signal. SIGTERM asks the command to end; what
has not ended after a grace is killed, as is what an ended command left in its group. It imports
little, for it is started for each command.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` doubles the start's time
import errno
import os
import select
import sys
import time

GRACE = 3.0
"""Seconds between asking a command to end and killing it."""
_LAST_OUTPUT = 1.0
"""Seconds for what is still in the pipe; who left the group may keep it open."""
_CHUNK = 65_536
_FILE_MODE = 0o600
_NOT_FOUND = 127
_NOT_ALLOWED = 126


class Store:
    """The files of a bounded output."""

    def __init__(self, folder: str, keep: int) -> None:
        self._folder = folder
        self._keep = keep
        self._file = -1
        self._number = -2
        """-1 is the head."""
        self._left = 0

    def add(self, data: bytes) -> None:
        """Store what the command said; on a full disk it is dropped, and the command goes on."""
        try:
            while data:
                if self._left == 0:
                    self._next()
                written = os.write(self._file, data[: self._left])
                self._left -= written
                data = data[written:]
        except OSError:
            return

    def flush(self) -> None:
        """Have it on the disk."""
        if self._file >= 0:
            try:
                os.fsync(self._file)
            except OSError:
                return

    def _next(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._number += 1
        name = "head" if self._number < 0 else f"tail.{self._number}"
        self._file = _create(self._folder, name)
        self._left = self._keep
        if self._number >= 2:
            os.unlink(os.path.join(self._folder, f"tail.{self._number - 2}"))


class Command:
    """The command's process, in a group of its own."""

    def __init__(self, arguments: list[str], stdout: int, stderr: int) -> None:
        self._pid = _spawn(arguments, stdout, stderr)

    def has_ended(self) -> bool:
        """Whether it ended. Its id stays taken until `status`."""
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def signal(self, number: int) -> None:
        """Send a signal to its whole group."""
        try:
            os.killpg(self._pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def status(self) -> int:
        """Its exit status, as a shell gives it; waits for it."""
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return code if code >= 0 else 128 - code


class Keeper:
    """Watches a command until it has ended, and its output until that is stored."""

    def __init__(self, folder: str, keep: int, arguments: list[str], *, apart: bool) -> None:
        """`apart`: stdout is stored by itself, too."""
        self._folder = folder
        self._store = Store(folder, keep)
        self._pipes: dict[int, list[Store]] = {}
        self._kill_at: float | None = None
        self._by_itself = True
        self._signals, written = os.pipe()
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: None)
        stderr = stdout = self._pipe(self._store)
        if apart:
            os.mkdir(os.path.join(folder, "stdout"), 0o700)
            own = Store(os.path.join(folder, "stdout"), keep)
            stdout = self._pipe(self._store, own)
        try:
            self._command: Command | None = Command(arguments, stdout, stderr)
        except OSError as error:
            self._command = None
            self._failure = error
            self._store.add(f"{arguments[0]}: {error.strerror}\n".encode())
        finally:
            for written in {stdout, stderr}:
                os.close(written)

    def _pipe(self, *stores: Store) -> int:
        """A pipe whose content goes into the stores; returns the end that is written to."""
        read, written = os.pipe()
        self._pipes[read] = [*stores]
        return written

    def run(self) -> int:
        """Wait for the end; returns the exit status."""
        if self._command is None:
            status = _NOT_FOUND if self._failure.errno == errno.ENOENT else _NOT_ALLOWED
        else:
            self._watch(self._command)
            self._command.signal(signal.SIGKILL)
            self._read_rest()
            status = self._command.status()
        if self._by_itself:
            for stores in self._pipes.values():
                for store in stores:
                    store.flush()
            _note_end(self._folder, status)
        return status

    def _watch(self, command: Command) -> None:
        watched = [0, self._signals, *self._pipes]
        while not command.has_ended():
            wait = None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())
            ready = select.select(watched, [], [], wait)[0]
            for pipe in self._pipes.keys() & {*ready}:
                if not self._read(pipe):
                    watched.remove(pipe)
            if self._signals in ready and signal.SIGTERM in os.read(self._signals, _CHUNK):
                self._ask(command, signal.SIGTERM, GRACE)
            if 0 in ready and not os.read(0, 1):
                watched.remove(0)
                self._ask(command, signal.SIGKILL, 0.0)
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                command.signal(signal.SIGKILL)
                self._kill_at = time.monotonic() + GRACE

    def _ask(self, command: Command, number: int, grace: float) -> None:
        if not command.has_ended():
            self._by_itself = False
            self._kill_at = time.monotonic() + grace
            command.signal(number)

    def _read(self, pipe: int) -> bool:
        data = os.read(pipe, _CHUNK)
        for store in self._pipes[pipe]:
            store.add(data)
        return bool(data)

    def _read_rest(self) -> None:
        deadline = time.monotonic() + _LAST_OUTPUT
        open_ = [*self._pipes]
        while open_ and (left := deadline - time.monotonic()) > 0:
            ready = select.select(open_, [], [], left)[0]
            if not ready:
                return
            open_ = [pipe for pipe in open_ if pipe not in ready or self._read(pipe)]


def _spawn(arguments: list[str], stdout: int, stderr: int) -> int:
    """Start a program. A script that does not say by what it is run is run by a shell."""
    for command in (arguments, ["/bin/sh", *_found(arguments)]):
        try:
            return os.posix_spawnp(
                command[0],
                command,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, stdout, 1),
                    (os.POSIX_SPAWN_DUP2, stderr, 2),
                ],
                setpgroup=0,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGCHLD],
            )
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
    raise OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC))


def _found(arguments: list[str]) -> list[str]:
    if "/" in arguments[0]:
        return arguments
    places = (os.path.join(folder, arguments[0]) for folder in os.get_exec_path())
    return [next((p for p in places if os.access(p, os.X_OK)), arguments[0]), *arguments[1:]]


def _create(folder: str, name: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return os.open(os.path.join(folder, name), flags, _FILE_MODE)


def _note_start(folder: str) -> None:
    """Have it on the disk that the command may have been started. Raises OSError."""
    os.close(_create(folder, "started"))
    directory = os.open(folder, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def _note_end(folder: str, status: int) -> None:
    """Note the exit status at once; without it, the end counts as not seen."""
    try:
        file = _create(folder, ".ended")
        os.write(file, str(status).encode())
        os.close(file)
        os.rename(os.path.join(folder, ".ended"), os.path.join(folder, "ended"))
    except OSError:
        return


def main() -> None:
    """Keep the command of the arguments."""
    folder, keep, *arguments = sys.argv[1:]
    _note_start(folder)
    apart = keep.endswith("+")
    os._exit(Keeper(folder, int(keep.rstrip("+")), arguments, apart=apart).run())
