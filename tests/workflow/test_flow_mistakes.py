"""Every mistake about values and flow has its place, says what is wrong, and what was meant."""

from __future__ import annotations

import pytest

from sdqctl.model.workflow import Severity
from sdqctl.workflow.parser import parse_workflow

HEAD = "INPUT given json = [1]\nPROMPT ask\nCAPTURE answer AS json\n"
"""Three lines that have two values."""

MISTAKES: list[tuple[str, str, str]] = [
    # INPUT
    ("INPUT\nPROMPT a\n", "1:1", "the value is missing: write INPUT NAME"),
    (
        "INPUT Name text\nPROMPT a\n",
        "1:7",
        "'Name' is not a name: lower case, digits and _; write name",
    ),
    ("INPUT 2x\nPROMPT a\n", "1:7", "'2x' is not a name"),
    ("INPUT a-b text\nPROMPT a\n", "1:7", "write a_b"),
    ("INPUT is text\nPROMPT a\n", "1:7", "'is' means something in expressions"),
    ("INPUT raw\nPROMPT a\n", "1:7", "'raw' means something in expressions"),
    ("INPUT x string\nPROMPT a\n", "1:7", "'string' is not one of"),
    ("INPUT x nummber\nPROMPT a\n", "1:7", "did you mean number?"),
    ("INPUT x lines\nPROMPT a\n", "1:7", "'lines' is not one of"),
    ("INPUT x choice(a)\nPROMPT a\n", "1:7", "a choice has two words or more"),
    ("INPUT x choice(a|a)\nPROMPT a\n", "1:7", "'a' stands twice in the choice"),
    ("INPUT x text =\nPROMPT a\n", "1:7", "a default is missing after ="),
    ("INPUT x int = many\nPROMPT a\n", "1:15", "INPUT x: 'many' is not a whole number"),
    ("INPUT x bool = maybe\nPROMPT a\n", "1:16", "'maybe' is not true or false"),
    ("INPUT x choice(a|b) = c\nPROMPT a\n", "1:23", "'c' is not one of a, b"),
    ("INPUT x json = {\nPROMPT a\n", "1:16", "INPUT x: it is not JSON"),
    ("INPUT x\nINPUT x\nPROMPT a\n", "2:7", "INPUT x stands in line 1, too"),
    # CAPTURE
    ("PROMPT a\nCAPTURE x AS json\nCAPTURE\n", "3:1", "the value is missing: write CAPTURE NAME"),
    ("CAPTURE x AS json\nPROMPT a\n", "1:9", "there is no PROMPT or RUN right before it"),
    ("PAUSE\nCAPTURE x AS json\n", "2:9", "there is no PROMPT or RUN right before it"),
    ("RUN-ASYNC sleep 1\nCAPTURE x AS text\nPROMPT a\n", "2:9", "there is no PROMPT or RUN"),
    ("PROMPT a\nCAPTURE x AS json\nCAPTURE y AS json\n", "3:9", "is captured as x already"),
    ("PROMPT a\nCAPTURE x AS file\n", "2:9", "'file' is not one of"),
    ("PROMPT a\nCAPTURE x AS jsn\n", "2:9", "did you mean json?"),
    (f"{HEAD}PROMPT b\nCAPTURE x AS\n", "5:9", "write CAPTURE NAME [AS TYPE]"),
    (f"{HEAD}PROMPT b\nCAPTURE x json\n", "5:9", "write CAPTURE NAME [AS TYPE]"),
    (f"{HEAD}PROMPT b\nCAPTURE X\n", "5:9", "'X' is not a name"),
    (f"{HEAD}PROMPT b\nCAPTURE given\n", "5:9", "given is an input, or what a loop goes over"),
    (f"{HEAD}PROMPT b\nCAPTURE x SCHEMA s.json\n", "5:9", "SCHEMA s.json: it is @FILE or {...}"),
    (f"{HEAD}PROMPT b\nCAPTURE x SCHEMA @no.json\n", "5:18", "there is no file @no.json"),
    (f"{HEAD}PROMPT b\nCAPTURE x SCHEMA {{\n", "5:18", "the schema is not JSON"),
    (f'{HEAD}PROMPT b\nCAPTURE x SCHEMA {{"type": "objct"}}\n', "5:18", "the schema is none"),
    (f'{HEAD}PROMPT b\nCAPTURE x SCHEMA {{"$ref": "#/no"}}\n', "5:18", "leads nowhere"),
    (f"{HEAD}ELIDE\nPROMPT b\n", "3:9", "CAPTURE belongs after the last one"),
    ("CAPTURE-RETRIES many\nPROMPT a\n", "1:17", "'many' is not a whole number"),
    ("CAPTURE-RETRIES 99\nPROMPT a\n", "1:17", "99 is not between 0 and 20"),
    # expressions
    (f"{HEAD}IF\nSTOP\nEND\n", "4:1", "the value is missing: write IF EXPRESSION"),
    (f"{HEAD}IF answer ==\nSTOP\nEND\n", "4:13", "something is missing at the end"),
    (f"{HEAD}IF answer = 1\nSTOP\nEND\n", "4:11", "`=` compares nothing; write =="),
    (f"{HEAD}IF answer && given\nSTOP\nEND\n", "4:11", "write `and`"),
    (f"{HEAD}IF !answer\nSTOP\nEND\n", "4:4", "write `not`"),
    (f"{HEAD}IF answr\nSTOP\nEND\n", "4:4", "there is no value answr; did you mean answer?"),
    (f"{HEAD}IF null\nSTOP\nEND\n", "4:4", "there is no null; write none"),
    (
        f"{HEAD}IF answer | lenght\nSTOP\nEND\n",
        "4:13",
        "there is no filter lenght; did you mean length?",
    ),
    (
        f"{HEAD}IF len(answer)\nSTOP\nEND\n",
        "4:4",
        "there is no function len; write `VALUE | length`",
    ),
    (f"{HEAD}PAUSE {{{{ answer | lenght }}}}\n", "4:19", "there is no filter lenght"),
    (f"{HEAD}STOP {{{{ answer | lenght }}}}\n", "4:18", "there is no filter lenght"),
    (f"{HEAD}IF answer.delete()\nSTOP\nEND\n", "4:11", "there is no method delete"),
    (f"{HEAD}IF answer is odd and {{% x %}}\nSTOP\nEND\n", "4:23", "unexpected '%'"),
    (f"{HEAD}REPEAT UNTIL later\nPROMPT b\nEND\n", "4:14", "there is no value later"),
    (
        f"{HEAD}IF later\nSTOP\nEND\nPROMPT b\nCAPTURE later AS int\n",
        "4:4",
        "only later, in line 8",
    ),
    (f"{HEAD}RETURN answer +\n", "4:16", "something is missing at the end"),
    (
        f"{HEAD}PROMPT use {{{{answer | firts}}}}\n",
        "4:23",
        "there is no filter firts; did you mean first?",
    ),
    (f"{HEAD}PROMPT use {{{{answer + othr}}}}\n", "4:23", "there is no value othr"),
    # blocks
    (f"{HEAD}IF answer\nSTOP\n", "4:1", "IF has no END"),
    (f"{HEAD}REPEAT MAX 2\nPROMPT b\n", "4:1", "REPEAT has no END"),
    (f"{HEAD}FOR x IN answer\nIF x\nSTOP\nEND\n", "4:1", "FOR has no END"),
    (f"{HEAD}END\n", "4:1", "there is no block to end"),
    (f"{HEAD}ELSE\nEND\n", "4:1", "there is no IF that it belongs to"),
    (f"{HEAD}FOR x IN answer\nELSE\nEND\n", "5:1", "there is no IF that it belongs to"),
    (f"{HEAD}IF answer\nSTOP\nELSE\nSTOP\nELSE\nSTOP\nEND\n", "8:1", "after the ELSE of its IF"),
    (f"{HEAD}IF answer\nSTOP\nELSE IF\nSTOP\nEND\n", "6:6", "write ELSE, or ELSE IF EXPRESSION"),
    (f"{HEAD}IF answer\nSTOP\nELSE given\nSTOP\nEND\n", "6:6", "write ELSE, or ELSE IF EXPRESSION"),
    (f"{HEAD}REPEAT MAX many\nPROMPT b\nEND\n", "4:8", "'many' is not a whole number"),
    (f"{HEAD}REPEAT MAX 0\nPROMPT b\nEND\n", "4:8", "0 is not between 1 and"),
    (f"{HEAD}REPEAT 5\nPROMPT b\nEND\n", "4:8", "write REPEAT [MAX N] [UNTIL EXPRESSION]"),
    (f"{HEAD}FOR x\nPROMPT b\nEND\n", "4:5", "write FOR NAME IN EXPRESSION"),
    (f"{HEAD}FOR X IN answer\nPROMPT b\nEND\n", "4:5", "'X' is not a name"),
    (f"{HEAD}FOR given IN answer\nPROMPT b\nEND\n", "4:5", "given is an input"),
    (f"{HEAD}FOR x IN answer MAX y\nPROMPT b\nEND\n", "4:5", "'y' is not a whole number"),
    (f"{HEAD}FOR x IN answer PARALLEL 4\nPROMPT b\nEND\n", "4:1", "has one CALL in it"),
    (f"{HEAD}FOR x IN answer PARALLEL 0\nPROMPT b\nEND\n", "4:5", "0 is not between 1 and 64"),
    (f"{HEAD}IF answer\n  STOP\nSTOP\nEND\n", "6:1", "STOP does not stand in column 3"),
    (f"{HEAD}IF answer\n  STOP\n END\n", "6:2", "END does not stand in column 1"),
    # values that may be missing
    (
        f"{HEAD}IF answer\nPROMPT b\nCAPTURE x AS int\nEND\nPROMPT {{{{x}}}}\n",
        "8:10",
        "x is there in one branch of the IF in line 4 only",
    ),
    (
        f"{HEAD}FOR i IN answer\nPROMPT b\nCAPTURE x AS int\nEND\nRETURN x\n",
        "8:8",
        "only if the list of the FOR in line 4 is not empty",
    ),
    (f"{HEAD}FOR i IN answer\nPROMPT b\nEND\nRETURN i\n", "7:8", "there is no value i"),
    (
        f"{HEAD}RUN true\nON-FAILURE\nPROMPT b\nCAPTURE x AS int\nEND\nRETURN x\n",
        "9:8",
        "x is there only if the RUN before ends in failure",
    ),
    # ASK, STOP, FAIL
    (f"{HEAD}ASK\n", "4:1", "the value is missing: write ASK NAME"),
    (f"{HEAD}ASK go Really?\n", "4:5", "write ASK NAME"),
    (f'{HEAD}ASK go "Really?" int\n', "4:5", "'int' is not one of text, choice(a|b)"),
    (
        f'{HEAD}ASK go "Really?" choice(yes|no) = maybe AFTER 1h\n',
        "4:35",
        "'maybe' is not one of yes",
    ),
    (f'{HEAD}ASK go "Really?" choice(yes|no) = no\n', "4:5", "write ASK NAME"),
    (f'{HEAD}ASK go "Really?" = no AFTER soon\n', "4:5", "'soon'"),
    (f'{HEAD}ASK given "Really?"\n', "4:5", "given is an input"),
    # RUN
    (f"{HEAD}RUN echo {{{{answer}}}} | cat\n", "4:5", "needs a shell"),
    (
        f"{HEAD}ALLOW-SHELL\nRUN echo `echo {{{{answer}}}}`\n",
        "5:5",
        "a value cannot stand between backticks",
    ),
    (
        f"{HEAD}ALLOW-SHELL\nRUN echo $(( {{{{answer}}}} ))\n",
        "5:5",
        "inside an arithmetic expansion",
    ),
]


