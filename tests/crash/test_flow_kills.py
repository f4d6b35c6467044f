"""Branches, loops, called workflows and items side by side on the real runtime, killed in each."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel, MarkerScript, Reply, Request
from tests.command import sdqctl
from tests.crash.killer import Killer

pytestmark = [pytest.mark.crash, pytest.mark.runtime]

_MOST_COMMANDS = 60
_ITEMS = "abc"
_KILLS_A_STORY = 10
WORK = """\
ADAPTER copilot
SESSION-NAME victim
INPUT items json = ["a", "b", "c"]
PROMPT decide: yes or no?
CAPTURE word AS choice(yes|no)
IF word == "yes"
  CALL part.conv WITH n=left AS way
ELSE
  CALL part.conv WITH n=right AS way
END
FOR x IN items PARALLEL 2
  CALL part.conv WITH n={{x}} AS done
END
FOR y IN ["x", "y"]
  PROMPT loop-{{y}} [[sleep: 0.3]] [[reply: L{{y}}]]
  CAPTURE said
END
REPEAT MAX 5 UNTIL enough == "yes"
  PROMPT loop-again
  CAPTURE enough AS choice(yes|no)
END
PROMPT end {{way}} {{ done_all | join(",") }} {{ said_all | join(",") }} [[reply: E]]
"""
PART = """\
INPUT n
PROMPT part-{{n}}-1 [[sleep: 0.3]] [[reply: one]]
PROMPT part-{{n}}-2 [[sleep: 0.3]] [[reply: two]]
RETURN n
"""


class ChangingMind:
    """Answers yes, and no once anything was killed; and when a loop is to end."""

    def __init__(self) -> None:
        self.answer = "yes"
        self._others = MarkerScript()

    def __call__(self, request: Request) -> Reply:
        if "decide: yes or no?" in request.prompt:
            return Reply(text=self.answer)
        if "loop-again" in request.prompt:
            rounds = sum("loop-again" in message for message in request.user_messages)
            return Reply(text="yes" if rounds > 2 else "no", delay=0.3)
        return self._others(request)


@pytest.mark.thorough
def test_what_was_decided_holds_and_each_prompt_is_answered_once(
    home: Path,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kills = pytestconfig.getoption("--kills")
    seed = pytestconfig.getoption("--crash-seed") or (random.randrange(10**9) if kills else 1)
    (project / "part.conv").write_text(PART)
    wanted, number, total = int(kills or 2), 0, 0
    while total < wanted:
        number += 1
        mind = ChangingMind()
        with LoopbackModel(mind) as model:
            for name, value in model.environment().items():
                monkeypatch.setenv(name, value)
            killer = Killer(home, model, seed + number)
            told = play(f"victim-{number}", project, killer, model, mind, more=bool(kills))
            look(f"victim-{number}", home, model, f"seed {seed}\n{told}")
        assert killer.kills.total() >= 2, told
        total += killer.kills.total()
    with capsys.disabled():
        print(f"\nflow: seed {seed}, {total} kills in {number} workflows")


def play(
    name: str,
    project: Path,
    killer: Killer,
    model: LoopbackModel,
    mind: ChangingMind,
    *,
    more: bool,
) -> str:
    """Run a workflow that is killed in the called one of its branch, in an item of its list, in
    each of its loops, and `more` at random; go on with it until it is done. What all commands said.
    """
    (project / f"{name}.conv").write_text(WORK.replace("victim", name))
    places = [
        seen(model, "part-left-"),
        seen(model, *(f"part-{x}-" for x in _ITEMS)),
        seen(model, "loop-y"),
        seen(model, "loop-again"),
    ]
    arguments = ["run", f"{name}.conv"]
    told = ""
    with ThreadPoolExecutor(1) as pool:
        for _ in range(_MOST_COMMANDS):
            command = pool.submit(sdqctl, *arguments)
            if places:
                killer.strike_when(command, places.pop(0), "sdqctl")
                mind.answer = "no"
            elif more and killer.kills.total() < _KILLS_A_STORY:
                killer.strike(command)
            done = command.result()
            told += f"{' '.join(arguments)} -> {done.code}\n{done.err}"
            if done.code == 0:
                return told
            assert done.code in (-signal.SIGKILL, 137, 5), told
            arguments = ["resume", name, "--continue"]
    raise AssertionError(f"it never came to its end\n{told}")


def seen(model: LoopbackModel, *words: str) -> Callable[[], bool]:
    """Whether a prompt with one of the words was asked."""
    return lambda: any(word in r.prompt for r in [*model.requests] for word in words)


def look(name: str, home: Path, model: LoopbackModel, told: str) -> None:
    """The branch is the one that was decided, each prompt stands in its context once, each item
    was called once, and their values stand in order.
    """
    prompts = [request.prompt for request in model.requests]
    assert sum("decide: yes or no?" in prompt for prompt in prompts) == 1, told
    assert "end left a,b,c Lx,Ly" in prompts[-1], told
    said = [message.splitlines()[0].split(" [[")[0] for message in model.requests[-1].user_messages]
    loops = [line for line in said if line.startswith("loop-")]
    assert loops == ["loop-x", "loop-y", *["loop-again"] * 3], told
    for n in ("left", *_ITEMS):
        last = [r for r in model.requests if f"part-{n}-2" in r.prompt][-1]
        own = [m.split(" [[")[0] for m in last.user_messages if "part-" in m]
        assert own == [f"part-{n}-1", f"part-{n}-2"], told
    with sqlite3.connect(home / "sdqctl" / "ledger.db") as connection:
        called = connection.execute(
            "SELECT inputs, status FROM runs WHERE session_name LIKE ? ORDER BY number",
            (f"{name}/%",),
        ).fetchall()
    connection.close()
    found = sorted((json.loads(inputs)["n"], status) for inputs, status in called)
    assert found == [(n, "completed") for n in sorted(("left", *_ITEMS))], told
