"""What real shells run for a line: the oracle of the judging of command lines.

Each line runs in a real bash, in an empty folder, with a PATH that holds fake programs which note
their names, and the wrappers themselves. `sh` in it is dash, or bash. The environment holds values
that run a program as soon as bash evaluates them.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_REAL = """
env nice nohup timeout xargs stdbuf setsid find cat head tail grep wc sort uniq cut tr sed nl rev
tac fold paste date basename dirname seq bash dash awk id
"""
_FAKES = """
git al evil touch rm x y i a b E 1 0 42 sudo make npm python flock foo fi in ls function sleep
"""
_FAKE = """#!/bin/dash
printf '%s\\n' "${{0##*/}}" >> {log}
case $PATH in {bin}) ;; *) printf 'PATH\\n' >> {log};; esac
case $GIT_PAGER$BASH_ENV$GIT_SSH in ''|cat) ;; *) printf 'variable\\n' >> {log};; esac
case $PWD in {project}|{project}/*) ;; *) printf 'place\\n' >> {log};; esac
exit $(($$ % 2))
"""
_DRIVER = """
ulimit -t 1 -f 64 -n 64
while IFS= read -r -d '' __line <&9; do
  __at=$((${{__at:-0}} + 1)); printf '#%s\\n' "$__at" >> {log}
  ( unset __at; eval -- "$__line"; wait ) 9<&- < /dev/null > /dev/null 2>&1
done 9< {lines}
"""
_NOTES = "() {{ printf 'not found: %q\\n' \"$1\" >> {log}; return $((RANDOM % 2)); }}"
VALUES = ("z[$(evil)]", "evil", "-v", "; evil", "PATH=1", "%n", "z[`evil`]", "$(evil)", "1")


@dataclass(frozen=True)
class Seen:
    """What one line did: the programs that ran, and the files that it made."""

    line: str
    programs: frozenset[str]
    files: frozenset[str] = frozenset()


class Shells:
    """A folder to run lines in, reachable by other users.

    `patience`: seconds that lines may take, besides 50 ms for each.
    """

    def __init__(self, folder: Path, *, patience: float = 10) -> None:
        self._patience = patience
        self._folder = folder
        self.project = folder / "project"
        self._log = folder / "log"
        for name in ("src/deep", "docs", "1"):
            (self.project / name).mkdir(parents=True)
        (self.project / "README.md").write_text("x\n")
        self._bins = {name: self._programs(name) for name in ("dash", "bash")}
        (self.project / "1" / "git").write_text(
            f"#!/bin/dash\nprintf 'other git\\n' >> {self._log}\n"
        )
        (self.project / "1" / "git").chmod(0o755)
        self._log.touch()
        self._log.chmod(0o666)
        for path in (self.project, *self.project.rglob("*")):
            with suppress(PermissionError):
                os.chown(path, _user() or os.getuid(), -1)
        self._before = self._tree()

    def _programs(self, sh: str) -> Path:
        folder = self._folder / f"bin-{sh}"
        folder.mkdir()
        text = _FAKE.format(log=self._log, bin=folder, project=self.project)
        fake = folder / "git"
        fake.write_text(text)
        fake.chmod(0o755)
        for name in _FAKES.split():
            if name != "git":
                (folder / name).symlink_to("git")
        for name in _REAL.split():
            if found := shutil.which(name, path="/usr/bin:/bin"):
                (folder / name).symlink_to(found)
        (folder / "sh").symlink_to(shutil.which(sh, path="/usr/bin:/bin") or sh)
        return folder

    def _tree(self) -> frozenset[str]:
        return frozenset(str(path) for path in self.project.rglob("*"))

    def run(
        self, lines: Sequence[str], *, sh: str, value: str, alone: bool = False, files: bool = True
    ) -> list[Seen]:
        """What the lines did, those that did not end in time left out.

        `files`: whether it matters which line made which file.
        """
        found: list[Seen] = []
        rest = list(lines)
        while rest:
            self._log.write_text("")
            ended = self._start(rest, sh, value, alone=alone)
            entries = list(self._entries(rest))
            made = self._new_files()
            if files and made and len(rest) > 1:
                half = len(rest) // 2
                parts = (rest[:half], rest[half:])
                return found + [s for p in parts for s in self.run(p, sh=sh, value=value)]
            if not ended:
                entries = entries[:-1]
            found += [Seen(line, programs, made) for line, programs in entries]
            rest = [] if ended else rest[len(entries) + 1 :]
        return found

    def _start(self, lines: Sequence[str], sh: str, value: str, *, alone: bool) -> bool:
        """Run the lines; False when they did not end."""
        script = self._folder / "driver"
        text = self._folder / "lines"
        text.write_bytes(b"".join(line.encode() + b"\0" for line in lines))
        script.write_text(_DRIVER.format(log=self._log, lines=text))
        command = ["bash", str(script), value, value]
        if alone:
            self._log.write_text("#1\n")
            command = ["bash", "-c", lines[0], value, value]
        process = subprocess.Popen(
            command,
            cwd=self.project,
            env=self._environment(sh, value),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            user=_user(),
        )
        try:
            return ends(process.pid, self._patience + len(lines) / 20)
        finally:  # its number is its group's, and nobody else's, until it is waited for
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _environment(self, sh: str, value: str) -> dict[str, str]:
        names = ("x", "y", "i", "a", "b", "n", "X", "CI", "LINES", "COLUMNS", "NODE_ENV", "LC_TIME")
        return {
            **dict.fromkeys(names, value),
            "PATH": str(self._bins[sh]),
            "HOME": str(self._folder / "home"),
            "BASH_FUNC_command_not_found_handle%%": _NOTES.format(log=self._log),
        }

    def _entries(self, lines: Sequence[str]) -> Iterator[tuple[str, frozenset[str]]]:
        parts = re.split(r"^#(\d+)\n", self._log.read_text(errors="replace"), flags=re.MULTILINE)
        for number, names in zip(parts[1::2], parts[2::2], strict=True):
            yield lines[int(number) - 1], frozenset(names.splitlines())

    def _new_files(self) -> frozenset[str]:
        found = self._tree() - self._before
        for path in sorted(found, reverse=True):
            shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
        return frozenset(str(Path(path).relative_to(self.project)) for path in found)


def ends(pid: int, seconds: float) -> bool:
    """Whether a child ends in time; it is not waited for, and keeps its number."""
    watched = os.pidfd_open(pid)
    try:
        return bool(select.select([watched], [], [], seconds)[0])
    finally:
        os.close(watched)


def _user() -> int | None:
    """Whom the lines run as: nobody, if we are root."""
    return 65534 if os.geteuid() == 0 else None
