"""What `sdqctl` alone shows on a terminal of each size."""

from __future__ import annotations

import pytest

from tests.bench import Bench
from tests.cli.screens import SIZES, compare
from tests.command import sdqctl
from tests.terminal import Terminal


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_the_next_things_to_do_and_what_is_unfinished_are_one_screen(
    columns: int, rows: int, bench: Bench
) -> None:
    bench.write("audit.conv", 'SESSION-NAME the audit\nPROMPT x\nPAUSE "read"\nPROMPT y\n')
    assert sdqctl("run", "audit.conv").code == 8
    with Terminal([], columns=columns, rows=rows) as terminal:
        assert terminal.wait_for_end() == 0
        compare("welcome", columns, rows, terminal.golden)
