"""The keys about runs: begin, go on, answer, interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work

from sdqctl.cli.ui.asking import Asking
from sdqctl.cli.ui.dialogs import Form
from sdqctl.cli.ui.preview import question_lines
from sdqctl.cli.ui.text import Line, lines_of
from sdqctl.engine.detached import begin, inputs_wanted, workflows_in
from sdqctl.model.session import SessionStatus
from sdqctl.sessions.under_way import gate_of, interrupt_run, note_shown, reply_to

if TYPE_CHECKING:
    from sdqctl.model.views.run import DetachedView, GateView
    from sdqctl.sessions.board import Item
    from sdqctl.sessions.query import Entry

_REPLIES = (
    ("y", "yes, this once"),
    ("a", "always, for this session"),
    ("n", "no, go on without it"),
    ("N", "never, for this session"),
    ("e", "no, and say what to do instead"),
)
_NAME = "\0session name"
"""The field of a form that is no input."""


class RunKeys(Asking):
    """What they do."""

    async def _begin(self, arguments: Sequence[str]) -> None:
        """Begin a run in the background, and say which."""
        self.tell("beginning …")

        def start() -> DetachedView:
            return begin(
                arguments, folder=self.access.directory, environment=self.access.environment
            )

        begun = await self.in_thread(start)
        told = "" if begun is None else f"{begun.session.name or begun.session.id} goes on"
        self.tell(told)

    async def _resume(self, entry: Entry, *arguments: str) -> None:
        shared = ["--store"] if entry.info.is_remote else []
        session = [*shared, *arguments, "--wait=10s", "-a", entry.info.adapter, "--", entry.info.id]
        await self._begin(["resume", *session])

    @work
    async def action_answer(self) -> None:
        """Answer a permission question, an ASK, or a message that waits."""
        if (item := self.item) is not None:
            await self._answer(item)

    async def _answer(self, item: Item) -> None:
        if item.question is not None:
            await self._reply(item)
            return
        if item.entry.info.is_remote and not await self.bring(item.entry):
            return
        gate = await self.in_thread(lambda: self._gate(item.entry))
        if gate is not None:
            await self._answer_gate(item.entry, gate)
        elif await self.is_sure("Go on?", lines_of(self._message(item), "yellow")):
            await self.in_thread(lambda: self._note_shown(item.entry))
            await self._resume(item.entry, "--continue")

    def _message(self, item: Item) -> str:
        run = item.entry.run
        return (run.message if run is not None else None) or "it is paused"

    def _note_shown(self, entry: Entry) -> None:
        note_shown(self.access, entry)

    async def _reply(self, item: Item) -> None:
        question = item.question
        assert question is not None, "it is asked"
        said = await self.choose("May it?", _REPLIES, question_lines(item))
        if said == "e":
            instead = await self.line("What is the agent to do instead?")
            said = f"e {instead}" if instead else None
        if said is None:
            return
        reply = said

        def answer() -> bool:
            with self.access.ledger() as ledger:
                reply_to(ledger, question, reply)
            return True

        if await self.in_thread(answer):
            self.tell("answered")

    def _gate(self, entry: Entry) -> GateView | None:
        with self.access.ledger(read_only=True) as ledger:
            return gate_of(entry, ledger)

    async def _answer_gate(self, entry: Entry, gate: GateView) -> None:
        about = lines_of(gate.question, "yellow")
        if gate.choices:
            choices = [(one, one) for one in gate.choices]
            said = await self.choose("Answer", choices, about)
        else:
            said = await self.line("Answer", about, gate.default or "")
        if said is not None:
            await self._resume(entry, f"--answer={said}")

    @work
    async def action_continue(self) -> None:
        """Go on with its run; what it waits for is answered first."""
        if (item := self.item) is None:
            return
        if item.entry.status is SessionStatus.PAUSED:
            await self._answer(item)
        else:
            await self._resume(item.entry, "--continue")

    @work
    async def action_prompt(self) -> None:
        """Send a prompt."""
        if (item := self.item) is None:
            return
        text = await self.line(f"Prompt for {item.entry.info.label}")
        if text is not None:
            await self._resume(item.entry, f"--prompt={text}")

    @work
    async def action_interrupt(self) -> None:
        """End the run that is under way."""
        if (item := self.item) is None:
            return
        info = item.entry.info
        about = [Line("What was done is recorded; c goes on with it.")]
        if not await self.is_sure(f"End the run of {info.label}?", about):
            return
        done = await self.in_thread(
            lambda: interrupt_run(self.access, info.id, info.adapter, wait=30.0)
        )
        if done is not None:
            run = done[1]
            self.tell(f"{run.status}: {run.steps_done} of {run.steps_total} steps are done")

    @work
    async def action_new(self) -> None:
        """Begin a run: of a workflow, with its inputs, or of a prompt."""
        folder = self.access.directory
        files = await asyncio.to_thread(workflows_in, folder)
        choices = [("", "a prompt"), *((str(p), str(p.relative_to(folder))) for p in files)]
        chosen = await self.choose(f"New run in {folder}", choices)
        if chosen is None:
            return
        if not chosen:
            text = await self.line("Prompt")
            if text is not None:
                await self._begin(["run", f"--prompt={text}"])
            return
        wanted = await self.in_thread(lambda: inputs_wanted(Path(chosen)))
        if wanted is None:
            return
        fields = [*wanted, (_NAME, "session name (empty: the workflow's, or one is made)")]
        given = await self.push_screen_wait(Form(Path(chosen).name, fields))
        if given is None:
            return
        name = given.pop(_NAME).strip()
        values = [f"--set={key}={value}" for key, value in given.items() if value]
        named = [f"--session-name={name}"] if name else []
        await self._begin(["run", *values, *named, "--", chosen])
