"""Programs that run other programs: what stands behind `env`, `xargs`, `sudo` or `sh -c`.

Only options that are known are read; anything else before the inner command makes it unclear.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sdqctl.policy.shell.grammar import Redirection, parse_command_line
from sdqctl.policy.shell.words import UnclearCommandError, Word

_DEEPEST = 20
_SYSTEM_FOLDERS = frozenset({"", "/bin", "/usr/bin"})
_SHELLS = frozenset({"sh", "bash", "dash", "ash"})
_SHELL_OPTIONS = re.compile(r"-[euxlv]*c")
_EXECUTES = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=", re.ASCII)
_UNKNOWN = Word(None)
_HOLE = "{}"
"""What xargs -I and find -exec put a name in for."""


@dataclass(frozen=True)
class Program:
    """One program that a line runs. A transparent one does nothing but run what follows it.

    `unclear` says why it is not known what else it runs; `opaque` that this lies in its nature, so
    that a rule which names it allows it.
    """

    words: tuple[Word, ...]
    assignments: tuple[str, ...] = ()
    redirections: tuple[Redirection, ...] = ()
    transparent: bool = False
    unclear: str = ""
    opaque: str = ""


@dataclass(frozen=True)
class _Wrapper:
    flags: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()
    operands: int = 0
    """Words between the options and the inner command."""
    assigns: bool = False
    appends: bool = False
    """Whether it adds words that are not known."""
    transparent: bool = True


def _wrapper(flags: str = "", valued: str = "", **facts: bool | int) -> _Wrapper:
    return _Wrapper(frozenset(flags.split()), frozenset(valued.split()), **facts)  # type: ignore[arg-type]


_PRIVILEGE = _wrapper("-n -E -H -b -k -i -s", "-u -g", assigns=True, transparent=False)
_WRAPPERS = {
    "env": _wrapper("-i --ignore-environment -v", "-u --unset", assigns=True),
    "nohup": _wrapper(),
    "setsid": _wrapper("-f -w -c --fork --wait"),
    "nice": _wrapper("", "-n --adjustment"),
    "ionice": _wrapper("-t", "-c -n"),
    "timeout": _wrapper(
        "--foreground --preserve-status -v --verbose", "-k -s --signal --kill-after", operands=1
    ),
    "stdbuf": _wrapper("", "-i -o -e --input --output --error"),
    "time": _wrapper("-p -v"),
    "command": _wrapper("-p"),
    "builtin": _wrapper(),
    "exec": _wrapper("-c -l"),
    "busybox": _wrapper(),
    "xargs": _wrapper(
        "-0 -r -t -x --null --no-run-if-empty --verbose",
        "-n -P -L -I -s -d -E --max-args --max-procs --max-lines --delimiter",
        appends=True,
    ),
    "sudo": _PRIVILEGE,
    "doas": _PRIVILEGE,
}
_TRANSPARENT = {name for name, wrapper in _WRAPPERS.items() if wrapper.transparent} | {
    "eval",
    *_SHELLS,
}
_OPAQUE = {
    "parallel": "parallel makes its commands from its input",
    "watch": "watch hands its words to a shell",
    "su": "su hands its words to a shell",
    "ssh": "ssh runs commands on another machine",
    "script": "script hands its words to a shell",
    "chroot": "chroot changes what a path means",
    "unshare": "unshare changes what a path means",
    "strace": "strace runs another program",
    "trap": "trap keeps a command for later",
    "alias": "alias gives a command another name",
    "source": "source runs a file as shell commands",
    ".": "`.` runs a file as shell commands",
    "zsh": "zsh reads its words in its own way",
    "ksh": "ksh reads its words in its own way",
    "fish": "fish reads its words in its own way",
}


def programs_of(line: str) -> tuple[list[Program], bool]:
    """Every program that a line runs, and whether a variable's value might run as arithmetic.

    Raises UnclearCommandError.
    """
    return _programs(line, 0)


def base_name(text: str) -> str:
    """The name of a program without its folder."""
    return text.rpartition("/")[2]


def _programs(line: str, depth: int) -> tuple[list[Program], bool]:
    if depth > _DEEPEST:
        raise UnclearCommandError("it is nested too deep")
    parsed = parse_command_line(line)
    found, evaluates = [], parsed.evaluates
    for command in parsed.commands:
        program = Program(command.words, command.assignments, command.redirections)
        for inner, arithmetic in _unwrapped(program, depth):
            found.append(inner)
            evaluates = evaluates or arithmetic
    return found, evaluates


def _unwrapped(program: Program, depth: int) -> Iterator[tuple[Program, bool]]:
    """The program, then what it runs, each with whether arithmetic is in it."""
    if depth > _DEEPEST:
        raise UnclearCommandError("it is nested too deep")
    name = _wrapper_name(program.words)
    inner: list[tuple[Program, bool]] = []
    unclear = ""
    try:
        inner = _inner(name, program.words, depth + 1)
    except _OptionError as error:
        unclear = str(error)
    yield (
        replace(
            program,
            transparent=name in _TRANSPARENT and any(each.words for each, _ in inner),
            unclear=unclear,
            opaque=_OPAQUE.get(name, ""),
        ),
        False,
    )
    yield from inner


def _inner(name: str, words: tuple[Word, ...], depth: int) -> list[tuple[Program, bool]]:
    """What a program of this name runs besides itself."""
    if name in _SHELLS or name == "eval":
        line = _shell_line(name, words)
        if line is None:
            return []
        programs, arithmetic = _programs(line, depth)
        return [(program, arithmetic) for program in programs]
    runs: Iterable[Program] = ()
    if name in _WRAPPERS:
        runs = _behind(_WRAPPERS[name], name, words)
    elif name == "find":
        runs = _executed(words)
    return [each for run in runs for each in _unwrapped(run, depth)]


class _OptionError(Exception):
    """What a wrapper runs is not known."""


def _wrapper_name(words: tuple[Word, ...]) -> str:
    text = words[0].text if words else None
    if text is None or text.rpartition("/")[0] not in _SYSTEM_FOLDERS:
        return ""
    return base_name(text)


def _shell_line(name: str, words: tuple[Word, ...]) -> str | None:
    """The line that a shell is given; None: it runs a file, or its input."""
    if name == "eval":
        texts = [word.text for word in words[1:]]
        if None in texts or any(word.tilde for word in words):
            raise _OptionError("eval runs what is known only then")
        return " ".join(text for text in texts if text is not None)
    if len(words) < 3 or words[1].text is None or not _SHELL_OPTIONS.fullmatch(words[1].text):
        if any(word.text is None or word.text.startswith("-") for word in words[1:]):
            raise _OptionError(f"{name} is used with options that are not known here")
        return None
    if words[2].text is None:
        raise _OptionError(f"{name} -c runs what is known only then")
    return words[2].text


def _behind(wrapper: _Wrapper, name: str, words: tuple[Word, ...]) -> Iterator[Program]:
    """The command behind a wrapper, or the variables that are set for none."""
    index = _past_options(wrapper, name, words)
    assignments: list[str] = []
    while wrapper.assigns and index < len(words):
        match = _ASSIGNMENT.match(_known(words[index], name))
        if match is None:
            break
        assignments.append(match.group(1))
        index += 1
    for word in words[index : index + wrapper.operands]:
        _known(word, name)
    inner = words[index + wrapper.operands :]
    if inner and wrapper.appends:
        inner = (*(_UNKNOWN if _HOLE in word.raw else word for word in inner), _UNKNOWN)
    if inner or assignments:
        yield Program(inner, tuple(assignments))


def _known(word: Word, name: str) -> str:
    if word.text is None:
        raise _OptionError(f"the words of {name} are known only then")
    return word.text


def _past_options(wrapper: _Wrapper, name: str, words: tuple[Word, ...]) -> int:
    index = 1
    while index < len(words):
        text = _known(words[index], name)
        if not text.startswith("-"):
            return index
        if text == "--":
            return index + 1
        length = _option_length(wrapper, name, text)
        value = _known(words[index + 1], name) if length == 2 and index + 1 < len(words) else ""
        if text.startswith("-I") and (value or text[2:]) != _HOLE:
            raise _OptionError(f"{name} {text} is not known here")
        index += length
    return index


def _option_length(wrapper: _Wrapper, name: str, text: str) -> int:
    """How many words an option takes. Raises _OptionError for one that is not known."""
    long, equals, _ = text.partition("=")
    if text in wrapper.flags:
        return 1
    if text in wrapper.valued:
        return 2
    if text.startswith("--"):
        if equals and long in wrapper.valued:
            return 1
    elif text[:2] in wrapper.valued or all(f"-{c}" in wrapper.flags for c in text[1:] or "-"):
        return 1
    raise _OptionError(f"{name} {text} is not known here")


def _executed(words: tuple[Word, ...]) -> Iterator[Program]:
    """The commands of find's -exec and its like."""
    start: int | None = None
    for index, word in enumerate(words):
        if start is None and word.text in _EXECUTES:
            start = index + 1
        elif start is not None and word.text in (";", "+"):
            yield Program(tuple(_UNKNOWN if _HOLE in w.raw else w for w in words[start:index]))
            start = None
        elif word.text is None:
            raise _OptionError("what find runs is known only then")
    if start is not None:
        raise _OptionError("find's -exec has no end")
