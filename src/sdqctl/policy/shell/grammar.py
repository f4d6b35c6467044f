"""Taking a command line apart: its commands, how they follow each other, the files they open.

The grammar of bash(1) is read strictly: what it would not accept, and what is not known for
certain, is an `UnclearCommandError`, and the policy denies it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sdqctl.policy.shell.facts import UnclearCommandError, uncertain
from sdqctl.policy.shell.lists import AFTER_WORD, PARENTHESIS, RESERVED_WORD, ListReader
from sdqctl.policy.shell.meter import Meter
from sdqctl.policy.shell.plain_commands import RESERVED
from sdqctl.policy.shell.simple import NO_REDIRECTION
from sdqctl.policy.shell.tree import (
    Assignment,
    Command,
    Compound,
    Line,
    Shape,
    SimpleCommand,
    Step,
)
from sdqctl.policy.shell.word import Word

LONGEST = 100_000
"""Characters that are judged; a longer line is refused."""
_EFFORT = 12
"""Steps per character that a line may cost."""
_NO_CONTROLS = re.compile(r"[ -~\t\n\x80-\ud7ff\ue000-\U0010ffff]*+")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_FUNCTION_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_EMPTY_PARENTHESES = re.compile(r"\([ \t]*\)")
_THEN = re.compile(rf"then{AFTER_WORD}")
_BRANCH = re.compile(rf"(?:elif|else|fi){AFTER_WORD}")
_FI = re.compile(rf"fi{AFTER_WORD}")
_DO = re.compile(rf"do{AFTER_WORD}")
_DONE = re.compile(rf"done{AFTER_WORD}")
_BRACE = re.compile(rf"\}}{AFTER_WORD}")
_BRACKETS = re.compile(rf"\]\]{AFTER_WORD}")
_END_OF_BRANCH = re.compile(rf";;|;&|esac{AFTER_WORD}")
_TEST_OPERATORS = ("&&", "||", "(", ")", "<", ">", "|")


def parse_command_line(
    line: str, *, posix: bool = False, depth: int = 0, meter: Meter | None = None
) -> Line:
    """The commands of a line. Raises UnclearCommandError."""
    if len(line) > LONGEST:
        raise UnclearCommandError(f"it is longer than {LONGEST} characters")
    if not _NO_CONTROLS.fullmatch(line):
        raise UnclearCommandError("it holds control characters")
    meter = meter or new_meter(line)
    meter.spend(len(line))
    return _Parser(line, meter, depth=depth, posix=posix).whole()


def new_meter(line: str) -> Meter:
    """A meter for a line and all that is nested in it."""
    return Meter(_EFFORT * len(line) + 1000)


class _Parser(ListReader):
    def command(self) -> Command:
        self.meter.spend(1)
        found = RESERVED_WORD.match(self.text, self.at)
        word = found.group() if found else self.peek()
        if word == "(":
            return self._parenthesis()
        if found is None or (word == "time" and self.posix):
            return self.plain_setting() or self.plain_message() or self._simple()
        if word == "[[":
            return self._test()
        reader = _READERS.get(word)
        if reader is None:
            raise UnclearCommandError(f"it uses {word} where a command is awaited")
        if word == "select" or (word == "function" and "\n" in self.text):
            self.bash_only(word)
        with self.deeper(), self.own_draft():
            self.reserved(word)
            return self._with_redirections(reader(self))

    def _with_redirections(self, compound: Compound) -> Compound:
        """A compound command with the redirections after it."""
        if self.text[self.at : self.at + 1] in NO_REDIRECTION:
            compound.inner, compound.facts = self.inner, self.facts
            return compound
        found = self.redirections_only()
        compound.redirections, compound.inner = found.redirections, found.inner
        compound.facts, compound.may_fail = found.facts, found.may_fail
        return compound

    def _simple(self) -> Command:
        """A simple command, or a function that begins like one."""
        facts, inner = self.facts, self.inner
        self.facts, self.inner = [], []
        command = self.simple()
        found = self._named_function(command) if self.peek() == "(" else command
        self.facts, self.inner = facts, inner
        return found

    def _named_function(self, found: SimpleCommand) -> Compound:
        """A function whose name was read as a command."""
        name = found.words[0].raw if len(found.words) == 1 else ""
        function = _EMPTY_PARENTHESES.match(self.text, self.at)
        if function is None or not _FUNCTION_NAME.fullmatch(name) or found.has_more:
            raise UnclearCommandError("it uses '(' within a command")
        if name in RESERVED:
            raise UnclearCommandError(f"{name} cannot be a function")
        self.at = function.end()
        return self._function(name)

    def _function(self, name: str) -> Compound:
        self.newlines()
        body = self.plain_command() or self.command()
        if isinstance(body, SimpleCommand) and not body.keyword:
            raise UnclearCommandError("the body of a function is not clear")
        self.functions.append(name)
        return Compound(Shape.FUNCTION, [Line([Step([body], False, "")])], name=name)

    def _keyword_function(self) -> Compound:
        name = self.word().raw
        if not _FUNCTION_NAME.fullmatch(name):
            raise UnclearCommandError("the name of a function is not clear")
        self.skip_blanks()
        if function := _EMPTY_PARENTHESES.match(self.text, self.at):
            self.at = function.end()
        return self._function(name)

    def _parenthesis(self) -> Command:
        if self.follows("(("):
            return self._arithmetic()
        self.operator("(")
        with self.deeper(), self.own_draft():
            body = self._filled(PARENTHESIS)
            if not self.follows(")"):
                raise UnclearCommandError("its parentheses are not paired")
            self.at += 1
            return self._with_redirections(Compound(Shape.SUBSHELL, [body]))

    def _arithmetic(self) -> SimpleCommand:
        self.bash_only("((...))")
        with self.deeper(), self.own_draft():
            self.at += 2
            self.expression("))", drops=False)
            if self.pending:
                raise UnclearCommandError("arithmetic follows a here-document")
            return self.with_keyword("((", [])

    def _filled(self, ends: re.Pattern[str]) -> Line:
        found = self.line(ends)
        if not found.steps:
            raise UnclearCommandError("a part of a command is empty")
        return found

    def _group(self) -> Compound:
        body = self._filled(_BRACE)
        self.expect("}")
        return Compound(Shape.GROUP, [body])

    def _if(self) -> Compound:
        lines = [self._filled(_THEN)]
        self.expect("then")
        while True:
            lines.append(self._filled(_BRANCH))
            if self.reserved("elif"):
                lines.append(self._filled(_THEN))
                self.expect("then")
                continue
            if self.reserved("else"):
                lines.append(self._filled(_FI))
            self.expect("fi")
            return Compound(Shape.BRANCH, lines)

    def _while(self) -> Compound:
        condition = self._filled(_DO)
        return Compound(Shape.LOOP, [condition, self._do()])

    def _do(self) -> Line:
        self.expect("do")
        return self._body()

    def _body(self) -> Line:
        body = self._filled(_DONE)
        self.expect("done")
        return body

    def _for(self) -> Compound:
        if self.follows("(("):
            return self._arithmetic_for()
        if assignment := self.plain_loop():
            head = self.head(assignment)
            return Compound(Shape.LOOP, [Line([]), self._body()], head)
        name = self.word().raw
        if not _IDENTIFIER.fullmatch(name):
            raise UnclearCommandError("the name of a loop is not clear")
        self.newlines()
        words: list[Word] = []
        values: tuple[Word, ...] | None = None
        if self.reserved("in"):
            words += self.run_of_words(first=False)
            self.skip_blanks()
            while (word := self.word()).raw:
                words.append(word)
                self.skip_blanks()
            values = tuple(words)
        self._end_of_head()
        head = self.head(Assignment(name, None, values or (), loop=True))
        with self.own_draft():
            return Compound(Shape.LOOP, [Line([]), self._do()], head)

    def _end_of_head(self) -> None:
        """The `;` or the newlines between the head of a loop and its `do`."""
        if self.peek() == ";":
            self.operator(";")
        self.newlines()

    def _arithmetic_for(self) -> Compound:
        self.bash_only("for ((...))")
        self.at += 2
        self.expression(";", drops=False)
        before, self.facts = self.facts, []
        self.expression(";", drops=False)
        self.expression("))", drops=False)
        self.facts = [*before, *uncertain(self.facts)]
        if self.pending:
            raise UnclearCommandError("arithmetic follows a here-document")
        self.skip_blanks()
        self._end_of_head()
        head = self.head(None)
        with self.own_draft():
            return Compound(Shape.LOOP, [Line([]), self._do()], head)

    def _case(self) -> Compound:
        if not self.word().raw:
            raise UnclearCommandError("a case is not clear")
        self.newlines()
        self.expect("in")
        self.newlines()
        lines = [Line([])]
        heads = [self.head(None)]
        while not self.reserved("esac"):
            self._pattern()
            lines.append(self.line(_END_OF_BRANCH))
            heads.append(self.head(None))
            if not self._end_of_branch():
                self.expect("esac")
                break
        inner = [line for head in heads for line in head.inner]
        facts = [fact for head in heads for fact in head.facts]
        return Compound(Shape.BRANCH, lines, SimpleCommand((), inner=inner, facts=facts))

    def _end_of_branch(self) -> bool:
        for operator in (";;&", ";;", ";&"):
            if self.follows(operator):
                if operator != ";;":
                    self.bash_only(operator)
                self.operator(operator)
                self.newlines()
                return True
        return False

    def _pattern(self) -> None:
        if self.peek() == "(":
            self.operator("(")
            self.skip_blanks()
        while True:
            if not self.word().raw:
                raise UnclearCommandError("a case is not clear")
            self.skip_blanks()
            char = self.peek()
            if char not in ("|", ")"):
                raise UnclearCommandError("a case is not clear")
            self.at += 1
            self.skip_blanks()
            if char == ")":
                return

    def _test(self) -> SimpleCommand:
        """A `[[ ... ]]`, with its operators as words."""
        self.bash_only("[[")
        with self.deeper(), self.own_draft():
            self.at += 2
            words: list[Word] = []
            while not _BRACKETS.match(self.text, self.at):
                words.append(self._test_word(words[-1].raw if words else "&&"))
            self.reserved("]]")
            if not words or _unpaired(words):
                raise UnclearCommandError("a [[ is empty, or its parentheses are not paired")
            return self.with_keyword("[[", words)

    def _test_word(self, last: str) -> Word:
        self.skip_blanks(comments=False)
        if last in ("&&", "||"):
            while self.peek() == "\n" and not self.pending:
                self.at += 1
                self.skip_blanks(comments=False)
        if self.peek() == "#":
            raise UnclearCommandError("a # stands in a [[")
        for operator in _TEST_OPERATORS:
            if self.follows(operator) and not (self.follows("<(") or self.follows(">(")):
                self.operator(operator)
                self.skip_blanks(comments=False)
                return Word(operator, operator)
        word = self.word()
        if not word.raw:
            raise UnclearCommandError("a [[ is not closed")
        self.skip_blanks(comments=False)
        return word


_READERS: dict[str, Callable[[_Parser], Compound]] = {
    "if": _Parser._if,
    "while": _Parser._while,
    "until": _Parser._while,
    "for": _Parser._for,
    "select": _Parser._for,
    "case": _Parser._case,
    "{": _Parser._group,
    "function": _Parser._keyword_function,
}


def _unpaired(words: list[Word]) -> bool:
    """Whether a `)` among these words has no `(`, or the other way round."""
    depth = 0
    for word in words:
        depth += (word.raw == "(") - (word.raw == ")")
        if depth < 0:
            return True
    return depth > 0
