"""What is half done of a step that was cut off, and then edited or taken out of the file."""

from __future__ import annotations

import json
import signal

import pytest

from sdqctl.offspring import COMMAND as MARKED
from sdqctl.offspring import offspring
from tests.bench import Bench
from tests.command import Done, sdqctl
from tests.engine.test_rewind import acts, prompts, repository

__all__ = ["repository"]

HEAD = "SESSION-NAME s\nMODE implement\nPROMPT first [[tool: shell echo 0 >> acts]]\n"
TWO = "PROMPT second [[tool: shell echo 1 >> acts]] [[tool: shell echo 2 >> acts]]\n"
LAST = "PROMPT third\n"
EDITED = HEAD + TWO.replace("second", "changed") + LAST
KILLED = (-signal.SIGKILL, 137)
KILL = "read -r _ _ _ up _ < /proc/$PPID/stat; kill -9 $up $PPID; sleep 60"
COMMAND = (
    f'ALLOW-SHELL true\nRUN echo start >> acts; test -n "$GO" || {{ {KILL}; }}; echo end >> acts\n'
)
GONE = "is no longer in the workflow as it was"


def cut_off(bench: Bench, text: str = HEAD + TWO + LAST, point: str = "mock.tool.after:2") -> None:
    """A run that was killed after the first of its second prompt's two tools."""
    done = sdqctl("run", bench.write("work.conv", text), SDQCTL_CRASH_AT=point)
    assert done.code in KILLED, done.err


def cut_off_command(bench: Bench, text: str) -> None:
    """A run that its own command killed."""
    done = sdqctl("run", bench.write("work.conv", text), "--sandbox", "none")
    assert done.code in KILLED, done.err


def go_on(bench: Bench, text: str, policy: str, *flags: str, **environment: str) -> Done:
    """Go on with another text."""
    bench.write("work.conv", text)
    given = ("resume", "s", "--continue", "--on-interrupted", policy, *flags)
    return sdqctl(*given, **environment)


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("text", "new", "said"),
    [(EDITED, ["1", "2"], ["changed"]), (HEAD + LAST, [], [])],
)
def test_rewind_takes_back_what_has_no_place_any_more(
    text: str, new: list[str], said: list[str], repository: Bench
) -> None:
    cut_off(repository)
    done = go_on(repository, text, "rewind")
    assert done.code == 0, done.err
    assert "step 2 (second" in done.err
    assert acts(repository) == ["0", *new]
    assert prompts() == ["first", *said, "third"]


@pytest.mark.each(2)
@pytest.mark.each(2)
@pytest.mark.parametrize(
    "point", ["ledger.half-done.after:1", "mock.rewind:1", "ledger.plan.before:1"]
)
def test_a_kill_while_it_is_taken_back_is_made_good(point: str, repository: Bench) -> None:
    cut_off(repository)
    assert go_on(repository, EDITED, "rewind", SDQCTL_CRASH_AT=point).code in KILLED
    done = go_on(repository, EDITED, "rewind")
    assert done.code == 0, done.err
    assert acts(repository) == ["0", "1", "2"]
    assert prompts() == ["first", "changed", "third"]


def test_fail_stops_and_names_the_step(bench: Bench) -> None:
    cut_off(bench)
    for text in (EDITED, HEAD + LAST):
        done = go_on(bench, text, "fail")
        assert (done.code, done.out) == (4, "")
        assert "step 2 (second" in done.err
        assert f"was cut off after tools ran (bash), and {GONE}" in done.err
    assert acts(bench) == ["0", "1"]
    done = go_on(bench, HEAD + TWO + LAST, "continue")
    assert done.code == 0, done.err
    assert acts(bench) == ["0", "1", "2"]


@pytest.mark.each(2)
@pytest.mark.parametrize(("policy", "talk"), [("continue", ["second"]), ("resend", [])])
def test_others_go_on_and_say_what_stays(policy: str, talk: list[str], bench: Bench) -> None:
    cut_off(bench)
    done = go_on(bench, EDITED, policy)
    assert done.code == 0, done.err
    assert GONE in done.err
    assert acts(bench) == ["0", "1", "1", "2"]
    assert prompts() == ["first", *talk, "changed", "third"]


def test_resend_goes_on_where_the_prompt_cannot_be_taken_out(bench: Bench) -> None:
    cut_off(bench)
    assert sdqctl("resume", "s", "--prompt", "aside").code == 0
    done = go_on(bench, HEAD + LAST, "resend")
    assert done.code == 0, done.err
    assert "its prompt stays in the conversation" in done.err
    assert prompts() == ["first", "second", "aside", "third"]


