"""The table of directives, the parser, the reference and the language's page say the same."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import get_type_hints

import pytest

from sdqctl.model.workflow import Workflow
from sdqctl.workflow.directives import DIRECTIVES, GROUPS, Directive
from sdqctl.workflow.targets import Adds, Field, Lines, Makes, Setting
from tests.command import sdqctl
from tests.conftest import ROOT

FIELDS = get_type_hints(Workflow)


def fields_of(row: Directive) -> tuple[set[str], set[str]]:
    """The fields that a row writes, and those that there are."""
    match row.into:
        case Field(path) | Lines(path) | Adds(path):
            record, _, name = path.rpartition(".")
            kind = FIELDS[record] if record else Workflow
            place = {f"{name}_span"} if isinstance(row.into, Field) and row.into.place else set()
            return {name, *place}, set(kind.__struct_fields__)
        case Setting(kind, name) if row.into.read is None:
            return {name}, set(kind.__struct_fields__)
        case Makes(kind, own):
            return {*([own] if own else []), *row.into.given}, set(kind.__struct_fields__)
    return set(), set()


@pytest.mark.parametrize("row", DIRECTIVES.values(), ids=DIRECTIVES)
def test_the_value_of_a_directive_goes_where_there_is_a_place_for_it(row: Directive) -> None:
    written, there = fields_of(row)
    assert written <= there


def test_no_name_stands_in_two_rows() -> None:
    names = [row.name for rows in GROUPS.values() for row in rows]
    assert len(names) == len(set(names))


def test_the_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_has_a_row_for_every_directive() -> None:
    page = (ROOT / "docs" / "directives.md").read_text()
    rows = set(re.findall(r"^\| `([A-Z-]+)[ `]", page, re.MULTILINE))
    assert rows == set(DIRECTIVES)


def test_the_help_has_every_directive() -> None:
    told = sdqctl("help", "directives").out
    assert set(re.findall(r"^  ([A-Z][A-Z-]*)", told, re.MULTILINE)) == set(DIRECTIVES)


def test_the_languages_page_names_every_directive() -> None:
    page = (ROOT / "docs" / "language.md").read_text()
    missing = [name for name in DIRECTIVES if not re.search(rf"(?<![\w-]){name}(?![\w-])", page)]
    assert missing == []
