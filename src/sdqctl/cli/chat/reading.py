"""Reading from a terminal: messages with history and completion, and answers to questions."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from sdqctl.cli.keyboard import TypedAhead
from sdqctl.cli.output import counted, live_line_away, note, note_painted, note_parts
from sdqctl.fs import make_private_folder
from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.policy.ask import QUESTION, Answer, Reply, read_reply
from sdqctl.text.terminal import one_line

_MOST_SHOWN = 200
_DETAIL_LINES = 40
_NAMING = ("/fork ", "/rename ")
_WANTS = {ToolKind.SHELL: "run", ToolKind.READ: "read", ToolKind.WRITE: "write"}
_FRAME = ("diff --git ", "index ", "--- ", "+++ ", "create file mode ", "new file mode ")
"""What a diff begins with: it says which file, as the question does."""
_COLOURS = {"+": "green", "-": "red", "@": "blue"}


class Reader:
    """Reads messages. The history is kept per project, for the owner alone."""

    def __init__(
        self,
        home: Path,
        project: Path,
        commands: Iterable[str],
        sessions: Callable[[], Iterable[str]],
    ) -> None:
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(str(_history_file(home, project))),
            completer=_Completer(project, tuple(commands), sessions),
            complete_while_typing=False,
            multiline=True,
            enable_suspend=True,
            key_bindings=_keys(),
            prompt_continuation="... ",
        )

    async def message(self, begun: str = "") -> str:
        """The next message; `begun` stands there already, to be gone on with.

        Raises EOFError on Ctrl-D, KeyboardInterrupt on Ctrl-C.
        """
        return await self._session.prompt_async("> ", default=begun, handle_sigint=False)


async def ask_permission(
    request: ToolRequest, decision: ToolDecision, typed: TypedAhead | None = None
) -> Reply:
    """What the user says to a request that was refused. Ctrl-C and Ctrl-D abort the turn.

    What was typed before the question is no answer to it; `typed` keeps it.
    """
    typed = typed or TypedAhead()
    with live_line_away():
        _show_request(request, decision)
        try:
            while True:
                said = await _line(f"{QUESTION} ", typed)
                reply = read_reply(said) or await _other_way(said, typed)
                if reply is not None:
                    return reply
        except (EOFError, KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)  # as in any other moment of a turn
            return Reply(Answer.ABORT)


async def _line(prompt: str, typed: TypedAhead) -> str:
    typed.take()
    session: PromptSession[str] = PromptSession(enable_suspend=True)
    said = await session.prompt_async(prompt, handle_sigint=False, pre_run=typed.take)
    return said.strip()


async def _other_way(said: str, typed: TypedAhead) -> Reply | None:
    """What the agent is to do instead: after `e`, or asked for; None: it is asked again."""
    if said.casefold() not in ("e", "else"):
        note("y, a, n, N or e, please; Ctrl-C aborts the turn")
        return None
    text = await _line("What is the agent to do instead? ", typed)
    return Reply(Answer.INSTEAD, text) if text else None


def _show_request(request: ToolRequest, decision: ToolDecision) -> None:
    wants = _WANTS.get(request.kind, f"use {request.kind}:")
    about = request.target.strip()
    if request.kind is not ToolKind.SHELL:
        about = one_line(about.removeprefix(f"{os.getcwd()}/"), _MOST_SHOWN)
    note_parts([(f"The agent wants to {wants} ", "bold"), (about, None)])
    if request.intention:
        note_painted(f"  for: {one_line(request.intention, _MOST_SHOWN)}", "dim")
    why = one_line(decision.why or decision.reason, _MOST_SHOWN)
    note_painted(f"  asked because: {why}", "yellow")
    lines = _without_frame(request.detail.strip("\n").splitlines())
    for line in lines[:_DETAIL_LINES]:
        note_painted(f"  {line}", _COLOURS.get(line[:1]))
    if len(lines) > _DETAIL_LINES:
        note_painted(f"  … {counted(len(lines) - _DETAIL_LINES, 'more line')}", "dim")


def _without_frame(lines: list[str]) -> list[str]:
    """A diff without what stands before the first place that is changed."""
    while lines and lines[0].startswith(_FRAME):
        lines = lines[1:]
    return lines


def _history_file(home: Path, project: Path) -> Path:
    folder = home / "history"
    make_private_folder(folder)
    name = hashlib.sha256(str(project).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    file = folder / name
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    return file


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    @keys.add("c-j")  # what Enter is when it was typed ahead, while a turn ran
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


class _Completer(Completer):
    """Commands after `/`, session names after a command that takes one, files after `@`."""

    def __init__(
        self,
        project: Path,
        commands: tuple[str, ...],
        sessions: Callable[[], Iterable[str]],
    ) -> None:
        self._project = project
        self._commands = commands
        self._sessions = sessions

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """What may stand at the cursor."""
        text = document.text_before_cursor
        word = text.rsplit(None, 1)[-1] if text and not text[-1].isspace() else ""
        if text.startswith("/") and " " not in text:
            for name in self._commands:
                if name.startswith(text):
                    yield Completion(name, start_position=-len(text))
        elif text.startswith(_NAMING):
            start = text.partition(" ")[2]
            for name in self._sessions():
                if name.startswith(start):
                    yield Completion(name, start_position=-len(start))
        elif word.startswith("@"):
            yield from self._files(word[1:])

    def _files(self, start: str) -> Iterator[Completion]:
        folder, _, name = start.rpartition("/")
        try:
            entries = sorted(os.scandir(self._project / folder), key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            if entry.name.startswith(name) and not entry.name.startswith("."):
                end = "/" if entry.is_dir() else ""
                yield Completion(f"{entry.name}{end}", start_position=-len(name))
