"""What an agent's tools may do: a table of commands and paths with the decision each gets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sdqctl.errors import UsageError
from sdqctl.model.events import PermissionDecided
from sdqctl.model.tools import ToolKind, ToolRequest
from sdqctl.model.workflow import FileRule, Span
from sdqctl.policy.policy import DenialCounter, Policy, build_policy
from sdqctl.policy.rules import parse_rule

Make = Callable[..., Policy]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a link that leads out of it."""
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "docs").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("x")
    (folder / "link").symlink_to(outside)
    (folder / "link.txt").symlink_to(outside / "secret.txt")
    (folder / "inner.txt").symlink_to(folder / "src")
    return folder


@pytest.fixture
def make(folder: Path) -> Make:
    """A policy of this project."""

    def build(mode: str | None = "audit", **options: object) -> Policy:
        return build_policy(mode=mode, cwd=folder, **options)  # type: ignore[arg-type]

    return build


def decide(policy: Policy, kind: ToolKind, target: str) -> bool:
    decision = policy.decide(ToolRequest(kind=kind, target=target))
    assert decision.allowed or decision.reason, "a denial has a reason"
    return decision.allowed


GIT = ["shell(git:*)"]
SEVERAL = ["shell(git:*)", "shell(npm test)", "shell(ls:*)", "shell(echo:*)", "shell(cat:*)"]

SHELL = [
    # the command line, the allow rules, the decision
    ("ls", [], False),
    ("ls", ["shell"], True),
    ("rm -rf /", ["shell"], True),
    ("git status", GIT, True),
    ("git log --oneline -5", GIT, True),
    ("git", GIT, True),
    ("gitk", GIT, False),
    ("/usr/bin/git status", GIT, False),
    ("./git status", GIT, False),
    ("git status; rm -rf src", GIT, False),
    ("git status && rm -rf src", GIT, False),
    ("git status || rm -rf src", GIT, False),
    ("git status | sh", GIT, False),
    ("git status | git log", GIT, True),
    ("git status & rm -rf src", GIT, False),
    ("git status\nrm -rf src", GIT, False),
    ("git status $(rm -rf src)", GIT, False),
    ("git status `rm -rf src`", GIT, False),
    ('git log --format="$(rm -rf src)"', GIT, False),
    ("git log --format='$(rm -rf src)'", GIT, True),
    ("git diff <(rm -rf src)", GIT, False),
    ("git diff > src/out.txt", GIT, False),
    ("git diff > /dev/null 2>&1", GIT, True),
    ("git diff >> /etc/passwd", GIT, False),
    ("git log < src/x", GIT, True),
    ("git log < /etc/shadow", GIT, False),
    ("git log < link.txt", GIT, False),
    ("LD_PRELOAD=./evil.so git status", GIT, False),
    ("GIT_SSH_COMMAND=evil git fetch", GIT, False),
    ("PATH=. git status", GIT, False),
    ("LANG=C git status", GIT, True),
    ("env git status", GIT, True),
    ("env rm -rf src", GIT, False),
    ("sudo git status", GIT, False),
    ("xargs git", GIT, True),
    ("xargs rm", GIT, False),
    ("sh -c 'git status'", GIT, True),
    ("sh -c 'rm -rf src'", GIT, False),
    ("bash -c 'git status; rm x'", GIT, False),
    ("eval git status", GIT, True),
    ("eval 'rm x'", GIT, False),
    ("time git status", GIT, True),
    ("timeout 5 git status", GIT, True),
    ("timeout 5 rm x", GIT, False),
    ("nohup rm x", GIT, False),
    ("find . -exec rm {} ;", ["shell(find:*)"], False),
    ("find . -name x", ["shell(find:*)"], True),
    ("$EDITOR x", GIT, False),
    ('"$(echo git)" status', SEVERAL, False),
    ("g''it status", GIT, True),
    ("\\git status", GIT, True),
    ("(git status)", GIT, True),
    ("(git status; rm x)", GIT, False),
    ("{ git status; }", GIT, True),
    ("if git status; then rm x; fi", GIT, False),
    ("for f in a b; do rm $f; done", GIT, False),
    ("! git status", GIT, True),
    ("git status # rm x", GIT, True),
    ("git() { rm x; }; git", GIT, False),
    ("alias git=rm; git x", GIT, False),
    ("git 'unclosed", GIT, False),
    ("cat <<END\nrm x\nEND", SEVERAL, True),
    ("cat <<END\n$(rm x)\nEND", SEVERAL, False),
    ("npm test", SEVERAL, True),
    ("npm test -- --watch", SEVERAL, False),
    ("npm install", SEVERAL, False),
    ("cd src && git status", GIT, True),
    ("cd / && git status", GIT, False),
    ("cd ../outside && git status", GIT, False),
    ("cd link && git status", GIT, False),
    ("cd $HOME && git status", GIT, False),
    ("cd && git status", GIT, False),
    ("cd src && ./git status", GIT, False),
    ("git status;", GIT, True),
    ("", GIT, True),
    ("echo a\u202eb", SEVERAL, True),
]


