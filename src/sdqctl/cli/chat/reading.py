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
from sdqctl.cli.output import live_line_away, note
from sdqctl.fs import make_private_folder
from sdqctl.model.tools import ToolRequest
from sdqctl.policy.ask import Answer
from sdqctl.text.terminal import one_line, sanitize

_MOST_SHOWN = 200
_DETAIL_LINES = 20
_NAMING = ("/fork ", "/rename ")
_ANSWERS = {
    **dict.fromkeys(("o", "once", "y", "yes"), Answer.ONCE),
    **dict.fromkeys(("s", "session"), Answer.SESSION),
    **dict.fromkeys(("n", "never", "no"), Answer.NEVER),
}


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
            key_bindings=_keys(),
            prompt_continuation="... ",
        )

    async def message(self, begun: str = "") -> str:
        """The next message; `begun` stands there already, to be gone on with.

        Raises EOFError on Ctrl-D, KeyboardInterrupt on Ctrl-C.
        """
        return await self._session.prompt_async("> ", default=begun, handle_sigint=False)


async def ask_permission(request: ToolRequest, typed: TypedAhead | None = None) -> Answer:
    """What the user says to one request. Ctrl-C and Ctrl-D abort the turn.

    What was typed before the question is no answer to it; `typed` keeps it.
    """
    typed = typed or TypedAhead()
    with live_line_away():
        _show_request(request)
        session: PromptSession[str] = PromptSession()
        while True:
            typed.take()
            try:
                said = await session.prompt_async(
                    "Allow it [o]nce, for this [s]ession, or [n]ever? ",
                    handle_sigint=False,
                    pre_run=typed.take,
                )
            except (EOFError, KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)  # as in any other moment of a turn
                return Answer.ABORT
            answer = _ANSWERS.get(said.strip().casefold())
            if answer is not None:
                return answer
            note("o, s or n, please; Ctrl-C aborts the turn")


def _show_request(request: ToolRequest) -> None:
    note(f"The agent wants to use {request.kind}: {one_line(request.target, _MOST_SHOWN)}")
    if request.intention:
        note(f"  for: {one_line(request.intention, _MOST_SHOWN)}")
    lines = sanitize(request.detail).splitlines()
    for line in lines[:_DETAIL_LINES]:
        note(f"  {line}")
    if len(lines) > _DETAIL_LINES:
        note(f"  … {len(lines) - _DETAIL_LINES} more lines")


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
