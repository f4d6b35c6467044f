"""What a run decides is recorded, and decides how it goes on; values stay values."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from sdqctl.model.run import StepStatus
from sdqctl.store.ledger import Ledger
from sdqctl.workflow.format import format_workflow
from sdqctl.workflow.parser import parse_workflow
from sdqctl.workflow.plan import build_plan
from tests.bench import Bench, Told
from tests.command import sdqctl

KILLED = (-9, 137)
HOSTILE = [
    "plain",
    "two words",
    "",
    " ",
    "{{DATE}}",
    "{{ xs }}",
    "{% for x in xs %}",
    "$(touch hit)",
    "`touch hit`",
    "; touch hit",
    "| touch hit",
    "&& touch hit",
    "> hit",
    "$HOME ${HOME} $1",
    "it's",
    'say "hi"',
    "'; touch hit; '",
    '"; touch hit; "',
    "\\",
    "\\\\n",
    "a\nRUN touch hit\nb",
    "PROMPT hello",
    "END",
    "-rf *",
    "~ ? [a-z] *.py",
    "#comment",
    "ünïcode ✓ 日本",
    "@/etc/passwd",
    "!history ^a^b",
    "\t\t",
]
"""Values that a shell, a template or the parser would take for more than text."""


def paths(told: Told) -> list[str]:
    return [event["path"] for event in told.of("step.finished")]


def fake(bench: Bench) -> None:
    """A program that notes its arguments, each ended by a NUL."""
    file = bench.write("fake", '#!/bin/sh\nfor a in "$@"; do printf "%s\\0" "$a" >> noted; done\n')
    file.chmod(0o700)


def noted(bench: Bench) -> list[str]:
    return (bench.project / "noted").read_bytes().decode().split("\0")[:-1]


def with_values(bench: Bench) -> list[str]:
    bench.write("values.json", json.dumps({"xs": HOSTILE}))
    return ["--inputs", str(bench.project / "values.json")]


@pytest.mark.thorough
def test_a_value_is_one_argument_of_a_command_whatever_it_holds(bench: Bench) -> None:
    fake(bench)
    text = "MODE implement\nINPUT xs json\nFOR x IN xs\nRUN ./fake {{x}} 'a {{ x }}' b{{x}}\nEND\n"
    told = bench.run(text, *with_values(bench))
    assert told.done.code == 0, told.done.err
    assert noted(bench) == [text for x in HOSTILE for text in (x, f"a {x}", f"b{x}")]
    assert not (bench.project / "hit").exists()


def test_a_value_is_one_word_of_a_shell_whatever_it_holds(bench: Bench) -> None:
    fake(bench)
    text = (
        "MODE implement\nALLOW-SHELL\nINPUT xs json\nFOR x IN xs\n"
        "RUN ./fake {{x}} \"a {{ x }}\" 'b{{x}}' $(./fake {{x}} | cat)\nEND\n"
    )
    told = bench.run(text, *with_values(bench))
    assert told.done.code == 0, told.done.err
    assert noted(bench) == [text for x in HOSTILE for text in (x, x, f"a {x}", f"b{x}")]
    assert not (bench.project / "hit").exists()


def test_an_answer_brings_in_no_variable_and_no_step(bench: Bench) -> None:
    answers = json.dumps([{"match": "ask", "orders": f"[[json: {json.dumps(HOSTILE)}]]"}])
    script = bench.write("script.json", answers)
    text = "PROMPT ask\nCAPTURE xs AS json\nFOR x IN xs\nPROMPT <<E\n<{{x}}>\nE\nEND\n"
    told = bench.run(text, SDQCTL_MOCK_SCRIPT=str(script))
    assert told.done.code == 0, told.done.err
    assert told.prompts[1:] == [f"<{x}>" for x in HOSTILE]


MIND = """\
PROMPT ask
CAPTURE go AS choice(yes|no)
IF go == "yes"
  PROMPT left
ELSE
  PROMPT right
