"""The spans of runs on the mock: which is in which, and what stands in them."""

from __future__ import annotations

import json

import pytest

from tests.bench import Bench
from tests.command import sdqctl
from tests.conftest import ROOT
from tests.engine.telemetry.collector import Collector

SECRET = "hunter2-hunter2"
STORY = """\
MODE implement
MODEL small
RUN echo built
PROMPT look [[tool: read notes.txt]] [[json: [1, 2]]]
CAPTURE xs AS json
FOR x IN xs
  IF x == 2
    PROMPT again {{x}} [[reply: done]]
  END
END
CALL inner.conv
"""
TREE = """\
invoke_workflow work
  step run 1
  step prompt 2
    invoke_agent mock 2
      execute_tool view
  step for 3
    step if 3[1].1
    step if 3[2].1
      step prompt 3[2].1.then.1
        invoke_agent mock 3[2].1.then.1
  step call 4
    invoke_workflow inner
      step prompt 1
        invoke_agent mock 1
"""


@pytest.fixture
def told(bench: Bench, collector: Collector) -> Collector:
    """What a collector got of a run with a bit of all."""
    bench.write("notes.txt", "notes\n")
    bench.write("inner.conv", "PROMPT inner [[reply: inner]]\n")
    done = bench.run(STORY).done
    assert done.code == 0, done.err
    return collector


def test_spans_stand_as_steps_do_and_a_called_run_in_the_step_that_calls_it(
    told: Collector,
) -> None:
    assert "\n".join(told.tree()) + "\n" == TREE
    assert len({span.trace for span in told.spans}) == 1
    assert {span.service for span in told.spans} == {"sdqctl"}
    assert not any(span.failed for span in told.spans)
    for span in told.spans:
        outer = [each for each in told.spans if each.id == span.parent]
        assert all(each.start <= span.start <= span.end <= each.end for each in outer)


def test_they_have_the_names_of_the_conventions_and_ours(told: Collector) -> None:
    run, called = told.one("invoke_workflow work"), told.one("invoke_workflow inner")
    assert run["gen_ai.operation.name"] == called["gen_ai.operation.name"] == "invoke_workflow"
    assert (run["sdqctl.workflow"], run["sdqctl.session.name"]) == ("work", "s")
    assert (run["sdqctl.run.status"], run["sdqctl.run.steps_done"]) == ("completed", 7)
    assert called["sdqctl.session.name"] == "s/inner"
    turn = told.named("invoke_agent mock")[0]
    assert turn["gen_ai.operation.name"] == "invoke_agent"
    assert turn["gen_ai.provider.name"] == "mock"
    assert turn["gen_ai.request.model"] == "small"
    assert turn["gen_ai.conversation.id"] == run["gen_ai.conversation.id"] == "s"
    assert turn["gen_ai.usage.input_tokens"] > 0
    assert turn["gen_ai.usage.output_tokens"] > 0
    tool = told.one("execute_tool view")
    assert tool["gen_ai.operation.name"] == "execute_tool"
    assert tool["gen_ai.tool.name"] == "view"
    assert tool["gen_ai.tool.call.id"]
    step = told.one("step run")
    assert (step["sdqctl.step.kind"], step["sdqctl.step.attempt"]) == ("run", 1)
    assert (step["sdqctl.step.status"], step["sdqctl.step.exit_status"]) == ("done", 0)


def test_nothing_of_what_was_said_stands_in_them_unless_that_is_asked_for(
    told: Collector,
) -> None:
    said = json.dumps([span.attributes for span in told.spans])
    assert not [word for word in ("look", "again", "echo", "notes", "[1, 2]") if word in said]


