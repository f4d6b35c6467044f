"""A run is described once, and everything about it is decided before anything starts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click
import pytest

from sdqctl.cli.run import run as run_command
from sdqctl.config import SETTINGS
from sdqctl.engine import RunContext, RunOptions, Setup, launch, prepare, prompt_step
from sdqctl.errors import (
    InterruptedRunError,
    SandboxError,
    SdqctlError,
    SessionExistsError,
    UsageError,
    WorkflowError,
)
from sdqctl.model.events import Event, PermissionDecided, StepFinished
from sdqctl.model.options import OPTIONS, decode_options, encode_options, options_of
from sdqctl.model.session import SessionRef
from sdqctl.store.ledger import Ledger
from sdqctl.workflow import check_workflow
from tests.bench import Bench
from tests.command import sdqctl

WORK = "PROMPT one [[reply: first]]\nPROMPT two [[reply: second]]\n"
COMPUTED = {"repository_tools", "inputs", "traceparent", "component"}
"""What no flag of its name asks for: inputs are given by --set as well as by a file, a component by
`apply`.
"""


def prepared(bench: Bench, ledger: Ledger, text: str = WORK, **options: object) -> RunContext:
    path = bench.write("work.conv", text)
    asked = options_of({"adapter": "mock", "session_name": "job", **options})
    return prepare(check_workflow(path), asked, Setup(), ledger)


def test_preparing_starts_and_records_nothing(bench: Bench) -> None:
    setup = Setup()
    with setup.ledger() as ledger:
        context = prepared(bench, ledger)
        assert [step.title for step in context.plan.steps] == [
            "one [[reply: first]]",
            "two [[reply: second]]",
        ]
        assert not context.target.exists
        assert not ledger.last_runs()
        assert not ledger.session_names()
    assert not list(setup.archive("mock").sessions())


def test_a_run_is_done_as_it_was_prepared_and_tells_its_events(bench: Bench) -> None:
    events: list[Event] = []
    with Setup().ledger() as ledger:
        run = asyncio.run(launch(prepared(bench, ledger), emit=events.append))
        assert [step.response for step in ledger.steps(run.id)] == ["first", "second"]
    assert (run.status, run.steps_done, run.session_name) == ("completed", 2, "job")
    assert [e.response for e in events if isinstance(e, StepFinished)] == ["first", "second"]


def test_a_run_does_not_go_on_with_what_a_killed_delete_left(bench: Bench) -> None:
    """Also where the ledger was opened before the kill."""
    with Setup().ledger() as ledger:
        first = asyncio.run(launch(prepared(bench, ledger)))
        delete = ("sessions", "delete", "job", "--force")
        assert bench.command(*delete, SDQCTL_CRASH_AT="delete.deleted:1").code == -9
        assert ledger.run(first.id) is not None
        second = asyncio.run(launch(prepared(bench, ledger)))
        assert [run.id for run in ledger.runs_of(SessionRef("mock", "job"))] == [second.id]
    assert second.id != first.id


def test_a_name_that_is_taken_is_refused_before_anything_starts(bench: Bench) -> None:
    with Setup().ledger() as ledger:
        asyncio.run(launch(prepared(bench, ledger)))
        with pytest.raises(SessionExistsError):
            prepared(bench, ledger)
        context = prepared(bench, ledger, resume_if_exists=True)
        assert context.target.exists
        assert context.target.run is None


def test_another_program_has_the_same_policy(bench: Bench) -> None:
    """The agent of a run that may only read does not write, and cannot be asked to."""
    events: list[Event] = []
    text = "PROMPT go [[tool: write made.txt]] [[reply: done]]\n"
    with Setup().ledger() as ledger:
        asyncio.run(launch(prepared(bench, ledger, text), emit=events.append))
    assert [e.allowed for e in events if isinstance(e, PermissionDecided)] == [False]
    assert not Path("made.txt").exists()


def test_a_run_that_is_cancelled_is_recorded_and_goes_on(bench: Bench) -> None:
    text = "PROMPT one [[reply: first]]\nPROMPT two [[delay: 60]] [[reply: second]]\n"

    async def cut_off(context: RunContext) -> None:
        begun = asyncio.Event()

        def emit(event: Event) -> None:
            if isinstance(event, StepFinished):
                begun.set()

        task = asyncio.ensure_future(launch(context, emit=emit))
        await begun.wait()
        task.cancel()
        await task

    with Setup().ledger() as ledger:
        with pytest.raises(InterruptedRunError):
            asyncio.run(cut_off(prepared(bench, ledger, text)))
        [run] = ledger.last_runs().values()
        assert (run.status, run.steps_done) == ("interrupted", 1)
        context = prepared(bench, ledger, text, resume_if_exists=True)
        assert context.target.run is not None
        assert context.target.run.id == run.id


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        (WORK, {"mode": "implment"}, UsageError),
        (WORK, {"from_step": "9"}, UsageError),
        (WORK, {"cwd": Path("nowhere")}, UsageError),
        (WORK, {"adapter": "nobody"}, UsageError),
        (WORK, {"deny_tools": ["shell([[:*)"]}, UsageError),
        (WORK, {"prologues": ["use ghp_" + "a1B2c3D4e5F6" * 3]}, UsageError),
        (f"CONTEXT @nothing.py\n{WORK}", {}, WorkflowError),
        (f"OUTPUT-FILE ../out.md\n{WORK}", {}, WorkflowError),
        (f"REQUIRE file:nothing\n{WORK}", {}, WorkflowError),
        (f"REQUIRE sandbox\n{WORK}", {"sandbox": "none"}, SandboxError),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_starts(
    text: str, options: dict[str, object], error: type[SdqctlError], bench: Bench
) -> None:
    with Setup().ledger() as ledger:
        with pytest.raises(error):
            prepared(bench, ledger, text, **options)
        assert not ledger.last_runs()


def test_an_option_goes_before_the_workflow_and_that_before_the_configuration(
    bench: Bench, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = bench.write("my.toml", 'model = "configured"\nstep_timeout = "5m"\n')
    monkeypatch.setenv("SDQCTL_CONFIG", str(config))
    with Setup().ledger() as ledger:
        assert prepared(bench, ledger).options.model == "configured"
        text = f"MODEL written\n{WORK}"
        assert prepared(bench, ledger, text).options.model == "written"
        options = prepared(bench, ledger, text, model="asked", idle_timeout=0.0).options
    assert options.model == "asked"
    assert (options.step_timeout, options.idle_timeout) == (300.0, 0.0)


def test_an_option_is_a_field_and_a_flag_of_one_name() -> None:
    flags = {param.name for param in run_command.params if isinstance(param, click.Option)}
    assert set(OPTIONS) - flags == COMPUTED


def test_a_setting_of_a_run_is_an_option_of_its_name() -> None:
    assert set(SETTINGS) - set(OPTIONS) == {
        "home",
        "env",
        "history_store",
        "on_event",
        "sandbox_run",
        "sandbox_write",
        "snapshot_files",
        "snapshot_bytes",
        "store",
    }


def test_what_is_of_one_command_is_not_kept_with_the_run() -> None:
    options = RunOptions(
        cycles=2, output_file=Path("/out.md"), adapter="mock", cwd=Path("/here"), wait=3.0
    )
    kept = json.loads(encode_options(options))
    of_one_command = {"adapter", "session_name", "resume_if_exists", "model", "cwd", "wait"}
    of_one_command |= {"from_step", "discard_changes", "worktree", "carry_changes"}
    of_one_command |= {"inputs", "max_rounds"}
    assert set(OPTIONS) - set(kept) == of_one_command
    assert decode_options(encode_options(options)) == RunOptions(
        cycles=2, output_file=Path("/out.md")
    )
    older = decode_options('{"cwd": "/there", "of_a_later_version": 1}')
    assert older == RunOptions(component=None), "nobody knows whether it was for one"


def test_going_back_needs_snapshots_and_a_setting_says_what_may_stand_there(bench: Bench) -> None:
    file = bench.write("w.conv", "SESSION-NAME s\nPROMPT a\n")
    done = sdqctl("run", file, "--on-interrupted", "rewind", "--no-snapshots")
    assert done.code == 2
    assert "needs snapshots" in done.err
    bench.write("user.toml", 'on_interrupted = "rewnd"\n')
    done = sdqctl("run", file, SDQCTL_CONFIG=str(bench.project / "user.toml"))
    assert done.code == 2
    assert "rewnd" in done.err


@pytest.mark.parametrize("options", [{"cycels": 2}, {"cycles": "two"}, {"session_mode": "frsh"}])
def test_an_option_that_is_none_is_an_error_that_names_it(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        options_of(options)


def test_an_empty_prompt_is_no_step() -> None:
    with pytest.raises(UsageError, match="the prompt is empty"):
        prompt_step(" \n")
