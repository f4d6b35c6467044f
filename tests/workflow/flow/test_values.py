"""Texts as values: every type, what is tolerated around an answer, and the reasons."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sdqctl.model.followup import correction, is_correction
from sdqctl.model.values import Kind, ValueType
from sdqctl.workflow.flow.names import parse_name
from sdqctl.workflow.flow.schemas import Schema
from sdqctl.workflow.flow.text import Value
from sdqctl.workflow.flow.values import (
    instruction,
    parse_type,
    read_answer,
    read_text,
)


@pytest.mark.parametrize(
    "text", ["text", "lines", "json", "int", "number", "bool", "file", "choice(low|high)"]
)
def test_a_type_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_type(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("integer", "did you mean int?"),
        ("JSON", "not one of"),
        ("choice", "choice(a|b)"),
        ("choice(a)", "two words or more"),
        ("choice(a||b)", "two words or more"),
        ("choice(a|A)", "stands twice"),
        ("", "not one of"),
    ],
)
def test_a_type_that_is_none_is_told_what_there_is(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_type(text)
    assert words in str(caught.value)


def test_only_the_types_of_the_place_are_known() -> None:
    with pytest.raises(ValueError, match="'file' is not one of text, int"):
        parse_type("file", (Kind.TEXT, Kind.INT))


@pytest.mark.parametrize(
    ("type_", "text", "expected"),
    [
        ("text", " as it is\n", " as it is\n"),
        ("lines", "a\n\n b \n", ["a", "b"]),
        ("lines", "- a\n- b", ["- a", "- b"]),
        ("json", ' {"a": [1, 2.5, null]} ', {"a": [1, 2.5, None]}),
        ("int", " 42 ", 42),
        ("int", "-7", -7),
        ("number", "0.5", 0.5),
        ("number", "1e3", 1000.0),
        ("number", "3", 3),
        ("bool", "Yes", True),
        ("bool", "false", False),
        ("choice(low|very high)", "Very  High", "very high"),
    ],
)
def test_a_typed_text_is_a_value(type_: str, text: str, expected: Value) -> None:
    assert read_text(text, parse_type(type_)) == expected


@pytest.mark.parametrize(
    ("type_", "text", "words"),
    [
        ("int", "4.5", "'4.5' is not a whole number such as 42"),
        ("int", "1,000", "is not a whole number"),
        ("int", "", "is not a whole number"),
        ("int", "9" * 5000, "is not a whole number"),
        ("number", "half", "is not a number such as 0.5"),
        ("number", "nan", "is not a number"),
        ("number", "1e999", "is too large"),
        ("bool", "maybe", "is not true or false"),
        ("choice(low|high)", "hihg", "is not one of low, high; did you mean high?"),
        ("json", "{'a': 1}", "it is not JSON: "),
        ("json", "", "JSON is wanted"),
        ("json", "[1, NaN]", "NaN is no number of JSON"),
        ("json", '{"n": 1e999}', "'1e999' is too large"),
        ("json", "[-1e400]", "'-1e400' is too large"),
        ("json", '{"a": 1,\n2}', "line 2, column 1"),
        ("json", "[" * 5000 + "]" * 5000, "deep"),
        ("json", "[" * 150 + "]" * 150, "deep"),
        ("json", '"\\ud800"', "lone surrogate"),
        ("json", "9" * 5000, "not JSON"),
        ("json", '"' + "x" * 10_000_001 + '"', "more than 10,000,000"),
        ("file", "", "the name of a file is missing"),
        ("file", "gone.txt", "there is no file 'gone.txt'"),
        ("file", "repotr.md", "did you mean report.md?"),
        ("file", "x\0y", "there is no file"),
        ("file", ".", "'.' is no file"),
    ],
)
def test_a_text_that_does_not_fit_is_told_why(
    type_: str, text: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "report.md").touch()
    with pytest.raises(ValueError) as caught:
        read_text(text, parse_type(type_), folder=tmp_path)
    assert words in str(caught.value)


def test_a_fifo_is_no_file_and_nothing_else_is_meant(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"^'pipe' is no file$"):
        read_text("pipe", ValueType(Kind.FILE), folder=tmp_path)
    with pytest.raises(ValueError, match=r"^there is no file 'pip'$"):
        read_text("pip", ValueType(Kind.FILE), folder=tmp_path)


def test_a_file_is_named_as_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "a b.txt").touch()
    assert read_text("a b.txt", ValueType(Kind.FILE), folder=tmp_path) == "a b.txt"


@pytest.mark.parametrize(
    ("type_", "answer", "expected"),
    [
        ("text", " Done. \n", "Done."),
        ("json", "[]", []),
        ("json", "Here it is:\n```json\n[1]\n```\nThat is all.", [1]),
        ("json", "```\n{}\n```", {}),
        ("json", '~~~JSON\n"x"\n~~~', "x"),
        ("json", "```python\nx = 1\n```\n```json\n[2]\n```", [2]),
        ("json", "```\nno\n```\n```\n[3]\n```", [3]),
        ("json", 'The findings are {"a": [1, {"b": 2}]} as asked.', {"a": [1, {"b": 2}]}),
        ("json", '{"text": "```json\\n[1]\\n```"}', {"text": "```json\n[1]\n```"}),
        ("lines", "- a\n- b b\n", ["a", "b b"]),
        ("lines", "1. a\n2) b", ["a", "b"]),
        ("lines", "Files:\n```\na\nb\n```", ["a", "b"]),
        ("lines", "- a\nb", ["- a", "b"]),
        ("int", "**42**", 42),
        ("int", "I counted them.\n\n42.", 42),
        ("int", "The answer: 42", 42),
        ("number", "`0.5`", 0.5),
        ("bool", "Yes.", True),
        ("bool", "No.\n\nThe tests fail.", False),
        ("bool", "Verdict: true", True),
        ("choice(low|high)", '"High"', "high"),
        ("choice(low|high)", "```\nlow\n```", "low"),
        ("choice(low|high)", "I looked at it.\nSeverity: **high**", "high"),
    ],
)
def test_an_answer_may_have_something_around_it(type_: str, answer: str, expected: Value) -> None:
    assert read_answer(answer, parse_type(type_)) == expected


@pytest.mark.parametrize(
    ("type_", "answer", "words"),
    [
        ("json", "I found nothing.", "it is not JSON"),
        ("json", "```json\n[1]\n```\n```json\n[2]\n```", "2 pieces of JSON"),
        ("json", "[1] and [2]", "2 pieces of JSON"),
        ("json", "```json\n{'a': 1}\n```", "in line 1, column 2"),
        ("json", '{"a": 1', "it is not JSON"),
        ("bool", "I have no idea.", "is not true or false"),
        ("bool", "Yes.\nNo.", "2 values"),
        ("int", "Between 3 and 5.", "is not a whole number"),
        ("choice(low|high)", "It is not high, I think.", "is not one of low, high"),
        ("choice(low|high)", "", "is not one of"),
    ],
)
def test_an_answer_that_can_be_read_in_two_ways_is_refused(
    type_: str, answer: str, words: str
) -> None:
    with pytest.raises(ValueError) as caught:
        read_answer(answer, parse_type(type_))
    assert words in str(caught.value)


def test_an_agent_is_told_the_form_and_what_was_wrong() -> None:
    schema = Schema.parse('{"type": "array"}')
    assert '"type": "array"' in instruction(ValueType(Kind.JSON), schema)
    assert "low, high" in instruction(parse_type("choice(low|high)"))
    assert instruction(ValueType()) == ""
    told = correction("it is empty", instruction(ValueType(Kind.INT)))
    assert is_correction(told)
    assert told.startswith("Your answer cannot be used: it is empty\n")
    assert told.endswith("Answer with a whole number, and nothing else.")


FINDINGS = json.dumps(
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["file"],
            "properties": {
                "file": {"type": "string"},
                "severity": {"enum": ["low", "high"]},
            },
        },
    }
)


def test_the_validator_says_what_does_not_fit_and_where() -> None:
    schema = Schema.parse(FINDINGS)
    assert schema.problems([{"file": "a"}]) == []
    assert schema.problems({}) == ["the value: {} is not of type 'array'"]
    assert schema.problems([{"file": "a"}, {"file": 1, "severity": "hgh"}]) == [
        "[1].file: 1 is not of type 'string'",
        "[1].severity: 'hgh' is not one of ['low', 'high']",
    ]
    many = schema.problems([{}] * 40)
    assert (len(many), many[-1]) == (11, "and 30 more")
    with pytest.raises(ValueError, match=r"the schema:\n- \[0\]: 'file' is a req"):
        read_answer("[{}]", ValueType(Kind.JSON), schema=schema)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "the schema is not JSON: "),
        ("[]", "a schema is an object"),
        ('{"type": "strng"}', "the schema is none: "),
        ('{"required": "file"}', "the schema is none: required"),
        ('{"$schema": "http://example.test/mine"}', "is not known"),
        ('{"$ref": "#/$defs/x"}', "'#/$defs/x' leads nowhere"),
        ('{"$ref": "http://127.0.0.1:9/x.json"}', "leads nowhere"),
        ('{"$ref": "file:///etc/passwd"}', "leads nowhere"),
        ('{"$ref": "../outside.json"}', "leads nowhere"),
        ('{"$ref": "linked.json"}', "leads nowhere"),
        ('{"$ref": "bad.json"}', "leads nowhere"),
        ('{"items": {"$ref": "second.json#/nowhere"}}', "leads nowhere"),
    ],
)
def test_a_schema_that_is_none_is_told_why(text: str, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "schemas"
    folder.mkdir()
    (tmp_path / "outside.json").write_text("{}")
    (folder / "linked.json").symlink_to(tmp_path / "outside.json")
    (folder / "second.json").write_text("{}")
    (folder / "bad.json").write_text("{")
    with pytest.raises(ValueError) as caught:
        Schema.parse(text, folder)
    assert words in str(caught.value)


def test_a_schema_may_refer_to_itself_and_to_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tree.json").write_text(
        '{"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties":'
        ' {"size": {"$ref": "parts/size.json#/$defs/size"},'
        '  "below": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}}'
    )
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "size.json").write_text('{"$defs": {"size": {"type": "integer"}}}')
    schema = Schema.load(tmp_path / "tree.json")
    assert schema.problems({"below": [{"size": 1}]}) == []
    assert schema.problems({"below": [{"size": "x"}]}) == [
        "below[0].size: 'x' is not of type 'integer'"
    ]


def test_a_schema_that_refers_to_itself_without_end_is_a_mistake() -> None:
    assert Schema.parse('{"$ref": "#"}').problems(1) == ["the schema refers to itself without end"]


def test_drafts_are_told_apart_by_their_schema() -> None:
    draft = "http://json-schema.org/draft-04/schema#"
    old = Schema.parse(json.dumps({"$schema": draft, "maximum": 3, "exclusiveMaximum": True}))
    assert old.problems(3) != []
    assert old.problems(2) == []


@pytest.mark.parametrize("name", ["a", "findings", "x_1", "class"])
def test_a_name_is_lower_case(name: str) -> None:
    assert parse_name(name) == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Findings", "write findings"),
        ("my-name", "write my_name"),
        ("1a", "is not a name"),
        ("", "is not a name"),
        ("if", "means something"),
        ("range", "means something"),
        ("self", "means something"),
        ("raw", "means something"),
        ("a" * 65, "at most 64"),
    ],
)
def test_a_name_that_is_none_is_told_why(name: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_name(name)
    assert words in str(caught.value)
