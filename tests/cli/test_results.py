"""What scripts read: JSON of runs and lists, the order in one pipe, names that are whole."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import date

import pytest

from tests.bench import Bench
from tests.command import SDQCTL, TIMEOUT, sdqctl
from tests.conftest import ROOT
from tests.terminal import Terminal

TWO = "SESSION-NAME s\nPROMPT one [[reply: first answer]]\nPROMPT two [[reply: second answer]]\n"


def test_steps_have_their_responses(bench: Bench) -> None:
    path = bench.write("a.conv", "SESSION-NAME s\nPROMPT one [[reply: the answer]]\nRUN echo hi\n")
    done = sdqctl("run", path, "--format", "json")
    responses = [step["response"] for step in done.json["run"]["steps"]]
    assert responses[0] == "the answer"
    assert "hi" in responses[1]
    [run] = sdqctl("sessions", "show", "s", "--format", "json").json["runs"]
    assert [step["response"] for step in run["steps"]] == responses


def test_the_last_line_of_jsonl_is_the_result(bench: Bench) -> None:
    told = bench.run(TWO)
    assert [event["type"] for event in told.events[-2:]] == ["run.finished", "result"]
    assert told.events[-1]["output"] == "first answer\n\nsecond answer"
    assert all("type" in json.loads(line) for line in told.done.out.splitlines())
    failed = bench.run("SESSION-NAME t\nPROMPT one [[fail: request]]\n")
    assert failed.events[-1]["type"] == "result"
    assert failed.events[-1]["status"] == "failed"


def test_a_kept_session_is_marked(bench: Bench) -> None:
    bench.run(TWO)
    bench.run(TWO.replace("NAME s", "NAME t"))
    assert sdqctl("sessions", "keep", "s").code == 0

    def marked() -> dict[str, bool]:
        found = sdqctl("sessions", "list", "--format", "json").json
        return {entry["name"]: entry["kept"] for entry in found}

    assert marked() == {"s": True, "t": False}
    lines = sdqctl("sessions", "list", "--format", "tsv").out.splitlines()
    assert {line.split("\t")[0]: line.split("\t")[9] for line in lines} == {"s": "kept", "t": ""}
    with Terminal(["sessions", "list"]) as terminal:
        assert terminal.wait_for_end() == 0
        assert "completed, kept" in terminal.text
    assert "\nkept:       yes: cleanup leaves it alone\n" in sdqctl("sessions", "show", "s").out
    assert sdqctl("sessions", "show", "s", "--format", "json").json["kept"] is True
    assert "kept:" not in sdqctl("sessions", "show", "t").out
    assert sdqctl("sessions", "keep", "s", "--off").code == 0
    assert marked() == {"s": False, "t": False}


def test_a_given_session_name_may_have_variables(bench: Bench) -> None:
    path = bench.write("a.conv", "PROMPT in {{SESSION_NAME}}\n")
    done = sdqctl("run", path, "--session-name", "daily-{{DATE}}", "--format", "json")
    assert done.json["session"]["name"] == f"daily-{date.today():%Y-%m-%d}"
    shown = sdqctl("render", path, "--session-name", "daily-{{DATE}}").out
    assert f"in daily-{date.today():%Y-%m-%d}" in shown
    refused = sdqctl("run", path, "--session-name", "{{CWD}}" * 40)
    assert refused.code == 2, "the name is checked as it will be"


def test_in_one_pipe_an_answer_stands_before_the_end_of_its_step(bench: Bench) -> None:
    path = bench.write("a.conv", TWO)
    done = subprocess.run(
        [*SDQCTL, "run", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        env=dict(os.environ),
        check=True,
    )
    wanted = ["[1/2] prompt", "first answer", "[1/2] done", "[2/2] prompt", "second answer"]
    places = [done.stdout.index(text) for text in [*wanted, "[2/2] done", "run completed"]]
    assert places == sorted(places), done.stdout


@pytest.mark.parametrize("argument", ["audi", "AUDIT", "audit-"])
def test_a_prefix_deletes_nothing(argument: str, bench: Bench) -> None:
    bench.run("SESSION-NAME audit-main\nPROMPT hello\n")
    done = sdqctl("sessions", "delete", argument, "--force")
    assert done.code == 7
    assert "the whole name is wanted here: audit-main" in done.err
    assert sdqctl("sessions", "show", argument).code == 0, "a prefix is enough to look"
    assert sdqctl("sessions", "delete", "Audit-Main", "--force").code == 0


def findings(bench: Bench, text: str) -> list[tuple[int, str]]:
    done = sdqctl("validate", bench.write("v.conv", text), "--format", "json")
    return [(entry["line"], entry["message"]) for entry in done.json]


def test_a_setting_after_the_check_that_it_was_meant_for_is_warned_about(bench: Bench) -> None:
    late = "PROMPT x\nCHECK-REFS\nVERIFY-ON-ERROR continue\nCHECK-LINKS\n"
    [(line, message)] = findings(bench, late)
    assert (line, message) == (
        3,
        "VERIFY-ON-ERROR holds for the checks after it, not for CHECK-REFS in line 2",
    )
    assert findings(bench, "PROMPT x\nVERIFY-ON-ERROR continue\nCHECK-REFS\nCHECK-LINKS\n") == []
    both = "PROMPT x\nVERIFY-ON-ERROR stop\nCHECK-REFS\nVERIFY-ON-ERROR continue\nCHECK-LINKS\n"
    assert findings(bench, both) == [], "it was said for each"
    none = findings(bench, "PROMPT x\nCHECK-REFS\nVERIFY-ON-ERROR continue\n")
    assert [text for _, text in none] == [
        "VERIFY-ON-ERROR holds for the VERIFY steps after it: there are none"
    ]


def test_no_example_has_a_setting_after_its_check(bench: Bench) -> None:
    examples = sorted((ROOT / "examples").glob("*.conv"))
    told = {path.name: findings(bench, path.read_text()) for path in examples}
    late = {name for name, found in told.items() if any("holds for" in text for _, text in found)}
    assert told
    assert late == set()


def test_the_nightly_example_reports_what_is_broken(bench: Bench) -> None:
    bench.write("page.md", "see @missing.md and [this](nowhere.md)\n")
    example = (ROOT / "examples" / "nightly-check.conv").read_text()
    done = sdqctl("run", bench.write("nightly.conv", example))
    assert done.code == 0, done.err
    assert (bench.project / "reports" / "nightly.json").exists()