@pytest.mark.parametrize(("line", "rules", "allowed"), SHELL)
def test_shell_commands(line: str, rules: list[str], allowed: bool, make: Make) -> None:
    assert decide(make(allow_tools=rules), ToolKind.SHELL, line) is allowed


PATHS = [
    # the kind, the path, the mode, the rules, the decision
    (ToolKind.READ, "src/app.py", "audit", [], True),
    (ToolKind.READ, ".", "audit", [], True),
    (ToolKind.READ, "src/../src/app.py", "audit", [], True),
    (ToolKind.READ, "../outside/secret.txt", "audit", [], False),
    (ToolKind.READ, "/etc/passwd", "audit", [], False),
    (ToolKind.READ, "link.txt", "audit", [], False),
    (ToolKind.READ, "link/secret.txt", "audit", [], False),
    (ToolKind.READ, "inner.txt/app.py", "audit", [], True),
    (ToolKind.READ, "~/.ssh/id_rsa", "audit", [], False),
    (ToolKind.READ, "/etc/hosts", "audit", ["read(/etc/hosts)"], True),
    (ToolKind.READ, "/etc/passwd", "audit", ["read(/etc/hosts)"], False),
    (ToolKind.WRITE, "src/app.py", "audit", [], False),
    (ToolKind.WRITE, "src/app.py", "implement", [], True),
    (ToolKind.WRITE, "../outside/x", "implement", [], False),
    (ToolKind.WRITE, "link/x", "implement", [], False),
    (ToolKind.WRITE, "link.txt", "implement", [], False),
    (ToolKind.WRITE, "docs/a.md", "audit", ["write(docs/**)"], True),
    (ToolKind.WRITE, "docs/deep/er/a.md", "audit", ["write(docs/**)"], True),
    (ToolKind.WRITE, "src/a.py", "audit", ["write(docs/**)"], False),
    (ToolKind.WRITE, "docs/../src/a.py", "audit", ["write(docs/**)"], False),
    (ToolKind.WRITE, "src/a.py", "audit", ["write"], True),
    (ToolKind.WRITE, ".git/hooks/pre-commit", "implement", [], False),
    (ToolKind.WRITE, "a\0b", "implement", [], False),
]


@pytest.mark.parametrize(("kind", "path", "mode", "rules", "allowed"), PATHS)
def test_paths(
    kind: ToolKind, path: str, mode: str, rules: list[str], allowed: bool, make: Make
) -> None:
    assert decide(make(mode, allow_tools=rules), kind, path) is allowed


