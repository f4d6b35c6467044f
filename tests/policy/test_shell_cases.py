"""A table of command lines with the decision each gets.

`shell_cases.jsonl`: `expect` is D for what must be refused and A for what must be allowed; `limit`
marks a decision that follows from a limit which docs/security.md names. `{base}` is the folder that
`build_folders` fills; `project` in it is the working directory.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.model.workflow import FileRule, Span
from sdqctl.policy.policy import build_policy
from sdqctl.policy.rules import parse_rule
from tests.policy.folders import build_folders


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the table."""

    group: str
    mode: str | None
    target: str
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    deny_files: tuple[str, ...] = ()
    allow_all: bool = False
    limit: bool = False
    expect: str


LINES = Path(__file__).with_name("shell_cases.jsonl").read_bytes().splitlines()
CASES = [msgspec.convert(json.loads(line), Case) for line in LINES]
GROUPS = sorted({case.group for case in CASES})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("folders")
    build_folders(base)
    return base


@pytest.fixture(autouse=True)
def at_home(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(base / "home"))
    monkeypatch.delenv("CDPATH", raising=False)
    monkeypatch.chdir(base)


def decision_on(case: Case, base: Path, *more: str) -> ToolDecision:
    files = [
        FileRule(pattern=text, allow=False, directory=False, span=Span("w.conv", 1))
        for text in case.deny_files
    ]
    policy = build_policy(
        mode=case.mode,
        cwd=base / "project",
        allow_tools=[*case.allow, *more],
        deny_tools=case.deny,
        allow_all=case.allow_all,
        workflow_file_rules=files,
    )
    target = case.target.replace("{base}", str(base))
    return policy.decide(ToolRequest(kind=ToolKind.SHELL, target=target))


@pytest.mark.parametrize("group", GROUPS)
def test_a_command_line_gets_the_decision_of_the_table(group: str, base: Path) -> None:
    wrong = []
    for case in CASES:
        if case.group == group:
            decision = decision_on(case, base)
            if ("A" if decision.allowed else "D") != case.expect:
                wrong.append((case.target, case.expect, decision.why))
            assert decision.by, case.target
    assert not wrong


def test_a_rule_that_a_refusal_names_can_be_read(base: Path) -> None:
    for case in CASES:
        for rule in decision_on(case, base).rules:
            assert parse_rule(rule).text == rule


@pytest.mark.parametrize("name", ["[[", "a b", "~x", "x'y", "{a,b}", "if", "a;b", "-x", "é"])
def test_a_refusal_names_a_rule_that_allows_the_program_or_none(name: str, base: Path) -> None:
    quoted = "'" + name.replace("'", "'\\''") + "'"
    case = Case(group="", mode="audit", target=f"{quoted} x", expect="D")
    decision = decision_on(case, base)
    assert not decision.allowed
    if decision.rules:
        assert decision_on(case, base, *decision.rules).allowed
    else:
        assert decision.final
