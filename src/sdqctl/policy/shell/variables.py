"""Which variables a command line may set where not every program is allowed."""

from __future__ import annotations

import os
import re

from sdqctl.policy.shell.arithmetic import is_number
from sdqctl.policy.shell.facts import Set
from sdqctl.policy.shell.tree import Assignment
from sdqctl.policy.shell.word import Kind, Word

_HARMLESS = re.compile(
    r"LANG|LC_[A-Z]+|TZ|CI|NO_COLOR|FORCE_COLOR|CLICOLOR|COLUMNS|LINES|NODE_ENV|RUST_BACKTRACE"
    r"|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE|DEBUG|VERBOSE|PORT|TERM|GIT_TERMINAL_PROMPT"
    r"|GIT_OPTIONAL_LOCKS"
)
"""Programs read these as words and numbers, and run nothing for them."""
_WITH_VALUE = {
    "DEBUG": re.compile(r"[\w*,:.-]{0,80}", re.ASCII),
    "VERBOSE": re.compile(r"\w{0,20}", re.ASCII),
    "PORT": re.compile(r"\d{0,5}", re.ASCII),
    "TERM": re.compile(r"dumb|xterm(-256color)?|linux|vt100|"),
    "GIT_TERMINAL_PROMPT": re.compile(r"[01]"),
    "GIT_OPTIONAL_LOCKS": re.compile(r"[01]"),
    "PAGER": re.compile(r"(cat)?"),
    "GIT_PAGER": re.compile(r"(cat)?"),
    "MANPAGER": re.compile(r"(cat)?"),
    "GH_PAGER": re.compile(r"(cat)?"),
    "EDITOR": re.compile(r"true|:|cat"),
    "GIT_EDITOR": re.compile(r"true|:|cat"),
    "GIT_SEQUENCE_EDITOR": re.compile(r"true|:|cat"),
}
"""Variables of which certain values are harmless."""
_BOUND = r"-?(?:0|[1-9]\d{0,8})"
_RANGE = re.compile(rf"\{{{_BOUND}\.\.{_BOUND}(?:\.\.{_BOUND})?\}}", re.ASCII)
_EVALUATED = frozenset({"RANDOM", "SRANDOM", "OPTIND", "HISTCMD", "BASHPID", "UID", "EUID", "PPID"})
"""bash gives these the attribute of integers: what they are given is evaluated."""
_EXPANDED = frozenset({"PS4", "BASH_ENV"})
"""Shells run the substitutions in these: under `set -x`, and when bash starts."""
_TABLES = frozenset({"BASH_ALIASES", "BASH_CMDS"})
"""An entry of these gives a command another name or another file."""
_ARRAYS = re.compile(r"BASH_.*|COPROC|DIRSTACK|FUNCNAME|GROUPS|MAPFILE|PIPESTATUS")
"""What bash makes arrays itself."""
_LOCAL = re.compile(r"(?!npm_)(?![a-z_]*proxy)(?!histchars)[a-z][a-z0-9_]*")
_NEUTRAL_PART = (
    r"ALL|AGE|AMOUNT|ARGS?|AUTHOR|BASE|BEGIN|BODY|BRANCH|CHANGED?|CODE|COMMIT|COMMITS|COUNT|COUNTER"
    r"|CURRENT|DATE|DAYS?|DEFAULT|DEST|DIFF|DIRS?|DST|END|ERRORS?|EXPECTED|EXT|FAILED|FILES?|FIRST"
    r"|FOUND|FROM|FULL|GOT|HASH|HEAD|I|ID|IDS|INDEX|ISSUE|ITEMS?|J|K|LABEL|LAST|LATEST|LEFT|LEN"
    r"|LENGTH|LEVEL|LIMIT|LINE|LIST|LOCAL|MAIN|MAJOR|MAX|MESSAGE|MIN|MINOR|MISSING|MONTH|MSG|MY|N"
    r"|NAMES?|NEW|NEXT|NOW|NUM|NUMBER|OLD|ORIGIN|OTHER|OUT|OUTPUT|OWNER|PARENT|PART|PATCH|PID|PORT"
    r"|PR|PREV|PREVIOUS|RC|REF|REMOTE|REPO|RESULTS?|RET|REV|RIGHT|ROOT|SHA|SHORT|SIZE|SKIPPED|SRC"
    r"|START|STATUS|SUBJECT|SUM|TAGS?|TARGET|TEXT|TITLE|TMP|TO|TODAY|TOTAL|TREE|TYPE|UPSTREAM|VALUE"
    r"|VERSION|WEEK|X|Y|YEAR|YESTERDAY|Z|[A-H]|\d{1,3}"
)
_NEUTRAL = re.compile(rf"(?:{_NEUTRAL_PART})(?:_(?:{_NEUTRAL_PART}))*")
_STEERING = re.compile(
    r".*PATH|IFS|ENV|BASH.*|LD_.*|DYLD_.*|GIT_.*|SHELL.*|PS[0-9]|PROMPT_COMMAND|GLOBIGNORE|HOME"
    r"|EXECIGNORE|.*PAGER|.*EDITOR|BROWSER|.*PRELOAD.*|.*(?:proxy|PROXY)|.*OPT(?:ION)?S|.*FLAGS"
    r"|npm_.*|NPM_.*|PYTHON.*|PERL.*|RUBY.*|NODE_.*|JAVA_.*|LESS.*|XDG_.*|.*_COMMAND|.*WRAPPER"
    r"|LOCPATH|NLSPATH|TMPDIR|ZDOTDIR|INPUTRC|TERMINFO.*|histchars"
)

