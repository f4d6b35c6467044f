"""One trace a run, whatever process drives it: after a kill, after a stop, below what called it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import sdqctl
from tests.engine.telemetry.collector import Collector
from tests.sampling import some

STORY = """\
PROMPT one [[reply: one]]
FOR x IN [1, 2]
  PROMPT two {{x}} [[reply: two]]
END
PROMPT three [[reply: three]]
"""
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "1"}
"""Milliseconds, so that what ended was sent when a kill comes."""


def test_a_run_that_was_killed_goes_on_in_its_trace_and_what_was_cut_off_is_ended(
    bench: Bench, collector: Collector
) -> None:
    killed = bench.run(STORY, SDQCTL_CRASH_AT="ledger.finish.before:4").done
    assert killed.code == -signal.SIGKILL
    collector.spans.clear()  # what had ended may have come, or not
    assert bench.go_on().done.code == 0
    assert len({span.trace for span in collector.spans}) == 1
    assert collector.tree() == [
        "invoke_workflow work",
        "  step for 2",
        "    step prompt 2[2].1",
        "      invoke_agent mock 2[2].1",
        "invoke_workflow work",
        "  step prompt 3",
        "    invoke_agent mock 3",
    ]
    cut, whole = collector.named("invoke_workflow work")
    assert (cut.failed, cut["error.type"], whole.failed) == (True, "killed", False)
    assert cut.end <= whole.start


def test_what_had_ended_before_a_kill_is_in_the_spans_that_are_made_after_it(
    bench: Bench, collector: Collector
) -> None:
    seen = bench.project / "seen"

    def heard() -> None:
        if len(collector.named("step prompt")) == 4:
            seen.touch()

    collector.heard = heard
    bench.write(
        "wait.sh", "for i in $(seq 900); do [ -e seen ] && exit; sleep 0.05; done; exit 1\n"
    )
    text = f"{STORY}RUN sh wait.sh\nRUN true\n"
    bench.run(text, "--mode", "implement", SDQCTL_CRASH_AT="ledger.finish.before:6", **SOON)
    assert bench.go_on("--mode", "implement", "--on-interrupted", "resend").done.code == 0
    assert collector.tree()[:11] == [
        "invoke_workflow work",
        "  step prompt 1",
        "    invoke_agent mock 1",
        "  step for 2",
        "    step prompt 2[1].1",
        "      invoke_agent mock 2[1].1",
        "    step prompt 2[2].1",
        "      invoke_agent mock 2[2].1",
        "  step prompt 3",
        "    invoke_agent mock 3",
        "  step run 4",
    ]
    assert len({span.trace for span in collector.spans}) == 1


@pytest.mark.thorough
def test_a_called_run_that_was_killed_is_ended_in_the_step_that_called_it(
    bench: Bench, collector: Collector
) -> None:
    bench.write("inner.conv", "PROMPT a [[reply: A]]\nPROMPT b [[reply: B]]\n")
    bench.run("CALL inner.conv\n", SDQCTL_CRASH_AT="ledger.finish.before:2")
    collector.spans.clear()
    assert bench.go_on().done.code == 0
    assert collector.tree() == [
        "invoke_workflow work",
        "  step call 1",
        "    invoke_workflow inner",
        "      step prompt 2",
        "        invoke_agent mock 2",
        "invoke_workflow work",
        "  step call 1",
        "    invoke_workflow inner",
    ]
    assert len({span.trace for span in collector.spans}) == 1


def test_a_run_that_paused_or_failed_goes_on_in_its_trace(
    bench: Bench, collector: Collector
) -> None:
    text = "PROMPT a [[reply: A]]\nPAUSE look\nPROMPT b [[fail: request x1]] [[reply: B]]\n"
    assert bench.run(text).done.code == 8
    assert bench.go_on().done.code == 4
    assert bench.go_on().done.code == 0
    runs = collector.named("invoke_workflow work")
    assert [run["sdqctl.run.status"] for run in runs] == ["paused", "failed", "completed"]
    assert [run.failed for run in runs] == [False, True, False]
    assert [step.failed for step in collector.named("step pause")] == [False, False]
    assert len({span.trace for span in collector.spans}) == 1
    assert len({span.id for span in collector.spans}) == len(collector.spans)


@pytest.mark.parametrize("parent", some(1, [PARENT, "no-parent"]))
def test_a_new_run_is_below_what_called_the_command_and_stays_there(
    bench: Bench, collector: Collector, parent: str
) -> None:
    bench.run("PROMPT a [[reply: A]]\nPAUSE look\nPROMPT b [[reply: B]]\n", TRACEPARENT=parent)
    other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert bench.go_on(TRACEPARENT=other).done.code == 0
    runs = collector.named("invoke_workflow work")
    _, trace, span, _ = PARENT.split("-")
    assert [run.parent for run in runs] == ([span] * 2 if parent == PARENT else [""] * 2)
    assert ({run.trace for run in runs} == {trace}) is (parent == PARENT)
    assert len({each.trace for each in collector.spans}) == 1


@pytest.mark.parametrize(
    "environment",
    some(
        1, [{"TRACEPARENT": f"{PARENT[:-1]}0"}, {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}]
    ),
)
def test_a_trace_that_is_not_sampled_is_not_made(
    bench: Bench, collector: Collector, environment: dict[str, str]
) -> None:
    assert bench.run("PROMPT a [[tool: read x]]\n", **environment).done.code == 0
    assert collector.spans == []


def test_a_run_goes_on_in_its_trace_on_another_machine(
    bench: Bench, collector: Collector, tmp_path: Path
) -> None:
    path = bench.write("work.conv", "PROMPT a [[reply: A]]\nPROMPT b [[reply: B]]\n")
    job = ("run", path, "--state", tmp_path / "state")
    killed = sdqctl(*job, SDQCTL_CRASH_AT="ledger.finish.before:2", TRACEPARENT=PARENT)
    assert killed.code == -signal.SIGKILL
    (first,) = {span.trace for span in collector.spans} or {PARENT.split("-")[1]}
    done = sdqctl(*job, SDQCTL_HOME=str(tmp_path / "elsewhere"))
    assert done.code == 0, done.err
    steps = {span.attributes.get("sdqctl.step.path") for span in collector.named("step prompt")}
    assert "2" in steps
    assert {span.trace for span in collector.spans} == {first}
