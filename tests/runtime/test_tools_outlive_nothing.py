"""What the agent's tools started ends with the runtime, however that ended, before work goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel, MarkerScript, Reply, Request
from tests.command import Running, sdqctl
from tests.sampling import some
from tests.waiting import has_line, wait_for

pytestmark = pytest.mark.runtime

WORKFLOW = "SESSION-NAME v\nMODE implement\nPROMPT work\n"
SLOWLY = "echo $$ > pid; sleep 3; echo effect >> effects.txt"
DETACHED = "setsid sh -c 'echo $$ > {0}; exec sleep 300' >/dev/null 2>&1 & sleep 0.1"
LOOK = "test -e effects.txt || echo effect >> effects.txt"


def bash(command: str) -> tuple[str, dict[str, str]]:
    return "bash", {"command": command, "description": "work"}


def agent(request: Request) -> Reply:
    """It works slowly; asked to go on, it looks whether that took effect, and else does it."""
    first = len(request.user_messages) == 1
    if not request.tool_results:
        return Reply(tool_calls=[bash(SLOWLY if first else LOOK)])
    return Reply(text="done")


def point_at(model: LoopbackModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in model.environment().items():
        monkeypatch.setenv(name, value)


def number(name: str) -> int:
    """The process id in a file, once it stands there."""
    wait_for(lambda: has_line(Path(name)), name)
    return int(Path(name).read_text())


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def runtime_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (runtime,) = [c for c in children if b"copilot" in Path(f"/proc/{c}/cmdline").read_bytes()]
    return int(runtime)


@pytest.mark.parametrize("victims", some(1, [["runtime", "sdqctl"], ["runtime"]]))
def test_an_effect_happens_once_though_the_runtime_was_killed_beside_it(
    victims: list[str], home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "w.conv").write_text(WORKFLOW)
    with LoopbackModel(agent) as model:
        point_at(model, monkeypatch)
        process = Running("run", "w.conv", stderr=subprocess.PIPE)
        shell = number("pid")
        os.kill(runtime_of(process.pid), signal.SIGKILL)
        if "sdqctl" in victims:
            process.kill()
        _, err = process.communicate(timeout=120)
        if "sdqctl" in victims:
            done = sdqctl("resume", "v", "--continue")
            assert done.code == 0, done.err
        else:
            assert process.returncode == 0, err
        assert len(model.requests) == 3, "the agent was asked to go on, and did"
    wait_for(lambda: not lives(shell), "the killed runtime's shell")
    assert Path("effects.txt").read_text() == "effect\n"


def test_an_aborted_turn_takes_along_what_it_started_and_a_run_all_the_rest(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    server = json.dumps(bash(DETACHED.format("server"))[1])
    helper = json.dumps(bash(DETACHED.format("helper") + "; sleep 200")[1])
    (project / "w.conv").write_text(
        f"SESSION-NAME v\nMODE implement\nPROMPT a [[tool: bash {server}]] [[reply: A]]\n"
        f"PROMPT b [[tool: bash {helper}]] [[reply: B]]\n"
    )
    process = Running("run", "w.conv", "--step-timeout", "20s", stderr=subprocess.PIPE)
    started = number("helper")
    first = number("server")
    wait_for(lambda: not lives(started), "what the aborted turn had detached")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert "--step-timeout" in err
    wait_for(lambda: not lives(first), "what an earlier turn of the same run had detached")


@pytest.mark.thorough
def test_what_a_turn_detached_is_there_for_the_next_turn(
    home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[bool] = []
    markers = MarkerScript()

    def script(request: Request) -> Reply:
        if request.prompt.startswith("next"):
            alive.append(lives(number("server")))
        return markers(request)

    server = json.dumps(bash(DETACHED.format("server"))[1])
    (project / "w.conv").write_text(
        f"SESSION-NAME v\nMODE implement\nPROMPT a [[tool: bash {server}]] [[reply: A]]\n"
        "PROMPT next [[reply: B]]\n"
    )
    with LoopbackModel(script) as model:
        point_at(model, monkeypatch)
        done = sdqctl("run", "w.conv")
    assert done.code == 0, done.err
    assert alive == [True]
    wait_for(lambda: not lives(number("server")), "the server, after the run")
