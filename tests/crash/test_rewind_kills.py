"""Tools that write, killed at random moments: with `rewind` each file has its line exactly once."""

from __future__ import annotations

import json
import random
import re
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl
from tests.crash.killer import Killer

pytestmark = [pytest.mark.crash, pytest.mark.runtime, pytest.mark.thorough]

_STORIES = 2
_KILLS = 40
_STEPS = 12
_MOST_COMMANDS = 200
VICTIMS_ENDS = (-signal.SIGKILL, 137, 5, 7)
"""Exit codes of a command that was killed, or whose runtime was."""
FLAGS = ("--on-interrupted", "rewind")
HEAD = "ADAPTER copilot\nSESSION-NAME victim\nMODE implement\nALLOW-SHELL true\n"


def prompt(number: int, owner: str = "") -> str:
    """A prompt whose agent appends a line to its own file, and runs a command over it."""
    own = f"sleep 0.1; echo line >> own-{owner}{number}; sleep 0.1"
    seen = f"cat own-{owner}{number} >> seen-{owner}{number}; sleep 0.1"
    orders = (json.dumps({"command": text, "description": "x"}) for text in (own, seen))
    return (
        f"PROMPT step-{number} [[delay: 0.05]] [[reply: answer {number}]] "
        + " ".join(f"[[tool: bash {order}]]" for order in orders)
        + "\n"
    )


WORKFLOW = HEAD + "".join(
    prompt(number) + (f"RUN echo line >> run-{number}; sleep 0.1\n" if number % 3 == 0 else "")
    for number in range(1, _STEPS + 1)
)


@pytest.mark.parametrize("story", range(_STORIES))
def test_each_file_has_its_line_once_however_often_it_was_killed(
    story: int,
    home: Path,
    project: Path,
    model: LoopbackModel,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kills = pytestconfig.getoption("--kills")
    seed = pytestconfig.getoption("--crash-seed") or (random.randrange(10**9) if kills else 1)
    wanted = -(-int(kills or _KILLS) // _STORIES)
    killer = Killer(home, model, seed + story)
    number = 0
    while killer.kills.total() < wanted:
        number += 1
        folder = project / str(number)
        told = play(folder, f"victim-{number}", killer, wanted)
        look(folder, f"victim-{number}", home, model, f"seed {seed + story}\n{told}")
    with capsys.disabled():
        print(f"\nrewinding: seed {seed + story}, {dict(killer.kills)} in {number} workflows")


def play(folder: Path, name: str, killer: Killer, wanted: int) -> str:
    """Run a workflow, and go on with it until it is done; what all commands said."""
    folder.mkdir()
    (folder / "work.conv").write_text(WORKFLOW.replace("victim", name))
    arguments = ["run", "work.conv", *FLAGS]
    told = ""
    with ThreadPoolExecutor(1) as pool:
        for _ in range(_MOST_COMMANDS):
            command = pool.submit(sdqctl, *arguments, cwd=folder)
            while killer.kills.total() < wanted and not command.done():
                killer.strike(command)
            done = command.result()
            told += f"{' '.join(arguments)} -> {done.code}\n{done.err}"
            if done.code == 0:
                return told
            assert done.code in VICTIMS_ENDS, told
            arguments = ["resume", name, "--continue", *FLAGS]
            if done.code == 7:
                arguments = ["run", "work.conv", *FLAGS]
    raise AssertionError(f"it never came to its end\n{told}")


def look(folder: Path, name: str, home: Path, model: LoopbackModel, told: str) -> None:
    """Each file has its line, each step is done, and each prompt stands in the context, once."""
    numbers = range(1, _STEPS + 1)
    expected = {f"{kind}-{n}": "line\n" for n in numbers for kind in ("own", "seen")}
    expected |= {f"run-{n}": "line\n" for n in numbers if n % 3 == 0}
    found = {path.name: path.read_text() for path in folder.glob("*-*")}
    assert found == expected, told
    with sqlite3.connect(home / "sdqctl" / "ledger.db") as connection:
        done = connection.execute(
            "SELECT a.path FROM attempts AS a JOIN runs ON runs.id = a.run_id "
            "WHERE runs.session_name = ? AND a.status = 'done' AND a.superseded = 0",
            (name,),
        ).fetchall()
    connection.close()
    assert len(done) == len(set(done)) == _STEPS + _STEPS // 3, told
    assert sdqctl("resume", name, "--prompt", "the end", cwd=folder).code == 0
    asked = re.findall(r"^step-\d+", "\n".join(model.user_messages()), re.MULTILINE)
    assert asked == [f"step-{n}" for n in numbers], told
