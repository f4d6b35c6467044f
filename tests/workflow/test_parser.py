"""Text becomes a workflow, or is told all its mistakes at once; nothing else can happen."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdqctl.model.workflow import PromptStep, RunStep, Severity, Workflow
from sdqctl.workflow.directives import DIRECTIVES
from sdqctl.workflow.format import format_workflow
from sdqctl.workflow.parser import parse_workflow
from tests.command import sdqctl
from tests.conftest import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.conv"))


def parsed(text: str) -> Workflow:
    found = parse_workflow(text, "w.conv")
    assert found.workflow is not None, found.diagnostics
    return found.workflow


def errors(text: str) -> list[tuple[int, int, str]]:
    return [
        (d.span.line, d.span.column, d.message)
        for d in parse_workflow(text, "w.conv").diagnostics
        if d.severity is Severity.ERROR
    ]


def warnings(text: str) -> list[tuple[int, str]]:
    return [
        (d.span.line, d.message)
        for d in parse_workflow(text, "w.conv").diagnostics
        if d.severity is Severity.WARNING
    ]


def prompts(text: str) -> list[str]:
    return [step.text for step in parsed(text).steps if isinstance(step, PromptStep)]


VERBATIM = """\
# Heading of the prompt

| table | of |
| --- | --- |
| two | rows |

```sh
# a comment in a fence
RUN not-a-directive
PROMPT neither
```

- a list
  - indented
    1. deeper

## RUN it

    RUN indented code