@pytest.mark.each(2)
@pytest.mark.parametrize("point", ["mock.stored:2", "mock.answered:2"])
def test_nothing_is_said_of_a_step_that_is_not_half_done(point: str, bench: Bench) -> None:
    """No tool acted; or its answer is there, and only was not recorded."""
    cut_off(bench, HEAD + "PROMPT second\n" + LAST, point)
    done = go_on(bench, HEAD + LAST, "fail")
    assert done.code == 0, done.err
    assert GONE not in done.err


def test_a_command_that_was_cut_off_and_edited_ends_and_is_named(repository: Bench) -> None:
    cut_off_command(repository, HEAD + COMMAND + LAST)
    failed = go_on(repository, HEAD + LAST, "fail")
    assert (failed.code, failed.out) == (4, "")
    assert "step 2 (echo start" in failed.err
    assert f"whether it took effect is not known, and {GONE}" in failed.err
    [folder] = (repository.home / "sdqctl" / "commands").glob("*/*")
    assert offspring(str(folder), variable=MARKED) == []
    done = go_on(repository, HEAD + LAST, "continue")
    assert done.code == 0, done.err
    assert GONE in done.err
    assert acts(repository) == ["0", "start"]


def test_rewind_takes_back_a_command_that_has_no_place_any_more(repository: Bench) -> None:
    cut_off_command(repository, HEAD + COMMAND + LAST)
    done = go_on(repository, HEAD + LAST, "rewind")
    assert done.code == 0, done.err
    assert acts(repository) == ["0"]


def test_a_command_in_a_block_that_was_edited_is_not_run_again_unasked(bench: Bench) -> None:
    inside = "  PROMPT deploy [[tool: shell echo d >> acts]]\n  " + COMMAND.replace("\nR", "\n  R")
    text = f"INPUT k = a\n{HEAD}IF LINE\n{inside}END\n{LAST}"
    cut_off_command(bench, text.replace("LINE", 'k == "a"'))
    after = text.replace("LINE", 'k == "a" or k == "b"')
    assert go_on(bench, after, "continue").code == 4
    assert acts(bench) == ["0", "d", "start"]
    assert go_on(bench, after, "resend", GO="1").code == 0
    assert acts(bench) == ["0", "d", "start", "start", "end"]


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("policy", "code", "left"),
    [("continue", 0, ["0", "1"]), ("rewind", 0, ["0"]), ("fail", 4, ["0", "1"])],
)
def test_what_is_half_done_in_a_branch_that_is_not_gone_into_any_more_is_settled(
    policy: str, code: int, left: list[str], repository: Bench
) -> None:
    text = f"INPUT k = a\n{HEAD}IF LINE\n  {TWO}END\n{LAST}"
    cut_off(repository, text.replace("LINE", 'k == "a"'))
    done = go_on(repository, text.replace("LINE", 'k == "b"'), policy)
    assert done.code == code, done.err
    assert "step 2.then.1 (second" in done.err
    assert acts(repository) == left


def test_rewind_takes_back_what_was_cut_off_before_a_new_step_is_done(repository: Bench) -> None:
    """Else the changes of the new step would go back with it."""
    cut_off_command(repository, HEAD + COMMAND + LAST)
    new = "RUN cp acts other\n"
    done = go_on(repository, HEAD + new + COMMAND + LAST, "rewind", GO="1")
    assert done.code == 0, done.err
    assert (repository.project / "other").read_text() == "0\n"
    assert acts(repository) == ["0", "start", "end"]


def test_a_call_that_was_cut_off_within_is_named(bench: Bench) -> None:
    bench.write("part.conv", "MODE implement\n" + TWO)
    cut_off(bench, HEAD + "CALL part.conv\n" + LAST)
    for policy in ("fail", "rewind"):
        done = go_on(bench, HEAD + LAST, policy)
        assert (done.code, done.out) == (4, ""), done.err
        assert "was cut off in step 1 (second" in done.err
    done = go_on(bench, HEAD + LAST, "continue")
    assert done.code == 0, done.err
    assert GONE in done.err


def test_a_dry_run_names_what_is_half_done(bench: Bench) -> None:
    cut_off(bench)
    done = go_on(bench, EDITED, "continue", "--dry-run")
    assert done.code == 0
    assert "step 2 (second" in done.err
    assert json.loads(go_on(bench, EDITED, "continue", "--dry-run", "--format", "json").out)
    assert acts(bench) == ["0", "1"]
