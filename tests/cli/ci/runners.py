"""Runners of CI: each with its own folders and a fresh clone; the state alone is carried over."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdqctl.sessions.bundle import Bundle
from tests.command import Done, Running, sdqctl
from tests.workspace.gits import git, repository

SETTLED = ("done", "skipped")


@dataclass
class Pipeline:
    """A repository with a workflow, and jobs that run it."""

    folder: Path
    workflow: str
    files: dict[str, str] = field(default_factory=lambda: {"a.txt": "one\n"})
    attempts: int = 0

    def __post_init__(self) -> None:
        repository(self.origin, {"work.conv": self.workflow, **self.files})

    @property
    def origin(self) -> Path:
        """What the jobs check out."""
        return self.folder / "origin"

    @property
    def state(self) -> Path:
        """The artifact."""
        return self.folder / "work.state"

    @property
    def clone(self) -> Path:
        """What the last attempt has checked out."""
        return self.folder / str(self.attempts) / "clone"

    def edit(self, text: str) -> None:
        """Another version of the workflow, as a new commit."""
        (self.origin / "work.conv").write_text(text)
        git(self.origin, "commit", "-qam", "another")

    def runner(self) -> dict[str, str]:
        """The next attempt's environment, on a runner that nobody has used."""
        self.attempts += 1
        home = self.clone.parent / "home"
        home.mkdir(parents=True)
        git(self.folder, "clone", "-q", "--depth=1", f"file://{self.origin}", str(self.clone))
        return {
            "HOME": str(home),
            "SDQCTL_HOME": str(home / "sdqctl"),
            "COPILOT_HOME": str(home / "copilot"),
        }

    def job(self, *flags: str | Path, code: int | None = 0, **environment: str) -> Done:
        """An attempt, which is to end so."""
        done = sdqctl(*self.line(*flags), **{**self.runner(), **environment}, cwd=self.clone)
        assert code in (None, done.code), (done.code, done.out, done.err)
        return done

    def start(self, *flags: str | Path) -> Running:
        """An attempt at work."""
        environment = {**os.environ, **self.runner()}
        with (self.clone.parent / "err").open("w") as err:
            out = subprocess.DEVNULL
            line = self.line(*flags)
            return Running(*line, cwd=self.clone, env=environment, stdout=out, stderr=err)

    def line(self, *flags: str | Path) -> list[str | Path]:
        """What a job types."""
        return ["run", "work.conv", "--ci", "--state", self.state, *flags]

    def again(self, *arguments: str | Path) -> Done:
        """Another command on the runner of the last attempt."""
        home = self.clone.parent / "home"
        own = {"HOME": str(home), "SDQCTL_HOME": str(home / "sdqctl")}
        return sdqctl(*arguments, cwd=self.clone, **own, COPILOT_HOME=str(home / "copilot"))

    def settled(self) -> list[str]:
        """The steps that are done in the artifact, in the order that they were done in."""
        if not self.state.exists():
            return []
        with Bundle.open(self.state) as bundle:
            rows = bundle.rows().attempts
        return [str(row["path"]) for row in rows if row["status"] in SETTLED]

    def turns(self, session: str = "s") -> list[dict[str, Any]]:
        """The talk as the last attempt left it."""
        shown = self.again("sessions", "show", session, "--format", "json")
        assert shown.code == 0, shown.err
        found: list[dict[str, Any]] = shown.json["turns"]
        return found
