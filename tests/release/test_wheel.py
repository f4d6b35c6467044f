"""The wheel that would be published, installed into a folder of its own, does the main job."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from release.check import ROOT, NotReadyError, build, check_licences, check_metadata, licence_of

from tests.packages import install_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this folder."""
    folder = tmp_path_factory.mktemp("wheel")
    build(ROOT, folder, "wheel")
    (found,) = folder.iterdir()
    return found


@pytest.mark.thorough
def test_installed_in_an_empty_folder_it_runs_a_template(
    wheel: Path, tmp_path: Path, home: Path, project: Path
) -> None:
    install_wheel(wheel, tmp_path / "installed")

    def sdqctl(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
        command = [sys.executable, "-m", "sdqctl", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = [sys.executable, "-c", "import sdqctl; print(sdqctl.__file__)"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    found = subprocess.run(where, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(tmp_path / "installed"))
    (project / "README.md").write_text("# Shop\n")
    sdqctl("init", "documentation-sync")
    (name,) = [path.name for path in project.glob("*.conv")]
    sdqctl("run", name, "-a", "mock", "--session-name", "first")
    assert sdqctl("sessions", "list").startswith("first\tfirst\tcompleted")
    assert "copilot" in sdqctl("status", "--adapters")


def test_it_says_of_itself_what_an_index_asks_for(wheel: Path) -> None:
    assert check_metadata(wheel) == metadata.version("sdqctl")


def test_all_that_comes_along_has_a_licence_that_is_free() -> None:
    names = {line.split()[0] for line in check_licences()}
    assert {"click", "github-copilot-sdk", "textual", "psycopg", "agent-client-protocol"} <= names


def test_a_licence_that_is_not_told_is_no_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release.check.BY_THEIR_FILES", {"pyrage": "MIT"})
    assert licence_of(metadata.distribution("agent-client-protocol")) == ""
    with pytest.raises(NotReadyError, match="agent-client-protocol"):
        check_licences()
