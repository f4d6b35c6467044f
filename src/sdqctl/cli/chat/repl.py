"""Talking in a session: each message is recorded as a run of one step, in one runtime."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdqctl.adapters.base import ListsModels, find_power
from sdqctl.cli.chat.commands import COMMANDS, Leave, run_command
from sdqctl.cli.chat.reading import Reader, ask_permission
from sdqctl.cli.chat.screen import TurnScreen, introduce, recap
from sdqctl.cli.keyboard import TypedAhead
from sdqctl.cli.output import note, print_error, write_line
from sdqctl.cli.runs.continuation import ResumeRequest, continuation
from sdqctl.cli.runs.launch import execute
from sdqctl.cli.runs.repository import note_repository
from sdqctl.cli.signals import interruptible
from sdqctl.engine.continuation import prepare_step, prompt_step
from sdqctl.engine.execution import launch
from sdqctl.engine.options import over
from sdqctl.engine.pool import RuntimePool
from sdqctl.engine.preparation import prepare_first, settle
from sdqctl.engine.target import to_go_on_with
from sdqctl.errors import InterruptedRunError, PausedError, SdqctlError, UsageError
from sdqctl.model.options import RunOptions
from sdqctl.model.session import SessionStatus
from sdqctl.model.workflow import Workflow
from sdqctl.policy.ask import RememberedAnswers
from sdqctl.sandbox.nets import Nets
from sdqctl.sessions.query import Entry, effective_status
from sdqctl.sessions.transcript import read_turns
from sdqctl.store.gates import record_shown
from sdqctl.text.commands import on_session
from sdqctl.text.suggest import nearest
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.engine.context import RunContext
    from sdqctl.engine.target import Target
    from sdqctl.model.run import RunRecord, StepRecord
    from sdqctl.model.session import SessionInfo, Turn
    from sdqctl.model.workflow import Step
    from sdqctl.store.ledger import Ledger

_QUESTIONS = (
    "Before we go on: put the open questions that you have about this topic, numbered, and wait "
    "for my answers. Topic: "
)


def converse(app: App, request: ResumeRequest, entry: Entry | None, ledger: Ledger) -> int:
    """Hold a conversation until the user leaves, without an entry in a session that the first
    message makes. Raises what opening the session raises.
    """
    interruptible(Repl(app, request, entry, ledger).hold(), signals=(signal.SIGTERM,))
    return 0


class Repl:
    """One conversation."""

    def __init__(
        self, app: App, request: ResumeRequest, entry: Entry | None, ledger: Ledger
    ) -> None:
        self.app = app
        self.request = request
        self.entry = entry
        self.ledger = ledger
        self._shared = RuntimePool(lambda net: app.adapter(self._adapter, net))
        self._nets = Nets()
        self._typed = TypedAhead()
        self._question = RememberedAnswers(partial(ask_permission, typed=self._typed))
        self._aborted = False

    @property
    def info(self) -> SessionInfo:
        """The session, under the name that it has now. Raises UsageError if there is none yet."""
        if self.entry is None:
            raise UsageError("nothing was said yet; the first message makes the session")
        return self.entry.info

    @property
    def model(self) -> str | None:
        """The model that was asked for, else the session's."""
        own = self.entry.info.model if self.entry is not None else None
        return self.request.options.model or own

    @property
    def _adapter(self) -> str:
        if self.entry is not None:
            return self.entry.info.adapter
        return self.request.options.adapter or self._here.settings.adapter

    @property
    def _project(self) -> Path:
        stored = self.entry.info.cwd if self.entry is not None else None
        return Path(stored or self.app.directory)

    @property
    def _here(self) -> App:
        return self.app.working_in(self.request.options.cwd or self._project)

    async def hold(self) -> None:
        """Recap, then read and answer until Ctrl-D or /exit."""
        over(self.request.options, RunOptions())  # a mode that is none is said at once
        note_repository(self._here, quiet=self.request.display.quiet)
        run, steps = self.last_run()
        if self.entry is None:
            self._introduce()
        else:
            recap(self.entry, self.turns(), run, steps)
        self._note_gate(run, steps)
        reader = Reader(self.app.settings.home, self._project, COMMANDS, self._session_names)
        with self._nets:
            await self._talk(reader, run, steps)
        if self.entry is not None and not self.request.display.quiet:
            note(f"`{on_session('resume', one_line(self.info.label))}` goes on here")

    def _introduce(self) -> None:
        """Say what begins. Raises UsageError for options that no message could be sent with."""
        nothing = Workflow(path="", source="", steps=())
        _, folder, options = settle(nothing, self.request.options, self.app)
        name, adapter = options.session_name, self._adapter
        self.app.archive(adapter)
        near = nearest(name, self._session_names()) if name is not None else None
        introduce(name, adapter, options.model, folder, near=near)

    async def _talk(self, reader: Reader, run: RunRecord | None, steps: list[StepRecord]) -> None:
        async with self._shared:
            await self._consult(run, steps)
            while True:
                try:
                    text = (await self._message(reader)).strip("\n")
                except KeyboardInterrupt:
                    note("(Ctrl-D or /exit leaves)")
                    continue
                except EOFError:
                    return
                if not text.strip():
                    continue
                try:
                    await self._take(text)
                except Leave:
                    return

    async def _message(self, reader: Reader) -> str:
        """The next message: a line that was typed ahead, else what is typed now.

        After an abort it is only offered: it was written for a turn that did not end. Raises
        EOFError on Ctrl-D.
        """
        line = None if self._aborted else self._typed.line()
        if line is None and self._typed.leaves() and not self._aborted:
            raise EOFError
        self._aborted = False
        if line is None:
            return await reader.message(self._typed.rest())
        write_line(f"> {line}")
        return line

    async def _take(self, text: str) -> None:
        """One line of the user: a command, or a message to the agent."""
        try:
            with self._typed.collecting():
                await self._do(text)
        except InterruptedRunError:
            if _is_ending():
                raise
            self._aborted = True
            note("aborted; the conversation goes on")
        except SdqctlError as error:
            print_error(error.message, code=error.code, exit_code=error.exit_code, hint=error.hint)

    async def _do(self, text: str) -> None:
        try:
            if text.startswith("/") and text.split()[0] in COMMANDS:
                await run_command(self, text)
            elif text.startswith("/") and "\n" not in text and "/" not in text[1:]:
                note(f"there is no command {text.split()[0]}; /help shows them all")
            else:
                await self.say(text)
        except PausedError as error:
            note(f"paused: {error.message}")
            error.shown()

    async def say(self, text: str) -> None:
        """Send one message and show the answer."""
        await self.do_step(prompt_step(text))

    async def go_on(self) -> None:
        """Do the remaining steps of the workflow, shown as a run."""
        context = continuation(self.app, self.request, self.info, self.ledger, self._question)
        display = self.request.display
        await self._abortable(execute(context, display, runtime=self._shared, nets=self._nets))

    async def do_step(self, step: Step) -> None:
        """Do a step that is made up here: a message, a compaction."""
        context = self._prepared(step)
        try:
            with TurnScreen(context.cwd, self._typed) as screen:
                await self._abortable(
                    launch(context, emit=screen.emit, runtime=self._shared, nets=self._nets)
                )
        finally:
            if self.entry is None:
                self._find_made(context.target)

    def _find_made(self, target: Target) -> None:
        """The session that the first message made, if it came to that; its name stays its own."""
        options = self.request.options
        self.request = replace(
            self.request, options=msgspec.structs.replace(options, session_name=target.name)
        )
        info = self.app.archive(target.ref.adapter).get(target.ref.id)
        if info is not None:
            if options.session_name is None:
                note(f"this session is called {one_line(target.name)}")
            info = msgspec.structs.replace(info, name=info.name or target.name)
            self.entry = Entry(info, SessionStatus.IDLE, None, None)

    def _prepared(self, step: Step, *, dry_run: bool = False) -> RunContext:
        if self.entry is None:
            return prepare_first(
                step,
                self.request.options,
                self.app,
                self.ledger,
                question=self._question,
                dry_run=dry_run,
            )
        return prepare_step(
            step,
            self.info,
            self.request.options,
            self.app,
            self.ledger,
            question=self._question,
        )

    def turns(self) -> list[Turn]:
        """The conversation so far."""
        if self.entry is None:
            return []
        archive = self.app.archive(self.info.adapter)
        return read_turns(archive, self.info.id, self.ledger.turns_of(self.entry.ref))[0]

    def renamed(self, name: str) -> None:
        """The session has another name now."""
        if self.entry is not None:
            info = msgspec.structs.replace(self.info, name=name)
            self.entry = replace(self.entry, info=info)

    async def models(self) -> tuple[Sequence[str], str | None]:
        """The models that the session's adapter lists, and the provider that may have others.

        Raises what starting the runtime and asking it raise.
        """
        bounds = self._prepared(prompt_step("models"), dry_run=True).confinement
        pair = self._nets.make(bounds.kind, bounds.runtime, bounds.commands)
        adapter = await self._shared.take(pair.runtime)
        try:
            lister = find_power(adapter, ListsModels)
            known = [] if lister is None else await lister.list_models()
            return known, (await adapter.check()).provider
        finally:
            await self._shared.give_back(pair.runtime)

    def _session_names(self) -> list[str]:
        archives = self.app.archives().values()
        return sorted({info.label for archive in archives for info in archive.sessions()})

    def last_run(self) -> tuple[RunRecord | None, list[StepRecord]]:
        """The run of a workflow that is gone on with, with its steps."""
        if self.entry is None:
            return None, []
        runs = self.ledger.runs_of(self.entry.ref, called=False)
        run = to_go_on_with([run for run in runs if run.workflow_path])
        if run is None:
            return None, []
        return effective_status(run, self.entry.holder), self.ledger.steps(run.id)

    def _note_gate(self, run: RunRecord | None, steps: list[StepRecord]) -> None:
        """The recap showed what a PAUSE or CONSULT says."""
        if run is None or run.status != "paused":
            return
        for step in steps:
            if step.kind in ("pause", "consult") and not step.status.settled:
                record_shown(self.app.settings.home, run.id, step.path)

    async def _consult(self, run: RunRecord | None, steps: list[StepRecord]) -> None:
        """A CONSULT opens with the agent's questions."""
        waits = run is not None and run.status == "paused" and run.message
        if waits and steps and steps[-1].kind == "consult":
            await self._take(_QUESTIONS + steps[-1].title)

    async def _abortable(self, work: Coroutine[object, object, object]) -> None:
        """Await, while Ctrl-C cancels this and nothing else."""
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            if not task.cancelled():
                task.cancel()
                raise
            raise InterruptedRunError("aborted") from None
        finally:
            loop.remove_signal_handler(signal.SIGINT)


def _is_ending() -> bool:
    """Whether the conversation as a whole was cancelled: SIGTERM ends it, Ctrl-C only a turn."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
