"""Builtins of the shell that evaluate their words, set variables, or change what a line means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from sdqctl.policy.shell.arithmetic import is_number, read_expression
from sdqctl.policy.shell.facts import Doubt, Fact, Risk, Set, UnclearCommandError, Use, uncertain
from sdqctl.policy.shell.word import LITERAL, Kind, Word, assigned_value

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_NAMED = re.compile(r"([A-Za-z_]\w*)(=?)", re.ASCII)
_STORES = re.compile(r"%[-+ #0-9.*'hlLjtzq]*n")
_SET_OPTIONS = re.compile(r"[-+][eux]+")
_SHOPT_OPTIONS = frozenset({"nullglob", "dotglob", "globstar", "nocaseglob"})
_READ_FLAGS = re.compile(r"-[rs]+")
_READ_VALUED = re.compile(r"-[dnNpt](.*)", re.DOTALL)
_DECLARE_FLAGS = re.compile(r"-[rgxlup]+")
_COMPARISONS = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge"})
_NAME_TESTS = frozenset({"-v", "-R"})
_BINARY = _COMPARISONS | {"=", "==", "!=", "<", ">", "-nt", "-ot", "-ef"}
_CONNECTIVES = frozenset({"-a", "-o", "!", "(", ")", "&&", "||"})
_LENGTH = re.compile(r"\"?\$(?:\{#\w+(?:\[@\])?\}|[#?$!])\"?", re.ASCII)
_CHANGES = {
    "alias": "alias gives a command another name",
    "unalias": "unalias gives a command another name",
    "bind": "bind runs commands at keys",
    "coproc": "coproc runs a command",
    "compgen": "compgen evaluates its words",
    "complete": "complete keeps commands for later",
    "compopt": "compopt changes completion",
    "enable": "enable changes what a name means",
    "fc": "fc runs commands of the history",
}


def facts_of(words: Sequence[Word], keyword: str) -> Iterator[Fact]:
    """What a builtin does besides: a program of the same name is judged alike."""
    if keyword:
        yield from _double_bracket(words)
        return
    name = words[0].text or ""
    if name in _CHANGES:
        yield Doubt(_CHANGES[name])
    elif reader := _READERS.get(name):
        yield from reader(words[1:])


def _printf(words: Sequence[Word]) -> Iterator[Fact]:
    ended = bool(words) and words[0].text == "--"
    words = words[1:] if ended else words
    text = words[0].text if words else ""
    if text is None or (text.startswith("-") and not ended):
        yield Doubt("printf is used with options, or with a format that is not known")
    elif _STORES.search(text.replace("%%", "")):
        yield Doubt("printf stores into a variable")


def _test(words: Sequence[Word]) -> Iterator[Fact]:
    """`test` and `[`: a word in an operator's place must be known, since `-v` evaluates."""
    if words and words[-1].text == "]":
        words = words[:-1]
    if any(word.splits for word in words):
        yield Doubt("test may be given other words than are seen; quote them")
        return
    part: list[Word] = []
    for word in [*words, Word("-a")]:
        if word.text in _CONNECTIVES:
            yield from _test_part(part)
            part = []
        else:
            part.append(word)


def _test_part(part: list[Word]) -> Iterator[Fact]:
    first = part[0].text if part else ""
    if first in _NAME_TESTS:
        yield from _plain_names(part[1:], "test -v evaluates its word")
    operator = part[1].text if len(part) == 3 else first
    if len(part) == 2 and operator is None:
        yield Doubt("which test is made is known only then")
    if len(part) == 3 and operator not in _BINARY:
        yield Doubt("which test is made is known only then")
    if len(part) > 3:
        yield Doubt("its test is not clear")


def _double_bracket(words: Sequence[Word]) -> Iterator[Fact]:
    for index, word in enumerate(words):
        if word.raw in _NAME_TESTS:
            yield from _plain_names(words[index + 1 : index + 2], "[[ -v evaluates its word")
        if word.raw in _COMPARISONS:
            for operand in (words[index - 1 : index], words[index + 1 : index + 2]):
                yield from _evaluated(operand)


def _evaluated(words: Sequence[Word]) -> Iterator[Fact]:
    """What a comparison of numbers evaluates."""
    for word in words:
        pieces = [piece for piece in word.pieces if piece.counts]
        if word.text is not None and _IDENTIFIER.fullmatch(word.text):
            yield Use(word.text)
        elif len(pieces) == 1 and pieces[0].kind is Kind.VARIABLE and not pieces[0].default:
            yield Use(pieces[0].text)
        elif not (is_number(word.text) or _LENGTH.fullmatch(word.raw)):
            yield Doubt("a comparison of numbers evaluates what is known only then")


def _plain_names(words: Sequence[Word], why: str) -> Iterator[Fact]:
    for word in words:
        if word.text is None or not _IDENTIFIER.fullmatch(word.text):
            yield Doubt(why)


def _set_names(words: Sequence[Word], name: str, *, array: bool = False) -> Iterator[Fact]:
    yield from _plain_names(words, f"{name} evaluates its words")
    for word in words:
        yield Set(word.text or "", array=array)


def _read(words: Sequence[Word]) -> Iterator[Fact]:
    index = 0
    while index < len(words) and (words[index].text or "-").startswith("-"):
        text = words[index].text or ""
        valued = _READ_VALUED.fullmatch(text)
        if not valued and not _READ_FLAGS.fullmatch(text):
            yield Doubt("read is used in a way that is not known here")
            return
        index += 2 if valued and not valued.group(1) else 1
    yield from _set_names(words[index:], "read")


