"""One workflow on the real runtime, killed again and again until it is done, and looked at then.

Between a kill and the resume a user asks something else, here or in the native client, makes a
copy, or deletes the session and brings it back. What is looked at are the files, and what the model
finally receives; no code of sdqctl reads them here.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sdqctl.testing.loopback import LoopbackModel
from tests.command import Done, Running
from tests.conftest import RUNTIME, SHARED_CACHE
from tests.crash.plots import PLOTS, Agent, ToolUse, answer, bash, is_follow_up, step_of
from tests.warm import start_variables

NAME = "victim"
_LIMIT = 600.0
"""Seconds for a command, and for what comes after it, of a heavy agent on a busy machine."""
_MOST_COMMANDS = 60
_TOLD = "sent again as told"
"""What is said about a prompt that a resend on request took out of the context."""


@dataclass
class Counts:
    """What the kills did, over all stories."""

    kills: Counter[str] = field(default_factory=Counter)
    between: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    stories: int = 0
    steps: int = 0
    prompts_sent: int = 0
    repeated_calls: int = 0
    repeated_after_done: int = 0
    lost: int = 0
    repeated: int = 0
    wedged: int = 0
    bugs: int = 0
    continued: int = 0
    commands_resent: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        """Sum up."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            setattr(self, each.name, mine + theirs)

    def __str__(self) -> str:
        return (
            f"{self.kills.total()} kills ({_listed(self.kills)}) in {self.stories} stories; "
            f"between them {_listed(self.between)}; exits {_listed(self.exits)}; "
            f"{self.steps} steps; {self.prompts_sent} prompts sent; {self.repeated_calls} model "
            f"calls repeated (all of turns cut off before their end was recorded; "
            f"{self.repeated_after_done} of done steps); {self.continued} turns finished by a "
            f"follow-up prompt; {self.commands_resent} cut-off commands run again on request; "
            f"{self.lost} lost, {self.repeated} repeated, {self.wedged} wedged, {self.bugs} bugs"
        )


