"""Jobs of CI that are killed: each attempt on another runner, with nothing but the state's file."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.cli.ci.runners import Pipeline
from tests.command import Running
from tests.waiting import wait_for

pytestmark = pytest.mark.crash

KILLS = 20
"""Made at random times by `make crash`."""
_STEPS = 6
HEAD = "SESSION-NAME s\nMODE implement\nALLOW-SHELL true\n"
POINTS = (
    ("mock.stored:1", 0),
    ("state.publish:1", 0),
    ("ledger.finish.after:2", 1),
    ("state.publish:1", 1),
    ("mock.answered:1", 2),
    ("workspace.restore:1", 2),
)
"""Where one attempt after the other is killed, and how many steps the artifact has then."""


def story(folder: Path) -> str:
    """Prompts, and commands that write to the files, and to what no runner forgets."""
    (folder / "out").mkdir()
    return f"{HEAD}ALLOW-DIR {folder / 'out'}\n" + "".join(
        f"RUN echo {number} >> lines.txt; echo {number} >> {folder / 'out' / 'effects'}\n"
        if number % 2 == 0
        else f"PROMPT step-{number} [[reply: {number}]]\n"
        for number in range(1, _STEPS + 1)
    )


def look(ci: Pipeline, numbers: range = range(1, _STEPS + 1)) -> None:
    """Each answer and each line is there once."""
    odd, even = ([n for n in numbers if n % 2 == rest] for rest in (1, 0))
    assert [turn["response"] for turn in ci.turns()] == [str(n) for n in odd]
    assert (ci.clone / "lines.txt").read_text().split() == [str(n) for n in even]


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    (tmp_path / "ci").mkdir()
    return tmp_path / "ci"


@pytest.mark.thorough
def test_a_job_that_is_killed_anywhere_goes_on_where_its_state_says(folder: Path) -> None:
    ci = Pipeline(folder, story(folder))
    for point, steps in POINTS:
        done = ci.job(code=-signal.SIGKILL, SDQCTL_CRASH_AT=point)
        assert len(ci.settled()) == steps, (point, done.err)
    last = ci.job()
    assert "2 done, 4 to run" in last.err
    look(ci)
    # A command that was done and not published is done anew, in files that never saw it.
    assert (folder / "out" / "effects").read_text().split() == ["2", "2", "2", "4", "6"]


@pytest.mark.thorough
def test_jobs_that_are_killed_at_random_times_lose_and_repeat_nothing(
    folder: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = pytestconfig.getoption("--crash-seed") or random.randrange(10**9)
    rng, kills, number = random.Random(seed), 0, 0
    while kills < KILLS:
        number += 1
        (folder / str(number)).mkdir()
        kills += play(Pipeline(folder / str(number), story(folder / str(number))), rng, seed)
    with capsys.disabled():
        print(f"\njobs: seed {seed}, {kills} kills in {number} pipelines")


def play(ci: Pipeline, rng: random.Random, seed: int) -> int:
    """A pipeline to its end, killed on the way; how often it was."""
    kills, done = 0, list[str]()
    while True:
        running = ci.start()
        code = killed_after(running, rng.uniform(0.1, 1.2))
        said = (ci.clone.parent / "err").read_text()
        assert code in (0, -signal.SIGKILL), f"seed {seed}: {said}"
        now = ci.settled()
        assert now[: len(done)] == done, f"seed {seed}: {done} became {now}"
        assert len(set(now)) == len(now), f"seed {seed}: {now}"
        kills, done = kills + (code != 0), now
        if code == 0 or len(done) == _STEPS:
            look(ci)
            return kills


def killed_after(running: Running, seconds: float) -> int:
    """Kill a job then, if it is still at work; its exit code."""
    limit = time.monotonic() + seconds
    while running.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    running.kill()
    return running.wait()


TALK = HEAD + "".join(
    f"PROMPT step-{number} [[tool: bash "
    f'{{"command": "echo {number} >> lines.txt", "description": "add"}}]] [[reply: {number}]]\n'
    for number in (1, 2, 3)
)


@pytest.mark.thorough
@pytest.mark.runtime
def test_a_killed_job_of_the_real_runtime_goes_on_with_talk_and_files(
    folder: Path, model: LoopbackModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDQCTL_ADAPTER", "copilot")
    ci = Pipeline(folder, TALK)
    running = ci.start()
    try:
        wait_for(lambda: len(ci.settled()) == 1)
        wait_for(lambda: "[2/3]" in (ci.clone.parent / "err").read_text())
    finally:
        running.kill()
        running.wait()
    assert "1 done, 2 to run" in ci.job().err
    assert [turn["response"] for turn in ci.turns()] == ["1", "2", "3"]
    assert (ci.clone / "lines.txt").read_text().split() == ["1", "2", "3"]
