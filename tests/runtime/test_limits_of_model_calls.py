"""Prompts and compactions call the same model: the same limits, retries and exit codes hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel, Reply, Request
from tests.command import Done, sdqctl

pytestmark = pytest.mark.runtime

WORKFLOWS = {
    "prompt": "PROMPT first\nPROMPT second\n",
    "COMPACT": "PROMPT first\nCOMPACT\nPROMPT second\n",
    "ON-CONTEXT-LIMIT": "CONTEXT-LIMIT 1%\nON-CONTEXT-LIMIT compact\nPROMPT first\nPROMPT second\n",
}
KINDS = list(WORKFLOWS)


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


Run = Callable[..., Done]


@pytest.fixture
def run(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(kind: str, model: Model, *flags: str) -> Done:
        (project / "w.conv").write_text(f"SESSION-NAME s\n{WORKFLOWS[kind]}")
        with LoopbackModel(model) as server:
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            return sdqctl("run", "w.conv", *flags)

    return run


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", ["--idle-timeout", "--step-timeout"])
def test_a_silent_model_is_waited_for_no_longer_than_the_limit(
    limit: str, kind: str, run: Run
) -> None:
    began = time.monotonic()
    done = run(kind, Model(Reply(hang=True)), limit, "2s")
    assert done.code == 4, done.err
    assert limit in done.err
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "code"), [(429, 75), (500, 75), (503, 75), (401, 6), (403, 6), (400, 4)]
)
def test_the_kind_of_a_failure_decides_the_exit_code(
    status: int, code: int, kind: str, run: Run
) -> None:
    done = run(kind, Model(Reply(status=status)), "--retry-for", "2s")
    assert done.code == code, done.err


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_retry_after_is_not_waited_for_beyond_the_time_of_the_retries(
    kind: str, run: Run
) -> None:
    began = time.monotonic()
    model = Model(Reply(status=429, headers={"Retry-After": "40"}))
    done = run(kind, model, "--retry-for", "3s")
    assert done.code == 75, done.err
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("budget", ["0s", "1s", "2s", "4s", "6s"])
def test_the_exit_code_does_not_depend_on_when_the_retries_end(budget: str, run: Run) -> None:
    done = run("prompt", Model(Reply(status=500)), "--retry-for", budget)
    assert done.code == 75, done.err


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_that_passes_is_got_over(kind: str, run: Run) -> None:
    model = Model(Reply(status=503, headers={"Retry-After": "1"}), times=7)
    done = run(kind, model, "--retry-for", "60s")
    assert done.code == 0, done.err
    assert "trying again in" in done.err


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
