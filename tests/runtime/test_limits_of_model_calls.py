"""Prompts and compactions call the same model: the same limits, retries and exit codes hold."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdqctl.errors import SdqctlError
from sdqctl.testing.loopback import LoopbackModel, Reply, Request
from tests.command import Done, sdqctl
from tests.sampling import some

pytestmark = pytest.mark.runtime

WORKFLOWS = {
    "prompt": "PROMPT first {case}\nPROMPT second\n",
    "COMPACT": "PROMPT first {case}\nCOMPACT\nPROMPT second\n",
    "ON-CONTEXT-LIMIT": (
        "CONTEXT-LIMIT 1%\nON-CONTEXT-LIMIT compact\nPROMPT first {case}\nPROMPT second\n"
    ),
}
KINDS = list(WORKFLOWS)
FAILURES = {429: 75, 500: 75, 503: 75, 401: 6, 403: 6, 400: 4}
"""The exit code that each status of the model's server comes to."""
_CASE = re.compile(r"<([A-Za-z-]+-\d+)>")


class Model:
    """It answers the first prompt; then it does as it is told, so many times."""

    def __init__(self, reply: Reply, times: int = 1000) -> None:
        self._reply = reply
        self._left = times
        self._first = True

    def __call__(self, request: Request) -> Reply:
        if "first" in request.prompt and self._first:
            self._first = False
            return Reply(text="fine")
        if self._left > 0:
            self._left -= 1
            return self._reply
        return Reply(text="a summary, or an answer")


class Models:
    """A model for each conversation, known by the case that its first prompt names."""

    def __init__(self, cases: dict[str, Model]) -> None:
        self._cases = cases

    def __call__(self, request: Request) -> Reply:
        found = _CASE.search(json.dumps(request.body))
        assert found is not None, "a conversation begins with its case"
        return self._cases[found.group(1)](request)


Run = Callable[..., Done]
RunAll = Callable[..., dict[str, Any]]


@pytest.fixture
def serve(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with a model that is made for it."""

    def serve(script: Model | Models, *arguments: str) -> Done:
        with LoopbackModel(script) as server:
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            return sdqctl(*arguments)

    return serve


@pytest.fixture
def run(project: Path, serve: Run) -> Run:
    """Runs one workflow."""

    def run(kind: str, model: Model, *flags: str) -> Done:
        text = WORKFLOWS[kind].format(case="")
        (project / "w.conv").write_text(f"SESSION-NAME s\n{text}")
        return serve(model, "run", "w.conv", *flags)

    return run


@pytest.fixture
def run_all(project: Path, serve: Run) -> RunAll:
    """Runs a workflow of each kind with each reply, all in one runtime; how each ended."""

    def run_all(replies: dict[int, Reply], *flags: str) -> dict[str, Any]:
        cases = {}
        for kind in KINDS:
            for number, reply in replies.items():
                case = f"{kind}-{number}"
                text = WORKFLOWS[kind].format(case=f"<{case}>")
                (project / f"{case}.conv").write_text(text)
                cases[case] = Model(reply)
        files = [f"{case}.conv" for case in cases]
        together = ["--format", "json", "--parallel", "6", "--keep-going"]
        done = serve(Models(cases), "run", *files, *together, *flags)
        entries = {entry["name"].removesuffix(".conv"): entry for entry in done.json}
        assert set(entries) == set(cases), done.err
        return entries

    return run_all


def exit_codes() -> dict[str, int]:
    """The exit code of each code of an error."""
    kinds = [SdqctlError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return {kind.code: kind.exit_code for kind in kinds}


@pytest.mark.parametrize("limit", some(1, ["--idle-timeout", "--step-timeout"]))
def test_a_silent_model_is_waited_for_no_longer_than_the_limit(limit: str, run_all: RunAll) -> None:
    for entry in run_all({0: Reply(hang=True)}, limit, "2s").values():
        assert entry["error"]["code"] == "step-failed", entry
        assert limit in entry["error"]["message"]


@pytest.mark.thorough
def test_the_kind_of_a_failure_decides_the_exit_code(run_all: RunAll) -> None:
    replies = {status: Reply(status=status) for status in FAILURES}
    entries = run_all(replies, "--retry-for", "2s")
    found = {case: exit_codes()[entry["error"]["code"]] for case, entry in entries.items()}
    assert found == {
        f"{kind}-{status}": code for kind in KINDS for status, code in FAILURES.items()
    }


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "status"), some(1, [("COMPACT", 403), ("prompt", 400), ("prompt", 401)])
)
def test_a_command_ends_with_the_exit_code_of_the_failure(kind: str, status: int, run: Run) -> None:
    done = run(kind, Model(Reply(status=status)), "--retry-for", "2s")
    assert done.code == FAILURES[status], done.err


@pytest.mark.thorough
def test_a_long_retry_after_is_not_waited_for_beyond_the_time_of_the_retries(
    run_all: RunAll,
) -> None:
    replies = {429: Reply(status=429, headers={"Retry-After": "400"})}
    for entry in run_all(replies, "--retry-for", "3s").values():
        assert exit_codes()[entry["error"]["code"]] == 75, entry


@pytest.mark.thorough
@pytest.mark.parametrize("budget", some(1, ["0s", "2s", "1s", "4s", "6s"]))
def test_the_exit_code_does_not_depend_on_when_the_retries_end(budget: str, run: Run) -> None:
    done = run("prompt", Model(Reply(status=500)), "--retry-for", budget)
    assert done.code == 75, done.err


@pytest.mark.thorough
@pytest.mark.parametrize("kind", some(1, KINDS))
def test_a_failure_that_passes_is_got_over(kind: str, run: Run) -> None:
    model = Model(Reply(status=503, headers={"Retry-After": "1"}), times=7)
    done = run(kind, model, "--retry-for", "60s")
    assert done.code == 0, done.err
    assert "trying again in" in done.err


@pytest.mark.thorough
def test_a_compaction_that_failed_is_done_by_a_resume(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = run("COMPACT", Model(Reply(status=500)), "--retry-for", "1s")
    assert failed.code == 75
    with LoopbackModel(Model(Reply(text="unused"), times=0)) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        done = sdqctl("resume", "s", "--continue")
        assert done.code == 0, done.err
        steps = sdqctl("sessions", "show", "s", "--format", "json").json["runs"][-1]["steps"]
    assert [(s["kind"], s["status"]) for s in steps] == [
        ("prompt", "done"),
        ("compact", "done"),
        ("prompt", "done"),
    ]
