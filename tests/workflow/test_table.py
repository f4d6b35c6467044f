"""The table of directives, the parser, the reference and the language's page say the same."""

from __future__ import annotations

import re
import subprocess
import sys

from sdqctl.workflow import file_directives, step_directives
from sdqctl.workflow.directives import DIRECTIVES, REFUSED
from sdqctl.workflow.parser import handler_name
from tests.command import sdqctl
from tests.conftest import ROOT


def handlers() -> set[str]:
    classes = (file_directives.FileDirectives, step_directives.StepDirectives)
    return {name for kind in classes for name in vars(kind) if name.startswith("on_")}


def test_every_directive_has_a_builder_and_no_builder_is_left_over() -> None:
    wanted = {handler_name(name) for name in DIRECTIVES if name not in REFUSED}
    inherited = {
        name
        for kind in (file_directives.FileDirectives, step_directives.StepDirectives)
        for base in kind.__mro__
        for name in vars(base)
        if name.startswith("on_")
    }
    assert wanted == inherited >= handlers()


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


def test_the_help_tells_every_directive() -> None:
    told = sdqctl("help", "directives").out
    assert set(re.findall(r"^  ([A-Z][A-Z-]*)", told, re.MULTILINE)) == set(DIRECTIVES)


def test_the_languages_page_names_every_directive() -> None:
    page = (ROOT / "docs" / "language.md").read_text()
    missing = [name for name in DIRECTIVES if not re.search(rf"(?<![\w-]){name}(?![\w-])", page)]
    assert missing == []