def errors(text: str) -> list[str]:
    found = parse_workflow(text, "w.conv").diagnostics
    return [
        f"{d.span.line}:{d.span.column}: {d.message} {d.hint or ''}"
        for d in found
        if d.severity is Severity.ERROR
    ]


@pytest.mark.parametrize(("text", "place", "words"), MISTAKES)
def test_a_mistake_has_its_place_and_says_what_is_wrong(text: str, place: str, words: str) -> None:
    found = errors(text)
    assert any(one.startswith(f"{place}: ") and words in one for one in found), found
    assert parse_workflow(text, "w.conv").workflow is None


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("echo {{ answer | random }}", "4:22: there is no filter random "),
        ("echo '{{ answer.delete() }}'", "4:21: there is no method delete "),
        ("a | b", "4:5: RUN: '|' needs a shell"),
    ],
)
def test_a_faulty_command_is_one_mistake_whatever_takes_its_output(
    command: str, error: str
) -> None:
    (found,) = errors(f"{HEAD}RUN {command}\nCAPTURE x\n")
    assert found.startswith(error)


def test_a_value_that_the_shell_would_run_is_a_warning() -> None:
    found = parse_workflow(f"{HEAD}ALLOW-SHELL\nRUN echo {{{{answer | raw}}}}\n", "w.conv")
    (warning,) = found.diagnostics
    assert (warning.severity, warning.span.line) == (Severity.WARNING, 5)
    assert "leaves the quotes out" in warning.message
    assert found.workflow is not None


