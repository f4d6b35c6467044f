"""Has the spans of a run made and sent while it goes, where that was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from sdqctl.engine.telemetry.choice import chosen
from sdqctl.model.events import Warned

if TYPE_CHECKING:
    from sdqctl.engine.context import RunContext
    from sdqctl.engine.telemetry.export import Export
    from sdqctl.engine.telemetry.trace import Trace
    from sdqctl.model.options import RunOptions

_MISSING = (
    "traces are asked for, but what makes them is not installed: `pipx install 'sdqctl[telemetry]'`"
)


@asynccontextmanager
async def traced(context: RunContext) -> AsyncIterator[RunContext]:
    """The run, with its spans made of its events; those that are left are sent at the end, within
    seconds.
    """
    found = _started(context)
    if found is None:
        yield context
        return
    export, trace = found
    try:
        yield replace(
            context,
            emit=trace.sink(context, context.emit),
            nest=trace.nest,
            options=_within_caller(context),
        )
    finally:
        trace.close()
        await export.flush()
        if problem := export.problem():
            _warn(context, problem)


def _started(context: RunContext) -> tuple[Export, Trace] | None:
    """What makes the spans of a run and what sends them; None where none are wanted, or can be."""
    wanted = chosen(context.setup.environment)
    if wanted.problem is not None:
        _warn(context, f"there are no traces: {wanted.problem}")
    if not wanted.exporters:
        return None
    try:
        from sdqctl.engine.telemetry.export import exporting
        from sdqctl.engine.telemetry.trace import Trace

        export = exporting(wanted.exporters)
    except ImportError:
        _warn(context, _MISSING)
    except Exception as error:  # noqa: BLE001 - a variable of OpenTelemetry's that it cannot read
        _warn(context, f"there are no traces: {error}")
    else:
        return export, Trace(export, context, contents=wanted.contents)
    return None


def _within_caller(context: RunContext) -> RunOptions:
    """The options, with what a new run is part of by TRACEPARENT: it is kept with the run."""
    parent = context.setup.environment.get("TRACEPARENT") or context.options.traceparent
    return msgspec.structs.replace(context.options, traceparent=parent)


def _warn(context: RunContext, message: str) -> None:
    if message not in context.setup.reported:
        context.setup.reported.add(message)
        context.emit(Warned(message=message))
