"""Judging a command line: every program it runs, every variable it sets, every file it opens."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

from sdqctl.errors import UsageError
from sdqctl.policy.command_line.ahead import DEEPEST, given_by, may_be_builtin
from sdqctl.policy.command_line.denials import denied_by, denied_in, may_run
from sdqctl.policy.command_line.files import Files
from sdqctl.policy.command_line.verdict import RefusedError, ShellVerdict
from sdqctl.policy.paths import PathRules
from sdqctl.policy.rules import ToolRule, parse_rule
from sdqctl.policy.shell import filters, variables
from sdqctl.policy.shell.builtins import CHANGED_BY_FUNCTIONS, EVALUATING, facts_of
from sdqctl.policy.shell.facts import Doubt, Fact, Risk, Set, UnclearCommandError, Use
from sdqctl.policy.shell.flow import Numbers, Outcome, Walker
from sdqctl.policy.shell.grammar import new_meter, parse_command_line
from sdqctl.policy.shell.location import MOVERS, UNKNOWN, Move, Place, Places, joined, move
from sdqctl.policy.shell.meter import Meter
from sdqctl.policy.shell.tree import Assignment, Compound, Shape, SimpleCommand
from sdqctl.policy.shell.word import Word
from sdqctl.policy.shell.wrappers import NOTHING, Inner, Text, runs_others, unwrap

_UNKNOWN_PROGRAM = "which program it runs is known only when the shell runs"
_EXIT_STATUS = re.compile(r"\d{1,3}|\$\?", re.ASCII)
_TEXT = attrgetter("text")
_SETTLED = frozenset(
    {"cd", "pushd", "popd", "chdir", "echo", "printf", "true", "false", ":", "test", "[", "pwd"}
    | {"set", "export", "local", "read", "type", "command", "builtin", "exit", "return"}
)
"""After these the folders are as they were."""


@dataclass(frozen=True, kw_only=True)
class ShellRules:
    """What a shell may run. `whole`: any command, but for the denied ones."""

    whole: bool
    allow: tuple[ToolRule, ...]
    deny: tuple[ToolRule, ...]
    paths: PathRules

    @cached_property
    def allowing(self) -> dict[str, list[ToolRule]]:
        """The allow rules by the program that they name."""
        found: dict[str, list[ToolRule]] = {}
        for rule in self.allow:
            if rule.pattern is not None:
                found.setdefault(rule.words[0], []).append(rule)
        return found

    def evaluate(self, line: str) -> ShellVerdict:
        """Whether a command line may run, and what decided it."""
        return self.measured(line)[0]

    def measured(self, line: str) -> tuple[ShellVerdict, int]:
        """The verdict, and how many steps it took."""
        meter = new_meter(line)
        judge = _Judge(self, meter)
        try:
            verdict = judge.whole(line)
        except UnclearCommandError as error:
            verdict = ShellVerdict(False, f"it cannot be judged: {error}; use plain commands")
        except RefusedError as refused:
            verdict = refused.verdict
        return verdict, meter.steps


class _Judge(Walker):
    """One line's judging."""

    def __init__(self, rules: ShellRules, meter: Meter) -> None:
        super().__init__()
        self.rules = rules
        self.meter = meter
        self.home: Places = frozenset({Place(str(rules.paths.root))})
        self._strict = not rules.whole
        self.files = Files(rules.paths, meter, strict=self._strict)
        self._guards_files = rules.paths.denies_paths
        self._guarded = self._strict or bool(rules.deny) or self._guards_files
        """Whether it matters what is known only when the shell runs."""
        self._posix = False
        self._depth = 0
        self._settled = True
        self._goes_on = False
        """Whether the shell goes on with another line after an expansion fails."""
        self._by = ""
        self._beside = ""
        """The first program that is harmless next to an allowed one."""
        self._arrays = variables.Arrays()
        self._plain_names: set[str] = set()
        self._judged: dict[tuple[tuple[Word, ...], Places], bool] = {}
        """Commands that may run in these places and change nothing for what follows.

        True: they hold words that may name another file the next time.
        """

    def whole(self, line: str) -> ShellVerdict:
        """The verdict on a whole line. Raises UnclearCommandError and RefusedError."""
        self._goes_on = "\n" in line
        parsed = parse_command_line(line, meter=self.meter)
        self.files.look_ahead(parsed, posix=self._posix)
        self.start(parsed, self.home)
        if self._guarded and (name := self.numbers.doubtful):
            raise RefusedError(
                f"its arithmetic evaluates {name}, which may hold more than a number"
            )
        if self._beside and not self._by:
            raise _not_allowed(self._beside)
        everything = next((rule.text for rule in self.rules.allow if rule.pattern is None), "")
        return ShellVerdict(True, "allowed", self._by or everything)

    # -- commands ------------------------------------------------------------------------------

    def around(self, compound: Compound, places: Places) -> None:
        """Judge what belongs to a compound command besides the commands in it.

        Its redirections are expanded before its head is.
        """
        for line in compound.inner:
            self.apart(line, places)
        self._facts(compound.facts)
        self.files.redirections(compound.redirections, places)
        if compound.head is not None:
            self.simple(compound.head, places)
        if compound.shape is Shape.FUNCTION and compound.name in CHANGED_BY_FUNCTIONS:
            self._doubt(f"a function gives {compound.name} another meaning")

    def simple(self, command: SimpleCommand, places: Places) -> Outcome:
        """Judge a simple command."""
        words = command.words
        if command.bare:
            return self._program(words, places)
        self.meter.spend(1 + len(words))
        for line in command.inner:
            self.apart(line, places)
        mark = self.numbers.mark()
        if command.facts:
            self._facts(command.facts)
        if command.assignments:
            self._assignments(command.assignments, words, alone=not words)
        if command.redirections:
            self.files.redirections(command.redirections, places)
        if command.texts or command.assignments:
            self.files.mentions((*command.texts, *_values(command.assignments)), places)
        succeeded, failed = places, places
        if command.keyword:
            self._facts(facts_of(words, command.keyword))
        elif words:
            succeeded, failed = self._program(words, places)
        if command.may_fail:
            self.numbers.back_to(mark)
            failed = joined(failed, places)
        return succeeded, failed

    def _program(self, words: tuple[Word, ...], places: Places) -> Outcome:
        """Judge a program with its words, and what it runs. Raises RefusedError."""
        self.meter.spend(1 + len(words))
        key = words, places
        varies = self._judged.get(key)
        if varies is not None:
            if varies:
                self.files.mentions(words[1:], places)
            return places, places
        name = words[0].text
        if name in self._plain_names or self._is_plain(name):
            if self.rules.deny:
                self._denials(words, NOTHING)
            if self._strict:
                self._is_allowed(words, places)
            self.files.mentions(words[1:], places, lines=self._guards_files and may_run(words))
            self._settled = self._settled and name in _SETTLED
            self._judged[key] = None in map(_TEXT, words)
            return places, places
        inner = unwrap(words, posix=self._posix)
        self._denials(words, inner)
        moved = self._move(words, places)
        ruled = self._strict and self._permission(words, inner, moved, places)
        facts = list(facts_of(words, ""))
        self._facts(facts, ruled=ruled)
        lines = bool(inner.unclear or inner.opaque) or (not inner.known and may_run(words))
        self.files.mentions(words[1:], places, lines=lines)
        outcome = self._inner(inner, places)
        if moved is not None:
            return moved.succeeded, moved.failed
        if self._guards_files and may_be_builtin(words[0]):
            return UNKNOWN, UNKNOWN
        if self._depth == 0 and _exits(words):
            return frozenset(), frozenset()
        self._settled = self._settled and name in _SETTLED
        if inner is NOTHING and not facts and name != "exit":
            self._judged[key] = None in map(_TEXT, words)
        return outcome

    def _is_plain(self, name: str | None) -> bool:
        """Whether a program runs no others, evaluates and sets nothing, and moves nowhere."""
        if name is None:
            return False
        special = runs_others(name) or name in EVALUATING or name in MOVERS or name == "exit"
        if not special:
            self._plain_names.add(name)
        return not special

    def _inner(self, inner: Inner, places: Places) -> Outcome:
        """Judge what a program runs."""
        outcome = (places, places)
        if not inner.runs and inner.text is None:
            lost = inner.lost and self._guards_files
            return (UNKNOWN, UNKNOWN) if lost else outcome
        if self._depth >= DEEPEST:
            raise UnclearCommandError("it is nested too deep")
        self._depth += 1
        for run in inner.runs:
            self._assignments(run.assignments, run.words, alone=not run.words)
            if run.words:
                outcome = self._program(run.words, places)
        if inner.text is not None:
            outcome = self._text(inner.text, places)
        self._depth -= 1
        return outcome if inner.here else (places, places)

    def _text(self, text: Text, places: Places) -> Outcome:
        line = parse_command_line(text.line, posix=text.posix, meter=self.meter)
        if not text.here:  # else its shell's line was looked through with it
            self.files.look_ahead(line, posix=text.posix)
        posix, self._posix = self._posix, text.posix
        goes_on, self._goes_on = self._goes_on, self._goes_on or text.here or "\n" in text.line
        if text.here:
            elsewhere = text.later or line.defines
            after = self.line(line, UNKNOWN if elsewhere else places)
            places = UNKNOWN if elsewhere else after
        else:
            numbers, self.numbers = self.numbers, Numbers(self.numbers)
            self.start(line, places)
            self.numbers = numbers
        self._posix, self._goes_on = posix, goes_on
        return places, places

    def _move(self, words: tuple[Word, ...], places: Places) -> Move | None:
        if words[0].text not in MOVERS:
            return None
        if self.files.gives("CDPATH") or (words[-1].tilde and self.files.gives("HOME")):
            return Move(UNKNOWN, places, allowed=False)
        return move(words, places, settled=self._settled, readable=self.files.may_enter)

    # -- what is evaluated and set -------------------------------------------------------------

    def _facts(self, facts: Iterable[Fact], *, ruled: bool = False) -> None:
        """Judge what is evaluated and set. `ruled`: by a builtin that a rule names."""
        for fact in facts:
            self.meter.spend(1)
            if isinstance(fact, Doubt):
                self._doubt(fact.why)
            elif isinstance(fact, Risk):
                self.numbers.lost = self.numbers.lost or self._goes_on
                self._settled = self._settled and not self._goes_on
            elif isinstance(fact, Use):
                if not self.numbers.use(fact.name):
                    why = f"its arithmetic evaluates {fact.name}, which may hold more than a number"
                    self._doubt(why)
            else:
                self._set(fact, ruled=ruled)

    def _set(self, fact: Set, *, ruled: bool) -> None:
        self._note(fact, number=fact.number, certain=fact.certain)
        if not fact.number:
            self._gives(given_by(fact))
        has_value = fact.fallback and fact.name == "IFS"  # every shell sets it when it starts
        if not self._strict or has_value or (ruled and not variables.steers(fact.name)):
            return
        self._may_set(fact.name, fact.value, alone=True)

    def _doubt(self, why: str) -> None:
        if self._guarded:
            raise RefusedError(f"it cannot be judged: {why}; use plain commands")

    def _assignments(
        self, assignments: Sequence[Assignment], words: tuple[Word, ...], *, alone: bool
    ) -> None:
        together = len(assignments) == 1 or all(map(_is_plain, assignments))
        for assignment in assignments:  # where one fails, the others may not be made
            self._gives(assignment)
            number, certain = variables.number_set(assignment, posix=self._posix)
            self._note(assignment, number=number, certain=certain and alone and together)
            value = None if assignment.value is None else assignment.value.text
            if self._strict and not (
                assignment.name == "IFS" and value == "" and words and words[0].text == "read"
            ):
                self._may_set(assignment.name, value, alone=alone)

    def _gives(self, assignment: Assignment) -> None:
        """A variable is given a value. Raises RefusedError where that may be a denied program."""
        self.files.note(assignment)
        if not self.rules.deny:
            return
        words = [*_values([assignment])]
        texts = {word.text for word in words if word is not None}
        if assignment.appends or not words or None in words:
            texts = {None}
        for rule in self.rules.deny:
            for text in texts:
                self.meter.spend(1)
                if why := denied_in(rule, assignment.name, text):
                    raise RefusedError(why, by=rule.text)

    def _note(self, given: Assignment | Set, *, number: bool, certain: bool) -> None:
        """A variable is set. Raises RefusedError where that means more."""
        name = given.name
        self.numbers.note(name, number=number, certain=certain)
        why = variables.doubt_about(name, number=number) or self._arrays.doubt_about(given)
        if why:
            self._doubt(why)
        for rule in self.rules.deny if name.startswith("GIT_CONFIG") else ():
            if rule.words[:1] == ("git",):
                why = f"{name} may give git what the rule {rule.text} denies"
                raise RefusedError(why, by=rule.text)

    def _may_set(self, name: str, value: str | None, *, alone: bool) -> None:
        if not variables.may_be_set(name, value, alone=alone):
            raise RefusedError(f"setting {name} could make a program run others", "shell")

    # -- rules ---------------------------------------------------------------------------------

    def _denials(self, words: tuple[Word, ...], inner: Inner) -> None:
        for rule in self.rules.deny:
            self.meter.spend(1 + len(words) // 8)
            if why := denied_by(rule, words, inner):
                raise RefusedError(why, by=rule.text)

    def _permission(
        self, words: tuple[Word, ...], inner: Inner, moved: Move | None, places: Places
    ) -> bool:
        """Whether a rule allows a program. Raises RefusedError where nothing does."""
        if inner.unclear:
            raise RefusedError(f"it cannot be judged: {inner.unclear}; use plain commands")
        if inner.transparent or inner.asks or (moved is not None and moved.allowed):
            return False
        return self._is_allowed(words, places)

    def _is_allowed(self, words: tuple[Word, ...], places: Places) -> bool:
        """The same of a program that runs no others and moves nowhere."""
        called = words[0].text
        if called is None:
            raise RefusedError(f"{_UNKNOWN_PROGRAM}; write the program's name")
        relative = "/" in called and not called.startswith("/") and places != self.home
        if not relative:
            for rule in self.rules.allowing.get(called, ()):
                if rule.allows_command(words):
                    self._by = self._by or rule.text
                    return True
        if not self._is_harmless(words, places):
            raise _not_allowed(called, filters.bound(called))
        self._beside = self._beside or called
        return False

    def _is_harmless(self, words: tuple[Word, ...], places: Places) -> bool:
        """Whether a program does no harm next to one that is allowed."""
        if words[0].text == "export":
            found = [fact for fact in facts_of(words, "") if isinstance(fact, Set)]
            return len(found) == len(words) - 1 and all(
                variables.may_be_set(fact.name, fact.value, alone=False) for fact in found
            )
        files = filters.files_read(words)
        return files is not None and self.files.may_read(files, places)


def _not_allowed(program: str, bound: str = "") -> RefusedError:
    return RefusedError(f"the program {program} is not allowed{bound}", hint_for(program))


def hint_for(name: str) -> str | None:
    """The rule that allows a program, None when no rule can name it."""
    text = f"shell({shlex.quote(name)}:*)"
    try:
        rule = parse_rule(text)
    except UsageError:
        return None
    return text if rule.words == (name,) else None


def _exits(words: Sequence[Word]) -> bool:
    """Whether the shell ends here for certain; with other words `exit` may only complain."""
    plain = len(words) == 1 or (len(words) == 2 and _EXIT_STATUS.fullmatch(words[1].raw))
    return words[0].text == "exit" and bool(plain)


def _is_plain(assignment: Assignment) -> bool:
    return assignment.value is not None and assignment.value.text is not None


def _values(assignments: Iterable[Assignment]) -> Iterator[Word]:
    for assignment in assignments:
        yield from assignment.elements if assignment.value is None else (assignment.value,)
