"""What jobs leave: a log that no answer can command, annotations, a summary, tests in XML."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from sdqctl.cli.ci.findings import Finding, findings_of
from sdqctl.cli.ci.junit import Case, junit_xml
from sdqctl.cli.ci.workflow_commands import command, disarmed
from tests.bench import Bench
from tests.command import Done, sdqctl

GITHUB = {"GITHUB_ACTIONS": "true"}
SECRET = "hunter2-hunter2"


def job(bench: Bench, text: str, *flags: str | Path, **environment: str) -> Done:
    """A workflow as a job on GitHub."""
    path = bench.write("work.conv", text)
    return sdqctl("run", path, "--session-name", "s", "--ci", *flags, **GITHUB, **environment)


def is_command(line: str) -> bool:
    """How the runner sees one (actions/runner, ActionCommand.cs)."""
    return line.lstrip().startswith("::") or "##[" in line


@pytest.mark.parametrize(
    "text",
    [
        "::error::x",
        "  \u2003::set-output name=a::b",
        "a\n::warning::x",
        "a\r::warning::x",
        "a\n\n\t::add-mask::a",
        "progress ##[add-mask]a",
        "::::x",
    ],
)
def test_no_line_of_a_text_is_a_command(text: str) -> None:
    lines = disarmed(text).replace("\r", "\n").split("\n")
    assert not any(map(is_command, lines))
    assert disarmed(disarmed(text)) == disarmed(text)


def test_what_is_no_command_stays_as_it_is() -> None:
    text = "std::vector and ## a heading\nsee http://a:b::c\n# [x]\n"
    assert disarmed(text) == text


def test_a_command_has_one_line_whatever_is_in_it() -> None:
    line = command("error", "100%\nof\r::it", file="a,b:c", line=3, title=None)
    assert line == "::error file=a%2Cb%3Ac,line=3::100%25%0Aof%0D::it"


def test_answers_and_errors_in_the_log_of_a_job_command_no_runner(bench: Bench) -> None:
    text = (
        "PROMPT ::group::mine [[reply: ::error::A ##[add-mask]B]]\n"
        "ALLOW-SHELL true\nMODE implement\nRUN echo '::stop-commands::x'; exit 1\n"
    )
    done = job(bench, text)
    assert done.code == 4
    commands = [
        line.split("::")[1].split()[0] for line in done.err.splitlines() if is_command(line)
    ]
    assert commands == ["group", "endgroup", "group", "endgroup", "error"]
    assert done.out == ": :error::A ## [add-mask]B\n"
    assert "::error title=sdqctl%3A failed::step 2: `echo '::stop-commands::x'" in done.err


def test_json_in_the_log_of_a_job_stays_the_same_json(bench: Bench) -> None:
    done = job(bench, "PROMPT a [[reply: ##[error]B]]\n", "--format", "json")
    assert "##[" not in done.out
    assert done.json["output"] == "##[error]B"


def test_secrets_are_masked_and_stand_in_no_report(bench: Bench) -> None:
    files = [bench.project / name for name in ("summary.md", "junit.xml")]
    flags = ("--summary", files[0], "--junit", files[1])
    done = job(bench, f"PROMPT a [[reply: it is {SECRET}]]\n", *flags, MY_TOKEN=SECRET)
    assert f"::add-mask::{SECRET}\n" in done.err
    assert done.out == "it is [redacted]\n"
    assert all("[redacted]" in file.read_text() for file in files)
    assert not any(SECRET in file.read_text() for file in files)


def test_findings_become_annotations_and_rows_of_the_summary(bench: Bench) -> None:
    summary = bench.project / "summary.md"
    summary.write_text("before\n")
    found = [
        {"file": "src/a.py", "line": 3, "severity": "high", "message": "a, b: c\n::error::d"},
        {"path": "./b.py", "line": "7", "level": "note", "title": "T|U", "end_line": 9},
        {"file": "c.py"},
        "nothing",
    ]
    text = f"PROMPT a [[json: {json.dumps(found)}]]\n"
    done = job(bench, text, GITHUB_STEP_SUMMARY=str(summary))
    lines = [line for line in done.err.splitlines() if "file=" in line]
    assert lines == [
        "::error file=src/a.py,line=3::a, b: c%0A::error::d",
        "::notice file=b.py,line=7,endLine=9,title=T|U::T|U",
    ]
    told = summary.read_text()
    assert told.startswith("before\n## ✅ work: completed\n")
    assert "| b.py:7 | notice | T\\|U |" in told


def test_what_a_run_returns_is_annotated_and_named_from_its_folder(bench: Bench) -> None:
    text = f"RETURN {[{'file': str(bench.project / 'a.py'), 'line': 1, 'message': 'm'}]}\n"
    assert "::warning file=a.py,line=1::m\n" in job(bench, text).err
    path = bench.project / "work.conv"
    plain = sdqctl("run", path, "--session-name", "t", "--ci")
    assert "a.py:1: warning: m\n" in plain.err


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('[{"file": "a", "line": 1}]', 1),
        ('Here:\n```json\n[{"file": "a", "line": 1}]\n```\nThat is all.', 1),
        ('```\n[]\n```\n\n~~~json\n{"findings": [{"file": "a", "line": 2}]}\n~~~\n', 1),
        ('[{"file": "a", "line": 0}, {"file": "", "line": 1}, {"file": "a", "line": true}]', 0),
        ("[[[[", 0),
        ("\ud800", 0),
        ("no findings", 0),
    ],
)
def test_findings_are_found_in_answers(text: str, count: int) -> None:
    assert len(findings_of(text, text, Path("/x"))) == count


def test_the_severity_of_a_finding_is_what_its_words_say() -> None:
    value = [{"file": "a", "line": 1, "severity": word} for word in ("CRITICAL", "odd", "low")]
    assert [one.severity for one in findings_of(value, "", Path())] == [
        "error",
        "warning",
        "notice",
    ]
    assert findings_of(value, "", Path())[0] == Finding("a", 1, "error", json_of(value[0]))


def json_of(value: object) -> str:
    """As a finding without words is shown."""
    return json.dumps(value, separators=(",", ":"))


def test_steps_are_tests_in_xml_whatever_their_answers_hold(bench: Bench) -> None:
    file = bench.project / "out" / "junit.xml"
    text = (
        "MODE implement\nALLOW-SHELL true\n"
        "PROMPT a <&\"' ]]> \x01 [[reply: </system-out>\x07\x1b ]]>\ufffe]]\n"
        "RUN echo '<b>'; exit 3\nPROMPT never\n"
    )
    assert job(bench, text, "--junit", file).code == 4
    (suite,) = ET.parse(file).getroot()
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert (suite.get("name"), counts) == ("work", ["3", "1", "0", "1"])
    first, second, third = suite
    assert [each.tag for each in first] == ["system-out"]
    assert "</system-out>" in (first.findtext("system-out") or "")
    failure = second.find("failure")
    assert failure is not None
    assert failure.get("message") == "exit status 3"
    assert [each.tag for each in third] == ["skipped"]


def test_a_run_that_cannot_begin_is_reported_too(bench: Bench) -> None:
    junit, summary = bench.project / "j.xml", bench.project / "s.md"
    done = job(bench, "PROMTP a\n", "--junit", junit, "--summary", summary)
    assert done.code == 3
    (case,) = ET.parse(junit).getroot()[0]
    assert [each.tag for each in case] == ["error"]
    assert "did you mean PROMPT" in summary.read_text()


def test_a_report_that_cannot_be_written_fails_a_run_that_did_not(bench: Bench) -> None:
    (bench.project / "file").write_text("")
    done = job(bench, "PROMPT a [[reply: A]]\n", "--junit", bench.project / "file" / "j.xml")
    assert (done.code, "cannot be written" in done.err) == (9, True)


def test_prompts_and_several_workflows_are_reported_as_well(bench: Bench) -> None:
    junit = bench.project / "j.xml"
    flags = ("--ci", "--junit", junit)
    assert sdqctl("run", "-p", "a [[reply: A]]", *flags).code == 0
    assert ET.parse(junit).getroot()[0].get("name") == "prompt"
    one = bench.write("one.conv", "PROMPT a [[reply: A]]\n")
    two = bench.write("two.conv", "PROMPT a [[fail: request]]\n")
    summary = bench.project / "s.md"
    done = sdqctl("run", one, two, "--keep-going", *flags, "--summary", summary, **GITHUB)
    assert done.code == 4
    names = [case.get("name") for case in ET.parse(junit).getroot()[0]]
    assert names == [str(one), str(two)]
    assert "1 completed, 1 failed" in summary.read_text()
    assert f"::error title=sdqctl%3A failed::{two}: " in done.err


def test_components_are_tests_and_those_done_before_have_passed(bench: Bench) -> None:
    for name in "ab":
        bench.write(f"{name}.txt", "")
    path = bench.write("each.conv", "PROMPT {{COMPONENT_NAME}} [[fail: request x1]]\n")
    junit = bench.project / "j.xml"
    line: list[str | Path] = [
        "apply",
        path,
        "--components",
        "*.txt",
        "--ci",
        "--junit",
        junit,
        "--retry-for",
        "0",
    ]
    sdqctl(*line, "--only", "a.txt")
    sdqctl(*line, "--only", "a.txt")
    sdqctl(*line)
    (suite,) = ET.parse(junit).getroot()
    states = {case.get("name"): [each.tag for each in case] for case in suite}
    assert states["a.txt"] == []
    assert states["b.txt"] == ["failure"]


def test_a_document_of_odd_cases_is_well_formed() -> None:
    cases = [Case("\ud800\x00", state, 0.5, "\x08<", "&") for state in ("passed", "error")]
    (suite,) = ET.fromstring(junit_xml("a\nb", cases))
    assert suite.get("errors") == "1"