NAMED = [
    (ToolKind.URL, "https://example.com/a", ["url(example.com)"], True),
    (ToolKind.URL, "http://example.com/a", ["url(example.com)"], False),
    (ToolKind.URL, "https://example.com.evil.net/", ["url(example.com)"], False),
    (ToolKind.URL, "https://example.com@evil.net/", ["url(example.com)"], False),
    (ToolKind.URL, "https://sub.example.com/", ["url(*.example.com)"], True),
    (ToolKind.URL, "https://example.com/b", ["url(example.com/a)"], False),
    (ToolKind.URL, "https://anything.net/", [], False),
    (ToolKind.MCP, "github:create_issue", ["mcp(github:create_issue)"], True),
    (ToolKind.MCP, "github:delete_repo", ["mcp(github:create_issue)"], False),
    (ToolKind.MCP, "github:anything", ["mcp(github)"], True),
    (ToolKind.MCP, "gitlab:anything", ["mcp(github)"], False),
    (ToolKind.CUSTOM, "deploy", ["custom-tool(deploy)"], True),
    (ToolKind.CUSTOM, "deploy2", ["custom-tool(deploy)"], False),
    (ToolKind.OTHER, "mystery", ["shell", "write", "read(/)"], False),
]


@pytest.mark.parametrize(("kind", "name", "rules", "allowed"), NAMED)
def test_named_tools(
    kind: ToolKind, name: str, rules: list[str], allowed: bool, make: Make
) -> None:
    assert decide(make(allow_tools=rules), kind, name) is allowed


def test_there_are_at_least_sixty_decisions() -> None:
    assert len(SHELL) + len(PATHS) + len(NAMED) >= 60


DENIED = [
    (ToolKind.SHELL, "git push", "shell(git push)"),
    (ToolKind.SHELL, "git -C . push", "shell(git push)"),
    (ToolKind.SHELL, "/usr/bin/git push", "shell(git push)"),
    (ToolKind.SHELL, "sh -c 'git push'", "shell(git push)"),
    (ToolKind.SHELL, "ls && git push", "shell(git push)"),
    (ToolKind.SHELL, "echo $(git push)", "shell(git push)"),
    (ToolKind.SHELL, "$X push", "shell(git push)"),
    (ToolKind.SHELL, "env git push", "shell(git push)"),
    (ToolKind.SHELL, "ls", "shell"),
    (ToolKind.WRITE, "docs/a.md", "write(docs/**)"),
    (ToolKind.WRITE, "./docs/../docs/a.md", "write(docs/**)"),
    (ToolKind.SHELL, "echo x > docs/a.md", "write(docs/**)"),
    (ToolKind.READ, "src/key.pem", "read(**/*.pem)"),
    (ToolKind.URL, "http://evil.net/x", "url(evil.net)"),
    (ToolKind.MCP, "github:x", "mcp(github)"),
]


@pytest.mark.parametrize(("kind", "target", "rule"), DENIED)
@pytest.mark.parametrize("everything", [False, True])
def test_a_deny_always_wins(
    kind: ToolKind, target: str, rule: str, everything: bool, make: Make
) -> None:
    policy = make("full", deny_tools=[rule], allow_all=everything, allow_tools=["mcp", "url"])
    assert not decide(policy, kind, target)


def test_file_rules_bound_the_tools(make: Make) -> None:
    span = Span("w.conv", 1)
    rules = (
        FileRule(pattern="*.lock", allow=False, directory=False, span=span),
        FileRule(pattern="docs", allow=False, directory=True, span=span),
    )
    policy = make("implement", workflow_file_rules=rules)
    assert not decide(policy, ToolKind.WRITE, "deps.lock")
    assert not decide(policy, ToolKind.READ, "docs/a.md")
    assert not decide(policy, ToolKind.SHELL, "cat docs/a.md")
    assert decide(policy, ToolKind.WRITE, "src/a.py")


def test_the_programs_own_data_is_never_written(make: Make, folder: Path) -> None:
    policy = make("full", allow_all=True, protected=[folder / "src"])
    assert not decide(policy, ToolKind.WRITE, "src/ledger.db")
    assert decide(policy, ToolKind.WRITE, "docs/a.md")


