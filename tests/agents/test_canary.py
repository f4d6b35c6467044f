"""Whether the pinned agents ask before they act, and whether a refusal holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.agents.installed import INSTALLED, WANTED, environment, order
from tests.command import Done, sdqctl

Record = Callable[[str, object], None]


@pytest.fixture(params=WANTED)
def agent(
    request: pytest.FixtureRequest,
    home: Path,
    project: Path,
    model: LoopbackModel,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> str:
    """An agent that commands use by default."""
    name = str(request.param)
    for variable, value in environment(name, model, home / "agent").items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("SDQCTL_ADAPTER", name)
    record_property("agent", name)
    return name


def _run(prompt: str, *flags: str) -> Done:
    Path("talk.conv").write_text(f"SESSION-NAME talk\nMODE implement\nPROMPT {prompt}\n", "utf-8")
    return sdqctl("run", "talk.conv", "--format", "json", *flags)


def test_it_passes_its_check_and_may_read_then(agent: str, record_property: Record) -> None:
    checked = sdqctl("agents", "check", agent, "--offline", "--format", "json")
    assert checked.code == 0, checked.err
    for figure in ("version", "asks", "restores"):
        record_property(figure, checked.json[figure])
    Path("look.conv").write_text("SESSION-NAME look\nMODE audit\nPROMPT Hi. [[reply: ho]]\n")
    assert sdqctl("run", "look.conv").code == 0


def test_a_refused_command_and_a_refused_file_leave_nothing(
    agent: str, project: Path, record_property: Record
) -> None:
    known = INSTALLED[agent]
    ran = _run(order(known.shell("touch ran"), "well"), "--deny-tool", "shell(touch)")
    assert ran.code == 0, ran.err
    assert [one["target"] for one in ran.json["denied"]] == ["touch ran"]
    sdqctl("sessions", "delete", "talk", "--force")
    wrote = _run(order(known.write(project / "wrote"), "well"), "--deny-tool", "write(wrote)")
    asked = [one for one in wrote.json["denied"] if "wrote" in one["target"]]
    record_property("asks_to_write", bool(asked))
    heeds = not Path("ran").exists() and not Path("wrote").exists()
    record_property("heeds", heeds)
    assert heeds
    assert asked, wrote.out


def test_an_allowed_command_runs(agent: str, record_property: Record) -> None:
    done = _run(order(INSTALLED[agent].shell("touch ran"), "well"), "--allow-tool", "shell(touch)")
    assert done.code == 0, done.err
    record_property("acts", Path("ran").exists())
    assert Path("ran").exists()
