"""The commands of a conversation: a line that begins with `/`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from sdqctl.cli.chat.screen import show_turn
from sdqctl.cli.output import note, write_line
from sdqctl.cli.sessions.fork import report_fork, report_rename
from sdqctl.cli.sessions.transfer import export_session
from sdqctl.errors import SdqctlError, UsageError
from sdqctl.model.session import Usage
from sdqctl.sessions.fork import fork_session
from sdqctl.sessions.marks import rename_session
from sdqctl.text.suggest import meant
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.continuation import ResumeRequest
    from sdqctl.model.run import RunRecord, StepRecord
    from sdqctl.model.session import SessionInfo, Turn
    from sdqctl.model.workflow import Step

_WIDTH = 66


class Conversation(Protocol):
    """What a command acts on."""

    app: App
    request: ResumeRequest

    @property
    def info(self) -> SessionInfo: ...

    @property
    def model(self) -> str | None: ...

    def turns(self) -> list[Turn]: ...

    def last_run(self) -> tuple[RunRecord | None, list[StepRecord]]: ...

    async def go_on(self) -> None: ...

    async def do_step(self, step: Step) -> None: ...

    async def models(self) -> tuple[Sequence[str], str | None]: ...

    def renamed(self, name: str) -> None: ...


class Leave(Exception):  # noqa: N818 - no error: the user leaves
    """The user wants to leave."""


async def run_command(repl: Conversation, line: str) -> None:
    """Do one command. Raises Leave, UsageError and what the command raises."""
    name, _, argument = line.strip().partition(" ")
    await _COMMANDS[name][1](repl, argument.strip())


async def _help(repl: Conversation, argument: str) -> None:
    for name, (doc, _) in _COMMANDS.items():
        write_line(f"{name:<12}{doc}")


async def _steps(repl: Conversation, argument: str) -> None:
    run, steps = repl.last_run()
    if run is None:
        note("no workflow ran in this session")
        return
    for step in steps:
        write_line(f"{step.path:>3} {step.status:<11} {step.kind}: {one_line(step.title)}")
    note(f"{run.steps_done} of {run.steps_total} steps done")


async def _continue(repl: Conversation, argument: str) -> None:
    await repl.go_on()


async def _history(repl: Conversation, argument: str) -> None:
    for turn in repl.turns():
        write_line(f"{turn.index:>3} {one_line(turn.prompt, _WIDTH)}")


async def _show(repl: Conversation, argument: str) -> None:
    turns = repl.turns()
    if not turns:
        raise UsageError("/show: there is no turn yet")
    number = int(argument) if argument.isdecimal() else 0 if argument else len(turns)
    if not 1 <= number <= len(turns):
        raise UsageError(f"/show {argument}: there are turns 1 to {len(turns)}")
    show_turn(turns[number - 1])


async def _compact(repl: Conversation, argument: str) -> None:
    from sdqctl.model.workflow import CompactStep, Span

    if not repl.turns():
        raise UsageError("/compact: there is no turn yet")
    await repl.do_step(CompactStep(span=Span("", 1), summary=argument or None))
    note("the context was compacted")


async def _model(repl: Conversation, argument: str) -> None:
    unchecked = await _check_model(repl, argument) if argument else ""
    if argument:
        options = msgspec.structs.replace(repl.request.options, model=argument)
        repl.request = replace(repl.request, options=options)
    note(f"model: {one_line(repl.model or 'the default')}{unchecked}")


async def _check_model(repl: Conversation, name: str) -> str:
    """What is to be said of a model that cannot be checked; nothing for one that is there.

    Raises UsageError for one that is not.
    """
    try:
        known, provider = await repl.models()
    except SdqctlError as error:
        return f" (not checked: {one_line(error.message)})"
    if name in known:
        return ""
    if provider is not None or not known:
        return " (not checked: its provider does not list its models)"
    raise UsageError(f"/model {name}: there is no such model", hint=meant(name, known, "models"))


async def _rename(repl: Conversation, argument: str) -> None:
    info = repl.info
    before = await asyncio.to_thread(rename_session, repl.app, info.id, argument, info.adapter)
    report_rename(before, argument)
    repl.renamed(argument)


async def _fork(repl: Conversation, argument: str) -> None:
    info = repl.info
    copy = await asyncio.to_thread(fork_session, repl.app, info.id, argument, None, info.adapter)
    report_fork(copy, argument)


async def _export(repl: Conversation, argument: str) -> None:
    if not argument:
        raise UsageError("/export FILE: say where; .md, .html, .json, .jsonl, or a bundle")
    formats = {"md", "html", "json", "jsonl"}
    ending = Path(argument).suffix.lstrip(".")
    chosen = ending if ending in formats else "bundle"
    export_session(repl.app, repl.info.id, repl.info.adapter, chosen, Path(argument))


async def _usage(repl: Conversation, argument: str) -> None:
    turns = repl.turns()
    usage = sum((turn.usage for turn in turns), Usage())
    tools = sum(len(turn.tools) for turn in turns)
    write_line(
        f"{len(turns)} turns, {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out, "
        f"{usage.model_calls} model calls, {tools} tool calls"
    )


async def _exit(repl: Conversation, argument: str) -> None:
    raise Leave


_COMMANDS: dict[str, tuple[str, Callable[[Conversation, str], Awaitable[None]]]] = {
    "/help": ("this list", _help),
    "/steps": ("the steps of the workflow", _steps),
    "/continue": (
        "do the workflow's remaining steps, or go on with a message that was cut off",
        _continue,
    ),
    "/history": ("all prompts", _history),
    "/show": ("turn N, or the last one", _show),
    "/compact": ("compact the context [with instructions]", _compact),
    "/model": ("show or set the model", _model),
    "/rename": ("give the session another name", _rename),
    "/fork": ("copy the session under a name", _fork),
    "/export": ("write it to FILE: .md, .html, .json, .jsonl, else a bundle", _export),
    "/usage": ("tokens and tools so far", _usage),
    "/exit": ("leave, as Ctrl-D does", _exit),
}
COMMANDS = tuple(_COMMANDS)
"""Their names."""
