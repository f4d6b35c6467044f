"""Tables whose every case is tried by `make thorough`, and some by each run of the suite."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def some(number: int, cases: Iterable[object]) -> list[object]:
    """The cases of a table, of which the first so many belong to each run of the suite."""
    listed = list(cases)
    rest = (_thorough(case) for case in listed[number:])
    return [*listed[:number], *rest]


def each(number: int, cases: Iterable[object]) -> list[object]:
    """The cases of a table, of which each so many-th belongs to each run of the suite."""
    return [case if place % number == 0 else _thorough(case) for place, case in enumerate(cases)]


def _thorough(case: object) -> ParameterSet:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.thorough)
