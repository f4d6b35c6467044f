"""What agents may do through the server: which workflows, with which policy, how often, how deep.

Nothing of it is the agent's to say: it all stands on the command line of the server.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdqctl.errors import UsageError
from sdqctl.fs import make_private_folder, write_private
from sdqctl.model.modes import MODES, exceeds, is_known_mode
from sdqctl.model.session import SessionRef, folded
from sdqctl.model.workflow import Workflow
from sdqctl.policy.rules import parse_rule
from sdqctl.text.duration import format_duration
from sdqctl.text.suggest import meant, nearest
from sdqctl.workflow import check_workflow
from sdqctl.workflow.format import workflow_digest

DEPTH = "SDQCTL_MCP_DEPTH"
"""The variable that says how many servers stand between the user and a process."""
_FOLDER = "mcp"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much all runs together may be."""

    runs: int
    depth: int
    time: float | None = None
    """Seconds of each run."""


@dataclass(frozen=True)
class Offered:
    """A workflow that may be started: its name here, and what it says now."""

    name: str
    path: Path
    workflow: Workflow
    digest: str


def offered(folder: Path, globs: Sequence[str]) -> dict[str, Offered]:
    """The workflows in a folder that globs name, by their paths from there.

    Raises UsageError for a glob without any, or that leads out of the folder, WorkflowError.
    """
    found = {}
    for pattern in globs:
        paths = sorted(path for path in folder.glob(pattern) if path.is_file())
        if not paths:
            raise UsageError(f"--workflow {pattern}: there is no such file in {folder}")
        for path in paths:
            if not path.resolve().is_relative_to(folder.resolve()):
                raise UsageError(f"--workflow {pattern}: {path} leads out of {folder}")
            workflow = check_workflow(path, lambda warning: None)
            name = str(path.relative_to(folder))
            found[name] = Offered(name, path, workflow, workflow_digest(workflow))
    return found


@dataclass(frozen=True)
class Policy:
    """The flags of every run: what is asked for here, and of what a workflow asks only less."""

    mode: str
    allow_tools: tuple[str, ...] = ()
    deny_tools: tuple[str, ...] = ()
    sandbox: str | None = None
    model: str | None = None
    adapter: str | None = None
    max_tokens: int | None = None
    max_cost: float | None = None

    def check(self) -> None:
        """Raise UsageError for a mode that is not known, and for a rule that is none."""
        if not is_known_mode(self.mode):
            hint = meant(self.mode, MODES, "modes")
            raise UsageError(f"--mode {self.mode}: there is no such mode", hint=hint)
        for rule in (*self.allow_tools, *self.deny_tools):
            parse_rule(rule)

    def flags(self, workflow: Workflow | None = None) -> list[str]:
        """What is put on the command line of a run, or of one that goes on."""
        wanted = workflow.mode if workflow is not None else None
        mode = self.mode if wanted is None or exceeds(wanted, self.mode) else wanted
        flags = [f"--mode={mode}"]
        flags += [f"--allow-tool={each}" for each in self.allow_tools]
        flags += [f"--deny-tool={each}" for each in self.deny_tools]
        given = {
            "sandbox": self.sandbox,
            "max-tokens": self.max_tokens,
            "max-cost": self.max_cost,
        }
        return flags + [f"--{name}={value}" for name, value in given.items() if value is not None]

    def of_new(self, workflow: Workflow | None = None) -> list[str]:
        """The same of a new run: where the workflow does not say, it is said here."""
        said = (workflow.model, workflow.adapter) if workflow is not None else (None, None)
        flags = self.flags(workflow)
        if self.model is not None and said[0] is None:
            flags.append(f"--model={self.model}")
        if self.adapter is not None and said[1] is None:
            flags.append(f"--adapter={self.adapter}")
        return flags

    @property
    def digest(self) -> str:
        """What tells it from another policy."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


def time_flags(limits: Limits) -> list[str]:
    """The limit of time, as a flag."""
    return [] if limits.time is None else [f"--max-time={format_duration(limits.time)}"]


class Owned:
    """The sessions that were begun through a server of the same policy, by this one or before."""

    def __init__(self, home: Path, policy: Policy) -> None:
        self._folder = home / _FOLDER
        self._policy = policy.digest

    def add(self, ref: SessionRef, how: str) -> None:
        """One was `begun`, or `forked` from one of somebody else's."""
        make_private_folder(self._folder)
        write_private(self._file(ref), f"{how} {self._policy}".encode())

    def how(self, ref: SessionRef) -> str | None:
        """How it came to be; None where it is not theirs."""
        try:
            how, _, policy = self._file(ref).read_text("ascii").partition(" ")
        except (OSError, UnicodeDecodeError):
            return None
        return how if policy == self._policy else None

    def _file(self, ref: SessionRef) -> Path:
        text = f"{ref.adapter}\0{folded(ref.id)}".encode("utf-8", "surrogatepass")
        return self._folder / hashlib.sha256(text).hexdigest()[:32]


def depth_of(environment: Mapping[str, str], pid: int | None = None) -> int:
    """How many servers stand between the user and this process, by its environment and by those of
    the processes that started it: an agent may hand its own servers less. Without /proc, as on
    macOS, its own environment alone tells.
    """
    found = [_number(environment.get(DEPTH))]
    pid = os.getppid() if pid is None else pid
    while pid > 1:
        folder = Path("/proc") / str(pid)
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            status = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            break
        prefix = f"{DEPTH}=".encode()
        found += [_number(v.removeprefix(prefix).decode()) for v in variables if prefix in v[:20]]
        pid = int(status[1])
    return max(found)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() else 0


def known(name: str, workflows: Mapping[str, Offered]) -> Offered:
    """The workflow of a name. Raises UsageError for one that may not be started."""
    if name in workflows:
        return workflows[name]
    near = nearest(name, list(workflows))
    hint = f"did you mean {near}?" if near else f"there are: {', '.join(workflows) or 'none'}"
    raise UsageError(f"{name!r} is no workflow that may be started here", hint=hint)
