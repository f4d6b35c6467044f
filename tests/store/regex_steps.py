"""Counts the steps in which a backtracking matcher, as `re` is one, looks for an expression.

It walks the tree that `re` itself compiles from, and each character looked at is a step. That it
walks as `re` does is checked at every call: both must find the same end.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

_parser: Any = import_module("re._parser")
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_CATEGORIES = {
    "CATEGORY_DIGIT": lambda char: char in string.digits,
    "CATEGORY_SPACE": lambda char: char in string.whitespace,
    "CATEGORY_WORD": lambda char: char in _WORD,
    "CATEGORY_NOT_SPACE": lambda char: char not in string.whitespace,
    "CATEGORY_NOT_WORD": lambda char: char not in _WORD,
}
_Next = Callable[[int], int | None]
_SINGLE = {"LITERAL", "NOT_LITERAL", "ANY", "IN"}


def steps(expression: str, flags: int, text: str, starts: Iterable[int]) -> int:
    """How many steps matching takes at all of `starts` that are not inside a match before."""
    compiled = re.compile(expression, flags)
    walker = _Walker(text, any_case=bool(flags & re.IGNORECASE))
    tree = list(_parser.parse(expression, flags))
    done = 0
    for start in starts:
        if start < done:
            continue
        end = walker.run(tree, 0, start, lambda position: position)
        found = compiled.match(text, start)
        assert end == (found.end() if found else None), "the walker does not walk as re does"
        done = end if end is not None else done
    return walker.count


class _Walker:
    def __init__(self, text: str, *, any_case: bool) -> None:
        self._text = text
        self._any_case = any_case
        self.count = 0

    def run(self, tree: list[Any], index: int, position: int, then: _Next) -> int | None:
        """Match the rest of a sequence, then what follows it."""
        if index == len(tree):
            return then(position)
        code, argument = tree[index]
        name = str(code)

        def rest(at: int) -> int | None:
            return self.run(tree, index + 1, at, then)

        if name in _SINGLE:
            return rest(position + 1) if self._one(name, argument, position) else None
        if name == "SUBPATTERN":
            _group, on, off, items = argument
            return self._cased(on, off, lambda: self.run(list(items), 0, position, rest))
        if name == "ATOMIC_GROUP":
            end = self.run(list(argument), 0, position, lambda at: at)
            return None if end is None else rest(end)
        if name == "BRANCH":
            ends = (self.run(list(items), 0, position, rest) for items in argument[1])
            return next((end for end in ends if end is not None), None)
        if name.endswith("REPEAT"):
            least, most, items = argument
            return self._repeat(name, least, most, items, position, rest)
        if name in ("ASSERT", "ASSERT_NOT"):
            direction, items = argument
            holds = self._assertion(direction, items, position)
            return rest(position) if holds == (name == "ASSERT") else None
        if name == "AT":
            return rest(position) if self._anchor(str(argument), position) else None
        raise AssertionError(f"{name} is not known here")

    def _cased(self, on: int, off: int, work: Callable[[], int | None]) -> int | None:
        before, self._any_case = self._any_case, self._any_case or bool(on & re.IGNORECASE)
        try:
            return work()
        finally:
            self._any_case = before

    def _one(self, name: str, argument: Any, position: int) -> bool:  # noqa: ANN401 - re's tree
        self.count += 1
        if not 0 <= position < len(self._text):
            return False
        char = self._text[position]
        chars = {char, char.lower(), char.upper()} if self._any_case else {char}
        if name == "LITERAL":
            return chr(argument) in chars
        if name == "NOT_LITERAL":
            return chr(argument) not in chars
        if name == "ANY":
            return char != "\n"
        negated = str(argument[0][0]) == "NEGATE"
        items = argument[1:] if negated else argument
        return any(_holds(str(c), value, chars) for c, value in items) != negated

    def _repeat(
        self,
        name: str,
        least: int,
        most: Any,  # noqa: ANN401 - re's tree
        items: Any,  # noqa: ANN401
        position: int,
        rest: _Next,
    ) -> int | None:
        tree, most = list(items), int(most)
        ends = [position]
        if name == "MIN_REPEAT":
            return self._lazily(tree, least, most, position, rest)
        while len(ends) <= most:
            end = self.run(tree, 0, ends[-1], lambda at: at)
            if end is None or end == ends[-1]:
                break
            ends.append(end)
        if name == "POSSESSIVE_REPEAT":
            return rest(ends[-1]) if len(ends) > least else None
        for end in reversed(ends[least:]):
            found = rest(end)
            if found is not None:
                return found
        return None

    def _lazily(
        self, tree: list[Any], least: int, most: int, position: int, rest: _Next
    ) -> int | None:
        for number in range(most + 1):
            if number >= least and (found := rest(position)) is not None:
                return found
            end = self.run(tree, 0, position, lambda at: at)
            if end is None:
                return None
            position = end
        return None

    def _assertion(self, direction: int, items: Any, position: int) -> bool:  # noqa: ANN401
        tree = list(items)
        if direction < 0:
            width = items.getwidth()[0]
            if position < width:
                return False
            position -= width
        return self.run(tree, 0, position, lambda at: at) is not None

    def _anchor(self, name: str, position: int) -> bool:
        if name == "AT_END_STRING":
            return position == len(self._text)
        if name == "AT_BOUNDARY":
            before, after = self._text[position - 1 : position], self._text[position : position + 1]
            return (before in _WORD) != (after in _WORD)
        raise AssertionError(f"{name} is not known here")


def _holds(name: str, value: Any, chars: set[str]) -> bool:  # noqa: ANN401 - re's tree
    if name == "LITERAL":
        return chr(value) in chars
    if name == "RANGE":
        return any(value[0] <= ord(char) <= value[1] for char in chars)
    return any(_CATEGORIES[str(value)](char) for char in chars)
