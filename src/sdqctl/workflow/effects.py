"""Settings that have no effect: overwritten ones, and those that no step after them has."""

from __future__ import annotations

from collections.abc import Iterator

from sdqctl.model.workflow import CompactStep, Step, VerifyStep
from sdqctl.workflow.directives import Directive, kind_name
from sdqctl.workflow.lexer import Item
from sdqctl.workflow.targets import (
    Field,
    Makes,
    Setting,
)


class Effects:
    """Follows the directives of a file, in order."""

    def __init__(self) -> None:
        self._given: dict[str, Item] = {}
        self._unused: dict[type[Step], list[Item]] = {}
        self._checks: list[Item] = []
        self._late: dict[str, tuple[Item, Item]] = {}
        """The first setting of its name that stands after a check, with that check."""

    def note(self, item: Item, row: Directive) -> str | None:
        """Take a directive in; what is doubtful about it, if it is known now."""
        match row.into:
            case Makes(kind):
                self._unused[kind] = []
                if kind is VerifyStep:
                    self._checks.append(item)
            case Setting(kind):
                if kind in self._unused:
                    self._unused[kind].append(item)
                if kind is VerifyStep and item.name not in self._given:
                    self._given[item.name] = item
                    if self._checks:
                        self._late[item.name] = (item, self._checks[-1])
            case Field():
                before = self._given.get(item.name)
                self._given[item.name] = item
                if before is not None and before.span.file == item.span.file:
                    return f"{item.name} stands in line {before.span.line} too; this one holds"
            case _:
                pass
        return None

    def without(self) -> Iterator[tuple[Item, str]]:
        """The settings without an effect, with what is wrong, once all directives are known."""
        for kind, items in self._unused.items():
            for item in items:
                if kind is not CompactStep:
                    name = kind_name(kind)
                    yield item, f"{item.name} holds for the {name} steps after it: there are none"
        for item, check in self._late.values():
            yield (
                item,
                f"{item.name} holds for the checks after it, not for {check.name} in line "
                f"{check.span.line}",
            )