@pytest.mark.parametrize(
    "text",
    ["", "shell(", "shell()", "git:*", "url()", "url(https://a@b)", "shell(a; b)", "shell($X)"],
)
def test_a_rule_that_cannot_be_read_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rule(text)
    assert "shell(git:*)" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["shell(git", "shell git", "write(docs/**) and more"])
def test_of_a_rule_of_a_known_kind_it_is_said_what_may_follow(text: str) -> None:
    with pytest.raises(UsageError, match=r"stands `\(`, and `\)` at the end, or nothing"):
        parse_rule(text)


def test_a_denial_names_the_rule_that_would_allow_it(make: Make) -> None:
    decision = make().decide(ToolRequest(kind=ToolKind.SHELL, target="npm test"))
    assert "--allow-tool 'shell(npm:*)'" in decision.reason
    decision = make().decide(ToolRequest(kind=ToolKind.WRITE, target="docs/a.md"))
    assert "--allow-tool" in decision.reason


def denial(target: str, *, allowed: bool = False) -> PermissionDecided:
    return PermissionDecided(
        turn_id="t", kind="shell", target=target, allowed=allowed, reason="no rule allows it"
    )


def test_five_same_denials_in_a_row_are_too_many() -> None:
    counter = DenialCounter()
    assert [counter.note(denial("ls")) for _ in range(5)] == [False] * 4 + [True]
    counter = DenialCounter()
    events = [denial("ls")] * 4 + [denial("pwd")] + [denial("ls")] * 4
    assert not any(counter.note(event) for event in events)
    counter = DenialCounter()
    events = [denial("ls")] * 4 + [denial("cat", allowed=True)] + [denial("ls")] * 4
    assert not any(counter.note(event) for event in events)


WORDS = (
    "git rm x ; && || | & $( ) ` ' < > >> <<E E 2>&1 { } ( $x ${x} # = ! if then fi for do done "
    "case esac in function [[ ]]"
)
shellish = st.lists(st.sampled_from([*WORDS.split(), *' \n\\"']), max_size=14).map("".join)


@settings(max_examples=500, deadline=None)
@given(st.one_of(shellish, st.text(max_size=60)))
@example("$((1+`rm x`))")
@example("a" * 100_000)
@example("(" * 5_000)
def test_the_policy_never_raises(line: str) -> None:
    policy = build_policy(mode="audit", cwd=Path("/nowhere"), allow_tools=["shell(git:*)"])
    decision = policy.decide(ToolRequest(kind=ToolKind.SHELL, target=line))
    assert decision.allowed or decision.reason


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_a_rule_is_read_or_refused(text: str) -> None:
    try:
        rule = parse_rule(text)
    except UsageError:
        return
    assert parse_rule(rule.text) == rule


def test_each_path_that_a_request_names_is_judged(make: Make) -> None:
    inside = ToolRequest(kind=ToolKind.READ, target=".", paths=("src", "docs"))
    outside = ToolRequest(kind=ToolKind.READ, target=".", paths=("src", "../outside"))
    assert make().decide(inside).allowed
    assert not make().decide(outside).allowed
    assert make(allow_tools=["read(../outside/**)"]).decide(outside).allowed


PROPOSED = """\
from pathlib import Path
from sdqctl.model.tools import ToolKind, ToolRequest
from sdqctl.policy.policy import build_policy
line = "git log; cd src; git log > out"
policy = build_policy(mode="audit", cwd=Path({folder!r}), allow_tools=["shell(git:*)"])
print(policy.decide(ToolRequest(kind=ToolKind.SHELL, target=line)).rules)
"""


def test_of_several_places_that_a_line_may_be_in_a_refusal_names_the_same_each_time(
    folder: Path,
) -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", PROPOSED.format(folder=str(folder))],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "12345678"
    }
    assert len(said) == 1
