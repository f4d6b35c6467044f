"""The only writer of stdout, and of errors and notes on stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TextIO

from sdqctl.text.terminal import sanitize
from sdqctl.text.undecoded import readable

_PAUSED = 8


class LiveLine(Protocol):
    """A line on the terminal that has to make room for what is written."""

    def before_write(self) -> None: ...

    def after_write(self, text: str) -> None: ...


Part = tuple[str, str | None]
"""A piece of a line, and its colour."""
_live: list[LiveLine] = []
_before = ["\n\n"]
"""The end of what was written to the terminal last."""
_questions: list[list[tuple[TextIO, str]]] = []
"""What others write to the terminal while a question stands there, of each question."""
_ASKS: ContextVar[bool] = ContextVar("asks", default=False)
"""Whether what is written is of a question."""


_log: list[Callable[[str], str]] = []
"""What makes a text harmless for the log of a CI job that all is written to."""


def begin_log(clean: Callable[[str], str]) -> None:
    """From now on what is written is the log of a CI job: no terminal, so no colours and no live
    rows, and each text goes through `clean`.
    """
    _log[:] = [clean]


def is_log() -> bool:
    """Whether what is written is the log of a CI job."""
    return bool(_log)


def _harmless(text: str) -> str:
    text = sanitize(text)
    for clean in _log:
        text = clean(text)
    return text


def set_live_line(line: LiveLine | None) -> None:
    """The live line that all writing here makes room for; None: there is none any more."""
    _live[:] = [line] if line is not None else []
    _before[:] = ["\n"]  # what else was written meanwhile is not known


def gap() -> None:
    """Leave a line empty before what comes on stdout, on a terminal, unless one is."""
    if is_terminal() and not _before[0].endswith("\n\n"):
        write("\n")


@contextmanager
def live_line_away() -> Iterator[None]:
    """Keep the live line away for a while, and what others write to the terminal: a question is
    asked.
    """
    line = _live[0] if _live else None
    if line is not None:
        line.before_write()
    asks, _questions[:] = _ASKS.set(True), [*_questions, []]
    try:
        yield
    finally:
        _ASKS.reset(asks)
        if line is not None:
            line.after_write("\n")
        for stream, text in _questions.pop():
            _put(stream, text)


def _put(stream: TextIO, text: str) -> None:
    """Write to a stream, the live line out of the way; after the question that stands there."""
    if stream.isatty():
        if _questions and not _ASKS.get():
            _questions[-1].append((stream, text))
            return
        _before[:] = [(_before[0] + text[-2:])[-2:]]
    if not _live:
        stream.write(text)
        return
    line = _live[0]
    line.before_write()
    try:
        stream.write(text)
        stream.flush()
    finally:
        line.after_write(text)


def write(text: str) -> None:
    """Write text for people, without what could drive a terminal, also into a pipe or a file."""
    _put(sys.stdout, _harmless(text))


def write_line(text: str = "") -> None:
    """Write one line for people, likewise harmless."""
    write(text + "\n")


def write_painted(text: str) -> None:
    """Write text as it is: harmless parts with our own colours between them."""
    _put(sys.stdout, text)


def write_data(data: bytes) -> None:
    """Write what programs read, JSON: UTF-8, whatever the locale says."""
    if _log:  # the same JSON, without what an agent may have written for a runner
        data = data.replace(b"##[", b"##\\u005b")
    if sys.stdout.encoding.lower() == "utf-8":
        _put(sys.stdout, data.decode("utf-8", "surrogatepass"))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def write_bytes(data: bytes) -> None:
    """Write bytes as they are: a patch that a program will read."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_json(value: object) -> None:
    """Write one JSON document, indented, for people and machines."""
    import msgspec

    write_data(msgspec.json.format(_encoded(value), indent=2) + b"\n")


def write_json_line(value: object) -> None:
    """Write one JSON document on one line and flush it."""
    write_data(_encoded(value) + b"\n")
    sys.stdout.flush()


def _encoded(value: object) -> bytes:
    """A document as JSON; bytes of names that are no UTF-8 are written out in it."""
    import msgspec

    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_readable(msgspec.to_builtins(value)))


def _readable(value: object) -> object:
    if isinstance(value, dict):
        return {name: _readable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_readable(each) for each in value]
    return readable(value) if isinstance(value, str) else value


def note(text: str) -> None:
    """Narrate on stderr, harmless for a terminal."""
    sys.stdout.flush()
    _put(sys.stderr, _harmless(text) + "\n")
    sys.stderr.flush()


def note_command(text: str) -> None:
    """Write a line on stderr that the runner of a CI job carries out."""
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def note_painted(text: str, colour: str | None) -> None:
    """The same, in a colour on a terminal."""
    note_parts([(text, colour)])


def note_parts(parts: Iterable[Part]) -> None:
    """The same, each part in its own colour."""
    line = "".join(paint_note(text, colour) if colour else sanitize(text) for text, colour in parts)
    line = _harmless(line) if _log else line
    sys.stdout.flush()
    _put(sys.stderr, f"{line}\n")
    sys.stderr.flush()


def print_error(
    message: str, *, code: str, exit_code: int, hint: str | None, as_json: bool = False
) -> None:
    """Tell an error on stderr: what happened, and what to do; one object with `as_json`.

    Secrets are taken out of it, wherever the message came from.
    """
    from sdqctl.store.redact import Redactor

    redact = Redactor(os.environ)
    message, hint = redact(readable(message)), redact(readable(hint)) if hint else hint
    if as_json:
        import msgspec

        from sdqctl.model.views.failure import ErrorView, FailureView

        failure = FailureView(code=code, exit=exit_code, message=message, hint=hint)
        found = msgspec.to_builtins(ErrorView(error=failure))
        line = json.dumps(found, ensure_ascii=False)
        sys.stderr.write((line.replace("##[", "##\\u005b") if _log else line) + "\n")
        return
    sys.stdout.flush()
    word, colour = ("paused:", "yellow") if exit_code == _PAUSED else ("error:", "red")
    sys.stderr.write(f"{paint(word, colour, sys.stderr)} {_harmless(message)}\n")
    if hint:
        sys.stderr.write(f"{paint('hint:', 'dim', sys.stderr)} {_harmless(hint)}\n")
    sys.stderr.flush()


def counted(number: int, noun: str) -> str:
    """`1 session`, `2 sessions`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def abbreviated(number: int) -> str:
    """`999`, `12.3k`."""
    return str(number) if number < 1000 else f"{number / 1000:.1f}k"


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a stream (stdout by default) is a terminal, and none that a CI job has."""
    return not _log and bool((stream or sys.stdout).isatty())


def can_draw() -> bool:
    """Whether the terminal takes more than lines: rows that change, a whole screen."""
    return os.environ.get("TERM") not in (None, "", "dumb")


def terminal_width() -> int:
    """Columns of the terminal, 80 when not known."""
    return shutil.get_terminal_size((80, 24)).columns


def note_width(otherwise: int) -> int:
    """Columns of the terminal that notes go to; `otherwise` where they go elsewhere."""
    return terminal_width() if is_terminal(sys.stderr) else otherwise


def paint_note(text: str, colour: str) -> str:
    """Text for stderr in a colour, if that is a terminal that wants any."""
    return paint(sanitize(text), colour, sys.stderr) if text else ""


_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Colour text for a terminal; plain in a pipe, with NO_COLOR or on a dumb terminal."""
    if not is_terminal(stream) or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"
