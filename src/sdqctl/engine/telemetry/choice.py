"""What the environment asks of telemetry, by the variables of OpenTelemetry itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Where spans go; the first goes before the second."""
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_KNOWN = ("otlp", "console")
_CONTENTS = frozenset({"true", "1", "span_only", "span_and_event"})
"""Those of OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT that put contents into spans."""


@dataclass(frozen=True)
class Telemetry:
    """Where spans go, and what may stand in them."""

    exporters: tuple[str, ...] = ()
    """`otlp`, `console`; none: telemetry is off."""
    contents: bool = False
    """Whether prompts, answers and what tools are given stand in them."""
    problem: str | None = None
    """Why it is off although it was asked for."""


def chosen(environment: Mapping[str, str]) -> Telemetry:
    """What the variables ask for; an empty one counts as not set."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().casefold() == "true":
        return Telemetry()
    asked = environment.get("OTEL_TRACES_EXPORTER", "")
    if not asked.strip() and any(environment.get(name) for name in ENDPOINTS):
        asked = "otlp"
    names = tuple(dict.fromkeys(name.strip() for name in asked.split(",") if name.strip()))
    names = tuple(name for name in names if name != "none")
    if unknown := [name for name in names if name not in _KNOWN]:
        problem = f"OTEL_TRACES_EXPORTER={unknown[0]}: it can be otlp, console or none"
        return Telemetry(problem=problem)
    protocol = next((value for name in _PROTOCOLS if (value := environment.get(name))), "")
    if "otlp" in names and protocol == "grpc":
        return Telemetry(problem="the protocol of OTLP can be http/protobuf, not grpc")
    wants = environment.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "")
    return Telemetry(names, contents=wants.strip().casefold() in _CONTENTS)
