"""Judging a command line: every program it runs, every variable it sets, every file it opens."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import UsageError
from sdqctl.model.tools import ToolKind
from sdqctl.policy.paths import PathRules
from sdqctl.policy.rules import ToolRule, parse_rule
from sdqctl.policy.shell import filters, variables
from sdqctl.policy.shell.builtins import CHANGED_BY_FUNCTIONS, facts_of
from sdqctl.policy.shell.denials import denied_by
from sdqctl.policy.shell.facts import Doubt, Fact, Set, UnclearCommandError, Use
from sdqctl.policy.shell.flow import Numbers, Outcome, Walker, survey
from sdqctl.policy.shell.grammar import new_meter, parse_command_line
from sdqctl.policy.shell.location import MOVERS, UNKNOWN, Move, Place, Places, move
from sdqctl.policy.shell.mentions import Mentions
from sdqctl.policy.shell.tree import Assignment, Compound, Redirection, Shape, SimpleCommand
from sdqctl.policy.shell.word import Word
from sdqctl.policy.shell.words import Meter
from sdqctl.policy.shell.wrappers import Inner, Text, unwrap

_STREAMS = re.compile(r"/dev/(null|stdin|stdout|stderr|fd/\d+)")
_UNKNOWN_PROGRAM = "which program it runs is known only when the shell runs"
_DEEPEST = 20
_MOST_REDIRECTIONS = 500
_SETTLED = frozenset(
    {
        "cd",
        "pushd",
        "popd",
        "chdir",
        "echo",
        "printf",
        "true",
        "false",
        ":",
        "test",
        "[",
        "pwd",
        "set",
    }
    | {"export", "local", "read", "type", "command", "builtin", "exit", "return"}
)
"""After these the folders are as they were."""


@dataclass(frozen=True)
class ShellVerdict:
    """What is decided on a command line. `rule` would allow what is refused, None: nothing would.

    `by` is the rule, as it is written, that allowed or denied; the first one where several allowed
    parts of the line. Empty where no rule decided: then the mode did, or the line is not clear.
    """

    allowed: bool
    why: str
    by: str = ""
    rule: str | None = None


class _RefusedError(Exception):
    """A part of a line may not run."""

    def __init__(self, why: str, rule: str | None = None, by: str = "") -> None:
        super().__init__(why)
        self.verdict = ShellVerdict(False, why, by, rule)


@dataclass(frozen=True, kw_only=True)
class ShellRules:
    """What a shell may run. `whole`: any command, but for the denied ones."""

    whole: bool
    allow: tuple[ToolRule, ...]
    deny: tuple[ToolRule, ...]
    paths: PathRules

    def judge(self, line: str) -> ShellVerdict:
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
        except _RefusedError as refused:
            verdict = refused.verdict
        return verdict, meter.steps


class _Judge(Walker):
    """One line's judging."""

    def __init__(self, rules: ShellRules, meter: Meter) -> None:
        super().__init__()
        self.rules = rules
        self.meter = meter
        self.home: Places = frozenset({Place(str(rules.paths.root))})
        self.mentions = Mentions(rules.paths, meter)
        self._strict = not rules.whole
        self._guarded = self._strict or bool(rules.deny) or rules.paths.denies_paths
        """Whether it matters what is known only when the shell runs."""
        self._posix = False
        self._depth = 0
        self._settled = True
        self._redirected = 0
        self._by = ""
        self._beside = ""
        """The first program that is harmless next to an allowed one."""

    def whole(self, line: str) -> ShellVerdict:
        """The verdict on a whole line. Raises UnclearCommandError and _RefusedError."""
        self.start(parse_command_line(line, meter=self.meter), self.home)
        if self._guarded and (name := self.numbers.doubtful):
            raise _RefusedError(
                f"its arithmetic evaluates {name}, which may hold more than a number"
            )
        if self._beside and not self._by:
            raise _not_allowed(self._beside)
        everything = next((rule.text for rule in self.rules.allow if rule.pattern is None), "")
        return ShellVerdict(True, "allowed", self._by or everything)

    # -- commands ------------------------------------------------------------------------------

    def around(self, compound: Compound, places: Places) -> None:
        """Judge what belongs to a compound command besides the commands in it."""
        if compound.head is not None:
            self.simple(compound.head, places)
        for line in compound.inner:
            self.apart(line, places)
        self._facts(compound.facts)
        self._redirections(compound.redirections, places)
        if compound.shape is Shape.FUNCTION and compound.name in CHANGED_BY_FUNCTIONS:
            self._doubt(f"a function gives {compound.name} another meaning")

    def simple(self, command: SimpleCommand, places: Places) -> Outcome:
        """Judge a simple command."""
        self.meter.spend(1 + len(command.words))
        for line in command.inner:
            self.apart(line, places)
        self._facts(command.facts)
        words = tuple(command.words)
        self._assignments(command.assignments, words, alone=not words)
        self._redirections(command.redirections, places)
        self._mentions((*command.texts, *_values(command.assignments)), places)
        outcome = (places, places)
        if command.keyword:
            self._facts(facts_of(words, command.keyword))
        elif words:
            outcome = self._program(words, places)
        return outcome

    def _program(self, words: tuple[Word, ...], places: Places) -> Outcome:
        """Judge a program with its words, and what it runs. Raises _RefusedError."""
        self.meter.spend(1 + len(words))
        inner = unwrap(words, posix=self._posix)
        self._denials(words, inner)
        moved = self._move(words, places)
        ruled = self._strict and self._permission(words, inner, moved, places)
        self._facts(facts_of(words, ""), ruled=ruled)
        self._mentions(words[1:], places)
        outcome = self._inner(inner, places)
        if moved is not None:
            return moved.succeeded, moved.failed
        if words[0].text in ("exit", "return") and self._depth == 0:
            return frozenset(), frozenset()
        self._settled = self._settled and (words[0].text in _SETTLED)
        return outcome

    def _inner(self, inner: Inner, places: Places) -> Outcome:
        """Judge what a program runs."""
        outcome = (places, places)
        if not inner.runs and inner.text is None:
            return outcome
        if self._depth >= _DEEPEST:
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
        posix, self._posix = self._posix, text.posix
        if text.here:
            elsewhere = text.later or survey(line, deep=True)[0]
            after = self.line(line, UNKNOWN if elsewhere else places)
            places = UNKNOWN if elsewhere else after
        else:
            numbers, self.numbers = self.numbers, Numbers(self.numbers)
            self.start(line, places)
            self.numbers = numbers
        self._posix = posix
        return places, places

    def _move(self, words: tuple[Word, ...], places: Places) -> Move | None:
        if words[0].text not in MOVERS:
            return None
        return move(words, places, settled=self._settled, readable=self._may_enter)

    def _may_enter(self, folder: str) -> bool:
        return self.rules.paths.refusal(ToolKind.READ, folder) is None

    # -- what is evaluated and set -------------------------------------------------------------

    def _facts(self, facts: Iterable[Fact], *, ruled: bool = False) -> None:
        """Judge what is evaluated and set. `ruled`: by a builtin that a rule names."""
        for fact in facts:
            self.meter.spend(1)
            if isinstance(fact, Doubt):
                self._doubt(fact.why)
            elif isinstance(fact, Use):
                if not self.numbers.use(fact.name):
                    why = f"its arithmetic evaluates {fact.name}, which may hold more than a number"
                    self._doubt(why)
            else:
                self._set(fact, ruled=ruled)

    def _set(self, fact: Set, *, ruled: bool) -> None:
        self._note(fact.name, number=fact.number, certain=fact.certain)
        has_value = fact.fallback and fact.name == "IFS"  # every shell sets it when it starts
        if not self._strict or has_value or (ruled and not variables.steers(fact.name)):
            return
        self._may_set(fact.name, fact.value, alone=True)

    def _doubt(self, why: str) -> None:
        if self._guarded:
            raise _RefusedError(f"it cannot be judged: {why}; use plain commands")

    def _assignments(
        self, assignments: Iterable[Assignment], words: tuple[Word, ...], *, alone: bool
    ) -> None:
        for assignment in assignments:
            self.mentions.note(assignment)
            number = variables.is_number_set(assignment, posix=self._posix)
            self._note(assignment.name, number=number, certain=number and alone)
            value = None if assignment.value is None else assignment.value.text
            if self._strict and not (
                assignment.name == "IFS" and value == "" and words and words[0].text == "read"
            ):
                self._may_set(assignment.name, value, alone=alone)

    def _note(self, name: str, *, number: bool, certain: bool) -> None:
        """A variable is set. Raises _RefusedError where that means more."""
        self.numbers.note(name, number=number, certain=certain)
        if why := variables.doubt_about(name, number=number):
            self._doubt(why)
        for rule in self.rules.deny if name.startswith("GIT_CONFIG") else ():
            if rule.words[:1] == ("git",):
                why = f"{name} may give git what the rule {rule.text} denies"
                raise _RefusedError(why, by=rule.text)

    def _may_set(self, name: str, value: str | None, *, alone: bool) -> None:
        if not variables.may_be_set(name, value, alone=alone):
            raise _RefusedError(f"setting {name} could make a program run others", "shell")

    # -- rules ---------------------------------------------------------------------------------

    def _denials(self, words: tuple[Word, ...], inner: Inner) -> None:
        for rule in self.rules.deny:
            self.meter.spend(1 + len(words) // 8)
            if why := denied_by(rule, words, inner):
                raise _RefusedError(why, by=rule.text)

    def _permission(
        self, words: tuple[Word, ...], inner: Inner, moved: Move | None, places: Places
    ) -> bool:
        """Whether a rule allows a program. Raises _RefusedError where nothing does."""
        if inner.unclear:
            raise _RefusedError(f"it cannot be judged: {inner.unclear}; use plain commands")
        if inner.transparent or inner.asks or (moved is not None and moved.allowed):
            return False
        called = words[0].text
        if called is None:
            raise _RefusedError(f"{_UNKNOWN_PROGRAM}; write the program's name")
        relative = "/" in called and not called.startswith("/") and places != self.home
        if not relative:
            rule = next((rule for rule in self.rules.allow if rule.allows_command(words)), None)
            if rule is not None:
                self._by = self._by or rule.text
                return True
        if not self._is_harmless(words, places):
            raise _not_allowed(called)
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
        if files is None:
            return False
        known = None not in places or all(file.startswith("/") for file in files)
        return known and not any(
            self.rules.paths.refusal(ToolKind.READ, _literal(file), _folder(place))
            for file in files
            for place in places
        )

    # -- files ---------------------------------------------------------------------------------

    def _mentions(self, words: Sequence[Word], places: Places) -> None:
        if found := self.mentions.denied(words, places):
            name, refusal = found
            raise _RefusedError(f"it names {name}, and {refusal.why}", by=refusal.by)

    def _redirections(self, redirections: Iterable[Redirection], places: Places) -> None:
        for redirection in redirections:
            self._redirected += 1
            if self._redirected > _MOST_REDIRECTIONS:
                raise UnclearCommandError("it opens too many files")
            self._redirection(redirection, places)

    def _redirection(self, redirection: Redirection, places: Places) -> None:
        kind = ToolKind.READ if redirection.reads else ToolKind.WRITE
        word, verb = redirection.target, "reads" if redirection.reads else "writes"
        if word.text is None or (word.tilde and os.path.expanduser(word.text) == word.text):
            self._mentions([word], places)
            self._unknown(f"which file it {verb} is known only when the shell runs; write its name")
            return
        if _STREAMS.fullmatch(word.text):
            return
        text = os.path.expanduser(word.text) if word.tilde else word.text
        for place in places:
            if place is None and not text.startswith("/"):
                self._unknown(f"it {verb} {text} in a folder that is known only then")
                continue
            found = self.rules.paths.refusal(kind, _literal(text), _folder(place))
            if found is not None:
                why = f"it {verb} {text}, and {found.why}"
                raise _RefusedError(why, found.rule, found.by)

    def _unknown(self, why: str) -> None:
        """What is known only when the shell runs is left to a shell that may do anything."""
        if self._strict or self.rules.paths.denies_paths:
            raise _RefusedError(why)


def _not_allowed(program: str) -> _RefusedError:
    return _RefusedError(f"the program {program} is not allowed", hint_for(program))


def hint_for(name: str) -> str | None:
    """The rule that allows a program, None when no rule can name it."""
    text = f"shell({shlex.quote(name)}:*)"
    try:
        rule = parse_rule(text)
    except UsageError:
        return None
    return text if rule.words == (name,) else None


def _folder(place: Place | None) -> Path | None:
    return None if place is None else Path(os.path.realpath(place.folder))


def _literal(text: str) -> str:
    """A path that begins with a quoted `~` is no one's home."""
    return f"./{text}" if text.startswith("~") else text


def _values(assignments: Iterable[Assignment]) -> Iterator[Word]:
    for assignment in assignments:
        yield from assignment.elements if assignment.value is None else (assignment.value,)
