"""Taking a command line apart: which programs it runs and which files it redirects to.

The reader knows the common part of the shell's grammar. What it does not know for certain is an
`UnclearCommandError`, and the policy denies it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_SEPARATORS = ("&&", "||", ";;", ";", "|&", "|", "&", "\n")
_WRAPPERS = frozenset(
    {
        "env",
        "nohup",
        "time",
        "nice",
        "command",
        "builtin",
        "exec",
        "then",
        "do",
        "else",
        "!",
        "if",
        "while",
        "until",
        "elif",
    }
)
_UNCLEAR = frozenset(
    {
        "eval",
        "source",
        ".",
        "sudo",
        "doas",
        "su",
        "xargs",
        "parallel",
        "ssh",
        "timeout",
        "watch",
        "setsid",
        "strace",
        "trap",
        "case",
        "for",
        "select",
        "function",
        "alias",
        "chroot",
        "unshare",
        "busybox",
        "coproc",
        "script",
    }
)
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "fish"})
_CLOSERS = frozenset({"fi", "done", "esac"})
_DESCRIPTORS = frozenset("0123456789")


class UnclearCommandError(Exception):
    """The command line could mean something that was not seen."""


@dataclass
class SimpleCommand:
    """One program with its words, and the files that redirections open."""

    words: tuple[str, ...] = ()
    writes: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)


def parse_command_line(line: str) -> list[SimpleCommand]:
    """Every simple command of a line. Raises UnclearCommandError."""
    if "\0" in line:
        raise UnclearCommandError("it holds a NUL")
    commands = [_simple(tokens) for tokens in _segments(_tokens(line))]
    return [command for command in commands if command.words or command.writes or command.reads]


@dataclass(frozen=True)
class _Token:
    text: str
    operator: bool = False


def _tokens(line: str) -> list[_Token]:
    """Words and operators. Substitutions, subshells and here-documents are unclear."""
    tokens: list[_Token] = []
    word: list[str] = []
    started = False
    index = 0

    def end_word() -> None:
        nonlocal started
        if started:
            tokens.append(_Token("".join(word)))
            word.clear()
            started = False

    while index < len(line):
        char = line[index]
        operator = _operator(line, index)
        if char in "'\"":
            text, index = _quoted(line, index)
            word.append(text)
            started = True
        elif char == "\\":
            word.append(line[index + 1 : index + 2])
            started = started or line[index + 1 : index + 2] != "\n"
            index += 2
        elif char in "$`(){}" and _is_unclear(line, index):
            raise UnclearCommandError(f"it uses {line[index : index + 2]!r}")
        elif operator:
            if operator[0] in "<>" and word and set(word) <= _DESCRIPTORS:
                word.clear()
                started = False
            end_word()
            tokens.append(_Token(operator, operator=True))
            index += len(operator)
        elif char in " \t\r":
            end_word()
            index += 1
        elif char == "#" and not started:
            index = line.find("\n", index) if "\n" in line[index:] else len(line)
        else:
            word.append(char)
            started = True
            index += 1
    end_word()
    return tokens


def _operator(line: str, index: int) -> str:
    for operator in (
        "<<<",
        "<<",
        "&>>",
        "&>",
        ">>",
        ">&",
        "<&",
        ">|",
        "<>",
        *_SEPARATORS,
        "<",
        ">",
    ):
        if line.startswith(operator, index):
            return operator
    return ""


def _is_unclear(line: str, index: int) -> bool:
    """Whether `$`, a backtick, a bracket or a brace here does more than stand for itself."""
    char, following = line[index], line[index + 1 : index + 2]
    if char == "$":
        return following not in ("", " ", "\t", "\n", '"', "'")
    if char in "{}":
        return True
    return char in "`()"


def _quoted(line: str, index: int) -> tuple[str, int]:
    quote = line[index]
    text: list[str] = []
    index += 1
    while index < len(line):
        char = line[index]
        if char == quote:
            return "".join(text), index + 1
        if quote == '"' and char == "\\":
            text.append(line[index + 1 : index + 2])
            index += 2
            continue
        if quote == '"' and (char == "`" or (char == "$" and _is_unclear(line, index))):
            raise UnclearCommandError(f"it uses {line[index : index + 2]!r}")
        text.append(char)
        index += 1
    raise UnclearCommandError("a quote is not closed")


def _segments(tokens: list[_Token]) -> list[list[_Token]]:
    segments: list[list[_Token]] = [[]]
    for token in tokens:
        if token.operator and token.text in _SEPARATORS:
            segments.append([])
        else:
            segments[-1].append(token)
    return segments


def _simple(tokens: list[_Token]) -> SimpleCommand:
    command = SimpleCommand()
    words: list[str] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if not token.operator:
            words.append(token.text)
            index += 1
            continue
        target = tokens[index + 1] if index + 1 < len(tokens) else None
        if target is None or target.operator or token.text in ("<<", "<>"):
            raise UnclearCommandError(f"a redirection {token.text!r} is unclear")
        _redirect(command, token.text, target.text)
        index += 2
    command.words = _program(words)
    return command


def _redirect(command: SimpleCommand, operator: str, target: str) -> None:
    if operator in (">&", "<&") and (target.isdigit() or target == "-"):
        return
    if operator == "<<<":
        return
    (command.reads if operator.startswith("<") else command.writes).append(target)


def _program(words: list[str]) -> tuple[str, ...]:
    """The words from the program on, past assignments and words that only introduce it."""
    rest = list(words)
    while rest:
        head = rest[0]
        if head in _CLOSERS and len(rest) == 1:
            return ()
        if head in _WRAPPERS:
            rest.pop(0)
            if rest and rest[0].startswith("-"):
                raise UnclearCommandError(f"{head} with options is unclear")
        elif _is_assignment(head):
            raise UnclearCommandError("it sets a variable for a command")
        else:
            break
    if not rest:
        return ()
    name = rest[0].rsplit("/", 1)[-1]
    if name in _UNCLEAR or (name in _SHELLS and len(rest) > 1):
        raise UnclearCommandError(f"{name} runs what cannot be seen here")
    return tuple(rest)


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.replace("_", "a").isalnum() and not name[:1].isdigit()
