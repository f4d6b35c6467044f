"""What the server's tools do: over sessions and runs, by the commands that a user types."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sdqctl.cli.mcp.bounds import DEPTH, Limits, Offered, Owned, Policy, known, time_flags
from sdqctl.cli.runs.launch import DIGEST
from sdqctl.engine.calls import result_of
from sdqctl.engine.continuation import last_run
from sdqctl.engine.detached import begin, failure_of
from sdqctl.engine.inputs import described
from sdqctl.engine.results import total_usage
from sdqctl.errors import SdqctlError, UsageError
from sdqctl.model.run import RunStatus, StepStatus
from sdqctl.model.session import SessionRef
from sdqctl.model.views.run import gate_view
from sdqctl.sessions.query import effective_status
from sdqctl.sessions.resolve import find_session
from sdqctl.store.calls import steps_of_called, tree_of

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.views.run import DetachedView
    from sdqctl.sessions.query import Entry

_MOST_TEXT = 20_000
"""Characters of an answer that a tool gives; the transcript has all of it."""
_BEGUN, _FORKED = "begun", "forked"


@dataclass
class Runs:
    """What agents may do, within bounds, whatever they ask for. All of it may block."""

    app: App
    workflows: Mapping[str, Offered]
    policy: Policy
    limits: Limits
    depth: int
    owned: Owned
    count: int = field(default=0, init=False)
    """How many runs were begun."""

    # -- reading -----------------------------------------------------------------------------------

    def list_workflows(self) -> list[dict[str, Any]]:
        """The workflows that may be started, with their inputs."""
        return [
            {
                "workflow": one.name,
                "inputs": [described(each) for each in one.workflow.inputs],
                "steps": len(one.workflow.steps),
            }
            for one in self.workflows.values()
        ]

    def ask(self, command: str, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
        """What a command over sessions prints as JSON. Raises its error."""
        return msgspec.json.decode(self.text("sessions", command, "--format=json", *arguments))

    def text(self, *arguments: str) -> str:
        """What a command prints. Raises its error."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "sdqctl", *arguments],
            cwd=self.app.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise failure_of(done.stderr)
        return done.stdout.decode("utf-8", "replace")

    def outcome(self, session: str) -> dict[str, Any]:
        """How the run of a session stands that was last at work: what it waits for, what it ended
        with.
        """
        entry = find_session(self.app, session)
        with self.app.ledger(read_only=True) as ledger:
            runs = ledger.runs_of(entry.ref, called=False)
            if not runs:
                raise UsageError(f"session {entry.info.label!r} has no run")
            run = max(runs, key=lambda run: run.updated_at)
            run = effective_status(run, entry.holder)
            steps = ledger.steps(run.id)
            text, value = result_of(ledger, run)
            gate = tree_of(ledger, run).open_gate
            used = total_usage([*steps, *steps_of_called(ledger, run.id)])
        failed = next((step for step in steps if step.status is StepStatus.FAILED), None)
        view = None if gate is None else gate_view(gate)
        return {
            "session": entry.info.label,
            "status": run.status.value,
            "steps": f"{run.steps_done} of {run.steps_total} done",
            "message": run.message,
            "failed_step": None if failed is None else f"{failed.path} {failed.title}",
            "question": None if view is None else msgspec.to_builtins(view),
            "output": shortened(text),
            "value": value if value != text else None,
            "tokens": used.input_tokens + used.output_tokens,
        }

    def is_over(self, session: str) -> bool:
        """Whether no run is under way in a session."""
        entry = find_session(self.app, session)
        return entry.run is None or entry.run.status is not RunStatus.RUNNING

    # -- beginning ---------------------------------------------------------------------------------

    def start_workflow(self, name: str, session: str, inputs: Mapping[str, str]) -> DetachedView:
        """Start a workflow in a new session, in the background."""
        one = known(name, self.workflows)
        with _file(msgspec.json.encode(inputs).decode(), ".json") as file:
            flags = [f"--inputs={file}"] if inputs else []
            flags += [f"--session-name={session}", *self.policy.of_new(one.workflow)]
            return self._begin(["run", *flags, "--", str(one.path)], one)

    def start_session(self, session: str, prompt: str) -> DetachedView:
        """Send a prompt in a new session, in the background."""
        with _file(prompt) as file:
            flags = [f"--prompt=@{file}", f"--session-name={session}", *self.policy.of_new()]
            return self._begin(["run", *flags])

    def send_prompt(self, session: str, prompt: str) -> DetachedView:
        """Send a prompt in a session that was begun or forked here, in the background."""
        entry = self._own(session, _BEGUN, _FORKED)
        with _file(prompt) as file:
            flags = [f"--prompt=@{file}", f"--cwd={self.app.directory}", *self.policy.flags()]
            return self._begin(["resume", *flags, *_named(entry)])

    def go_on(self, session: str, answer: str | None = None, comment: str = "") -> DetachedView:
        """Go on with a run that was begun here, past the ASK where it waits with an answer, in the
        background. Raises UsageError at a PAUSE or CONSULT, which is a human's to pass.
        """
        entry = self._own(session, _BEGUN)
        with self.app.ledger(read_only=True) as ledger:
            run = last_run(entry.info, ledger)
            gate = tree_of(ledger, run).open_gate if run is not None else None
        if run is not None and run.status is RunStatus.PAUSED and gate is None:
            raise UsageError(f"session {session!r} waits for a human: {run.message}")
        paths = {str(one.path.resolve()): one for one in self.workflows.values()}
        path = str(Path(run.workflow_path or "").resolve()) if run is not None else ""
        if path not in paths:
            raise UsageError(f"session {session!r} has no run of a workflow to go on with")
        flags = [] if answer is None else [f"--answer={answer}"]
        flags += [f"--comment={comment}"] if comment and answer is not None else []
        flags += ["--continue", *self.policy.flags(paths[path].workflow)]
        return self._begin(["resume", *flags, *_named(entry)], paths[path])

    def fork(self, session: str, name: str) -> str:
        """Copy a session, for prompts in the copy; its name."""
        entry = find_session(self.app, session)
        self.text("sessions", "fork", f"--adapter={entry.info.adapter}", "--", entry.info.id, name)
        copy = find_session(self.app, name, entry.info.adapter)
        self.owned.add(copy.ref, _FORKED)
        return copy.info.label

    def interrupt(self, session: str) -> str:
        """End the run of a session that was begun or forked here."""
        entry = self._own(session, _BEGUN, _FORKED)
        self.text("sessions", "interrupt", *_named(entry))
        return entry.info.label

    def _own(self, session: str, *hows: str) -> Entry:
        """A session that agents may act in. Raises UsageError for one of somebody else's."""
        entry = find_session(self.app, session)
        if self.owned.how(entry.ref) not in hows:
            raise UsageError(
                f"session {entry.info.label!r} was not begun here, and can only be read",
                hint="fork it to ask something in its conversation",
            )
        return entry

    def _begin(self, arguments: Sequence[str], one: Offered | None = None) -> DetachedView:
        if self.depth >= self.limits.depth:
            raise UsageError(
                f"an agent that was started through {self.depth} of these servers starts no other",
                hint="`sdqctl mcp --max-depth` says how deep they may",
            )
        if self.count >= self.limits.runs:
            raise UsageError(
                f"{self.count} runs were begun, which is all that is allowed (--max-runs)"
            )
        self.count += 1
        command, *rest = arguments
        try:
            begun = begin(
                [command, *time_flags(self.limits), *rest],
                folder=self.app.directory,
                environment=self._environment({} if one is None else {DIGEST: one.digest}),
            )
        except (SdqctlError, OSError, ValueError):  # also of a command line that cannot be
            self.count -= 1
            raise
        ref = SessionRef(begun.adapter, begun.session.id)
        if self.owned.how(ref) is None:
            self.owned.add(ref, _BEGUN)
        return begun

    def _environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, DEPTH: str(self.depth + 1), **(more or {})}


def shortened(text: str) -> str:
    """A text of which a model reads all."""
    if len(text) <= _MOST_TEXT:
        return text
    return f"{text[:_MOST_TEXT]}\n[cut; the transcript has all of it]"


def _named(entry: Entry) -> list[str]:
    """The session on a command line, whatever it is called."""
    return [f"--adapter={entry.info.adapter}", "--", entry.info.id]


@contextmanager
def _file(text: str, suffix: str = ".txt") -> Iterator[str]:
    """A file that holds a text: on a command line `@` and `-` would mean something else."""
    with tempfile.TemporaryDirectory(prefix="sdqctl-") as folder:
        file = Path(folder) / f"text{suffix}"
        file.write_text(text, "utf-8", "surrogatepass")
        yield str(file)