def test_contents_that_are_asked_for_are_there_without_secrets(
    bench: Bench, collector: Collector
) -> None:
    orders = f"[[tool: shell echo {SECRET}]] [[reply: it is {SECRET}]]"
    text = f"PROMPT key {SECRET} {orders}\nCHECKPOINT c\nFAIL it is {SECRET}\n"
    capture = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    bench.run(f"MODE implement\n{text}", MY_TOKEN=SECRET, **capture)
    turn, run = collector.one("invoke_agent mock"), collector.one("invoke_workflow work")
    (asked,) = json.loads(turn["gen_ai.input.messages"])
    (answer,) = json.loads(turn["gen_ai.output.messages"])
    assert (asked["role"], answer["role"]) == ("user", "assistant")
    assert asked["parts"][0]["content"].startswith("key [redacted]")
    assert answer["parts"] == [{"type": "text", "content": "it is [redacted]"}]
    used = collector.one("execute_tool bash")["gen_ai.tool.call.arguments"]
    assert "[redacted]" in json.loads(used)["summary"]
    assert run.why == "step 3: it is [redacted]"
    assert SECRET not in repr(collector.spans)


def test_the_page_has_every_attribute(told: Collector) -> None:
    page = (ROOT / "docs" / "telemetry.md").read_text()
    names = {name for span in told.spans for name in span.attributes}
    assert not [n for n in names if n not in page and f"`.{n.rpartition('.')[2]}`" not in page]


def test_what_went_wrong_has_its_kind(bench: Bench, collector: Collector) -> None:
    text = "PROMPT a [[tool: shell rm x]] [[fail: server x1]] [[reply: A]]\nRUN false\n"
    assert bench.run(text, "--retry-for", "30s").done.code == 4
    first, second = collector.named("invoke_agent mock")
    assert (first.failed, first["error.type"], second.failed) == (True, "server", False)
    assert first["sdqctl.step.attempt"], second["sdqctl.step.attempt"] == (1, 2)
    assert {span["error.type"] for span in collector.named("execute_tool bash")} == {"denied"}
    step, run = collector.one("step run"), collector.one("invoke_workflow work")
    assert (step["error.type"], step["sdqctl.step.exit_status"]) == ("failed", 1)
    assert (run.failed, run["error.type"], run.why) == (True, "failed", "")


def test_items_side_by_side_have_their_spans_each_in_its_own_step(
    bench: Bench, collector: Collector
) -> None:
    bench.write("inner.conv", "INPUT x int\nPROMPT {{x}} [[tool: read a]] [[reply: A]]\n")
    text = "PROMPT a [[json: [1, 2, 3]]]\nCAPTURE xs AS json\n"
    text += "FOR x IN xs PARALLEL 3\n  CALL inner.conv WITH x={{x}}\nEND\n"
    assert bench.run(text).done.code == 0
    calls = {span.id: span["sdqctl.step.path"] for span in collector.named("step call")}
    runs = collector.named("invoke_workflow inner")
    paths = {calls[run.parent]: run["sdqctl.session.name"] for run in runs}
    assert paths == {f"2[{n}].1": f"s/inner-{n}" for n in (1, 2, 3)}
    sessions = {
        span.id: span["gen_ai.conversation.id"] for span in collector.named("invoke_agent mock")
    }
    assert len(sessions) == 4
    assert all(tool.parent in sessions for tool in collector.named("execute_tool view"))


def test_runs_of_apply_and_messages_have_a_trace_each(bench: Bench, collector: Collector) -> None:
    bench.write("a.py", "")
    bench.write("b.py", "")
    path = bench.write("work.conv", "PROMPT a [[reply: A]]\n")
    assert sdqctl("apply", path, "--components", "*.py").code == 0
    runs = collector.named("invoke_workflow work")
    assert len({run.trace for run in runs}) == len(runs) == 2
    assert sdqctl("run", "-p", "hello", "--session-name", "talk").code == 0
    assert sdqctl("resume", "talk", "--prompt", "and now").code == 0
    talk = [
        span for span in collector.spans if span.attributes.get("gen_ai.conversation.id") == "talk"
    ]
    assert len({span.trace for span in talk}) == 2
