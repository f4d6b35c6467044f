"""Expressions: what they can, what they refuse, and that nothing they do takes long or much."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import Any

import pytest

from sdqctl.workflow.flow.expressions import Expression, ExpressionError
from sdqctl.workflow.flow.text import DEEPEST, Value, run_result

VALUES: dict[str, Value] = {
    "findings": [
        {"file": "b.py", "line": 2, "severity": "low"},
        {"file": "a.py", "line": 9, "severity": "high"},
    ],
    "tests": run_result("1 failed", "1 failed\n", 1, 0.5),
    "word": "abc",
    "count": 3,
    "data": {"items": [1], "keys": 5, "values": "v", "a b": 1, "_x": 2},
    "result": 7,
    "empty": [],
    "nothing": None,
    "hostile": "{{ count }} {% set x = 1 %} $(touch x)",
}


def value(text: str) -> Value:
    return Expression.parse(text).evaluate(VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("findings | length > 1", True),
        ("not tests.ok", True),
        ("tests.exit_status == 1 and count in [1, 2, 3]", True),
        ("findings[0].file.endswith('.py')", True),
        ("findings | map(attribute='file') | sort", ["a.py", "b.py"]),
        ("findings | sort(attribute='line', reverse=true) | map(attribute='line')", [9, 2]),
        ("findings | selectattr('severity', 'eq', 'high') | map(attribute='file') | join", "a.py"),
        ("findings | rejectattr('severity', 'in', ['low']) | length", 1),
        ("findings | map('length')", [3, 3]),
        ("findings | sum(attribute='line')", 11),
        ("[1, 2, 2, 3] | unique", [1, 2, 3]),
        ("[3, 1, 2] | max", 3),
        ("(findings | min(attribute='line')).file", "b.py"),
        ("[1, 2, 3, 4, 5] | batch(2)", [[1, 2], [3, 4], [5]]),
        ("range(3)", [0, 1, 2]),
        ("range(2, 8, 3)", [2, 5]),
        ("word ~ '-' ~ count", "abc-3"),
        ("word ~ tests", "abc1 failed"),
        ("word[1:] + word[0]", "bca"),
        ("findings[-1:] | map(attribute='file')", ["a.py"]),
        ("word * 2", "abcabc"),
        ("'high' if count > 2 else 'low'", "high"),
        ("data.items", [1]),
        ("data.keys", 5),
        ("data['a b'] + data._x", 3),
        ("data.get('none', 4)", 4),
        ("findings[0].owner | default('nobody')", "nobody"),
        ("findings[0].owner is defined", False),
        ("result + 1", 8),
        ("7 // 2 + 7 % 2 + 2 ** 3 - -1", 13),
        ("7 / 2", 3.5),
        ("'4' | int + 1", 5),
        ("'x' | int(0)", 0),
        ("2.567 | round(1)", 2.6),
        ("'a b' | title", "A B"),
        ("'a\nb' | lines", ["a", "b"]),
        ("'a,b'.split(',')", ["a", "b"]),
        ("','.join(['a', 'b'])", "a,b"),
        ("word.replace('b', 'x')", "axc"),
        ("{'a': [1, none], 'b': true}", {"a": [1, None], "b": True}),
        ("('a', 1)", ["a", 1]),
        ("findings[0] | tojson", '{"file": "b.py", "line": 2, "severity": "low"}'),
        ("nothing is none", True),
        ("1 < count <= 3", True),
        ("hostile", VALUES["hostile"]),
        ("'{{ count }}'", "{{ count }}"),
        ("\n  count\n", 3),
        ("'ä😀' | length", 2),
    ],
)
def test_an_expression_has_a_json_value(text: str, expected: Value) -> None:
    assert value(text) == expected


def test_the_names_that_an_expression_uses_are_known_before_it_is_evaluated() -> None:
    text = "findings | map(attribute='file') | join(sep) ~ range(n) ~ tests.text if ok else other"
    assert set(Expression.parse(text).names) == {"findings", "sep", "n", "tests", "ok", "other"}
    assert Expression.parse("'a' ~ 1").names == ()


def test_raw_counts_at_the_end_alone() -> None:
    assert Expression.parse("word | raw").is_raw
    assert value("word | upper | raw") == "ABC"
    assert not Expression.parse("word").is_raw
    with pytest.raises(ExpressionError, match="at the end"):
        Expression.parse("word | raw | upper")


MISTAKES = [
    ("", 1, "an expression is missing"),
    ("count = 3", 7, "write =="),
    ("count === 3", 9, "write =="),
    ("tests.ok && count", 10, "write `and`"),
    ("tests.ok || count", 10, "write `or`"),
    ("!tests.ok", 1, "write `not`"),
    ("tests.ok ? 1 : 2", 10, "write `A if CONDITION else B`"),
    ("(count", 7, "missing at the end"),
    ("count)", 6, "unexpected"),
    ("count +", 8, "missing at the end"),
    ("count count", 7, "one too many"),
    ("'abc", 1, "not part of an expression"),
    ("count }} x", 7, "one too many"),
    ("{% set a = 1 %}", 2, "unexpected"),
    ("findings | lenght", 12, "did you mean length?"),
    ("findings | format", 12, "no filter format"),
    ("findings | attr('x')", 12, "no filter attr"),
    ("findings | random", 12, "no filter random"),
    ("word is defned", 9, "did you mean defined?"),
    ("len(findings)", 1, "write `VALUE | length`"),
    ("open('x')", 1, "no function open"),
    ("lipsum()", 1, "no function lipsum"),
    ("cycler('a')", 1, "no function cycler"),
    ("namespace()", 1, "no function namespace"),
    ("word.formt()", 6, "no method formt"),
    ("word.format(1)", 6, "no method format"),
    ("word.center(10)", 6, "no method center"),
    ("word.encode()", 6, "no method encode"),
    ("findings.append(1)", 10, "no method append"),
    ("word.upper()()", 11, "only methods"),
    ("word.split(*findings)", 11, "in their order"),
    ("1 if tests.ok", 3, "wants an `else`"),
    ("9" * 2001, 1, "at most 2,000"),
    ("(" * 900 + "1" + ")" * 900, 1, "too deep"),
    ("-" * 1900 + "1", 1, "too deep"),
    ("count" + ".a" * 900, 1, "too deep"),
]


@pytest.mark.parametrize(("text", "column", "words"), MISTAKES, ids=[m[0][:40] for m in MISTAKES])
def test_a_mistake_has_its_column_and_words(text: str, column: int, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text)
    assert words in caught.value.message
    assert "too deep" in words or caught.value.column == column


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("findigs", "there is no value findigs; did you mean findings?"),
        ("count == null", "there is no null; write none"),
        ("self", "there is no value self"),
        ("loop.index", "there is no value loop"),
        ("findings[0].fil", "did you mean file?"),
        ("findings[0].zzz", "it has file, line, severity"),
        ("findings[5].file", "there is no item 5: it has 2"),
        ("findings.file", "a list has no 'file'"),
        ("nothing.x", "nothing has no 'x'"),
        ("tests.zzz.y", "there is no 'zzz' in it"),
        ("empty | first", "an empty list has no first item"),
        ("empty | max", "an empty list has no largest item"),
        ("count | length", "a whole number has no length"),
        ("count | map('upper')", "a list is wanted"),
        ("findings | upper", "a text is wanted, and this is a list"),
        ("word | int", "'abc' is not a whole number"),
        ("1 / 0", "a division by zero"),
        ("word + 1", "join text with ~"),
        ("findings + word", "not possible"),
        ("'%1000000000d' % 1", "not formatted with %"),
        ("word < 1", "not supported between"),
        ("word.upper", "is not called; write ()"),
        ("range", "there is no value range"),
        ("{1: 2}", "the key 1 of an object is not a text"),
        ("1e308 * 10", "too large"),
        ("count + 1e400", "a number is too large"),
        ("{'n': -1e400, 'count': count}", "a number is too large"),
        ("(-8) ** 0.5", "no value that can be kept"),
        ("findings | map(attribute='owner')", "there is no 'owner'"),
        ("word.__class__", "a text has no '__class__'"),
        ("word['__class__']['__mro__']", "a text has no '__class__'"),
        ("''.__class__.__mro__", "a text has no '__class__'"),
        ("findings | map(attribute='__class__')", "there is no '__class__'"),
    ],
)
def test_an_expression_without_a_value_says_why(text: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert words in caught.value.message


LARGE = [
    "'x' * 10 ** 9",
    "[0] * 10 ** 9",
    "10 ** 10000",
    "9 ** (9 ** 9)",
    f"{'9' * 1500} * {'9' * 400}",
    "range(10 ** 9)",
    "word | replace('', 'x' * 9000000)",
    "[big, big, big, big, big, big, big, big, big, big, big]",
    "big ~ big ~ big ~ big ~ big ~ big ~ big ~ big ~ big ~ big ~ big",
    "[" + "big[:]," * 200 + "]",
    "[" + "big | upper," * 150 + "]",
    "[big] * 1000000 | join",
    "[0] * 100000 | select('in', [1] * 100000)",
    "[big] * 100000 | map('upper')",
    "big.replace('x', 'xxxxxxxxxxxx')",
    "2.5 | round(10 ** 9)",
    "word | tojson(10 ** 9)",
    "range(10000) | map('batch', 1) | list",
    "big.split('x') + big.split('x') + big.split('x') + big.split('x') + big.split('x')"
    + " + big.split('x')" * 8,
    "[" * 150 + "]" * 150,
]


@pytest.mark.parametrize("text", LARGE, ids=[text[:40] for text in LARGE])
def test_what_would_eat_memory_or_time_is_refused_with_words(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text).evaluate({"big": "x" * 1_000_000, "word": "abc"})
    assert 5 < len(caught.value.message) < 2_200


def test_refusing_takes_little_memory() -> None:
    """All of them in one process, with room for a tenth of what the first alone would take."""
    script = (
        "import sys\n"
        "from sdqctl.workflow.flow.expressions import Expression, ExpressionError\n"
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (400_000_000, 400_000_000))\n"
        f"for text in {LARGE!r}:\n"
        "    try:\n"
        "        Expression.parse(text).evaluate({'big': 'x' * 1_000_000, 'word': 'abc'})\n"
        "    except ExpressionError as error:\n"
        "        assert 'memory' not in str(error), text[:80]\n"
        "    else:\n"
        "        raise SystemExit(text)\n"
    )
    limits = resource.getrlimit(resource.RLIMIT_AS)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert resource.getrlimit(resource.RLIMIT_AS) == limits


def test_values_that_stand_too_deep_are_refused() -> None:
    deep: Any = 1
    for _ in range(DEEPEST + 1):
        deep = [deep]
    with pytest.raises(ExpressionError, match="deep"):
        Expression.parse("deep").evaluate({"deep": deep})


def test_an_expression_changes_no_value() -> None:
    values: dict[str, Value] = {"items": [3, 1], "object": {"a": [1]}}
    for text in ("items | sort", "items | reverse", "items + [5]", "object.items()", "items * 2"):
        Expression.parse(text).evaluate(values)
    assert values == {"items": [3, 1], "object": {"a": [1]}}
