"""The real Copilot runtime makes spans of its own: they stand in our turns."""

from __future__ import annotations

import json

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.bench import Bench
from tests.command import sdqctl
from tests.engine.telemetry.collector import Collector, Span

pytestmark = pytest.mark.runtime
SECRET = "hunter2-hunter2"
CLIENT = 3
"""The number of a span's kind."""


@pytest.mark.thorough
def test_the_spans_of_the_runtime_stand_in_our_turns(
    bench: Bench, collector: Collector, model: LoopbackModel
) -> None:
    notes = bench.write("notes.txt", "notes\n")
    look = f'[[tool: view {{"path": "{notes}"}}]] [[reply: one]]'
    text = f"ADAPTER copilot\nPROMPT key {SECRET} {look}\nPROMPT second [[reply: two]]\n"
    path = bench.write("work.conv", text)
    capture = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    done = sdqctl("run", path, "--session-name", "s", MY_TOKEN=SECRET, **capture)
    assert done.code == 0, done.err
    turns = {span.id: span for span in collector.spans if span.kind == CLIENT and _is_ours(span)}
    theirs = [span for span in collector.spans if not _is_ours(span)]
    agents = [span for span in theirs if span.name.startswith("invoke_agent")]
    assert sorted(agent.parent for agent in agents) == sorted(turns)
    assert {agent.trace for agent in agents} == {turn.trace for turn in turns.values()}
    calls = [span for span in theirs if span.name.startswith("chat ")]
    assert {call.parent for call in calls} <= {agent.id for agent in agents}
    assert (len(turns), len(calls)) == (2, 3)
    used = [span for span in collector.spans if span.name == "execute_tool view"]
    assert sorted(map(_is_ours, used)) == [False, True]
    assert "key [redacted]" in json.dumps([turn.attributes for turn in turns.values()])
    assert SECRET not in repr(collector.spans)


def _is_ours(span: Span) -> bool:
    return span.service == "sdqctl"
