"""One live line on stderr: where the run is, how long, how much, and which tool is at work."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress

from sdqctl.cli.output import abbreviated, is_terminal, set_live_line
from sdqctl.model.events import (
    Event,
    ModelRetried,
    RunStarted,
    StepFinished,
    StepStarted,
    ToolFinished,
    ToolStarted,
    UsageReported,
)
from sdqctl.text.duration import format_duration
from sdqctl.text.terminal import one_line

_TICK = 0.5
_ERASE = "\r\x1b[K"


class LiveLine:
    """A line at the cursor that is taken away before anything else is written.

    It is drawn only while the cursor stands at the beginning of a line, so it never flickers
    through an answer that is still being written.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._shown = False
        self._free = True
        self._view = View()

    def start(self) -> None:
        """Begin to draw."""
        set_live_line(self)
        self._thread.start()

    def stop(self) -> None:
        """Take the line away for good."""
        self._ended.set()
        set_live_line(None)
        with self._lock:
            self._erase()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._view.note(event)

    def before_write(self) -> None:
        """Something else is about to be written."""
        self._lock.acquire()
        self._erase()

    def after_write(self, text: str) -> None:
        """It was; the line may come back after a whole line."""
        if text:
            self._free = text.endswith("\n")
        self._lock.release()

    def _tick(self) -> None:
        while not self._ended.wait(_TICK):
            with self._lock:
                if not self._ended.is_set():
                    self._draw()

    def _draw(self) -> None:
        text = self._view.text()
        if not text or not self._free:
            return
        width = _width()
        with suppress(OSError):
            sys.stderr.write(_ERASE + one_line(text, max(width - 1, 1)))
            sys.stderr.flush()
        self._shown = True

    def _erase(self) -> None:
        if self._shown:
            with suppress(OSError):
                sys.stderr.write(_ERASE)
                sys.stderr.flush()
            self._shown = False


class View:
    """What the line says, from the events so far."""

    def __init__(self) -> None:
        self._total = 0
        self._step: StepStarted | None = None
        self._began = time.monotonic()
        self._tokens = 0
        self._context = 0
        self._tool: str | None = None
        self._retries = 0

    def note(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case RunStarted():
                self._total = event.steps_total
            case StepStarted():
                self._step, self._began, self._retries = event, time.monotonic(), 0
            case StepFinished():
                self._step, self._tool = None, None
            case ToolStarted():
                self._tool = f"{event.call.name} {event.call.summary}".strip()
            case ToolFinished():
                self._tool = None
            case UsageReported():
                self._tokens += event.usage.input_tokens + event.usage.output_tokens
                self._context = event.usage.input_tokens + event.usage.cached_tokens
            case ModelRetried():
                self._retries += 1

    def text(self) -> str:
        """The line; nothing between steps."""
        step = self._step
        if step is None:
            return ""
        parts = [f"[{step.path}/{self._total}] {format_duration(time.monotonic() - self._began)}"]
        if self._tokens:
            parts.append(
                f"{abbreviated(self._tokens)} tokens, context {abbreviated(self._context)}"
            )
        if self._retries:
            parts.append(f"tried again {self._retries} times")
        parts.append(self._tool or step.title)
        return " · ".join(parts)


def wants_live_line() -> bool:
    """Whether stderr is a terminal that can take a line back."""
    return is_terminal(sys.stderr) and os.environ.get("TERM") not in (None, "", "dumb")


def _width() -> int:
    """Columns of the terminal; 80 where it does not know its size, or says 0."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
