"""Machines that have nothing in common but a store and, as clones, a repository."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.command import Done, Running, sdqctl
from tests.fleet.postgres import asked
from tests.workspace.gits import git, repository

PATIENCE = 300
"""Seconds for what takes one, on a machine that is busy."""
OVERLAPS = """
    WITH attempts AS (
        SELECT j.args->>'run' AS run, j.id,
            min(e.at) FILTER (WHERE e.type = 'started') AS begun,
            max(e.at) FILTER (WHERE e.type IN ('succeeded', 'failed', 'aborted')) AS ended
        FROM sdqctl.procrastinate_jobs AS j JOIN sdqctl.procrastinate_events AS e ON e.job_id = j.id
        GROUP BY 1, 2
    )
    SELECT count(*) FROM attempts AS a JOIN attempts AS b ON a.run = b.run AND a.id < b.id
    WHERE a.ended IS NULL OR a.ended > b.begun
"""
"""Attempts at one run of which the next began before the one before it had ended, or was ended."""


@dataclass(frozen=True)
class Machine:
    """A home, a data folder, and a clone of the repository."""

    name: str
    folder: Path
    store: str

    @property
    def clone(self) -> Path:
        """Its clone."""
        return self.folder / "clone"

    @property
    def environment(self) -> dict[str, str]:
        """What commands are given there."""
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {
            "HOME": str(home),
            "SDQCTL_HOME": str(home / "sdqctl"),
            "COPILOT_HOME": str(home / "copilot"),
            "SDQCTL_STORE": self.store,
        }

    def run(self, *arguments: str | Path, code: int = 0, **environment: str) -> Done:
        """A command in the clone, which is to end so."""
        done = sdqctl(*arguments, cwd=self.clone, **(self.environment | environment))
        assert done.code == code, (done.code, done.out, done.err)
        return done

    def start(self, *arguments: str | Path) -> Running:
        """A command at work there."""
        environment = {**os.environ, **self.environment}
        with (self.folder / "err").open("w") as err:
            return Running(*arguments, cwd=self.clone, env=environment, stderr=err)

    def said(self) -> str:
        """What the command that was started last wrote to stderr."""
        return (self.folder / "err").read_text()

    def tree(self, session: str = "s") -> Path:
        """The worktree of a session."""
        return Path(self.run("worktrees", "path", session).out.strip())

    def answers(self, session: str = "s") -> list[str]:
        """What the agent answered in a session."""
        turns = self.run("sessions", "show", session, "--format", "json").json["turns"]
        return [turn["response"] for turn in turns]


@dataclass(frozen=True)
class Fleet:
    """Some machines, and the store that they share."""

    folder: Path
    store: str

    def machine(self, name: str) -> Machine:
        """A machine, with a clone of its own."""
        machine = Machine(name, self.folder / name, self.store)
        if not machine.clone.exists():
            git(self.origin, "clone", "-q", str(self.origin), str(machine.clone))
        return machine

    @property
    def origin(self) -> Path:
        """The repository that all have cloned."""
        origin = self.folder / "origin"
        return origin if origin.exists() else repository(origin, {"a.txt": "one\n"})

    def write(self, text: str, name: str = "work.conv") -> Path:
        """A workflow, which the first machine has."""
        path = self.folder / name
        path.write_text(text)
        return path

    def asked(self, query: str) -> list[tuple[object, ...]]:
        """What the database answers."""
        return asked(self.store, query)

    def let_leases_end(self) -> None:
        """Have the time of all leases be over."""
        self.asked("UPDATE sdqctl.sessions SET held_until = now()")
