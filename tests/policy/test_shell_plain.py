"""What is read by one expression means what it means when it is read sign by sign."""

from __future__ import annotations

import re
from itertools import islice

import pytest

from sdqctl.policy.shell import words
from sdqctl.policy.shell.facts import UnclearCommandError
from sdqctl.policy.shell.grammar import parse_command_line
from sdqctl.policy.shell.plain_commands import PlainReader
from tests.fuzz.lines import Lines
from tests.policy.test_shell_cases import CASES

SHAPES = r"""
git log 'a b' "c $x" > /dev/null 2>&1
git log 2 > /dev/null | head -3 && echo "$x" || git log ; git log
git log 2>&1 >/dev/null </dev/null
git log a2>&1
2>/dev/null git log
x=$(git log -3)
x="$(git log "$y")"; git log
x=$(git log) git log
x=$(git log)$(git log)
x=$(if true)
x=$(2>/dev/null)
for i in 1 "$x" 'b c'; do git log "$i"; done
for i in ; do git log; done > /dev/null
for i in a b\ndo git log; done
for i in a$(git x)\; do git log; done
git commit -m "$(cat <<'E'\nit's ) $(x)\nE\n)" -- a
git commit -m "$(cat <<'E'\nE\n)" > /dev/null || git log
git commit 2> /dev/null -m "$(cat - 2>&1 << 'E' \nEx\n E\nE\n  )" | cat
git commit -m "$(cat <<'E'\nE )\nE\n)"
git commit -m "$(cat <<'E'\nE\n\n)" a
git commit -m"$(cat <<'E'\nE\n)"
git commit -m "$(if <<'E'\nE\n)"
if git "$(cat <<'E'\n)"\nE\n)"; then git; fi
x=$(git "$(cat <<'E'\n\\\nE\n)")
git commit -m "$(cat <<E\n$(git x) ${y}\nE\n) $x"
cat <<E\n$(git x)\nE
cat 2<<E\nE
cat <<-E\nE
cat << 'E-1' \nx\nE-1\ngit log
cat <<E | git log\nE
! cat <<E\nE
git log \\n  a \\n  2>&1 | head
git log\\n a
"""
LINES = [line.replace("\\n", "\n") for line in SHAPES.strip().splitlines()]


def reading(line: str) -> str:
    try:
        found = repr(parse_command_line(line))
    except UnclearCommandError as error:
        return str(error)
    return found.replace("()", "[]").replace("bare=True", "bare=False")


def test_a_plain_command_is_read_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [*LINES, *(case.target for case in CASES), *islice(Lines(1), 1000)]
    plain = [reading(line) for line in lines]
    for name in ("plain_command", "plain_step", "plain_setting", "plain_message", "plain_loop"):
        monkeypatch.setattr(PlainReader, name, lambda reader: None)
    monkeypatch.setattr(PlainReader, "run_of_words", lambda reader, first: ())
    monkeypatch.setattr(words, "_OPENING", re.compile("(?!)"))
    for line, found in zip(lines, plain, strict=True):
        assert found == reading(line), line
