"""Two workers that have nothing in common but the database and the git remote."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from tests.command import SDQCTL
from tests.fleet.line import line
from tests.fleet.machines import PATIENCE, Fleet, Machine
from tests.fleet.test_queue import states
from tests.waiting import wait_for
from tests.workspace.gits import git

pytestmark = pytest.mark.thorough

STORY = """\
SESSION-NAME q-{{{{COMPONENT_NAME}}}}
MODE implement
ALLOW-SHELL true
PROMPT a [[reply: A]]
RUN echo line >> done.txt; until test -e {go}; do sleep 0.1; done
PROMPT b [[reply: B]]
"""


HERE = "10.213.0.1"


def ip(*arguments: str) -> None:
    """Change the machine's network."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def namespace(number: int) -> Iterator[str]:
    """A network namespace, from which the address HERE of this machine can be reached alone."""
    name, here = f"sdqctl-{os.getpid()}-{number}", f"sdq{os.getpid() % 10_000}{number}"
    there, net = f"{here}p", f"10.213.{number}"
    try:
        ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("network namespaces cannot be made here")
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", there)
        ip("link", "set", there, "netns", name)
        ip("addr", "add", f"{net}.1/24", "dev", here)
        ip("link", "set", here, "up")
        ip("-n", name, "addr", "add", f"{net}.2/24", "dev", there)
        ip("-n", name, "link", "set", there, "up")
        ip("-n", name, "route", "add", f"{HERE}/32", "via", f"{net}.1")
        if number == 1:
            ip("addr", "add", f"{HERE}/32", "dev", here)
        yield name
    finally:
        ip("netns", "delete", name)


@contextmanager
def remote(fleet: Fleet) -> Iterator[str]:
    """The address of the repository at a server of git."""
    how = ("--reuseaddr", "--export-all", f"--listen={HERE}", f"--base-path={fleet.folder}")
    git(fleet.origin, "config", "uploadpack.allowAnySHA1InWant", "true")
    command = ["git", "daemon", *how, str(fleet.folder)]
    daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield f"git://{HERE}/origin"
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait()


def begun(machine: Machine, name: str, url: str) -> subprocess.Popen[bytes]:
    """A worker within a namespace, whose clone is empty until it fetches."""
    clone = machine.folder / "own"
    git(machine.folder.parent, "init", "-q", str(clone))
    how = ("--mode", "implement", "--take-over", "3s", "--repository", f"{url}={clone}")
    command = ["ip", "netns", "exec", name, *SDQCTL, "worker", *how]
    environment = {**os.environ, **machine.environment}
    with (machine.folder / "err").open("w") as err:
        return subprocess.Popen(command, cwd=clone, env=environment, stderr=err)


@pytest.mark.skipif(shutil.which("ip") is None, reason="there is no `ip`")
def test_workers_need_but_the_database_and_the_git_remote_in_common(fleet: Fleet) -> None:
    go, home = fleet.folder / "go", fleet.machine("home")
    with ExitStack() as stack:
        names = [stack.enter_context(namespace(number)) for number in (1, 2)]
        url, way = stack.enter_context(remote(fleet)), stack.enter_context(line(fleet.store, HERE))
        git(home.clone, "remote", "set-url", "origin", url)
        parts = fleet.write("a\nb\n", "parts")
        home.run("apply", fleet.write(STORY.format(go=go)), "--components", f"@{parts}", "--queue")
        workers = []
        for name in names:
            machine = replace(fleet, store=way.store).machine(name)
            workers.append(begun(machine, name, url))
            stack.callback(workers[-1].wait)
            stack.callback(workers[-1].kill)
        trees = [fleet.folder / name / "home" / "sdqctl" / "worktrees" for name in names]
        wait_for(lambda: all(any(tree.glob("*/*/done.txt")) for tree in trees))
        workers[0].kill()
        go.touch()
        wait_for(lambda: {status for _, status in states(fleet)} == {"completed"})
        workers[1].terminate()
        assert workers[1].wait(PATIENCE) == 0
    for session in ("q-a", "q-b"):
        home.run("sessions", "pull", session)
        assert home.answers(session) == ["A", "B"]
        assert (home.tree(session) / "done.txt").read_text() == "line\n"
