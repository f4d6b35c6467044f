"""What the Containerfile promises: a user without rights, a root that cannot be written.

Namespaces stand in for the container: all that is mounted is read-only in them but the folders that
would be volumes, and the user is one whom the system does not know.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from release.check import ROOT, build

from sdqctl.testing.loopback import LoopbackModel
from tests.conftest import RUNTIME
from tests.packages import install_wheel
from tests.workspace.gits import repository

VOLUMES = ("data", "cache", "work")
USER = "12345"
PREPARE = r"""
set -e
mount --make-rprivate /
for folder in "$1"/data "$1"/cache "$1"/work; do mount --bind "$folder" "$folder"; done
cut -d' ' -f5 /proc/self/mountinfo | while read -r place; do
  case $place in "$1"/*|/proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$place" || true ;; esac
done
cd "$1"/work
user=$2; shift 2
exec unshare --user --map-user="$user" --map-group="$user" -- env -i "$@"
"""
INSIDE = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", PREPARE, "inside"]


class Container:
    """The folders that would be volumes, and what runs with them."""

    def __init__(self, folder: Path, installed: Path) -> None:
        self.folder = folder
        text = (ROOT / "Containerfile").read_text()
        places = dict(re.findall(r"(HOME|XDG_CACHE_HOME|TMPDIR)=/(\w+)", text))
        assert places.keys() == {"HOME", "XDG_CACHE_HOME", "TMPDIR"}
        self.environment = {name: str(folder / place) for name, place in places.items()}
        self.environment |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(installed)}

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        variables = [f"{name}={value}" for name, value in {**self.environment, **more}.items()]
        line = [*INSIDE, str(self.folder), USER, *variables, *command]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)

    def sdqctl(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "sdqctl", *arguments, **more)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from this folder."""
    folder = tmp_path_factory.mktemp("container")
    build(ROOT, folder / "wheel", "wheel")
    (wheel,) = (folder / "wheel").iterdir()
    install_wheel(wheel, folder / "installed")
    return folder / "installed"


@pytest.fixture
def container(tmp_path: Path, installed: Path) -> Container:
    for name in VOLUMES:
        (tmp_path / name).mkdir()
    repository(tmp_path / "work", {"a.txt": "one\n"})
    return Container(tmp_path, installed)


def _works() -> bool:
    try:
        return subprocess.run([*INSIDE[:4], "true"], capture_output=True).returncode == 0
    except OSError:
        return False


if _works():  # namespaces are Linux's, and some machines refuse them

    @pytest.mark.thorough
    def test_the_user_has_no_rights_and_writes_the_volumes_alone(container: Container) -> None:
        script = "id -u; for at in / /tmp /usr ~/ $TMPDIR/ ./; do touch ${at%/}/x && echo $at; done"
        told = container.run("bash", "-c", script).stdout.split()
        written = [container.folder / name for name in VOLUMES]
        assert told == [USER, f"{written[0]}/", f"{written[1]}/", "./"]

    @pytest.mark.thorough
    def test_a_run_is_killed_and_goes_on_there(container: Container) -> None:
        (container.folder / "work" / "a.conv").write_text(
            "SESSION-NAME a\nADAPTER mock\nMODE implement\nALLOW-SHELL true\n"
            "PROMPT one [[reply: One.]]\nRUN echo two >> a.txt\nPROMPT three [[reply: Three.]]\n"
        )
        killed = container.sdqctl("run", "a.conv", SDQCTL_CRASH_AT="ledger.finish.after:2")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        done = container.sdqctl("resume", "a", "--continue")
        assert (done.returncode, done.stdout) == (0, "Three.\n"), done.stderr
        assert (container.folder / "work" / "a.txt").read_text() == "one\ntwo\n"
        diff = container.sdqctl("sessions", "diff", "a")
        assert "+two" in diff.stdout, diff.stderr

    @pytest.mark.thorough
    @pytest.mark.runtime
    def test_the_runtime_works_there(container: Container, model: LoopbackModel) -> None:
        variables = {**model.environment(), "COPILOT_CLI_PATH": str(RUNTIME)}
        orders = {"command": "echo two >> a.txt", "description": "write"}
        (container.folder / "work" / "a.conv").write_text(
            "SESSION-NAME a\nMODE implement\n"
            f"PROMPT one [[tool: bash {json.dumps(orders)}]] [[reply: One.]]\nPAUSE\n"
            "PROMPT three [[reply: Three.]]\n"
        )
        ready = container.sdqctl("doctor", **variables)
        assert ready.returncode == 0, ready.stdout + ready.stderr
        paused = container.sdqctl("run", "a.conv", "--allow-tool", "shell(echo:*)", **variables)
        assert paused.returncode == 8, paused.stderr
        assert (container.folder / "work" / "a.txt").read_text() == "one\ntwo\n"
        done = container.sdqctl("resume", "a", "--continue", **variables)
        assert (done.returncode, done.stdout) == (0, "Three.\n"), done.stderr
