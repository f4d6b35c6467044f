"""Reading simple commands: their words, the variables they set, their redirections."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from sdqctl.policy.shell.facts import Doubt, Risk, Set, UnclearCommandError, Use, uncertain
from sdqctl.policy.shell.meter import Meter
from sdqctl.policy.shell.plain_commands import ASSIGNMENT, RESERVED, HereDocument, PlainReader
from sdqctl.policy.shell.scopes import Draft
from sdqctl.policy.shell.tree import Assignment, Redirection, SimpleCommand
from sdqctl.policy.shell.word import Word, assigned_value

_REDIRECTION = re.compile(r"<<<|<<-|<<|<>|<&|<|&>>|&>|>>|>&|>\||>")
_BASH_REDIRECTIONS = frozenset({"<<<", "&>>", "&>"})
_BLANKS = re.compile(r"(?:[ \t]+|\\\n)*")
_BEGIN_BLANKS = frozenset(" \t\\")
JOINED = re.compile(r"(?:\\\n)+[&|;<>()]")
_ARRAY = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_ELEMENT = re.compile(r"\[([^\]=]*)\]\+?=")
_INDEX = re.compile(r"-?\d{1,9}", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_DESCRIPTOR = re.compile(r"\{([A-Za-z_]\w*)\}", re.ASCII)
_PLAIN_TARGET = re.compile(r"[A-Za-z_./][\w./@%+=:,-]*", re.ASCII)
_DUPLICATE = re.compile(r"\d+-?", re.ASCII)
_DELIMITER = re.compile(
    r"([\w.,:@%+=/-]+)|'([^'\\\n`$\"]+)'|\"([^\"\\\n`$']+)\"|\\([\w.-]+)", re.ASCII
)
_UNCLEAR_END = "the end of a here-document is not clear"
_ENDS = " \t\n;&|)<>"
NO_REDIRECTION = frozenset(["", *"\n;|)"])
_STOPS = frozenset(["", *"\n;&|()<>"])


class _Rest(msgspec.Struct, gc=False):
    """What stands beside the words of a command, as far as it was read."""

    assignments: list[Assignment] = []
    redirections: list[Redirection] = []
    texts: list[Word] = []
    may_fail: bool = False


class SimpleReader(PlainReader):
    """Reads simple commands; what they hold is collected in the draft of each command."""

    def __init__(self, text: str, meter: Meter, *, depth: int = 0, posix: bool = False) -> None:
        super().__init__(text, meter, depth=depth, posix=posix)
        self.within = 0
        """In how many substitutions this is."""

    def own_draft(self) -> Draft:
        """Collect the facts and substitutions of one command by themselves."""
        return Draft(self)

    def head(self, assignment: Assignment | None) -> SimpleCommand:
        """What was read so far, as a command without words; the rest begins anew."""
        assignments = [] if assignment is None else [assignment]
        found = SimpleCommand((), assignments, inner=self.inner, facts=self.facts)
        self.facts, self.inner = [], []
        return found

    def with_keyword(self, keyword: str, words: list[Word]) -> SimpleCommand:
        """A `[[` or `((` whose text was read, with the redirections after it."""
        if self.peek() not in ("", *_ENDS):
            raise UnclearCommandError(f"it is not clear what follows {keyword}")
        own, self.facts = self.facts, []
        begin = self.at
        rest = self._redirections()
        redirected = self.text[begin : self.at].strip()  # what stands there is expanded before
        self.facts[:0] = uncertain(own) if redirected else own
        return self._command(words, rest, keyword)

    def redirections_only(self) -> SimpleCommand:
        """The redirections after a compound command."""
        return self._command((), self._redirections())

    def _command(self, words: Iterable[Word], rest: _Rest, keyword: str = "") -> SimpleCommand:
        """The command that was read."""
        return SimpleCommand(
            tuple(words),
            rest.assignments,
            rest.redirections,
            self.inner,
            self.facts,
            rest.texts,
            rest.may_fail,
            keyword,
        )

    def _redirections(self) -> _Rest:
        rest = _Rest()
        self.skip_blanks()
        while (char := self.peek()) and (char in "<>" or char.isdigit() or self.follows("&>")):
            if char.isdigit():
                word = self.word()
                if self.peek() not in ("<", ">") or not word.raw.isdigit():
                    raise UnclearCommandError(f"it uses {word.raw} where a command ends")
            self._redirection(rest)
            self.skip_blanks()
        return rest

    def skip_blanks(self, *, comments: bool = True) -> None:
        """Skip blanks, continued lines and a comment, where a token may begin."""
        char = self.text[self.at : self.at + 1]
        if char in _BEGIN_BLANKS:
            blanks = _BLANKS.match(self.text, self.at)
            self.at = blanks.end() if blanks else self.at
            char = self.text[self.at : self.at + 1]
        if char == "#" and comments:
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end

    def simple(self) -> SimpleCommand:
        """The simple command that begins here. Raises UnclearCommandError when none does."""
        rest = _Rest()
        words: list[Word] = []
        while True:
            self.skip_blanks()
            char = self.text[self.at : self.at + 1]
            if char not in _STOPS:
                if plain := self.run_of_words(first=not words):
                    words += plain
                else:
                    self._element(rest, words)
            elif (char and char in "<>") or self.follows("&>"):
                if char != "&" and self.text[self.at + 1 : self.at + 2] == "(":
                    words.append(self.word())
                else:
                    self._redirection(rest)
            else:
                break
        more = rest.assignments or rest.redirections or rest.texts
        if not (words or more or self.pending):
            what = f"{char!r}" if char else "its end"
            raise UnclearCommandError(f"a command is missing before {what}")
        return self._command(words, rest)

    def _element(self, rest: _Rest, words: list[Word]) -> None:
        """A word, an assignment, or the descriptor before a redirection."""
        word = self.word()
        following = self.peek()
        if self.pending and "\n" in word.raw:
            raise UnclearCommandError("a line ends within a word before a here-document")
        if following and following in "<>" and self._is_descriptor(word.raw):
            return
        reserved = word.raw in RESERVED and (word.raw != "time" or not self.posix)
        if reserved and not (words or rest.assignments):
            raise UnclearCommandError(f"it uses {word.raw} where a command is awaited")
        assignment = None if words else ASSIGNMENT.match(word.raw)
        if assignment is None:
            words.append(word)
        elif following == "(" and _ARRAY.fullmatch(word.raw):
            rest.assignments.append(self._array(assignment.group(1)))
        else:
            rest.assignments.append(self._assignment(word, assignment))

    def _is_descriptor(self, raw: str) -> bool:
        if raw.isascii() and raw.isdigit():
            if len(raw) > 1:
                self.bash_only("descriptors above 9")
            return True
        if raw.startswith("{") and raw.endswith("}") and raw != "{}":
            self.bash_only("{name}> redirections")
            found = _DESCRIPTOR.fullmatch(raw)
            if found is None:
                raise UnclearCommandError("it is not clear what a redirection sets")
            self.facts.append(Set(found.group(1), number=True))
            return True
        return False

    def _assignment(self, word: Word, found: re.Match[str]) -> Assignment:
        if found.group(2):
            self.bash_only("arrays")
            self._subscript(found.group(2)[1:-1])
        if found.group(3):
            self.bash_only("+=")
        value = assigned_value(word, len(found.group()))
        element = bool(found.group(2))
        if found.group(3):
            return Assignment(found.group(1), None, (value,), element=element, appends=True)
        return Assignment(found.group(1), value, element=element)

    def _subscript(self, text: str) -> None:
        if _IDENTIFIER.fullmatch(text):
            self.facts.append(Use(text))
        elif not _INDEX.fullmatch(text):
            self.facts.append(Doubt("a subscript is evaluated"))
        if text.startswith("-"):
            self.facts.append(Risk())

    def _array(self, name: str) -> Assignment:
        self.bash_only("arrays")
        self.at += 1
        elements: list[Word] = []
        while True:
            self.skip_blanks(comments=False)
            while self.peek() == "\n" and not self.pending:
                self.at += 1
                self.skip_blanks(comments=False)
            if self.peek() == ")":
                break
            elements.append(self._array_element())
        self.at += 1
        if self.peek() not in ("", *_ENDS):
            raise UnclearCommandError("it is not clear what follows an array")
        return Assignment(name, None, tuple(elements))

    def _array_element(self) -> Word:
        word = self.word()
        if not word.raw or word.raw.startswith("#"):
            raise UnclearCommandError("an array is not clear")
        if word.raw.startswith("["):
            if "]" not in word.raw:
                raise UnclearCommandError("a subscript is not closed")
            if found := _ELEMENT.match(word.raw):
                self._subscript(found.group(1))
            elif "=" in word.raw:
                self.facts.append(Doubt("a subscript is evaluated"))
        return word

    # -- redirections --------------------------------------------------------------------------

    def _redirection(self, rest: _Rest) -> None:
        found = _REDIRECTION.match(self.text, self.at)
        operator = found.group() if found else ""
        if operator in _BASH_REDIRECTIONS:
            self.bash_only(operator)
        self.at += len(operator)
        self.meter.spend(1)
        if JOINED.match(self.text, self.at):
            raise UnclearCommandError("an operator is continued on the next line")
        self.skip_blanks()
        if operator in ("<<", "<<-"):
            rest.may_fail = True
            self.pending.append(self._here_document(tabs=operator == "<<-"))
            return
        if operator in ("<&", ">&") and self.peek() == "-":
            self._closing(rest)
            return
        target = self.word()
        if not target.raw or (self.pending and "\n" in target.raw):
            raise UnclearCommandError("a redirection has no target")
        rest.may_fail = rest.may_fail or not _is_safe(operator, target)
        if operator == "<<<":
            rest.texts.append(target)
        elif operator not in ("<&", ">&") or not self._is_duplicate(operator, target):
            if operator in ("<", "<>", "<&"):
                rest.redirections.append(Redirection(target, reads=True))
            if operator not in ("<", "<&"):
                rest.redirections.append(Redirection(target, reads=False))

    def _closing(self, rest: _Rest) -> None:
        """The `-` after `<&` or `>&`, which ends the redirection whatever follows."""
        self.at += 1
        if self.peek() not in ("", *_ENDS):
            raise UnclearCommandError("it is not clear what follows a closed descriptor")
        rest.may_fail = True

    def _is_duplicate(self, operator: str, target: Word) -> bool:
        """Whether `<&` or `>&` names a descriptor, not a file."""
        if target.text is not None and _DUPLICATE.fullmatch(target.text):
            return True
        self.bash_only(f"{operator}FILE")
        if not _PLAIN_TARGET.fullmatch(target.raw):  # bash expands such a word twice
            raise UnclearCommandError(f"the target of {operator} is not clear")
        return False

    def _here_document(self, *, tabs: bool) -> HereDocument:
        found = _DELIMITER.fullmatch(self.word().raw)
        if found is None:
            raise UnclearCommandError(_UNCLEAR_END)
        text = next(group for group in found.groups() if group is not None)
        return HereDocument(text, found.group(1) is None, tabs, self.facts, self.inner)

    def here_documents(self) -> None:
        """Read the here-documents that a newline begins."""
        pending, self.pending = self.pending, []
        for document in pending:
            body = self._document_text(document)
            self.meter.spend(len(body))
            if not document.literal:
                with self.own_draft():
                    self.facts, self.inner = document.facts, document.inner
                    self.child(body).here_document()

    def _document_text(self, document: HereDocument) -> str:
        if document.literal and not document.tabs:
            return self._literal_text(document)
        lines: list[str] = []
        while self.at < len(self.text):
            parts = [self._text_line()]
            while not document.literal and _is_continued(parts[-1]) and self.at < len(self.text):
                self.bash_only("continued lines in a here-document")
                parts[-1] = parts[-1][:-1]
                parts.append(self._text_line())
            line = "".join(parts)
            plain = line.lstrip("\t") if document.tabs else line
            if plain == document.delimiter:
                if len(parts) > 1:
                    break
                return "\n".join(lines)
            ends = plain.startswith(document.delimiter) and (")" in plain or "}" in plain)
            if ends and self.within:  # bash takes this for the end of both
                raise UnclearCommandError(_UNCLEAR_END)
            lines.append(line)
        raise UnclearCommandError("a here-document is not closed")

    def _literal_text(self, document: HereDocument) -> str:
        """The text of a here-document of which each line is taken as it is."""
        begin, delimiter = self.at, document.delimiter
        while True:
            end = self.at
            if not self.text.startswith(delimiter, end):
                end = self.text.find("\n" + delimiter, end) + 1 or len(self.text)
            self.at = end
            line = self._text_line()
            if line == delimiter and end < len(self.text):
                return self.text[begin : max(begin, end - 1)]
            if not line:
                raise UnclearCommandError("a here-document is not closed")
            if self.within and (")" in line or "}" in line):
                raise UnclearCommandError(_UNCLEAR_END)

    def _text_line(self) -> str:
        self.meter.spend(1)
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at : end]
        self.at = min(end + 1, len(self.text))
        return line


def _is_safe(operator: str, target: Word) -> bool:
    """Whether a redirection cannot fail: its command then runs for certain."""
    if operator == ">&":
        return target.text in ("1", "2")
    return operator != "<<<" and target.text == "/dev/null"


def _is_continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1