def _listed(counts: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{key} {count}" for key, count in sorted(counts.items())) or "nothing"


class Story:
    """A home, a project and a model of its own, and the process that is being killed."""

    def __init__(self, folder: Path, seed: int, kills: int) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._left = kills
        self.plot = PLOTS[seed % len(PLOTS)]
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir(parents=True)
        self.project.mkdir()
        (self.project / "victim.conv").write_text(self.plot.text)
        self.agent = Agent(self.plot, self.project, self._is_done, self._shell)
        self.counts = Counts(stories=1)
        self.history: list[str] = []
        self._asked: list[str] = []

    def play(self) -> Counts:
        """Run, kill and resume until the workflow is done, then look at everything."""
        try:
            with LoopbackModel(self.agent) as model:
                self._environment = self._variables(model)
                self._until_done(model)
                self._check(model)
        except AssertionError as error:
            told = "\n".join(self.history)
            self.counts.failures.append(f"seed {self._seed}: {error}\n{told}")
        return self.counts

    def _variables(self, model: LoopbackModel) -> dict[str, str]:
        return {
            **self._base(),
            **model.environment(),
            "XDG_CACHE_HOME": SHARED_CACHE,
            "COPILOT_HOME": str(self.home / "copilot"),
            "COPILOT_CLI_PATH": str(RUNTIME),
        }

    def _base(self) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        own = {"HOME": str(self.home), "SDQCTL_HOME": str(self.home / "sdqctl")}
        return {**kept, **start_variables(os.environ), **own}

    # -- what differs from agent to agent ---------------------------------------------------------

    _program = "copilot"
    """What stands in the command line of the runtime's process."""
    _flags: tuple[str, ...] = ()
    """What a prompt in between wants besides."""
    _habits: tuple[str, ...] = ("nothing", "nothing", "prompt", "native", "fork", "delete")
    """What a user may do between a kill and the resume."""

    def _shell(self, command: str) -> ToolUse:
        return bash(command)

    def _journal(self) -> Path:
        return self.home / "copilot" / "session-state" / NAME / "events.jsonl"

    def _asides(self, found: list[str]) -> list[str]:
        """Each prompt in between, once: one that was cut off is taken out before it comes again."""
        return found

    # -- what is done -----------------------------------------------------------------------------

    def _until_done(self, model: LoopbackModel) -> None:
        arguments = ["run", "victim.conv"]
        for _ in range(_MOST_COMMANDS):
            code, err = self._play(arguments, model)
            if code == 0:
                return
            if code == -signal.SIGKILL:
                self._between(model)
            arguments = self._way_on(code, err)
        self.counts.wedged += 1
        raise AssertionError("it never came to its end")

    def _play(self, arguments: list[str], model: LoopbackModel) -> tuple[int, str]:
        """A command that may be killed at some time."""
        process = self._start(*arguments)
        if self._left > 0:
            self._kill_some_time(process, model)
        _, err = process.communicate(timeout=_LIMIT)
        return self._note(arguments, process.returncode, err), err

    def _note(self, arguments: list[str], code: int, err: str) -> int:
        self.history.append(f"{' '.join(arguments)} -> {code}\n{err}")
        self.counts.exits[code] += 1
        self.counts.bugs += code == 1
        self.counts.wedged += code == 75
        return code

    def _way_on(self, code: int, err: str) -> list[str]:
        """What the message of a command that ended early tells a user to do."""
        assert code in (-signal.SIGKILL, 4, 5, 7), f"exit {code}"
        if code == 4:
            assert "cut off" in err
            self.counts.commands_resent += 1
            return ["resume", NAME, "--continue", "--on-interrupted", "resend"]
        if code == 7:
            return ["run", "victim.conv"]
        return ["resume", NAME, "--continue"]

    def _kill_some_time(self, process: subprocess.Popen[str], model: LoopbackModel) -> None:
        """Wait by the clock or for a model call, then kill one of them, or both."""
        before = len(model.requests)
        by_call = self._random.random() < 0.7
        limit = time.monotonic() + (20 if by_call else self._random.uniform(0.1, 2.5))
        while process.poll() is None and time.monotonic() < limit:
            if by_call and len(model.requests) > before:
                break
            time.sleep(0.01)
        time.sleep(self._random.uniform(0.0, 1.2) if by_call else 0.0)
        victim = self._random.choice(["sdqctl", "runtime", "both"])
        runtime = _runtimes(process.pid, self._program)
        if process.poll() is not None or (victim == "runtime" and not runtime):
            return
        for pid in runtime if victim in ("runtime", "both") else []:
            _kill(pid)
        if victim in ("sdqctl", "both"):
            _kill(process.pid)
        self._left -= 1
        self.counts.kills[victim] += 1

    # -- what is done in between ------------------------------------------------------------------

    def _between(self, model: LoopbackModel) -> None:
        """What a user does before going on with a run that was killed."""
        what = self._random.choice(self._habits)
        if not self._journal().exists():
            what = "nothing"
        self.counts.between[what] += 1
        number = len(self._asked) + 1
        if what == "prompt":
            self._asked.append(f"aside {number}")
            arguments = ["resume", NAME, *self._flags, "--prompt", self._asked[-1]]
            code, _ = self._play(arguments, model)
            while code in (-signal.SIGKILL, 5) and not self._is_recorded(self._asked[-1]):
                code, _ = self._play(arguments, model)
            assert code in (0, -signal.SIGKILL), f"exit {code} of a prompt"
        elif what == "native":
            self._asked.append(f"aside {number}")
            self._ask_natively(self._asked[-1])
        elif what == "fork":
            self._patiently("sessions", "fork", NAME, f"copy {number} {len(self.history)}")
        elif what == "delete":
            self._patiently("sessions", "delete", NAME, "--force")
            self._patiently("sessions", "restore", NAME)

    def _is_recorded(self, prompt: str) -> bool:
        """Whether the ledger has a prompt as done: a kill may come between that and the exit."""
        shown = self._command("sessions", "show", NAME, "--format", "json")
        runs = shown.json["runs"] if shown.code == 0 else []
        steps = [step for run in runs for step in run["steps"]]
        return any((step["title"], step["status"]) == (prompt, "done") for step in steps)

    def _ask_natively(self, prompt: str) -> None:
        folder = self.home / "copilot" / "session-state" / NAME
        self._wait_for(lambda: not any(_is_alive(mark) for mark in folder.glob("inuse.*.lock")))
        done = subprocess.run(
            [str(RUNTIME), "-p", prompt, f"--resume={NAME}"],
            cwd=self.project,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
        self.history.append(f"copilot -p {prompt} -> {done.returncode}\n{done.stderr}")
        assert done.returncode == 0, "the native client failed"

    def _patiently(self, *arguments: str) -> None:
        """A command that is refused while the runtime of the killed process still goes."""
        deadline = time.monotonic() + _LIMIT
        while (done := self._command(*arguments)).code == 75:
            assert time.monotonic() < deadline, f"{arguments} stays busy"
            time.sleep(0.2)
        self._note([*arguments], done.code, done.err)
        assert done.code == 0, f"exit {done.code} of {arguments}"

    # -- what is looked at ------------------------------------------------------------------------

    def _check(self, model: LoopbackModel) -> None:
        self._check_ledger()
        for name, steps in self.plot.conversations.items():
            end = ["resume", name, *self._flags, "--prompt", "the end"]
            done = self._command(*end)
            assert self._note(end, done.code, done.err) == 0
            self._check_context(name, steps, self._received(model))
        told = "\n".join(self.history).count(_TOLD)
        lines = self._lines("lines.txt")["line"]
        most = self.plot.lines + self.counts.commands_resent
        self.counts.lost += max(0, self.plot.lines - lines)
        self.counts.repeated += max(0, lines - most)
        assert self.plot.lines <= lines <= most, f"{lines} lines of commands"
        effects, wanted = self._lines("effects.txt"), self.plot.effects
        self.counts.lost += (wanted - effects).total()
        self.counts.repeated += max(0, (effects - wanted).total() - told * len(wanted))
        assert set(effects) == set(wanted), f"effects {effects}"
        assert told or effects == wanted, f"effects {effects}"
        self._check_processes()
        self._count_calls()

    def _count_calls(self) -> None:
        counts, agent = self.counts, self.agent
        least = Counter(self.plot.steps) + Counter(
            step for step in self.plot.steps for _ in self.plot.tools.get(step, [])
        )
        counts.repeated_calls = (agent.calls - least).total()
        counts.prompts_sent = agent.prompts
        counts.repeated_after_done = agent.repeated_after_done
        assert agent.repeated_after_done == 0, "a done step was sent again"

    def _lines(self, file: str) -> Counter[str]:
        path = self.project / file
        return Counter(path.read_text().split() if path.exists() else [])

    def _check_ledger(self) -> None:
        own = f"r.workflow = 'victim' AND r.session_name = '{NAME}'"
        runs = self._rows(f"SELECT status FROM runs AS r WHERE {own}")
        assert runs == [("completed",)], f"runs: {runs}"
        rows = self._rows(
            "SELECT CAST(a.path AS INTEGER) AS place, a.kind, a.response, a.follows "
            f"FROM attempts AS a JOIN runs AS r ON r.id = a.run_id "
            f"WHERE {own} AND NOT a.superseded AND a.status = 'done' ORDER BY place"
        )
        done = Counter(row[0] for row in rows)
        self.counts.steps += len(done)
        self.counts.lost += self.plot.positions - len(done)
        self.counts.repeated += done.total() - len(done)
        assert done == Counter(range(1, self.plot.positions + 1)), f"done: {done}"
        self.counts.continued = sum(row[3] is not None for row in rows)
        answers = [row[2] for row in rows if row[1] == "prompt"]
        assert answers == [answer(step) for step in self.plot.steps], f"answers: {answers}"

    def _check_context(self, name: str, steps: list[str], messages: list[str]) -> None:
        """Each prompt stands once and in order in what the model finally receives."""
        own = [text for text in messages if not is_follow_up(text)]
        found = [step for text in own if (step := step_of(text)) is not None]
        missing, more = Counter(steps) - Counter(found), Counter(found) - Counter(steps)
        self.counts.lost += missing.total()
        self.counts.repeated += more.total()
        assert found == steps, f"{name}: {messages}"
        aside = self._asides([text for text in own if text.startswith("aside")])
        assert aside == (self._asked if name == NAME else []), f"{name}: {messages}"

    def _received(self, model: LoopbackModel) -> list[str]:
        """The user's texts in the last request of the conversation itself: it has tools."""
        own = [request for request in model.requests if request.body.get("tools")]
        return own[-1].user_messages

    def _check_processes(self) -> None:
        """Nothing that was started with this home is left."""
        mark = str(self.home).encode()
        self._wait_for(lambda: not [pid for pid in _pids() if mark in _environ(pid)])

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _LIMIT
        while not condition():
            assert time.monotonic() < deadline, "a process is left"
            time.sleep(0.05)

    def _is_done(self, step: str) -> bool:
        """Whether the ledger has all prompts of a step as done, read while the victim runs."""
        if not (self.home / "sdqctl" / "ledger.db").exists():
            return False
        rows = self._rows(
            "SELECT count(*) FROM attempts AS a JOIN runs AS r ON r.id = a.run_id "
            f"WHERE a.status = 'done' AND r.session_name = '{NAME}' AND NOT a.superseded "
            f"AND a.prompt LIKE '%step-{step}%'"
        )
        return rows[0] >= (self.plot.steps.count(step),)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        file = self.home / "sdqctl" / "ledger.db"
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10) as connection:
            rows = connection.execute(query).fetchall()
        connection.close()
        return rows

    def _start(self, *arguments: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        return Running(
            *arguments,
            cwd=self.project,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )

    def _command(self, *arguments: str) -> Done:
        process = self._start(*arguments, stdout=subprocess.PIPE)
        out, err = process.communicate(timeout=_LIMIT)
        return Done(process.returncode, out, err)


def _runtimes(pid: int, program: str) -> list[int]:
    """The runtime among a process's children (a RUN's command is one too)."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    except OSError:
        return []
    return [child for child, line in lines.items() if program.encode() in line]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _is_alive(mark: Path) -> bool:
    return Path(f"/proc/{mark.name.split('.')[1]}").exists()


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
