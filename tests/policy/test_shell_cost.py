"""Judging a command line costs work in proportion to its length, whatever stands in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.model.workflow import FileRule, Span
from sdqctl.policy.policy import Policy, build_policy
from sdqctl.policy.shell.grammar import LONGEST
from tests.sampling import each, some

MOVES = "".join(f"cd d{number};" for number in range(48))
FAMILIES: dict[str, Callable[[int], str]] = {
    "words": lambda n: "git log " + "abc " * (n // 4),
    "different words": lambda n: "git log " + " ".join(f"w{i}" for i in range(n // 6)),
    "variables": lambda n: "git log " + '"$x" ' * (n // 5),
    "one long word": lambda n: "git log " + "x" * n,
    "one long path": lambda n: "git log " + "a/" * (n // 2),
    "one long quote": lambda n: "git log '" + "x y " * (n // 4) + "'",
    "many quotes": lambda n: "git log " + "''" * (n // 2),
    "equal signs": lambda n: "git log " + "a=" * (n // 2),
    "commands": lambda n: "git log;" * (n // 8),
    "pipes": lambda n: "git log|" * (n // 8) + "git log",
    "lists": lambda n: "git log&&" * (n // 9) + "git log",
    "assignments": lambda n: "".join(f"a{i}=1;" for i in range(n // 7)),
    "arithmetic": lambda n: "x=1;" + "LANG=$((x+1));" * (n // 14),
    "one long expression": lambda n: "LANG=$((1" + "+1" * (n // 2) + "))",
    "substitutions": lambda n: "git log " + "$(git x) " * (n // 9),
    "backticks": lambda n: "git log " + "`git x` " * (n // 8),
    "open parentheses": lambda n: "(" * n,
    "open substitutions": lambda n: "$(" * (n // 2),
    "open cases": lambda n: "case $(" * (n // 7),
    "open braces": lambda n: "${x:-" * (n // 5),
    "open backticks": lambda n: "`\\" * (n // 2),
    "open groups": lambda n: "{ " * (n // 2),
    "open loops": lambda n: "for x in a;do " * (n // 14),
    "times": lambda n: "time -p " * (n // 8) + "git log",
    "denials": lambda n: "! " * (n // 2) + "git log",
    "here-document": lambda n: "git log <<E\n" + "a $x b\n" * (n // 7) + "E",
    "here-documents": lambda n: "git log <<E\nE\n" * (n // 14),
    "joined lines": lambda n: "git log <<E\n" + "a\\\n" * (n // 3) + "\nE",
    "continued lines": lambda n: "git log " + "\\\n" * (n // 2) + "x",
    "comments": lambda n: "# x\n" * (n // 4) + "git log",
    "redirections": lambda n: "git log" + " >a" * min(n // 3, 400),
    "moves": lambda n: MOVES + "git log " + "a " * (n // 2),
    "moves and back": lambda n: "cd src;cd ..;" * (n // 13) + "git log",
    "env": lambda n: "env " * (n // 4) + "git log",
    "xargs": lambda n: "git log|xargs git " + "{} " * (n // 3),
    "find": lambda n: "find . " + "-exec git x ; ".replace(";", "\\;") * (n // 15),
    "eval": lambda n: "eval '" + "git log; " * (n // 9) + "'",
    "shells": lambda n: "sh -c 'git log';" * (n // 16),
    "arrays": lambda n: "a=(" + "x " * (n // 2) + ")",
    "brackets": lambda n: "[[ " + "x == y && " * (n // 10) + "x ]]",
    "cases": lambda n: "case x in " + "a) git log;;" * (n // 12) + "esac",
    "functions": lambda n: "f() { git log; };" * (n // 17),
    "branches": lambda n: "if git log; then git log; fi;" * (n // 29),
    "globs": lambda n: "git log " + "*.py " * (n // 5),
    "braces": lambda n: "git log " + "{a,b} " * (n // 6),
    "many braces": lambda n: "git log " + "{a,b}" * (n // 5),
    "paths": lambda n: "git add " + " ".join(f"a/b{i}.py" for i in range(n // 11)),
    "rows": lambda n: "git log\n" * (n // 8),
    "different rows": lambda n: "".join(f"git log w{i}\n" for i in range(n // 14)),
    "one long row": lambda n: "git log " + "$(git x) " * (n // 9) + "\ngit log",
    "rows in groups": lambda n: "{ git log\n};" * (n // 12) + "git log",
    "rows after moves": lambda n: "cd src\ngit log x\ncd ..\ngit log x\n" * (n // 34),
    "new values": lambda n: "".join(f"a{i}=b;git log $a{i}c;" for i in range(n // 22)),
    "values": lambda n: "x=a;" * 20 + "git log " + "$x$x " * (n // 5),
}


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Policy]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "src").mkdir()
    (folder / "a.py").touch()
    denied = FileRule(pattern=".env", allow=False, directory=False, span=Span("w.conv", 1))
    return {
        "some programs": build_policy(
            mode="audit", cwd=folder, allow_tools=["shell(git:*)", "shell(find:*)", "write"]
        ),
        "all but some": build_policy(
            mode="full",
            cwd=folder,
            deny_tools=["shell(git push)", "shell(rm:*)"],
            workflow_file_rules=[denied],
        ),
    }


def calls_for(policy: Policy, line: str) -> int:
    """How many functions, of Python or C, are called to judge a line."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    request = ToolRequest(kind=ToolKind.SHELL, target=line)
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        policy.decide(request)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.each(2)
@pytest.mark.parametrize("name", some(1, ["some programs", "all but some"]))
@pytest.mark.parametrize("family", each(4, FAMILIES))
def test_a_line_of_twice_the_length_costs_twice_the_work(
    family: str, name: str, policies: dict[str, Policy]
) -> None:
    policy, make = policies[name], FAMILIES[family]
    calls_for(policy, make(400))  # what is prepared once
    some, more = calls_for(policy, make(4000)), calls_for(policy, make(8000))
    assert more <= 2.3 * some + 1000
    assert more <= 130 * 8000


@pytest.mark.parametrize("family", each(4, FAMILIES))
def test_a_line_that_is_too_long_is_refused_at_once(
    family: str, policies: dict[str, Policy], tmp_path: Path
) -> None:
    line = FAMILIES[family](2 * LONGEST)
    line += " " * (LONGEST + 1 - len(line))
    decision: ToolDecision = policies["some programs"].decide(
        ToolRequest(kind=ToolKind.SHELL, target=line)
    )
    assert not decision.allowed
    assert f"longer than {LONGEST} characters" in decision.why
    assert calls_for(policies["some programs"], line) < 2000
