"""Whether a session of a pinned agent goes on on another machine, from a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sdqctl.adapters.acp.profiles import shipped
from sdqctl.testing.loopback import LoopbackModel
from tests.agents.installed import WANTED, environment
from tests.command import sdqctl


@pytest.mark.parametrize("name", WANTED)
def test_a_session_goes_on_elsewhere_where_its_files_are_known(
    name: str,
    home: Path,
    project: Path,
    model: LoopbackModel,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    record_property("agent", name)
    monkeypatch.setenv("SDQCTL_ADAPTER", name)
    _be_at(home, name, model, monkeypatch)
    Path("talk.conv").write_text(
        "SESSION-NAME talk\nMODE implement\nPROMPT One. [[reply: first]]\n"
    )
    done = sdqctl("run", "talk.conv")
    assert done.code == 0, done.err
    exported = sdqctl("sessions", "export", "talk", "-o", "talk.sdqctl")
    carries = bool(shipped()[name].files)
    assert ("store of its own" in exported.err) is not carries, exported.err
    record_property("carried", carries)
    _be_at(home.with_name("elsewhere"), name, model, monkeypatch)
    other = project.with_name("other")
    other.mkdir()
    assert sdqctl("sessions", "import", "talk.sdqctl", "--cwd", other).code == 0
    before = len(model.requests)
    went_on = sdqctl("resume", "talk", "--mode", "implement", "--prompt", "Two. [[reply: second]]")
    assert (went_on.code == 0) is carries, went_on.err
    if carries:
        received = [text for each in model.requests[before:] for text in each.user_messages]
        assert any("One." in text for text in received)


def _be_at(home: Path, name: str, model: LoopbackModel, patch: pytest.MonkeyPatch) -> None:
    home.mkdir(exist_ok=True)
    patch.setenv("SDQCTL_HOME", str(home / "sdqctl"))
    for variable, value in environment(name, model, home / "agent").items():
        patch.setenv(variable, value)
