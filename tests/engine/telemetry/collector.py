"""A collector on loopback, which keeps the spans that it is sent by OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from sdqctl.closing import Closing


@dataclass(frozen=True)
class Span:
    """A span that arrived."""

    name: str
    trace: str
    id: str
    parent: str
    service: str
    kind: int
    start: int
    end: int
    failed: bool
    why: str
    attributes: dict[str, Any]

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a text, a number or a flag
        return self.attributes[name]


class Collector(Closing):
    """Keeps what it is sent, in the order in which it came."""

    def __init__(self, status: int = 200) -> None:
        """`status` is what it answers."""
        self.spans: list[Span] = []
        self.heard: Callable[[], object] = lambda: None
        """Called when spans came."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            """Takes spans; metrics and logs are passed over."""

            def do_POST(self) -> None:
                """One batch."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces" and status == 200:
                    collector.spans += _spans(body)
                    collector.heard()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that name it."""
        port = self._server.server_address[1]
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }

    def named(self, name: str) -> list[Span]:
        """The spans of a name, as they began."""
        found = (span for span in self.spans if span.name == name)
        return sorted(found, key=lambda span: span.start)

    def one(self, name: str) -> Span:
        """The only span of a name."""
        (span,) = self.named(name)
        return span

    def tree(self) -> list[str]:
        """The names of all spans, each under its parent, as they began."""
        known = {span.id for span in self.spans}
        assert len(known) == len(self.spans), "no two spans have one id"
        top = [span for span in self.spans if span.parent not in known]
        return [*self._lines(top, 0)]

    def _lines(self, spans: Sequence[Span], depth: int) -> list[str]:
        lines = []
        for span in sorted(spans, key=lambda span: span.start):
            path = span.attributes.get("sdqctl.step.path", "")
            own = f"{'  ' * depth}{span.name} {path}".rstrip()
            inner = [each for each in self.spans if each.parent == span.id]
            lines += [own, *self._lines(inner, depth + 1)]
        return lines

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _spans(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        _span(sent, _value(resource, "service.name"))
        for group in request.resource_spans
        for resource in [{each.key: each.value for each in group.resource.attributes}]
        for scope in group.scope_spans
        for sent in scope.spans
    ]


def _value(values: dict[str, AnyValue], name: str) -> str:
    return values[name].string_value if name in values else ""


def _span(sent: Sent, service: str) -> Span:
    return Span(
        name=sent.name,
        trace=sent.trace_id.hex(),
        id=sent.span_id.hex(),
        parent=sent.parent_span_id.hex(),
        service=service,
        kind=sent.kind,
        start=sent.start_time_unix_nano,
        end=sent.end_time_unix_nano,
        failed=sent.status.code == Status.STATUS_CODE_ERROR,
        why=sent.status.message,
        attributes={each.key: _plain(each.value) for each in sent.attributes},
    )


def _plain(value: AnyValue) -> Any:  # noqa: ANN401 - a text, a number or a flag
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)
