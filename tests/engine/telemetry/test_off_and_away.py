"""A run is what it is without telemetry: where that is off, missing, or has no collector."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdqctl.engine.telemetry.choice import Telemetry, chosen
from tests.bench import Bench
from tests.command import sdqctl
from tests.engine.telemetry.collector import Collector

OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
TEXT = "PROMPT a [[reply: A]]\n"


@pytest.mark.parametrize(
    ("environment", "exporters"),
    [
        ({}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ()),
        (OTLP, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "console"}, ("console",)),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ("console", "otlp")),
        ({**OTLP, "OTEL_TRACES_EXPORTER": "none"}, ()),
        ({**OTLP, "OTEL_SDK_DISABLED": "true"}, ()),
        ({**OTLP, "OTEL_SDK_DISABLED": "false"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, ()),
        ({**OTLP, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ()),
    ],
)
def test_the_variables_of_opentelemetry_turn_it_on(
    environment: dict[str, str], exporters: tuple[str, ...]
) -> None:
    found = chosen(environment)
    assert found.exporters == exporters
    asked = {"zipkin", "grpc"} & {*environment.values()}
    assert (found.problem is not None) == bool(asked)


@pytest.mark.parametrize(
    ("value", "contents"),
    [("", False), ("false", False), ("no_content", False), ("true", True), ("SPAN_ONLY", True)],
)
def test_contents_are_asked_for_by_their_variable(value: str, contents: bool) -> None:
    assert chosen({**OTLP, CAPTURE: value}) == Telemetry(("otlp",), contents=contents)


def loaded(bench: Bench) -> set[str]:
    """The modules of OpenTelemetry that a run on the mock loads."""
    path = bench.write("work.conv", TEXT)
    script = (
        "import sys; from sdqctl.cli.app import run\n"
        f"code = run(['run', {str(path)!r}, '--session-name', 's'])\n"
        "print(*[name for name in sys.modules if name.startswith('opentelemetry')])\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_nothing_of_it_is_imported_unless_it_is_on(bench: Bench) -> None:
    assert loaded(bench) == set()


def test_without_the_extra_one_warning_names_it_and_the_run_goes_on(
    bench: Bench, tmp_path: Path
) -> None:
    """The module is hidden by one that cannot be imported."""
    package = tmp_path / "hidden" / "opentelemetry"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError\n")
    bench.write("inner.conv", TEXT)
    told = bench.run(f"{TEXT}CALL inner.conv\n", **OTLP, PYTHONPATH=str(package.parent))
    assert told.done.code == 0
    (warning,) = told.of("warning")
    assert "sdqctl[telemetry]" in warning["message"]


def test_a_variable_that_cannot_be_read_is_one_warning(bench: Bench) -> None:
    told = bench.run(TEXT, **OTLP, OTEL_BSP_MAX_QUEUE_SIZE="-1")
    assert told.done.code == 0
    (warning,) = told.of("warning")
    assert warning["message"].startswith("there are no traces: ")
    told = bench.run(TEXT, "--resume-if-exists", OTEL_TRACES_EXPORTER="zipkin")
    assert [event["message"] for event in told.of("warning")] == [
        "there are no traces: OTEL_TRACES_EXPORTER=zipkin: it can be otlp, console or none"
    ]


@pytest.fixture
def mute() -> Iterator[int]:
    """A port at which connections are taken, and nothing is answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def nobody() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize("where", ["mute", "nobody"])
def test_a_collector_that_is_away_is_one_warning_and_nothing_waits_for_it_long(
    bench: Bench, where: str, request: pytest.FixtureRequest
) -> None:
    """One that would be waited for as long as the variable says would end the test."""
    port = request.getfixturevalue(where)
    for name in ("a", "b", "c", "d"):
        bench.write(f"{name}.py", "")
    path = bench.write("work.conv", TEXT)
    address = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    patient = {"OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
    done = sdqctl("apply", path, "--components", "*.py", **address, **patient)
    assert done.code == 0
    assert done.err.count("not all traces were sent") == 1, done.err
    assert "Traceback" not in done.err
    assert "opentelemetry" not in done.err


def test_a_collector_that_refuses_is_one_warning(bench: Bench) -> None:
    with Collector(status=401) as collector:
        told = bench.run(TEXT, **collector.environment)
    assert told.done.code == 0
    (warning,) = told.of("warning")
    assert warning["message"].startswith("not all traces were sent")


def test_console_is_stderr_a_line_each(bench: Bench) -> None:
    path = bench.write("work.conv", TEXT)
    done = sdqctl("run", path, "--session-name", "s", OTEL_TRACES_EXPORTER="console")
    assert done.out == "A\n"
    spans = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert [span["name"] for span in spans] == [
        "invoke_agent mock",
        "step prompt",
        "invoke_workflow work",
    ]
    assert (
        sdqctl("run", path, "--session-name", "t", OTEL_TRACES_EXPORTER="none").err.count("{") == 0
    )
