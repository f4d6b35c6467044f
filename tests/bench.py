"""A workflow run on the mock, and what it did."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.command import Command, Done, sdqctl


@dataclass(frozen=True)
class Told:
    """What one run told: its end, its events, and the prompts that were sent."""

    done: Done
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def prompts(self) -> list[str]:
        """The prompts, as they were sent."""
        return [event["prompt"] for event in self.events if event.get("type") == "prompt.begun"]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type."""
        return [event for event in self.events if event.get("type") == kind]

    @property
    def steps(self) -> list[tuple[str, str]]:
        """Kind and status of the steps that ended."""
        return [(event["kind"], event["status"]) for event in self.of("step.finished")]


class Bench:
    """A project folder in which workflows are run on the mock.

    `command` may be `forked`, for what a test changed in the program itself.
    """

    def __init__(self, home: Path, project: Path) -> None:
        self.home = home
        self.project = project
        self.command: Command = sdqctl

    def write(self, name: str, text: str) -> Path:
        """A file in the project."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def go_on(self, *flags: str, name: str = "s", **environment: str) -> Told:
        """Go on with the run of a session, streaming its events."""
        flags = ("--continue", "--format", "jsonl", *flags)
        done = self.command("resume", name, *flags, **environment)
        lines = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
        return Told(done, lines)

    def run(self, text: str, *flags: str, command: str = "run", **environment: str) -> Told:
        """Run a workflow in session `s`, streaming its events."""
        path = self.write("work.conv", text)
        named = [] if "SESSION-NAME" in text else ["--session-name", "s"]
        done = self.command(command, path, *named, "--format", "jsonl", *flags, **environment)
        lines = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
        return Told(done, lines)

    def resume(self, *flags: str) -> Told:
        """Go on in session `s`."""
        done = self.command("resume", "s", *flags, "--format", "jsonl")
        lines = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
        return Told(done, lines)

    def journal(self, session: str = "s") -> str:
        """What the mock wrote down."""
        return (self.home / "sdqctl" / "mock" / session / "events.jsonl").read_text()
