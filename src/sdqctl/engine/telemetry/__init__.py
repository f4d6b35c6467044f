"""Traces of runs for OpenTelemetry (docs/telemetry.md), where its own variables turn them on.

Nothing of it is imported otherwise, and no run waits for a collector or fails for one.
"""
