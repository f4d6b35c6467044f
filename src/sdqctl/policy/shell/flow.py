"""Walking through a command line in the order in which a shell runs it.

What is followed on the way: the places that the line may be in, and the variables that certainly
hold a number, which alone may be evaluated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sdqctl.policy.shell.location import MOVERS, UNKNOWN, Places, joined
from sdqctl.policy.shell.tree import Command, Compound, Line, Shape, SimpleCommand, Step
from sdqctl.policy.shell.word import Word

Outcome = tuple[Places, Places]
"""Where a command leaves the line when it succeeds, and when it fails."""
_NOWHERE: Places = frozenset()
_MAY_MOVE = MOVERS | {"eval", "builtin", "command", "source", "."}


class Numbers:
    """The variables that certainly hold a number, and those that anything else was put into.

    A shell of its own knows nothing for certain, but what it is given counts for all (`outer`).
    `lost`: what comes may not happen, so that nothing more is certain.
    """

    def __init__(self, outer: Numbers | None = None) -> None:
        self.lost = False
        self._certain: set[str] = set()
        self._order: list[str] = []
        self._used: set[str] = set() if outer is None else outer._used
        self._others: set[str] = set() if outer is None else outer._others

    def mark(self) -> int:
        """Where this is now, for `back_to`."""
        return len(self._order)

    def back_to(self, mark: int) -> None:
        """Forget what was learned since, which may not have happened."""
        while len(self._order) > mark:
            self._certain.discard(self._order.pop())

    def note(self, name: str, *, number: bool, certain: bool) -> None:
        """A variable is set."""
        if not number:
            self._others.add(name)
        elif certain and not self.lost and name not in self._certain:
            self._certain.add(name)
            self._order.append(name)

    def use(self, name: str) -> bool:
        """A variable is evaluated: whether it certainly holds a number here."""
        self._used.add(name)
        return name in self._certain

    @property
    def doubtful(self) -> str:
        """A variable that is evaluated and may hold anything; empty: none."""
        return min(self._used & self._others, default="")


class Walker(ABC):
    """Walks a line. `numbers` is what is known of variables."""

    def __init__(self) -> None:
        self.numbers = Numbers()

    @abstractmethod
    def simple(self, command: SimpleCommand, places: Places) -> Outcome:
        """Judge a simple command."""

    @abstractmethod
    def around(self, compound: Compound, places: Places) -> None:
        """Judge what belongs to a compound command besides the commands in it."""

    def start(self, line: Line, places: Places) -> Places:
        """Walk a line that a shell runs from its beginning."""
        return self.line(line, UNKNOWN if line.defines and _moves(line, deep=True) else places)

    def line(self, line: Line, places: Places) -> Places:
        """Walk commands one after another."""
        steps, begin = line.steps, 0
        for index, step in enumerate(steps):
            if step.then in ("&&", "||"):
                continue
            if index == begin and step.then != "&":
                succeeded, failed = self._pipeline(step, places)
                both = succeeded if succeeded is failed else joined(succeeded, failed)
                places = both or places
            else:
                places = self._chain(steps[begin : index + 1], places)
            begin = index + 1
        return places

    def apart(self, line: Line, places: Places) -> None:
        """Walk commands that a subshell runs."""
        mark = self.numbers.mark()
        self.line(line, places)
        self.numbers.back_to(mark)

    def _chain(self, steps: Sequence[Step], places: Places) -> Places:
        """Pipelines joined by `&&` and `||`, or one before `&`."""
        begin = self.numbers.mark()
        succeeded, failed = self._pipeline(steps[0], places)
        after_first = self.numbers.mark()
        for before, step in pairwise(steps):
            if before.then == "&&":
                good, bad = self._pipeline(step, succeeded or places)
                succeeded, failed = (
                    (good if succeeded else _NOWHERE),
                    joined(failed, bad if succeeded else _NOWHERE),
                )
            else:
                self.numbers.back_to(after_first)
                good, bad = self._pipeline(step, failed or places)
                succeeded = joined(succeeded, good if failed else _NOWHERE)
                failed = bad if failed else _NOWHERE
        if len(steps) > 1:
            self.numbers.back_to(after_first)
        if steps[-1].then == "&":
            self.numbers.back_to(begin)
            return places
        return joined(succeeded, failed) or places

    def _pipeline(self, step: Step, places: Places) -> Outcome:
        commands = step.commands
        if len(commands) > 1:
            mark = self.numbers.mark()
            for command in commands:
                self._command(command, places)
                self.numbers.back_to(mark)
            return places, places
        succeeded, failed = self._command(commands[0], places)
        return (failed, succeeded) if step.negated else (succeeded, failed)

    def _command(self, command: Command, places: Places) -> Outcome:
        if isinstance(command, SimpleCommand):
            return self.simple(command, places)
        after = self._whole_compound(command, places)
        return after, after

    def _whole_compound(self, command: Compound, places: Places) -> Places:
        """A compound command with what belongs to it."""
        mark = self.numbers.mark()
        self.around(command, places)
        after = self._compound(command, places)
        if command.may_fail:
            self.numbers.back_to(mark)
            after = joined(after, places)
        return after

    def _compound(self, compound: Compound, places: Places) -> Places:
        shape = compound.shape
        if shape is Shape.GROUP:
            return self.line(compound.lines[0], places)
        if shape is Shape.SUBSHELL:
            self.apart(compound.lines[0], places)
            return places
        repeated = shape is not Shape.BRANCH
        if repeated and any(map(_moves, compound.lines)):
            places = UNKNOWN
        if shape is Shape.FUNCTION:
            self.apart(compound.lines[0], places)
            return places
        first, *others = compound.lines
        places = self.line(first, places)
        found = [places]
        for line in others:
            mark = self.numbers.mark()
            found.append(self.line(line, places))
            self.numbers.back_to(mark)
        return joined(*found)


def commands_of(line: Line) -> Iterator[Command]:
    """All commands of a line, also those in compound ones and in substitutions."""
    for step in line.steps:
        for command in step.commands:
            yield command
            inner = [*command.inner]
            if isinstance(command, Compound):
                inner += command.lines
                if command.head is not None:
                    yield command.head
                    inner += command.head.inner
            for each in inner:
                yield from commands_of(each)


def _may_move(words: Sequence[Word]) -> bool:
    """Whether a program, or what `command` runs, may change the folder of its shell."""
    texts = [word.text for word in words]
    named = texts if texts[:1] in (["command"], ["builtin"]) else texts[:1]
    return any(text is None or text in _MAY_MOVE for text in named[len(named) > 1 :])


def _moves(line: Line, *, deep: bool = False) -> bool:
    """Whether a line changes the folder of its shell.

    `deep`: whether that happens anywhere, also in subshells and substitutions.
    """
    for step in line.steps:
        for command in step.commands:
            if isinstance(command, SimpleCommand):
                if _may_move(command.words):
                    return True
                inner = [*command.inner] if deep and command.inner else []
            else:
                inner = [*command.inner] if deep else []
                inner += command.lines if deep or command.shape is not Shape.SUBSHELL else []
                inner += command.head.inner if deep and command.head else []
            for each in inner:
                if _moves(each, deep=deep):
                    return True
    return False
