"""A job whose workflow calls others has the files that belong to the place where it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.ci.runners import Pipeline

HEAD = "SESSION-NAME s\nMODE implement\n"


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    (tmp_path / "ci").mkdir()
    return tmp_path / "ci"


def prompt(name: str) -> str:
    return f"PROMPT {name} [[tool: write f-{name} x]] [[reply: {name}]]\n"


def pipeline(folder: Path, part: str, *steps: str) -> Pipeline:
    return Pipeline(folder, HEAD + "".join(steps), {"part.conv": part})


def files(ci: Pipeline) -> list[str]:
    return sorted(path.name.removeprefix("f-") for path in ci.clone.glob("f-*"))


def test_steps_after_a_call_in_the_same_talk_keep_their_files(folder: Path) -> None:
    steps = (prompt("one"), "CALL part.conv AS got IN same\n", prompt("three"), prompt("four"))
    ci = pipeline(folder, prompt("part"), *steps)
    ci.job(code=None, SDQCTL_CRASH_AT="ledger.finish.before:5")
    assert "the files are as they were after the last step" in ci.job().err
    assert files(ci) == ["four", "one", "part", "three"]
