"""`--debug` shows what goes on inside, on stderr alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl


@pytest.fixture
def workflow(home: Path, project: Path) -> Path:
    """A workflow in a project that sets something without effect."""
    (project / "sdqctl.toml").write_text("resume_if_exists = true\n")
    path = project / "w.conv"
    path.write_text("PROMPT hi [[reply: done]]\n")
    return path


def test_debug_lines_are_seen_on_stderr_and_only_with_debug(workflow: Path) -> None:
    shown = sdqctl("--debug", "run", workflow, "-a", "mock")
    assert (shown.code, shown.out) == (0, "done\n")
    lines = [line for line in shown.err.splitlines() if line.startswith("debug: sdqctl.")]
    assert any("sdqctl.toml" in line and "resume_if_exists" in line for line in lines)
    assert "debug:" not in sdqctl("run", workflow, "-a", "mock").err


@pytest.mark.runtime
def test_debug_says_which_runtime_was_started(workflow: Path, model: LoopbackModel) -> None:
    shown = sdqctl("--debug", "run", workflow)
    assert shown.code == 0, shown.err
    assert "(COPILOT_CLI_PATH) is process " in shown.err


def test_debug_lines_and_tracebacks_hold_no_secret(workflow: Path) -> None:
    key = "k3y-0123456789abcdef-secret"
    missing = workflow.parent / f"{key}.conv"
    shown = sdqctl("--debug", "run", missing, DEPLOY_TOKEN=key)
    assert shown.code != 0
    assert "Traceback" in shown.err
    assert key not in shown.err


def test_a_value_that_looks_like_the_flag_is_not_the_flag(workflow: Path) -> None:
    refused = sdqctl("run", "missing.conv", "--session-name", "--debug")
    assert refused.code != 0
    assert "Traceback" not in refused.err