Last line with trailing words.
"""


def test_a_prompt_keeps_headings_tables_fences_and_indents_character_for_character() -> None:
    assert prompts(f"PROMPT <<END\n{VERBATIM}END\n") == [VERBATIM.rstrip("\n")]
    body = VERBATIM.partition("\n")[2].lstrip("\n")
    assert prompts(f"PROMPT {body}RUN ls\n")[0] == body.rstrip("\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PROMPT one line\n", "one line"),
        ("PROMPT\n  below\n", "below"),
        ("PROMPT |\n  a\n    b\n\n  c\n\n\n", "a\n  b\n\nc"),
        ("PROMPT first\n  second\n  third\n", "first\nsecond\nthird"),
        ("PROMPT a\n## heading\nb\n", "a\n## heading\nb"),
        ("PROMPT a\n# stays, for text follows\nb\n", "a\n# stays, for text follows\nb"),
        ("PROMPT a\n# goes, for nothing follows\n\n# this too\nRUN ls\n", "a"),
        ("PROMPT a\r\n  b\r\n", "a\nb"),
        ("\ufeffPROMPT a\n", "a"),
        ("PROMPT <<X\n\tkept\n\nRUN text\nX\n", "\tkept\n\nRUN text"),
        ("PROMPT <<-X\n\t\ttabs go\n\tX\n", "tabs go"),
        ("PROMPT a\n~~~\nRUN text\n~~~\n", "a\n~~~\nRUN text\n~~~"),
        ("PROMPT a\n  RUN indented is text\n", "a\nRUN indented is text"),
        ("---\ntitle: front matter\n---\nPROMPT a\n", "a"),
        ("PROMPT Promptly\nPROMPTLY is text here\n", "Promptly\nPROMPTLY is text here"),
    ],
)
def test_bodies(text: str, expected: str) -> None:
    assert prompts(text)[0] == expected


@pytest.mark.parametrize(
    ("text", "line", "column", "told"),
    [
        ("PROMT x\n", 1, 1, "unknown directive PROMT"),
        ("hello\nPROMPT x\n", 1, 1, ""),
        ("MAX-CYCLES many\nPROMPT x\n", 1, 12, "MAX-CYCLES"),
        ("MAX-CYCLES 0\nPROMPT x\n", 1, 12, "MAX-CYCLES"),
        ("PROMPT\nRUN ls\n", 1, 1, "PROMPT"),
        ("PROMPT x\nRUN\n", 2, 1, "RUN"),
        ("RUN a | b\nPROMPT x\n", 1, 5, "ALLOW-SHELL"),
        ('RUN echo "open\n', 1, 1, ""),
        ("RUN-TIMEOUT soon\nPROMPT x\n", 1, 13, "duration"),
        ("CONTEXT-LIMIT 130%\nPROMPT x\n", 1, 15, "CONTEXT-LIMIT"),
        ("PROMPT <<END\nnever closed\n", 1, 1, ""),
        ("MODEL\nPROMPT x\n", 1, 1, "MODEL"),
        ("END\nPROMPT x\n", 1, 1, "END"),
        ("ON-FAILURE\nPROMPT x\nEND\n", 1, 1, "RUN"),
        ("OUTPUT-FORMAT pdf\nPROMPT x\n", 1, 15, "OUTPUT-FORMAT"),
        ("MODEL a\n", 1, 1, "no step"),
    ],
)
def test_a_mistake_is_reported_at_its_place(text: str, line: int, column: int, told: str) -> None:
    found = errors(text)
    assert found, "an error was expected"
    assert found[0][0] == line
    assert found[0][1] == column, found
    assert told in found[0][2]


def test_what_looks_wrong_but_can_run_is_a_warning() -> None:
    assert warnings("PROMPT a\n  RUN ls\n")[0][0] == 2
    assert warnings("PROMPT a\n```\nopen\n")
    assert warnings("MODE wriet\nPROMPT a\n")
    assert warnings("PROMPT {{NO_SUCH}}\n")
    assert warnings("PROMPT a\n") == []


TWELVE = """\
MODLE gpt-5
MAX-CYCLES many
RUN-TIMEOUT soon
CONTEXT-LIMIT 130%
OUTPUT-FORMAT pdf
SESSION-MODE forget
LSP python
RUN ls | wc
RUN-OUTPUT sometimes
VERIFY spelling
PROMPT good
RUN-ON-ERROR ignore
ON-SUCCESS
PROMPT without a RUN
END
"""


def test_twelve_mistakes_are_reported_in_one_go(home: Path, project: Path) -> None:
    (project / "twelve.conv").write_text(TWELVE)
    done = sdqctl("validate", "twelve.conv")
    assert done.code == 3
    places = [line.split(":")[1] for line in done.out.splitlines() if line.startswith("twelve")]
    assert places == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "13"]
    assert "12 errors" in done.err
    assert "did you mean MODEL?" in done.out
    found = sdqctl("validate", "twelve.conv", "--format", "json").json
    assert len(found) == 12
    assert {"file", "line", "column", "severity", "message", "hint", "input"} == set(found[0])


def test_validate_reports_all_files_and_strict_makes_warnings_errors(
    home: Path, project: Path
) -> None:
    (project / "a.conv").write_text("PROMPT x\n  RUN ls\n")
    (project / "b.conv").write_text("PROMPT x\n")
    assert sdqctl("validate", "a.conv", "b.conv").code == 0
    assert sdqctl("validate", "--strict", "a.conv", "b.conv").code == 3
    both = sdqctl("validate", "a.conv", "missing.conv", "b.conv")
    assert both.code == 2
    assert "a.conv:2:3: warning" in both.out
    assert "missing.conv" in both.out


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_workflow_written_back_as_text_means_the_same(path: Path) -> None:
    workflow = parsed(path.read_text())
    again = parsed(format_workflow(workflow))
    assert meaning(again) == meaning(workflow)
    assert format_workflow(again) == format_workflow(workflow)


def test_the_value_of_a_compact_is_written_back() -> None:
    text = "PROMPT a\nCOMPACT-PRESERVE x y, z\nCOMPACT one two, three\nCOMPACT\nCOMPACT four\n"
    workflow = parsed(text)
    assert meaning(parsed(format_workflow(workflow))) == meaning(workflow)


def meaning(workflow: Workflow) -> str:
    """Everything but places and layout."""
    import re

    text = repr(workflow)
    text = re.sub(r"Span\([^)]*\)", "Span", text)
    return re.sub(r"source='.*?', |source=\".*?\", ", "", text, flags=re.DOTALL)


names = st.sampled_from(sorted(DIRECTIVES))
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
lines = st.one_of(
    words,
    names,
    st.builds(lambda name, rest: f"{name} {rest}", names, words),
    st.sampled_from(
        ["```", "~~~", "PROMPT <<END", "END", "|", "---", "# comment", "  PROMPT x", ""]
    ),
)


@settings(deadline=None)
@given(st.lists(lines, max_size=25), st.sampled_from(["\n", "\r\n"]))
def test_any_text_is_parsed_or_reported_never_raised(texts: list[str], end: str) -> None:
    text = end.join(texts)
    found = parse_workflow(text, "w.conv")
    has_errors = any(d.severity is Severity.ERROR for d in found.diagnostics)
    assert (found.workflow is None) is has_errors
    count = len(text.splitlines()) + 1
    assert all(1 <= d.span.line <= count and d.span.column >= 1 for d in found.diagnostics)


@settings(deadline=None)
@given(st.sampled_from(EXAMPLES), st.data())
def test_a_mutated_example_is_parsed_or_reported_and_written_back_the_same(
    path: Path, data: st.DataObject
) -> None:
    text = path.read_text()
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 30))
        text = text[:at] + data.draw(words) + text[at + length :]
    found = parse_workflow(text, "w.conv")
    if found.workflow is not None:
        again = parse_workflow(format_workflow(found.workflow), "w.conv")
        assert again.workflow is not None, again.diagnostics
        assert meaning(again.workflow) == meaning(found.workflow)


def test_run_without_a_shell_is_split_as_a_shell_would() -> None:
    (step,) = parsed("RUN printf '%s' \"a  b\" c\\ d\n").steps
    assert isinstance(step, RunStep)
    assert step.argv == ("printf", "%s", "a  b", "c d")
