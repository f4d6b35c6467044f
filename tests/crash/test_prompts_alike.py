"""Steps whose prompts are alike, and hold a secret: kept redacted, told apart after a kill."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sdqctl.adapters import AdapterSettings, get_archive
from sdqctl.testing.loopback import LoopbackModel
from tests.command import Done, sdqctl
from tests.sampling import some

pytestmark = pytest.mark.crash

SECRET = "an-0dd-value-for-deploying"
PROMPT = f"go on with {SECRET} [[reply: gone on]]"
STEPS = 3
WORKFLOW = "SESSION-NAME alike\n" + f"PROMPT {PROMPT}\n" * STEPS
CUT_OFF = [
    "ledger.begin.after",
    "ledger.accept.before",
    "ledger.accept.after",
    "ledger.finish.before",
]
"""Before the runtime has the prompt, while it may have it, and when it has answered it."""


@pytest.fixture
def workflow(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEPLOY_KEY", SECRET)
    path = project / "alike.conv"
    path.write_text(WORKFLOW)
    return path


@pytest.mark.each(2)
@pytest.mark.parametrize("point", [*CUT_OFF, "mock.accepted", "mock.stored", "mock.answered"])
def test_each_is_answered_once_on_the_mock(point: str, home: Path, workflow: Path) -> None:
    check("mock", sdqctl, point, home, workflow)


@pytest.mark.thorough
@pytest.mark.runtime
@pytest.mark.parametrize("point", some(1, CUT_OFF))
def test_each_is_answered_once_on_the_runtime(
    point: str, home: Path, workflow: Path, model: LoopbackModel
) -> None:
    check("copilot", sdqctl, point, home, workflow)
    assert [text for text in model.user_messages() if SECRET in text] == [PROMPT] * STEPS


def check(adapter: str, command: Callable[..., Done], point: str, home: Path, file: Path) -> None:
    """Kill a run in its second step, go on, and look at the conversation and the ledger."""
    first = command("run", file, "--adapter", adapter, SDQCTL_CRASH_AT=f"{point}:2")
    assert first.code in (-signal.SIGKILL, 137), first.err
    done = command("resume", "alike", "--continue")
    assert done.code == 0, done.err
    assert "run completed: 3 steps" in done.err
    settings = AdapterSettings(data_dir=home / "sdqctl", copilot_home=home / "copilot")
    turns = list(get_archive(adapter, settings).turns(session_id(command)))
    assert [(turn.prompt, turn.response) for turn in turns] == [(PROMPT, "gone on")] * STEPS
    with sqlite3.connect(home / "sdqctl" / "ledger.db") as connection:
        kept = connection.execute(
            "SELECT prompt, message_id FROM attempts WHERE status = 'done'"
        ).fetchall()
    connection.close()
    assert {prompt for prompt, _ in kept} == {PROMPT.replace(SECRET, "[redacted]")}
    assert {message for _, message in kept} == {turn.message_id for turn in turns}


def session_id(command: Callable[..., Done]) -> str:
    return str(command("sessions", "show", "alike", "--format", "json").json["id"])


def test_a_prompt_typed_in_between_is_not_taken_for_the_step_s(home: Path, workflow: Path) -> None:
    run = sdqctl("run", workflow, "--adapter", "mock", SDQCTL_CRASH_AT="ledger.begin.after:2")
    assert run.code in (-signal.SIGKILL, 137)
    assert sdqctl("resume", "alike", "--prompt", PROMPT).code == 0
    done = sdqctl("resume", "alike", "--continue")
    assert done.code == 0, done.err
    assert "sent again" in done.err
    settings = AdapterSettings(data_dir=home / "sdqctl", copilot_home=home / "copilot")
    assert len(list(get_archive("mock", settings).turns("alike"))) == STEPS + 1
