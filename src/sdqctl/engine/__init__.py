"""Drives a plan through a session, and is the only writer of the ledger's runs and steps.

What stands in `__all__` is the Python API of runs (docs/python.md); it is loaded when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdqctl.engine.context import RunContext, Sink
    from sdqctl.engine.continuation import prepare_continuation, prepare_step, prompt_step
    from sdqctl.engine.execution import launch
    from sdqctl.engine.preparation import prepare
    from sdqctl.engine.setup import Setup
    from sdqctl.model.options import OnInterrupted, RunOptions

_PLACES = {
    "OnInterrupted": "model.options",
    "RunContext": "engine.context",
    "RunOptions": "model.options",
    "Setup": "engine.setup",
    "Sink": "engine.context",
    "launch": "engine.execution",
    "prepare": "engine.preparation",
    "prepare_continuation": "engine.continuation",
    "prepare_step": "engine.continuation",
    "prompt_step": "engine.continuation",
}
__all__ = [
    "OnInterrupted",
    "RunContext",
    "RunOptions",
    "Setup",
    "Sink",
    "launch",
    "prepare",
    "prepare_continuation",
    "prepare_step",
    "prompt_step",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"sdqctl.{_PLACES[name]}"), name)
