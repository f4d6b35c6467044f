"""Programs that run other programs: what comes after `env`, `xargs`, `sudo` or `sh -c`.

Only options that are known are read; anything else before the inner command makes it unclear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from sdqctl.policy.shell.tree import Assignment
from sdqctl.policy.shell.word import Word

_SYSTEM_FOLDERS = frozenset({"", "/bin", "/usr/bin"})
_SHELLS = frozenset({"sh", "bash", "dash", "ash"})
_SHELL_OPTIONS = re.compile(r"-[euxlv]*c")
_QUERY = re.compile(r"-p?[vV]")
_EXECUTES = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=", re.ASCII)
_UNKNOWN = Word(None)
_HOLE = "{}"
"""What find -exec puts a name in for."""


class Run(msgspec.Struct, frozen=True, gc=False):
    """A command that another program runs, with the variables that are set for it."""

    words: tuple[Word, ...]
    assignments: tuple[Assignment, ...] = ()


class Text(msgspec.Struct, frozen=True, gc=False):
    """A text that is run as a command line. `posix`: by a shell that may be dash or bash."""

    line: str
    posix: bool
    here: bool
    """By this shell itself, as `eval` does it."""
    later: bool = False
    """At a time that is not known."""


class Inner(msgspec.Struct, frozen=True, gc=False):
    """What a program runs besides itself.

    `unclear` says why it is not known; `opaque` that this lies in its nature, so that a rule which
    names it allows it. A transparent one does nothing but run the rest.
    """

    runs: tuple[Run, ...] = ()
    text: Text | None = None
    transparent: bool = False
    here: bool = False
    """Whether this shell itself runs it, so that a `cd` in it counts."""
    unclear: str = ""
    opaque: str = ""
    known: bool = False
    """Whether it is known to be one that runs others."""
    asks: bool = False
    """Whether it only tells what a name means."""

    @property
    def lost(self) -> bool:
        """Whether this shell itself runs what is not known."""
        return self.here and bool(self.unclear or self.opaque)


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
_OPAQUE = {
    "parallel": "parallel makes its commands from its input",
    "watch": "watch hands its words to a shell",
    "su": "su hands its words to a shell",
    "ssh": "ssh runs commands on another machine",
    "script": "script hands its words to a shell",
    "chroot": "chroot changes what a path means",
    "unshare": "unshare changes what a path means",
    "strace": "strace runs another program",
    "alias": "alias gives a command another name",
    "source": "source runs a file as shell commands",
    ".": "`.` runs a file as shell commands",
    "zsh": "zsh reads its words in its own way",
    "ksh": "ksh reads its words in its own way",
    "fish": "fish reads its words in its own way",
}
_HERE = frozenset({"eval", "trap", "source", "."})
"""Builtins that run a text in this shell."""
_RUN_OTHERS = frozenset({*_SHELLS, *_WRAPPERS, *_OPAQUE, "eval", "trap", "find"})
NOTHING = Inner()


def base_name(text: str) -> str:
    """The name of a program without its folder."""
    return text.rpartition("/")[2]


def runs_others(name: str) -> bool:
    """Whether a program of this name may run others."""
    return base_name(name) in _RUN_OTHERS


def unwrap(words: tuple[Word, ...], *, posix: bool) -> Inner:
    """What a command runs besides itself. `posix`: the shell that runs it may be dash or bash."""
    name = _wrapper_name(words)
    if name not in _RUN_OTHERS:
        return NOTHING
    try:
        if name in _SHELLS or name in ("eval", "trap"):
            return _of_text(name, words, posix)
        if name in _WRAPPERS:
            return _of_wrapper(name, words)
        if name == "find":
            return Inner(tuple(_executed(words)))
    except _OptionError as error:
        return Inner(unclear=str(error), known=True, here=name in _HERE)
    return Inner(opaque=_OPAQUE[name], known=True, here=name in _HERE)


class _OptionError(Exception):
    """What a wrapper runs is not known."""


def _wrapper_name(words: tuple[Word, ...]) -> str:
    text = words[0].text if words else None
    if text is None:
        return ""
    folder, _, name = text.rpartition("/")
    return name if folder in _SYSTEM_FOLDERS else ""


def _of_text(name: str, words: tuple[Word, ...], posix: bool) -> Inner:
    if name == "eval":
        line = _evaluated(words)
        text = Text(line, posix, here=True)
        return Inner(text=text, transparent=bool(line), here=True, known=True)
    if name == "trap":
        return _trapped(words, posix)
    line_given = _shell_line(name, words)
    if line_given is None:
        return Inner(known=True)
    text = Text(line_given, name != "bash", here=False)
    return Inner(text=text, transparent=True, known=True)


def _evaluated(words: tuple[Word, ...]) -> str:
    texts = [word.text for word in words[1:] if word.text is not None and not word.tilde]
    if len(texts) != len(words) - 1 or (texts and texts[0].startswith("-")):
        raise _OptionError("eval runs what is known only then")
    return " ".join(texts)


def _trapped(words: tuple[Word, ...], posix: bool) -> Inner:
    """What `trap` keeps for later; it is nothing with `-` or an empty text."""
    operands = words[2:] if len(words) > 1 and words[1].text == "--" else words[1:]
    text = operands[0].text if operands else None
    if text in ("-", "") or not operands:
        return Inner(known=True)
    if text is None or text.startswith("-"):
        raise _OptionError("trap keeps what is known only then")
    return Inner(text=Text(text, posix, here=True, later=True), transparent=True, known=True)


def _shell_line(name: str, words: tuple[Word, ...]) -> str | None:
    """The line that a shell is given; None: it runs a file, or its input."""
    if len(words) < 3 or words[1].text is None or not _SHELL_OPTIONS.fullmatch(words[1].text):
        if any(word.text is None or word.text.startswith(("-", "+")) for word in words[1:]):
            raise _OptionError(f"{name} is used with options that are not known here")
        return None
    if words[2].text is None:
        raise _OptionError(f"{name} -c runs what is known only then")
    if words[2].text.startswith(("-", "+")):
        raise _OptionError(f"{name} is used with options that are not known here")
    return words[2].text


def _of_wrapper(name: str, words: tuple[Word, ...]) -> Inner:
    if name == "command" and len(words) > 1 and _QUERY.fullmatch(words[1].text or ""):
        return Inner(asks=True, known=True)
    wrapper = _WRAPPERS[name]
    runs = tuple(_after(wrapper, name, words))
    transparent = wrapper.transparent and any(run.words for run in runs)
    here = name in ("command", "builtin")
    return Inner(runs, transparent=transparent, here=here, known=True)


def _after(wrapper: _Wrapper, name: str, words: tuple[Word, ...]) -> Iterator[Run]:
    """The command after a wrapper, or the variables that are set for none."""
    index, holes = _past_options(wrapper, name, words)
    assignments: list[Assignment] = []
    while wrapper.assigns and index < len(words):
        text = _known(words[index], name)
        match = _ASSIGNMENT.match(text)
        if match is None and "=" in text:
            raise _OptionError(f"{name} sets what is no plain variable")
        if match is None:
            break
        assignments.append(Assignment(match.group(1), Word(text[match.end() :])))
        index += 1
    for word in words[index : index + wrapper.operands]:
        _known(word, name)
    inner = words[index + wrapper.operands :]
    if inner and wrapper.appends:
        filled = (_UNKNOWN if _has_hole(word, holes) else word for word in inner)
        inner = (*filled, _UNKNOWN)
    if inner or assignments:
        yield Run(inner, tuple(assignments))


def _has_hole(word: Word, holes: list[str]) -> bool:
    return word.text is None or any(hole in word.text for hole in holes)


def _known(word: Word, name: str) -> str:
    if word.text is None:
        raise _OptionError(f"the words of {name} are known only then")
    return word.text


def _past_options(wrapper: _Wrapper, name: str, words: tuple[Word, ...]) -> tuple[int, list[str]]:
    """Where the options of a wrapper end, and what xargs puts names in for."""
    index, holes = 1, [_HOLE]
    while index < len(words):
        text = _known(words[index], name)
        if not text.startswith("-"):
            break
        if text == "--":
            return index + 1, holes
        length = _option_length(wrapper, name, text)
        value = _known(words[index + 1], name) if length == 2 and index + 1 < len(words) else ""
        if text.startswith("-I"):
            hole = value or text[2:]
            if not hole:
                raise _OptionError(f"{name} {text} is not known here")
            holes.append(hole)
        index += length
    return index, holes


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


def _executed(words: tuple[Word, ...]) -> Iterator[Run]:
    """The commands of find's -exec and its like."""
    start: int | None = None
    for index, word in enumerate(words):
        if start is None and word.text in _EXECUTES:
            start = index + 1
        elif start is not None and (word.text == ";" or _ends_many(words, index)):
            yield Run(tuple(_UNKNOWN if _has_hole(w, [_HOLE]) else w for w in words[start:index]))
            start = None
        elif word.text is None:
            raise _OptionError("what find runs is known only then")
    if start is not None:
        raise _OptionError("find's -exec has no end")


def _ends_many(words: tuple[Word, ...], index: int) -> bool:
    """Whether a `+` ends an -exec: only after a `{}` it does."""
    return words[index].text == "+" and words[index - 1].text == _HOLE