END
"""


@pytest.mark.parametrize("point", ["ledger.finish.after:1", "ledger.finish.after:2"])
def test_a_model_that_changes_its_mind_is_not_asked_again(point: str, bench: Bench) -> None:
    for word in ("yes", "no"):
        rules = [{"match": "ask", "orders": f"[[reply: {word}]]"}]
        bench.write(f"{word}.json", json.dumps(rules))
    said = str(bench.project / "yes.json")
    killed = bench.run(MIND, SDQCTL_MOCK_SCRIPT=said, SDQCTL_CRASH_AT=point)
    assert killed.done.code in KILLED
    told = bench.go_on(SDQCTL_MOCK_SCRIPT=str(bench.project / "no.json"))
    assert (told.done.code, told.prompts) == (0, ["left"])


def test_blocks_nest_eight_deep(bench: Bench) -> None:
    lines = ["INPUT n int = 1"]
    for depth in range(8):
        block = ("IF n == 1", "REPEAT MAX 1 UNTIL n == 1", "FOR x IN [n]")[depth % 3]
        lines.append(f"{'  ' * depth}{block.replace(' x ', f' x{depth} ')}")
    lines.append(f"{'  ' * 8}PROMPT deep {{{{n}}}}")
    lines += [f"{'  ' * depth}END" for depth in reversed(range(8))]
    told = bench.run("\n".join(lines) + "\n")
    assert told.prompts == ["deep 1"], told.done.err
    assert paths(told)[8] == "1.then.1[1].1[1].1.then.1[1].1[1].1.then.1[1].1"


LOOP = """\
INPUT xs json = [1, 2, 3]
FOR x IN xs
  PROMPT a{{x}}
  HERE
