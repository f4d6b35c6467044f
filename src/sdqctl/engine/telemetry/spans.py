"""The spans of one trace, as this process makes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from opentelemetry import context as ambient
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sdqctl.engine.telemetry import ids
from sdqctl.engine.telemetry.attributes import ERROR, Values
from sdqctl.engine.telemetry.export import Export, SpanIds
from sdqctl.model.options import decode_options
from sdqctl.store.redact import Redactor

if TYPE_CHECKING:
    from sdqctl.model.run import RunRecord


class Spans:
    """Makes the spans of an outermost run and of all that it calls."""

    def __init__(self, export: Export, environment: Mapping[str, str], *, contents: bool) -> None:
        """`environment` has the secrets that are in no span."""
        self._export = export
        self._redact = Redactor(environment)
        self._id, self._caller = 0, SpanContext(0, 0, is_remote=True)
        self._flags = TraceFlags(TraceFlags.DEFAULT)
        """Whether the outermost run is sampled, and so all in it."""
        self.contents = contents
        self.leg = ""
        """When this process began to drive the outermost run."""
        self.cut_leg = ""
        """When one did that was killed."""

    def begin(self, run: RunRecord) -> None:
        """The outermost run goes on in this process."""
        carrier = {"traceparent": decode_options(run.options).traceparent or ""}
        within = TraceContextTextMapPropagator().extract(carrier, ambient.Context())
        self._caller = get_current_span(within).get_span_context()
        self._id = self._caller.trace_id or ids.trace_id(run.id)
        self.leg = run.running_since.isoformat() if run.running_since else ""

    def start(
        self,
        name: str,
        span_id: int,
        parent: int | None,
        found: Values,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        at: datetime | None = None,
    ) -> Span:
        """Begin a span below another one, which may be of another process; without one it is below
        what called the command, if anything did.
        """
        outer = self._caller if self._caller.is_valid else None
        if parent is not None:
            outer = SpanContext(self._id, parent, is_remote=False, trace_flags=self._flags)
        clean = {name: self._cleaned(value) for name, value in found.items()}
        nanoseconds = None if at is None else int(at.timestamp() * 1e9)
        known = SpanIds(self._id, span_id)
        span = self._export.start(name, known, outer, clean, kind=kind, at=nanoseconds)
        if parent is None:
            self._flags = span.get_span_context().trace_flags
        return span

    def finish(
        self, span: Span, found: Values, why: str | None = None, at: datetime | None = None
    ) -> None:
        """End a span; `why` says more of an error, where contents are asked for."""
        for name, value in found.items():
            span.set_attribute(name, self._cleaned(value))
        if ERROR in found:
            told = self._redact(why) if why and self.contents else None
            span.set_status(Status(StatusCode.ERROR, told))
        span.end(None if at is None else int(at.timestamp() * 1e9))

    def clean(self, text: str) -> str:
        """A text without secrets."""
        return self._redact(text)

    def _cleaned(self, value: str | int | bool) -> str | int | bool:
        return self._redact(value) if isinstance(value, str) else value
