"""Lines that name a denied file in some way: what is allowed must not come to open it.

The lines hold what docs/security.md says is seen: texts, globs, braces, variables that the line
sets, loops, functions, and texts that a shell runs. `cat` is a program that notes when one of its
words is the denied file, by whatever name.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from sdqctl.model.tools import ToolKind, ToolRequest
from sdqctl.model.workflow import FileRule, Span
from sdqctl.policy.policy import build_policy
from tests.fuzz.shells import ends

DENIED = "secret/k"
_RULE = FileRule(pattern=DENIED, allow=False, directory=False, span=Span("w.conv", 1))
_MODES: dict[str, tuple[str, ...]] = {
    "implement": (),
    "audit": ("shell(cat:*)", "shell(bash:*)", "shell(sh:*)"),
}
_REAL = ("bash", "sh", "env", "dash", "nice", "timeout")
_CAT = """#!/bin/dash
for name; do [ "$name" -ef {denied} ] && echo >> {log}; done
exit $(($$ % 2))
"""
_WHOLE = ("secret", "src", "docs", "k", "secret/k", "sec", "ret", "/k", "x", "y")
_PARTS = (
    "secret", "src", "sec", "ret", "k", "/", "/", "$x", "$y", "${x}", "${y}", "${x:-secret}", "..",
    "${x:=secret}", "${x%z}", "${y#z}", "${x:+k}", ".", "''", '"$x"', '"$y"', "'ret'", "$'sec'",
    "s*", "sec*", "[s]ecret", "{secret,src}", "$z", "\\k", "z", "~", "$PWD", "$HOME", "$OLDPWD",
    "$1", "$@", "${x/z/secret}", "${!y}", "${x^}", "${x,,}", "$(echo secret)",
    "${x:-$y}", "${y:+$z}", "{r..t}ecret",
)  # fmt: skip
_NAMED = (
    "$x/k",
    "$x",
    "$y/k",
    "k",
    "$z/k",
    "$x/$y",
    "src/k",
    "~+/secret/k",
    "~-/k",
    "-- $x/k",
    "~/k",
)
_SETTINGS = (
    "V=W", "V=W", "V+=W", "export V=W", "read V <<< W", "declare V=W", "V=(W W)", "HOME=W", "cd W",
    "cd secret", "cd src", "cd ..", "cd -", "cd", "cd ~", "CDPATH=W", "pushd W", "popd", "unset V",
    "V=$x", "set -- W W", "shift", "printf -v V W", "IFS=e", "IFS=/", "IFS=", "V[0]=W", "local V=W",
    "readonly V=W", "mapfile V <<< W", "read V < f", "let V=1", "getopts k V",
)  # fmt: skip
_SHAPES = (
    "A; B", "A; B", "A\nB", "for V in W W; do A; B; done", "for i in 1 2; do A; B; done",
    "for i in 1 2; do A; B; done", "f() { A; }; B; f", "f() { A; }; f; B; f", "eval 'A'",
    "eval 'A'; B", "trap 'A' EXIT; B", "(A); B", "{ A; }; B", "if A; then B; fi", "A && B",
    "A || B", "A | B", "bash -c 'A'", "sh -c 'A'; B", "command A", "builtin A",
    "case W in W) A;; *) B;; esac", "V=$(A); B", "V=W A", "env V=W A", "export V; A; B",
    "while A; do B; break; done", "! A; B", "A & B; wait", "select V in W; do A; done <<< 1",
    'bash -c "A"', 'eval "A"', "bash -c 'A' W W", "nice A", "timeout 1 A", "time A; B",
    "echo W | while read V; do A; done", "z=eval; $z 'A'; B", "z=cd; $z W; A",
    "z=export; $z V=W; A",
)  # fmt: skip


_PLACES = re.compile(r"(?<![A-Za-z])[ABVW](?![A-Za-z])")
"""In a shape: statements, a variable, a word."""


class Lines:
    """Lines of one random sequence."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __iter__(self) -> Iterator[str]:
        while True:
            line = self._statement()
            if len(line) < 300:
                yield line

    def _word(self) -> str:
        pick = self._random.choice
        if self._random.random() < 0.4:
            return pick(_WHOLE)
        return "".join(pick(_PARTS) for _ in range(self._random.randint(1, 4)))

    def _statement(self, depth: int = 0) -> str:
        pick, kind = self._random.choice, self._random.random()
        if depth > 3 or kind < 0.3:
            return f"cat {pick((*_NAMED, self._word(), self._word()))}"
        shape = pick(_SETTINGS if kind < 0.55 else _SHAPES)
        return _PLACES.sub(lambda found: self._filled(found, depth), shape)

    def _filled(self, found: re.Match[str], depth: int) -> str:
        if found.group() == "V":
            return self._random.choice("xyz")
        if found.group() == "W":
            return self._word()
        text, quote = self._statement(depth + 1), found.string[found.start() - 1 : found.start()]
        if quote == "'":
            return text.replace("'", r"'\''")
        return text.replace('"', "") if quote == '"' else text


class DeniedFile:
    """Judges made lines in a folder with a denied file, and runs what is allowed.

    `patience`: seconds that a line may take.
    """

    def __init__(self, seed: int, folder: Path, *, patience: float = 3) -> None:
        self._patience = patience
        self._lines = iter(Lines(seed))
        self._log = folder / "log"
        self._project = folder / "project"
        for name in ("secret", "src", "docs"):
            (self._project / name).mkdir(parents=True)
            (self._project / name / "k").write_text("x\n")
        self._bin = folder / "bin"
        self._bin.mkdir()
        cat = self._bin / "cat"
        cat.write_text(_CAT.format(denied=self._project / DENIED, log=self._log))
        cat.chmod(0o755)
        for name in _REAL:
            (self._bin / name).symlink_to(shutil.which(name, path="/usr/bin:/bin") or name)
        self.made = self.ran = 0

    def batch(self, size: int) -> list[str]:
        """Judge so many lines in each mode; returns those that opened the denied file."""
        lines = list(islice(self._lines, size))
        self.made += size
        found: list[str] = []
        for mode, allow in _MODES.items():
            policy = build_policy(
                mode=mode, cwd=self._project, allow_tools=allow, workflow_file_rules=[_RULE]
            )
            for line in lines:
                request = ToolRequest(kind=ToolKind.SHELL, target=line)
                if policy.decide(request).allowed and self.opens(line):
                    found.append(f"{mode}: {line}")
        return found

    def opens(self, line: str) -> bool:
        """Whether a line opens the denied file when bash runs it."""
        self.ran += 1
        self._log.write_text("")
        process = subprocess.Popen(
            ["bash", "-c", f"ulimit -t 1; {line}"],
            cwd=self._project,
            env={"PATH": str(self._bin), "HOME": os.path.expanduser("~")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            ends(process.pid, self._patience)
        finally:  # what it started may go on, as a loop does
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return bool(self._log.read_text())
