"""Where paths lead to, asked of the kernel, and what only files on disk can show."""

from __future__ import annotations

import itertools
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdqctl.model.tools import ToolKind, ToolRequest
from sdqctl.model.workflow import FileRule, Span
from sdqctl.policy.policy import build_policy
from tests.policy.folders import build_folders

NAMES = ["src", "docs", "up", "inner", "link", "deeplink", "loop", "..", ".", "README.md", "x"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return build_folders(tmp_path)


def decide(project: Path, kind: ToolKind, target: object, **options: object) -> tuple[bool, str]:
    policy = build_policy(mode="implement", cwd=project, **options)  # type: ignore[arg-type]
    decision = policy.decide(ToolRequest(kind=kind, target=str(target)))
    return decision.allowed, decision.by


def opened(path: str) -> Path | None:
    """Where the kernel arrives, None when there is nothing."""
    try:
        handle = os.open(path, os.O_PATH)
    except OSError:
        return None
    try:
        return Path(os.readlink(f"/proc/self/fd/{handle}"))
    finally:
        os.close(handle)


@pytest.mark.parametrize(
    ("longest", "least"), [(3, 75), pytest.param(4, 400, marks=pytest.mark.thorough)]
)
def test_what_the_kernel_finds_outside_is_refused_however_it_is_written(
    longest: int, least: int, project: Path
) -> None:
    policy = build_policy(mode="audit", cwd=project)
    outside = 0
    for length in range(1, longest + 1):
        for names in itertools.product(NAMES, repeat=length):
            path = "/".join(names)
            raw, plain = (opened(f"{project}/{p}") for p in (path, os.path.normpath(path)))
            leaves = any(p is not None and not p.is_relative_to(project) for p in (raw, plain))
            outside += leaves
            decision = policy.decide(ToolRequest(kind=ToolKind.READ, target=path))
            if leaves:
                assert not decision.allowed, path
            elif raw is not None and plain is not None:
                assert decision.allowed, path
    assert outside > least


def test_the_home_folders_are_protected_however_they_are_written(project: Path) -> None:
    home = project.parent / "Home"
    (home / "Session").mkdir(parents=True)
    (project / "to-home").symlink_to(home)
    for path in (home / "x", "../Home/Session/y", "../HOME/x", "to-home/x", "link/../Home/x"):
        allowed, by = decide(project, ToolKind.WRITE, path, allow_all=True, protected=(home,))
        assert (allowed, by) == (False, "sdqctl"), path


@pytest.fixture
def output() -> Iterator[Path]:
    """The name of an output that is too long for the model, as the runtime makes it."""
    name = f"1795605940698-copilot-tool-output-25940-{uuid.uuid4()}.txt"
    path = Path(tempfile.gettempdir(), name)
    yield path
    path.unlink(missing_ok=True)


def test_the_runtimes_own_long_output_may_be_read(project: Path, output: Path) -> None:
    output.write_text("1\n2\n")
    assert decide(project, ToolKind.READ, output) == (True, "mode implement")


def test_a_link_with_the_name_of_an_output_opens_nothing(project: Path, output: Path) -> None:
    output.symlink_to(project.parent / "outside/secret.txt")
    assert not decide(project, ToolKind.READ, output)[0]


def test_a_second_name_of_a_file_is_no_output(project: Path, output: Path) -> None:
    first = output.with_suffix(".twin")  # beside it: no link leads to another file system
    first.write_text("1\n")
    try:
        os.link(first, output)
        assert not decide(project, ToolKind.READ, output)[0]
    finally:
        first.unlink()


def test_an_output_of_a_guessable_name_that_is_older_than_this_process_is_another_ones(
    project: Path,
) -> None:
    path = Path(tempfile.gettempdir(), f"copilot-tool-output-{uuid.uuid4().int % 10**12}-1.txt")
    path.write_text("1\n")
    try:
        assert decide(project, ToolKind.READ, path)[0]
        os.utime(path, (1, 1))
        assert not decide(project, ToolKind.READ, path)[0]
    finally:
        path.unlink()


def rule(text: str, *, allow: bool = False, directory: bool = False) -> FileRule:
    return FileRule(allow=allow, directory=directory, pattern=text, span=Span("w.conv", 3))


def test_a_decision_says_what_made_it(project: Path) -> None:
    read, write = ToolKind.READ, ToolKind.WRITE
    allow = {"allow_tools": ["read(/etc/hosts)", "write(.git/config)"]}
    deny = {"deny_tools": ["write(*.lock)", "read"]}
    files = {"workflow_file_rules": [rule("*.key"), rule("src", allow=True)]}
    told = [
        decide(project, read, "README.md"),
        decide(project, read, "/etc/hosts", **allow),
        decide(project, write, ".git/config", **allow),
        decide(project, write, ".mcp.json", **allow),
        decide(project, write, "x.lock", **deny),
        decide(project, read, "README.md", **deny),
        decide(project, read, "a.key", **files),
        decide(project, read, "README.md", **files),
        decide(project, read, "/etc/hosts", allow_all=True),
    ]
    assert told == [
        (True, "mode implement"),
        (True, "read(/etc/hosts)"),
        (True, "write(.git/config)"),
        (False, "sdqctl"),
        (False, "write(*.lock)"),
        (False, "read"),
        (False, "DENY-FILES *.key"),
        (False, "ALLOW-FILES"),
        (True, "--allow-all-tools"),
    ]


def test_without_a_mode_the_default_decides(project: Path) -> None:
    policy = build_policy(mode=None, cwd=project)
    decision = policy.decide(ToolRequest(kind=ToolKind.WRITE, target="x"))
    assert (decision.allowed, decision.by) == (False, "the default")
    assert decision.why == "nothing may be written in this run"
    assert decision.rules == ("write(x)",)


@pytest.mark.parametrize(
    "name", ["a b", "a[b].txt", "*", "it's", "-x", "a(b)", "new\nline", "tail ", " head", "~x", "ä"]
)
def test_the_rule_for_an_odd_name_allows_that_file(project: Path, name: str) -> None:
    for target in (name, f"../outside/{name}"):
        request = ToolRequest(kind=ToolKind.WRITE, target=target)
        refused = build_policy(mode="audit", cwd=project).decide(request)
        assert not refused.allowed
        again = build_policy(mode="audit", cwd=project, allow_tools=refused.rules).decide(request)
        assert again.allowed, refused.rules


def test_allow_dir_opens_no_folder_behind_a_link_of_the_project(project: Path) -> None:
    outside = project.parent / "outside"
    (project / "shared").symlink_to(outside)
    named = str(outside)
    for texts, is_open in ((["shared"], False), ([named], True), (["shared", named], True)):
        rules = [rule(text, allow=True, directory=True) for text in texts]
        files = {"workflow_file_rules": rules}
        found = decide(project, ToolKind.READ, outside / "secret.txt", **files)
        assert found[0] is is_open, found