def _mapfile(words: Sequence[Word]) -> Iterator[Fact]:
    names = [word for word in words if word.text != "-t"]
    yield from _set_names(names, "mapfile", array=True)


def _getopts(words: Sequence[Word]) -> Iterator[Fact]:
    yield from _set_names(words[1:2], "getopts")
    if len(words) < 2 or words[0].splits:
        yield Doubt("getopts is used in a way that is not known here")


def _unset(words: Sequence[Word]) -> Iterator[Fact]:
    names = [word for word in words if word.text not in ("-v", "-f")]
    yield from _plain_names(names, "unset evaluates its words")


def _declare(words: Sequence[Word], *, elements: bool = True) -> Iterator[Fact]:
    """`elements`: whether it evaluates a value in parentheses as the elements of an array."""
    for word in words:
        if word.text is not None and _DECLARE_FLAGS.fullmatch(word.text):
            if "r" in word.text:
                yield Risk()
            continue
        found = _NAMED.match(word.raw)
        rest = word.raw[found.end() :] if found else ""
        if found is None or (not found.group(2) and rest):
            yield Doubt("a declaration is used in a way that is not known here")
            continue
        if not found.group(2):
            yield Set(found.group(1))
            continue
        text = None if word.text is None else word.text[found.end() :]
        opens = elements and _may_open(assigned_value(word, found.end()))
        yield Set(found.group(1), text, elements=opens)
        if word.splits:
            yield Doubt("a declaration may be given other words than are seen; quote them")


def _may_open(value: Word) -> bool:
    """Whether a value may begin with a parenthesis."""
    if value.text is not None:
        return value.text.startswith("(")
    first = next((piece for piece in value.pieces if piece.counts), None)
    return first is None or first.kind not in LITERAL or first.text.startswith("(")


def _export(words: Sequence[Word]) -> Iterator[Fact]:
    yield from _declare(words, elements=False)


def _readonly(words: Sequence[Word]) -> Iterator[Fact]:
    yield Risk()  # whoever sets the variable later fails
    yield from _declare(words, elements=False)


def _set(words: Sequence[Word]) -> Iterator[Fact]:
    index = 0
    while index < len(words) and words[index].text != "--":
        text = words[index].text or ""
        if text in ("-o", "+o", "-euo", "-eo", "-uo") and words[index + 1 : index + 2]:
            if words[index + 1].text not in ("pipefail", "errexit", "nounset"):
                yield Doubt("set changes how the line is read")
            index += 1
        elif not _SET_OPTIONS.fullmatch(text):
            yield Doubt("set changes how the line is read")
        index += 1


def _shopt(words: Sequence[Word]) -> Iterator[Fact]:
    for word in words:
        if word.text not in ("-s", "-u", "-q", *_SHOPT_OPTIONS):
            yield Doubt("shopt changes how the line is read")


def _let(words: Sequence[Word]) -> Iterator[Fact]:
    sure = True
    for word in words:
        if word.text is None:
            yield Doubt("let evaluates what is known only then")
            continue
        reader = _LetText(word.text + "\0")
        try:
            found = read_expression(reader, "\0")
        except UnclearCommandError as error:
            yield Doubt(str(error))
            continue
        sure = sure and found.sure
        yield from found.facts if sure else uncertain(found.facts)


class _LetText:
    """A text that `let` evaluates; quotes were taken off before."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def follows(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def skip_expansion(self) -> None:
        raise UnclearCommandError("let evaluates a substitution or a quote")


def _hash(words: Sequence[Word]) -> Iterator[Fact]:
    if any(word.text != "-r" for word in words):
        yield Doubt("hash changes what a name means")


def _wait(words: Sequence[Word]) -> Iterator[Fact]:
    if any((word.text or "").startswith("-") and word.text != "-n" for word in words):
        yield Doubt("wait sets a variable")


def _jobs(words: Sequence[Word]) -> Iterator[Fact]:
    if any(word.text is None or "x" in word.text for word in words):
        yield Doubt("jobs -x runs a command")


_READERS: dict[str, Callable[[Sequence[Word]], Iterator[Fact]]] = {
    "printf": _printf,
    "test": _test,
    "[": _test,
    "[[": _double_bracket,
    "read": _read,
    "mapfile": _mapfile,
    "readarray": _mapfile,
    "getopts": _getopts,
    "unset": _unset,
    "export": _export,
    "readonly": _readonly,
    "local": _declare,
    "declare": _declare,
    "typeset": _declare,
    "set": _set,
    "shopt": _shopt,
    "let": _let,
    "hash": _hash,
    "wait": _wait,
    "jobs": _jobs,
}
EVALUATING = frozenset({*_READERS, *_CHANGES})
"""Programs of which `facts_of` tells something."""
CHANGED_BY_FUNCTIONS = frozenset(
    {*_READERS, *_CHANGES, "cd", "pushd", "popd", "chdir", "exit", "return", "break", "continue"}
    | {"command", "builtin", "exec", "eval", "trap", "source", "env", "xargs", "sh", "bash", "dash"}
    | {"true", "false", "echo", "shift", "type", "sudo", "nohup", "timeout", "time", "nice"}
)
"""Names that have a meaning here, which a function of the same name would take."""
