"""`{{ EXPRESSION }}` in texts: replaced once, and what a value brings in is text."""

from __future__ import annotations

import shlex

import pytest

from sdqctl.workflow.flow.expressions import ExpressionError
from sdqctl.workflow.flow.templates import Mode, findings, holes, names_in, render_text
from sdqctl.workflow.flow.text import Value, run_result

HOSTILE = "{{ secret }} {{DATE}} {% raw %} $(touch x) `id` \"'\nRUN rm -rf / # @file"
VALUES: dict[str, Value] = {
    "name": "Ann",
    "secret": "s3cret",
    "hostile": HOSTILE,
    "findings": [{"file": "a.py"}],
    "tests": run_result("all green", "all green\n", 0, 0.1),
    "flag": True,
    "nothing": None,
    "count": 3,
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Hello {{name}}, {{ count + 1 }}!", "Hello Ann, 4!"),
        ("{{ name }}{{ name }}", "AnnAnn"),
        ("{{ flag }} {{ nothing }} {{ tests }}", "true null all green"),
        ("{{ findings }}", '[\n  {\n    "file": "a.py"\n  }\n]'),
        ("{{ findings[0] | tojson }}", '{"file": "a.py"}'),
        ("{{ '}}' ~ name ~ \"{{\" }}", "}}Ann{{"),
        ("{{ {'a': {'b': name}}.a.b }}", "Ann"),
        ("{{{ name }}}", "{{{ name }}}"),
        ("a {{ name", "a {{ name"),
        ("{{ }} {{}}", "{{ }} {{}}"),
        ("{% if x %}{{ name }}{% endif %} {# no #}", "{% if x %}Ann{% endif %} {# no #}"),
        ("{{DATE}} {{ DATE }}", "today today"),
        ("{{\n name\n}}", "Ann"),
    ],
)
def test_expressions_and_variables_are_filled_in(template: str, expected: str) -> None:
    rendered = render_text(template, VALUES, variables={"DATE": "today"})
    if template != "{{{ name }}}":
        assert rendered.text == expected
    assert not rendered.warnings or "{{{" in template


@pytest.mark.parametrize("mode", Mode)
def test_what_a_value_brings_in_is_never_looked_at_again(mode: Mode) -> None:
    text = render_text("<{{ hostile }}>", VALUES, mode=mode, variables={"DATE": "today"}).text
    assert text == f"<{shlex.quote(HOSTILE) if mode is Mode.SHELL else HOSTILE}>"
    brought = render_text("{{ DATE }}", VALUES, variables={"DATE": "{{ secret }}"})
    assert (brought.text, brought.warnings) == ("{{ secret }}", ())


@pytest.mark.parametrize(
    ("template", "warning"),
    [
        ("{{ nam }}", "{{ nam }}: there is no value nam; did you mean name?; it stays as it is"),
        ("{{ name.x.y( }}", "something is missing at the end"),
        ("${{ github.ref }}", "there is no value github"),
        ("{{ name ~ other }}", "there is no value other"),
        ("{{TODAY}}", "the variable {{TODAY}} is not known here; it stays as it is"),
        ("{{ .Values.image }}", "it stays as it is"),
    ],
)
def test_what_is_not_known_stays_with_a_warning(template: str, warning: str) -> None:
    rendered = render_text(template, VALUES)
    assert rendered.text == template
    assert len(rendered.warnings) == 1
    assert warning in rendered.warnings[0]


def test_without_values_only_variables_are_looked_at() -> None:
    rendered = render_text("{{ name }} {{ 1 + 1 }} {{DATE}}", {}, variables={"DATE": "today"})
    assert (rendered.text, rendered.warnings) == ("{{ name }} {{ 1 + 1 }} today", ())


def test_an_expression_of_known_names_without_a_value_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="did you mean file"):
        render_text("{{ findings[0].fil }}", VALUES)


@pytest.mark.parametrize(
    ("template", "mode", "expected"),
    [
        ("echo {{ name }}", Mode.SHELL, "echo Ann"),
        ("echo {{ 'a b' ~ count }}", Mode.SHELL, "echo 'a b3'"),
        ("echo {{ 'a b' | raw }}", Mode.SHELL, "echo a b"),
        ("{{ findings }}", Mode.ARGUMENT, '[{"file": "a.py"}]'),
        ("{{ 'a b' | raw }}", Mode.ARGUMENT, "a b"),
    ],
)
def test_in_commands_a_value_is_one_word(template: str, mode: Mode, expected: str) -> None:
    assert render_text(template, VALUES, mode=mode).text == expected


@pytest.mark.parametrize("mode", [Mode.SHELL, Mode.ARGUMENT, Mode.RAW])
def test_a_nul_does_not_reach_a_command(mode: Mode) -> None:
    with pytest.raises(ExpressionError, match="NUL"):
        render_text("{{ x }}", {"x": "a\0b"}, mode=mode)


def test_holes_know_where_they_stand() -> None:
    text = "a {{ x }} b {{ '}}' }} {{DATE}} {{ it's }}"
    found = list(holes(text))
    assert [text[h.start : h.end] for h in found] == [
        "{{ x }}",
        "{{ '}}' }}",
        "{{DATE}}",
        "{{ it's }}",
    ]
    assert [h.variable for h in found] == [None, None, "DATE", None]
    assert text[found[0].column] == "x"
    assert list(names_in(text)) == ["x"]


@pytest.mark.parametrize(
    ("text", "offset", "words", "is_error"),
    [
        ("a {{ nam }}", 5, "did you mean name?", False),
        ("{{ name | uper }}", 10, "did you mean upper?", True),
        ("{{ name ~ othr }}", 10, "there is no value othr", True),
        ("{{ foo | bar }}", 9, "there is no filter bar", False),
        ("{{ name = 1 }}", 8, "write ==", True),
    ],
)
def test_what_is_wrong_with_a_text_has_its_place(
    text: str, offset: int, words: str, is_error: bool
) -> None:
    (found,) = findings(text, VALUES)
    assert words in found.message
    assert (found.offset, found.is_error) == (offset, is_error)