_PROGRAM = re.compile(
    r".*PAGER|.*EDITOR|VISUAL|.*BROWSER|SHELL|.*_SHELL|.*ASKPASS|.*_COMMAND|.*_CMD|.*WRAPPER|.*_SSH"
    r"|.*PROXYCOMMAND|GIT_EXTERNAL_DIFF|GIT_CONFIG_(?:VALUE_\d+|PARAMETERS)|LESSOPEN|LESSCLOSE"
    r"|.*_RSH|CC|CXX|CPP|LD|AR|MAKE|.*_EXECUTABLE|.*_RUNNER|npm_config_.*shell|npm_config_editor"
)
"""What programs start is the value of these, or stands in it."""


def may_be_set(name: str, value: str | None, *, alone: bool) -> bool:
    """Whether a variable may be set. `value` None: not known. `alone`: for this shell, no program.

    A variable of this shell reaches a program only if it is exported already, so that a neutral
    name which the environment does not have is as good as a local one.
    """
    if alone and _LOCAL.fullmatch(name):
        return True
    if wanted := _WITH_VALUE.get(name):
        if value is not None and wanted.fullmatch(value):
            return True
    elif _HARMLESS.fullmatch(name):
        return True
    return alone and is_neutral(name)


def doubt_about(name: str, *, number: bool) -> str:
    """Why it is not known what comes of setting a variable; empty: it is."""
    if name in _EVALUATED and not number:
        return f"bash evaluates what {name} is given"
    if name in _EXPANDED and not number:
        return f"shells run what {name} is given"
    return f"{name} changes what a name means" if name in _TABLES else ""


def is_neutral(name: str) -> bool:
    """Whether an upper-case name means nothing to any program."""
    return bool(_NEUTRAL.fullmatch(name)) and name not in os.environ


def holds_program(name: str) -> bool:
    """Whether programs start what is in a variable of this name."""
    return bool(_PROGRAM.fullmatch(name))


def is_inert(name: str) -> bool:
    """Whether no program starts what is in a variable of this name."""
    return bool(_LOCAL.fullmatch(name) or _HARMLESS.fullmatch(name)) or is_neutral(name)


def steers(name: str) -> bool:
    """Whether a variable changes which programs run, or what they load."""
    return bool(_STEERING.fullmatch(name))


class Arrays:
    """Which variables a line makes arrays, and of which bash would then evaluate the value."""

    def __init__(self) -> None:
        self._arrays: set[str] = set()
        self._open: set[str] = set()

    def doubt_about(self, given: Assignment | Set) -> str | None:
        """Why what a variable is given may be evaluated, now or when a loop or function goes on."""
        name = given.name
        if given.array:
            self._arrays.add(name)
        if isinstance(given, Set) and given.elements:
            self._open.add(name)
        if name in self._open and (name in self._arrays or _ARRAYS.fullmatch(name)):
            return f"{name} may be an array, and is declared with a value that is then evaluated"
        return None


def number_set(assignment: Assignment, *, posix: bool) -> tuple[bool, bool]:
    """Whether an assignment can only give a number, and whether it gives one for certain."""
    if assignment.value is not None:
        number, certain = _number_of(assignment.value)
        return number, certain and not assignment.element
    if not assignment.loop or not assignment.elements:
        return False, False
    for word in assignment.elements:
        if not is_number(word.text) and (posix or not _RANGE.fullmatch(word.raw)):
            return False, False
    return True, True


def _number_of(word: Word) -> tuple[bool, bool]:
    if word.text is not None:
        return is_number(word.text), is_number(word.text)
    pieces = [piece for piece in word.pieces if piece.counts]
    if len(pieces) != 1 or pieces[0].kind is not Kind.NUMBER:
        return False, False
    return True, pieces[0].sure