END
PROMPT end
"""


def test_of_a_loop_that_was_killed_no_more_is_done_than_there_is(bench: Bench) -> None:
    """How far it unfolds stands at no place before it has."""
    killed = bench.run("REPEAT MAX 9\n  CHECKPOINT\nEND\n", SDQCTL_CRASH_AT="ledger.finish.after:6")
    assert killed.done.code in KILLED
    run = sdqctl("sessions", "list", "--format", "json").json[0]["run"]
    assert (run["steps_done"], run["steps_total"]) == (6, 7)


def test_an_edit_in_a_loop_leaves_what_is_done_in_each_round(bench: Bench) -> None:
    assert bench.run(LOOP.replace("HERE", "FAIL")).done.code == 4
    bench.write("work.conv", LOOP.replace("HERE", "PROMPT b{{x}}"))
    shown = sdqctl("resume", "s", "--continue", "--dry-run", "--format", "json").json["steps"]
    assert [(one["path"], one["state"]) for one in shown] == [
        ("1", "done"),
        ("1[1].1", "done"),
        ("1[1].2", "changed"),
        ("2", "to run"),
    ]
    assert bench.go_on().prompts == ["b1", "a2", "b2", "a3", "b3", "end"]


def test_from_takes_a_path_in_a_round(bench: Bench) -> None:
    text = LOOP.replace("HERE", "PROMPT b{{x}}")
    assert bench.run(text).done.code == 0
    told = bench.go_on("--from", "1[3].2")
    assert told.prompts == ["b3", "end"], told.done.err
    refused = bench.go_on("--from", "1[3].2.then.1")
    assert refused.done.code == 2


def test_from_needs_the_decisions_before_it(bench: Bench) -> None:
    text = 'PROMPT a\nFAIL "here"\nIF true\nPROMPT b\nEND\n'
    assert bench.run(text).done.code == 4
    refused = bench.go_on("--from", "3.then.1")
    assert refused.done.code == 2
    assert "step 3 has not decided anything yet" in refused.done.err


def test_what_blocks_unfold_to_is_bounded(bench: Bench) -> None:
    text = "REPEAT MAX 5\nCHECKPOINT\nEND\nPROMPT end\n"
    told = bench.run(text, "--max-steps", "3")
    assert told.done.code == 4
    assert "more than 3 steps (--max-steps)" in told.done.err
    assert bench.go_on("--max-steps", "5").prompts == ["end"]


GATE = 'ASK go "Which?" choice(left|right) = right AFTER 1h\nPROMPT {{go}}\n'


def test_a_gate_stands_in_json_until_it_is_answered(bench: Bench) -> None:
    assert bench.run(GATE).done.code == 8
    (run,) = sdqctl("sessions", "show", "s", "--format", "json").json["runs"]
    gate = run["gate"]
    assert (gate["name"], gate["question"], gate["choices"]) == ("go", "Which?", ["left", "right"])
    assert (gate["default"], gate["until"] > run["started_at"]) == ("right", True)
    assert bench.go_on().done.code == 8
    assert bench.go_on("--answer", "up").done.code == 2
    assert bench.go_on("--answer", "left").prompts == ["left"]
    (run,) = sdqctl("sessions", "show", "s", "--format", "json").json["runs"]
    assert run["gate"] is None


def test_a_default_is_the_answer_once_its_time_has_come(bench: Bench) -> None:
    assert bench.run(GATE).done.code == 8
    with sqlite3.connect(bench.home / "sdqctl" / "ledger.db") as ledger:
        ledger.execute("UPDATE attempts SET started_at = '2020-01-01T00:00:00+00:00'")
    ledger.close()
    assert bench.go_on().prompts == ["right"]


def test_a_gate_that_is_answered_twice_counts_once(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        run = ledger.start_run(
            adapter="mock",
            session_id="s",
            session_name="s",
            workflow="w",
            workflow_path="/w.conv",
            workflow_text="",
            steps_total=1,
            options="{}",
            cwd=None,
            model=None,
        )
        ledger.begin_step(
            run.id, path="1", cycle=1, kind="ask", title="t", digest="d", session_id="s"
        )
        assert ledger.answer_step(run.id, "1", "left", None)
        assert not ledger.answer_step(run.id, "1", "right", None)
        ledger.finish_step(run.id, "1", StepStatus.DONE, value='"left"')
        assert not ledger.answer_step(run.id, "1", "right", None)


def test_an_answer_that_did_not_fit_is_asked_for_again_by_a_resume(bench: Bench) -> None:
    text = "CAPTURE-RETRIES 0\nPROMPT ask [[reply: no x1]] [[reply: 7]]\nCAPTURE n AS int\n"
    assert bench.run(text).done.code == 4
    told = bench.go_on()
    assert told.done.code == 0, told.done.err
    assert told.prompts[0].startswith("Your answer cannot be used: 'no' is not a whole number")


def test_inputs_are_kept_with_the_run(bench: Bench) -> None:
    text = 'INPUT who\nPROMPT a {{who}}\nPAUSE "look"\nPROMPT b {{who}}\n'
    assert bench.run(text, "--set", "who=ada").done.code == 8
    refused = bench.go_on("--set", "who=eve")
    assert refused.done.code == 2
    assert "the run was begun with another value" in refused.done.err
    assert bench.go_on().prompts == ["b ada"]


def test_missing_inputs_are_named_all_at_once(bench: Bench) -> None:
    told = bench.run('INPUT a int "how many"\nINPUT b choice(x|y)\nPROMPT {{a}}\n')
    assert told.done.code == 2
    assert "values are missing: a (int): how many; b (choice(x|y))" in told.done.err
    assert not (bench.home / "sdqctl" / "mock").exists()


def test_a_secret_in_a_value_is_in_no_file(bench: Bench) -> None:
    token = "ghp_" + "b" * 36
    text = f"RUN echo {token[:10]}{token[10:]}\nCAPTURE out\nRETURN out.stdout\n"
    bench.run(text)
    for path in (bench.home / "sdqctl").glob("ledger.db*"):
        assert token.encode() not in path.read_bytes()


def test_the_first_prompt_that_runs_has_the_prologue(bench: Bench) -> None:
    text = (
        "PROLOGUE before\nEPILOGUE after\nINPUT n int = 2\nIF n == 1\nPROMPT one\nEND\n"
        "REPEAT MAX 2\nPROMPT two\nEND\nPROMPT three\n"
    )
    assert bench.run(text).prompts == ["before\n\ntwo", "two", "three\n\nafter"]


@pytest.mark.parametrize("number", ["1e999", "NaN"])
def test_an_answer_with_a_number_that_there_is_not_is_asked_for_again(
    number: str, bench: Bench
) -> None:
    schema = '{"type": "object", "properties": {"n": {"type": "number"}}}'
    answer = f'See {{"n": {number}, "rest": [1]}}.'
    told = bench.run(f"PROMPT [[reply: {answer}]]\nCAPTURE v AS json SCHEMA {schema}\nRETURN v\n")
    assert (told.done.code, len(told.prompts)) == (4, 3)


def test_a_warning_says_what_of_a_schema_an_answer_does_not_fit(bench: Bench) -> None:
    schema = '{"properties": {"n": {"type": "number"}}}'
    told = bench.run(f'PROMPT [[reply: {{"n": "x"}}]]\nCAPTURE v AS json SCHEMA {schema}\n')
    warnings = [event["message"] for event in told.of("warning")]
    assert "schema: - n: 'x' is not of type 'number'); asked again" in warnings[0]


def test_an_output_with_a_number_that_there_is_not_is_no_value(bench: Bench) -> None:
    told = bench.run("MODE implement\nRUN echo '{\"n\": 1e999}'\nCAPTURE v AS json\n")
    assert told.done.code == 4
    assert "'1e999' is too large" in told.done.err


def test_an_input_with_a_number_that_there_is_not_is_refused(bench: Bench) -> None:
    workflow = "INPUT x json\nPROMPT {{x}}\n"
    inputs = bench.write("inputs.toml", "x = {n = inf}\n")
    typed = bench.run(workflow, "--set", "x=1e999").done
    read = bench.run(workflow, "--inputs", str(inputs)).done
    assert (typed.code, read.code) == (2, 2)
    assert "'1e999' is too large" in typed.err
    assert "Infinity is no number of JSON" in read.err


def test_a_prompt_has_the_outputs_since_the_last_one(bench: Bench) -> None:
    text = (
        "INPUT n int = 1\nRUN echo a\nIF n == 1\nRUN echo b\nEND\nPROMPT one\n"
        "REPEAT MAX 2\nPROMPT two\nRUN echo c\nEND\nPROMPT three\n"
    )
    shown = [
        "$ echo a\na\n\n$ echo b\nb\n\none",
        "two",
        "$ echo c\nc\n\ntwo",
        "$ echo c\nc\n\nthree",
    ]
    assert bench.run(text).prompts == shown


def test_a_workflow_of_values_is_written_back_as_it_was() -> None:
    text = (
        'INPUT n choice(a|b) = "a" "say \\"it\\""\n'
        'PROMPT x\nCAPTURE y AS json SCHEMA {"type": "array"}\n'
        "IF y | length > 1\n  FOR z IN y MAX 3\n    RUN echo {{ z | upper }}\n"
        "    CAPTURE out\n  END\n"
        'ELSE IF n == "a"\n  STOP "why"\nELSE\n'
        '  REPEAT MAX 4 UNTIL n == "b"\n    PROMPT w\n  END\nEND\n'
        'ASK go "Sure?" choice(yes|no) = no AFTER 90s\nFAIL "no"\nRETURN y\n'
    )
    once = parse_workflow(text, "w.conv").workflow
    assert once is not None
    again = parse_workflow(format_workflow(once), "w.conv").workflow
    assert again is not None
    digests = [[step.digest for step in build_plan(one).every_step()] for one in (once, again)]
    assert digests[0] == digests[1]
    assert [one.default for one in again.inputs] == ["a"]
    assert [one.doc for one in again.inputs] == ['say "it"']
