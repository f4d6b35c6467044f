"""Asking on a terminal: for the values that a run needs, and at its gates."""

from __future__ import annotations

import asyncio
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from sdqctl.cli.keyboard import echoed
from sdqctl.cli.output import live_line_away, note
from sdqctl.engine.inputs import described, input_value, missing_inputs
from sdqctl.errors import UsageError
from sdqctl.model.options import RunOptions
from sdqctl.model.workflow import AskStep, Workflow
from sdqctl.text.terminal import one_line

_POLL = 0.2
"""Seconds between looks at what another process said."""


def ask_for_inputs(workflow: Workflow, options: RunOptions) -> RunOptions:
    """The options with a value for each input; nothing said leaves it missing."""
    found = list(options.inputs)
    for one in missing_inputs(workflow, options):
        while (text := _line(f"{one_line(described(one))}: ")) is not None:
            try:
                input_value(one, text, options.cwd or Path.cwd())
            except UsageError as error:
                note(error.message)
                continue
            found.append((one.name, text))
            break
    return msgspec.structs.replace(options, inputs=tuple(found))


def ask_at_gate(action: AskStep, elsewhere: Callable[[], str | None]) -> str | None:
    """What a human says at a gate, here or `elsewhere`; None when nothing is said: the run waits
    then.

    Raises CancelledError for Ctrl-C, which no loop sees while a line is awaited.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with live_line_away(), echoed():
            return _answer(action, elsewhere)
    except KeyboardInterrupt as error:
        raise asyncio.CancelledError from error
    finally:
        signal.signal(signal.SIGINT, before)


def _answer(action: AskStep, elsewhere: Callable[[], str | None]) -> str | None:
    from sdqctl.workflow.flow.values import read_text

    choices = f" [{'|'.join(action.type.choices)}]" if action.type.choices else ""
    while True:
        note(f"{one_line(action.question)}{choices}".rstrip())
        while not select.select([sys.stdin], [], [], _POLL)[0]:
            if (answer := elsewhere()) is not None:
                note(f"answered by another process: {one_line(answer)}")
                return answer
        if (text := _typed()) is None:
            return None
        try:
            read_text(text, action.type)
        except ValueError as error:
            note(str(error))
            continue
        return text


def _line(prompt: str) -> str | None:
    """A line that is typed; None for Ctrl-D, and for an empty one."""
    note(prompt.rstrip())
    return _typed()


def _typed() -> str | None:
    while True:
        try:
            return input().strip() or None
        except EOFError:
            return None
        except UnicodeDecodeError:
            note("that is not UTF-8; type it again")
