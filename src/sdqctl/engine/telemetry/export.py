"""Sends spans from a queue of bounded length, in a thread of its own; nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    set_span_in_context,
)

from sdqctl import __version__
from sdqctl.engine.telemetry.choice import ENDPOINTS

Attributes = Mapping[str, str | int | bool]
_DELAY = 1000
"""Milliseconds that spans wait in the queue; a kill loses those that do."""
_PATIENCE = 2.0
"""Seconds that the end of a run waits for a collector."""
_LOG = logging.getLogger(__name__)


class SpanIds(NamedTuple):
    """What a span is known by. Both are made of the run, so that every process makes the same."""

    trace: int
    span: int


class Export:
    """Makes spans, and sends those that have ended: one for all runs of this process."""

    def __init__(self, exporters: Sequence[str]) -> None:
        """`exporters` are `otlp`, which reads its settings from the environment, and `console`."""
        # What it logs of a collector that is away is said once, in our words.
        logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
        self._ids = _Ids()
        self._making = threading.Lock()
        self._exporters = [_Watched(_exporter(name)) for name in exporters]
        delay = None if os.environ.get("OTEL_BSP_SCHEDULE_DELAY") else _DELAY
        self._queues = [
            BatchSpanProcessor(each, schedule_delay_millis=delay) for each in self._exporters
        ]
        self._waits_in_vain = False
        provider = TracerProvider(
            resource=_resource(), id_generator=self._ids, shutdown_on_exit=False
        )
        for queue in self._queues:
            provider.add_span_processor(queue)
        self._tracer = provider.get_tracer("sdqctl", __version__)

    def start(
        self,
        name: str,
        ids: SpanIds,
        parent: SpanContext | None,
        attributes: Attributes,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        at: int | None = None,
    ) -> Span:
        """Begin a span, now or `at` nanoseconds since the epoch."""
        within = Context()
        if parent is not None:
            within = set_span_in_context(NonRecordingSpan(parent), within)
        with self._making:
            self._ids.next = ids
            return self._tracer.start_span(
                name,
                within,
                kind,
                attributes,
                start_time=at,
            )

    async def flush(self) -> None:
        """Have what is left sent. A collector that does not answer is waited for once, so long."""
        if self._waits_in_vain and not any(each.answers for each in self._exporters):
            return
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        try:
            threading.Thread(target=self._flush, args=(loop, done.set), daemon=True).start()
            async with asyncio.timeout(_PATIENCE):
                await done.wait()
            self._waits_in_vain = False
        except (TimeoutError, RuntimeError, asyncio.CancelledError):
            self._waits_in_vain = True  # or a signal came: the run has ended already

    def _flush(self, loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
        for queue in self._queues:
            queue.force_flush()
        with suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(then)

    def problem(self) -> str | None:
        """What went wrong with sending, if anything did."""
        if not self._waits_in_vain and not any(each.failed for each in self._exporters):
            return None
        asked = (os.environ.get(name) for name in ENDPOINTS)
        address = next((one for one in asked if one), "http://localhost:4318")
        host = urlsplit(address).netloc.rpartition("@")[2]
        return f"not all traces were sent: the collector at {host} does not answer, or refuses them"


@cache
def exporting(exporters: tuple[str, ...]) -> Export:
    """The one of this process."""
    return Export(exporters)


class _Ids(IdGenerator):
    """Hands out the ids that were decided."""

    next = SpanIds(0, 0)

    def generate_trace_id(self) -> int:
        return self.next.trace

    def generate_span_id(self) -> int:
        return self.next.span


class _Watched(SpanExporter):
    """An exporter of which is known whether it could send."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.failed = False
        self.answers = False
        """Whether the last spans arrived."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - a trace is not worth a run
            _LOG.debug("spans were not sent: %s", error)
        self.answers = result is SpanExportResult.SUCCESS
        self.failed = self.failed or not self.answers
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _Console(SpanExporter):
    """Writes spans to stderr, a line each: stdout is for results."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if sys.stderr is not None:
            sys.stderr.write("".join(f"{span.to_json(indent=None)}\n" for span in spans))
            sys.stderr.flush()
        return SpanExportResult.SUCCESS


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        return _Console()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _resource() -> Resource:
    """What made the spans; the environment has the last word."""
    given = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own: dict[str, str | int] = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or "sdqctl",
        "service.version": __version__,
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }
    if os.environ.get("OTEL_SERVICE_NAME"):
        given = given.replace("service.name=", "")
    return Resource.create({name: own[name] for name in own if f"{name}=" not in given})
