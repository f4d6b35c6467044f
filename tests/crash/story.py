"""One workflow on the real runtime, killed again and again until it is done."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sdqctl.model.followup import quoted_prompt
from sdqctl.testing.loopback import LoopbackModel, MarkerScript, Reply, Request, Script
from tests.command import SDQCTL
from tests.conftest import RUNTIME, SHARED_CACHE

NAME = "victim"
WORKFLOW = """\
SESSION-NAME victim
MODE implement
PROMPT step-1 [[sleep: 0.3]] [[reply: one]]
PROMPT step-2 [[sleep: 0.3]] [[reply: two]]
RUN sh -c "echo line >> lines.txt; sleep 0.2"
PROMPT step-3 [[tool: bash {"command": "echo effect >> effects.txt", "description": "note"}]] \
[[sleep: 0.2]] [[reply: three]]
CHECKPOINT middle
PROMPT step-4 [[sleep: 0.3]] [[reply: four]]
PROMPT step-5 [[sleep: 0.3]] [[reply: five]]
PROMPT step-6 [[sleep: 0.3]] [[reply: six]]
PROMPT alike [[sleep: 0.2]] [[reply: more]]
PROMPT alike [[sleep: 0.2]] [[reply: more]]
"""
ANSWERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
ALIKE = 2
"""Prompts at the end that are the same."""
STEPS = 8 + ALIKE
_CALLS = {1: 1, 2: 1, 3: 2, 4: 1, 5: 1, 6: 1}
_STEP = re.compile(r"step-(\d)")
_OURS = re.compile(r"step-\d|alike|the end")
_LIMIT = 120.0


@dataclass
class Counts:
    """What the kills did, over all stories."""

    kills: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    prompts_sent: int = 0
    repeated_calls: int = 0
    repeated_after_done: int = 0
    lost: int = 0
    duplicated: int = 0
    continued: int = 0
    commands_resent: int = 0

    def add(self, other: Counts) -> None:
        """Sum up."""
        self.kills += other.kills
        for name in (
            "steps",
            "prompts_sent",
            "repeated_calls",
            "repeated_after_done",
            "lost",
            "duplicated",
            "continued",
            "commands_resent",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        kills = ", ".join(f"{victim} {count}" for victim, count in sorted(self.kills.items()))
        return (
            f"{self.kills.total()} kills ({kills}); {self.steps} steps; "
            f"{self.prompts_sent} prompts sent; {self.repeated_calls} model calls repeated "
            f"(all of turns cut off before their end was recorded; "
            f"{self.repeated_after_done} of done steps); "
            f"{self.continued} turns finished by a follow-up prompt; "
            f"{self.commands_resent} cut-off commands run again on request; "
            f"{self.lost} lost, {self.duplicated} duplicated"
        )


class Story:
    """A home, a project and a model of its own, and the process that is being killed."""

    def __init__(self, folder: Path, seed: int, kills: int) -> None:
        self._random = random.Random(seed)
        self._left = kills
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir(parents=True)
        self.project.mkdir()
        (self.project / "victim.conv").write_text(WORKFLOW)
        self.counts = Counts()
        self.calls: Counter[int] = Counter()
        self.history: list[str] = []

    def play(self) -> Counts:
        """Run, kill and resume until the workflow is done, then look at everything."""
        with LoopbackModel(self._script(MarkerScript())) as model:
            self._environment = self._variables(model)
            self._until_done(model)
            self._final = self._command("resume", NAME, "--prompt", "the end [[reply: end]]")
            assert self._final.returncode == 0, self._told(self._final)
            self._check(model)
        return self.counts

    def _script(self, markers: MarkerScript) -> Script:
        def script(request: Request) -> Reply:
            found = _STEP.search(request.prompt)
            if found is not None:
                step = int(found.group(1))
                self.calls[step] += 1
                self.counts.prompts_sent += not request.tool_results
                if step in self._done():
                    self.counts.repeated_after_done += 1
            return markers(request)

        return script

    def _variables(self, model: LoopbackModel) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        return {
            **kept,
            **model.environment(),
            "HOME": str(self.home),
            "XDG_CACHE_HOME": SHARED_CACHE,
            "SDQCTL_HOME": str(self.home / "sdqctl"),
            "COPILOT_HOME": str(self.home / "copilot"),
            "COPILOT_CLI_PATH": str(RUNTIME),
        }

    def _until_done(self, model: LoopbackModel) -> None:
        arguments = ["run", "victim.conv"]
        while True:
            process = self._start(*arguments)
            if self._left > 0:
                self._kill_some_time(process, model)
            _, err = process.communicate(timeout=_LIMIT)
            self.history.append(f"{' '.join(arguments)} -> {process.returncode}\n{err}")
            if process.returncode == 0:
                return
            arguments = self._way_on(process.returncode, err)

    def _way_on(self, code: int, err: str) -> list[str]:
        """What the message of a command that ended early tells a user to do."""
        assert code in (-signal.SIGKILL, 4, 5, 7), self._all_told()
        if code == 4:
            assert "cut off" in err, self._all_told()
            self.counts.commands_resent += 1
            return ["resume", NAME, "--continue", "--on-interrupted", "resend"]
        if code == 7:
            return ["run", "victim.conv"]
        return ["resume", NAME, "--continue"]

    def _kill_some_time(self, process: subprocess.Popen[str], model: LoopbackModel) -> None:
        """Wait by the clock or for a model call, then kill one of them, or both."""
        before = len(model.requests)
        by_call = self._random.random() < 0.65
        limit = time.monotonic() + (20 if by_call else self._random.uniform(0.1, 2.5))
        while process.poll() is None and time.monotonic() < limit:
            if by_call and len(model.requests) > before:
                break
            time.sleep(0.01)
        time.sleep(self._random.uniform(0.0, 0.9) if by_call else 0.0)
        victim = self._random.choice(["sdqctl", "runtime", "both"])
        runtime = _runtimes(process.pid)
        if process.poll() is not None or (victim == "runtime" and not runtime):
            return
        for pid in runtime if victim in ("runtime", "both") else []:
            _kill(pid)
        if victim in ("sdqctl", "both"):
            _kill(process.pid)
        self._left -= 1
        self.counts.kills[victim] += 1

    def _check(self, model: LoopbackModel) -> None:
        self._check_ledger()
        self._check_context(model.user_messages())
        lines = (self.project / "lines.txt").read_text().count("line\n")
        assert 1 <= lines <= 1 + self.counts.commands_resent, self._all_told()
        file = self.project / "effects.txt"
        effects = file.read_text().count("effect\n") if file.exists() else 0
        told = self._all_told().count("sent again as told")  # a resend on request was for all steps
        assert effects <= 1 + told, self._all_told()
        assert effects >= 1 or self.counts.continued > 0, self._all_told()
        self._check_processes()
        self.counts.repeated_calls = sum(
            max(0, count - _CALLS[step]) for step, count in self.calls.items()
        )
        assert self.counts.repeated_after_done == 0, self._all_told()

    def _check_ledger(self) -> None:
        shown = json.loads(self._command("sessions", "show", NAME, "--format", "json").stdout)
        runs = [run for run in shown["runs"] if run["workflow"] == "victim"]
        done = [s for run in runs for s in run["steps"] if s["status"] == "done"]
        positions = Counter(step["position"] for step in done)
        self.counts.steps = len(positions)
        self.counts.lost += STEPS - len(positions)
        self.counts.duplicated += positions.total() - len(positions)
        assert positions == Counter(range(1, STEPS + 1)), self._all_told()
        assert runs[-1]["status"] == "completed", self._all_told()
        responses = Counter(turn["response"] for turn in shown["turns"])
        for step, answer in ANSWERS.items():
            cut = step == 3 and self._continued(shown)
            assert responses[answer] == 1 or cut, (step, responses, self._all_told())
        assert responses["more"] == ALIKE, (responses, self._all_told())

    def _continued(self, shown: dict[str, list[dict[str, str]]]) -> bool:
        follow_ups = [t for t in shown["turns"] if quoted_prompt(t["prompt"]) is not None]
        self.counts.continued = len(follow_ups)
        return self.counts.continued > 0

    def _check_context(self, messages: list[str]) -> None:
        """Each prompt stands once and in order in what the model finally receives."""
        messages = [text for text in messages if quoted_prompt(text) is None]
        found = [int(m.group(1)) for text in messages if (m := _STEP.search(text))]
        assert found == list(ANSWERS), (messages, self._all_told())
        assert sum("alike" in text for text in messages) == ALIKE, (messages, self._all_told())
        extra = [text for text in messages if not _OURS.search(text)]
        assert extra == [], (extra, self._all_told())

    def _check_processes(self) -> None:
        """Nothing that was started with this home is left."""
        mark = f"SDQCTL_HOME={self.home / 'sdqctl'}".encode()
        deadline = time.monotonic() + 10
        while left := [pid for pid in _pids() if mark in _environ(pid)]:
            assert time.monotonic() < deadline, f"left behind: {left}\n{self._all_told()}"
            time.sleep(0.05)

    def _done(self) -> set[int]:
        """The prompts that the ledger has as done, read while the victim runs."""
        file = self.home / "sdqctl" / "ledger.db"
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10) as connection:
            rows = connection.execute(
                "SELECT prompt FROM attempts WHERE status = 'done' AND prompt IS NOT NULL"
            ).fetchall()
        connection.close()
        return {int(m.group(1)) for (text,) in rows if (m := _STEP.search(text))}

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*SDQCTL, *arguments],
            cwd=self.project,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SDQCTL, *arguments],
            cwd=self.project,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )

    def _told(self, done: subprocess.CompletedProcess[str]) -> str:
        return f"{done.returncode}\n{done.stderr}\n{self._all_told()}"

    def _all_told(self) -> str:
        return "\n".join(self.history)


def _runtimes(pid: int) -> list[int]:
    """The runtime among a process's children (a RUN's command is one too)."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(c) for c in children if b"copilot" in Path(f"/proc/{c}/cmdline").read_bytes()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