def test_an_expression_of_unknown_names_alone_stays_with_a_warning() -> None:
    found = parse_workflow(f"{HEAD}PROMPT write {{{{ title }}}}\n", "w.conv")
    (warning,) = found.diagnostics
    assert warning.severity is Severity.WARNING
    assert "there is no value title" in warning.message


WORDS_IN_PROMPTS = """\
PROMPT Do this:
IF the tests fail, fix them.
FOR each file say why.
RETURN a table.
STOP when it is done.
REPEAT it twice.
ELSE nothing.
CAPTURE the output.
INPUT and output are files.
"""


def test_words_of_flow_are_text_in_the_bodies_of_files_without_values() -> None:
    found = parse_workflow(WORDS_IN_PROMPTS, "w.conv")
    assert found.workflow is not None, found.diagnostics
    (step,) = found.workflow.steps
    assert step.text == WORDS_IN_PROMPTS.removeprefix("PROMPT ").rstrip()  # type: ignore[union-attr]


BLOCKS = ("IF given", "REPEAT MAX 2 UNTIL given", "FOR x{n} IN given", "RUN true\nON-SUCCESS")


def nested(block: str, depth: int) -> str:
    """Blocks in each other, with a step in the last one."""
    opened = "".join(f"{block.format(n=n)}\n" for n in range(depth))
    return f"{HEAD}{opened}RUN true\n" + "END\n" * depth


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("depth", [17, 400, 3000])
def test_blocks_that_stand_too_deep_in_each_other_are_one_mistake_at_its_place(
    block: str, depth: int
) -> None:
    assert parse_workflow(nested(block, 16), "w.conv").workflow is not None
    (found,) = errors(nested(block, depth))
    assert found.startswith(f"{3 + 17 * len(block.splitlines())}:"), found
    assert "blocks stand in each other more than 16 deep" in found
