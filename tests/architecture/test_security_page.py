"""What the page on security promises, a test holds: each one that it names is there."""

from __future__ import annotations

import re

from tests.conftest import ROOT

NAMED = re.compile(r"`((?:\w+/)*test_\w+\.py)(?:::(\w+))?`")


def test_each_test_that_the_page_names_is_there() -> None:
    named = NAMED.findall((ROOT / "docs" / "security.md").read_text())
    assert named, "the page names tests"
    for path, function in named:
        file = ROOT / "tests" / path.removeprefix("tests/")
        assert file.is_file(), path
        if function:
            assert f"def {function}(" in file.read_text(), f"{path}::{function}"


def test_each_danger_has_its_test() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    table = page.partition("## Who could do harm")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert rows, "the table is there"
    for row in rows:
        assert NAMED.search(row.rsplit("|", 2)[1]), row
