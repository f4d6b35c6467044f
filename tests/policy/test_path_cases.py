"""A table of tool requests about paths, addresses and named tools, with the decision each gets.

`path_cases.jsonl`: `expect` is D for what must be refused and A for what must be allowed; `limit`
marks what is allowed by a limit that docs/security.md names. `{base}` is the folder that
`build_folders` fills; `project` in it is the working directory.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sdqctl.adapters.copilot.protected import STEERING
from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.policy.policy import Policy, build_policy
from sdqctl.policy.rules import parse_rule
from tests.policy.folders import build_folders


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the table."""

    group: str
    mode: str | None
    kind: ToolKind
    target: str
    paths: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    allow_all: bool = False
    limit: bool = False
    expect: str


LINES = Path(__file__).with_name("path_cases.jsonl").read_bytes().splitlines()
CASES = [msgspec.json.decode(line, type=Case) for line in LINES]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("folders")
    build_folders(base)
    return base


@pytest.fixture(autouse=True)
def at_home(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(base / "home"))
    monkeypatch.setenv("TMPDIR", "/tmp")
    monkeypatch.chdir(base)


def policy_of(case: Case, base: Path, more: tuple[str, ...] = ()) -> Policy:
    return build_policy(
        mode=case.mode,
        cwd=base / "project",
        allow_tools=[*(rule.replace("{base}", str(base)) for rule in case.allow), *more],
        deny_tools=[rule.replace("{base}", str(base)) for rule in case.deny],
        allow_all=case.allow_all,
        steering=STEERING,
    )


def request_of(case: Case, base: Path) -> ToolRequest:
    target, *paths = (text.replace("{base}", str(base)) for text in (case.target, *case.paths))
    return ToolRequest(kind=case.kind, target=target, paths=tuple(paths))


def decision_on(case: Case, base: Path) -> ToolDecision:
    return policy_of(case, base).decide(request_of(case, base))


def name_of(case: Case) -> str:
    rules = " ".join([*case.allow, *(f"-{rule}" for rule in case.deny)])
    return ascii(f"{case.group} {case.kind} {case.target[:60]} {rules}")


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_request_gets_the_decision_of_the_table(case: Case, base: Path) -> None:
    decision = decision_on(case, base)
    assert ("A" if decision.allowed else "D") == case.expect, decision.reason
    assert decision.by, "a decision says what made it"


@pytest.mark.parametrize("case", [case for case in CASES if case.expect == "D"], ids=name_of)
def test_what_a_refusal_says_would_allow_it_does(case: Case, base: Path) -> None:
    decision = decision_on(case, base)
    assert decision.final == (not decision.rules)
    assert ("--allow-tool" in decision.reason) == bool(decision.rules)
    if decision.rules and case.kind is not ToolKind.SHELL:
        again = policy_of(case, base, decision.rules).decide(request_of(case, base))
        assert again.allowed, again.reason
    for rule in decision.rules:
        parse_rule(rule)


def test_a_refused_file_says_what_would_allow_it(base: Path) -> None:
    plain = {"read", "write", "links", "hard-link", "write-steer", "write-case", "paths"}
    cases = [c for c in CASES if c.expect == "D" and c.group in plain and not c.deny]
    unsaid = [
        c.target for c in cases if c.kind in ("read", "write") and not decision_on(c, base).rules
    ]
    odd = [t for t in unsaid if not t.isprintable() or t.startswith(("proc", "/proc", "/dev"))]
    assert unsaid == odd
