"""CONTEXT and REFCAT: which files are meant, which may be read, and what of them is taken."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from sdqctl.errors import WorkflowError
from sdqctl.foreign import UnsafeFileError, leads_out, read_foreign
from sdqctl.model.workflow import NOWHERE, FileRule, Reference, Workflow

LARGEST_FILE = 1024 * 1024
LARGEST_TOTAL = 4 * 1024 * 1024
_MOST_FILES = 1000
_LINES = re.compile(r"L(\d+)(?:-(?:L?(\d+))?)?\Z")
_HEAD = 8192
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Roots:
    """Where references may lead: the working directory, the workflow's folder, ALLOW-DIR.

    The others than the working directory are without links, as they were at the start.
    """

    cwd: Path
    workflow_folder: Path | None
    more: tuple[Path, ...] = ()
    rules: tuple[FileRule, ...] = ()

    @classmethod
    def of(cls, workflow: Workflow, cwd: Path) -> Roots:
        """The roots of a workflow that works in `cwd`."""
        named = (rule.pattern for rule in workflow.file_rules if rule.allow and rule.directory)
        more = (cwd / os.path.expanduser(pattern) for pattern in named)
        return cls(
            cwd,
            _folder_of(Path(workflow.path), cwd) if workflow.path else None,
            tuple(
                Path(os.path.realpath(each))
                for each in more
                if not leads_out(str(each), (os.path.realpath(cwd),))
            ),
            workflow.file_rules,
        )

    def folders(self) -> tuple[Path, ...]:
        """The folders to look in, in order."""
        own = (self.cwd,) if self.workflow_folder is None else (self.cwd, self.workflow_folder)
        return (*own, *self.more)

    def allows(self, path: Path) -> bool:
        """Whether a file may be read."""
        return self.problem(path) is None

    def problem(self, path: Path) -> str | None:
        """Why a file may not be read: where it really lies, links resolved, or a rule."""
        real = Path(os.path.realpath(path))
        if self.root_of(real) is None:
            return "leads outside the allowed folders"
        relative = _relative(real, self.cwd)
        only = [r for r in self.rules if r.allow and not r.directory]
        if only and not any(_matches(relative, rule.pattern) for rule in only):
            return "is not among ALLOW-FILES"
        if any(_denies(rule, real, relative, self.cwd) for rule in self.rules):
            return "is denied by DENY-FILES or DENY-DIR"
        return None

    def root_of(self, real: Path) -> Path | None:
        """The allowed folder that a path without links lies in; a tool may have put a link in the
        place of one since the start.
        """
        others = (root for root in self.folders()[1:] if os.path.realpath(root) == str(root))
        roots = (Path(os.path.realpath(self.cwd)), *others)
        return next((root for root in roots if real.is_relative_to(root)), None)


def parse_references(text: str, *, optional: bool) -> tuple[Reference, ...]:
    """The references of a CONTEXT or REFCAT line, without their place yet. Raises ValueError."""
    found = []
    for word in _split(text):
        if not word.startswith("@") or len(word) == 1:
            raise ValueError(f"{word!r} is not @PATH (did you forget the @?)")
        pattern, mark, fragment = word[1:].partition("#")
        if mark:
            _check_fragment(fragment)
        found.append(
            Reference(
                pattern=pattern,
                fragment=fragment if mark else None,
                optional=optional,
                span=NOWHERE,
            )
        )
    return tuple(found)


def expand(reference: Reference, roots: Roots, excludes: Sequence[str]) -> list[Path]:
    """The files that a reference means, in order. Raises WorkflowError for a forbidden one, and for
    a glob that is none.
    """
    pattern = os.path.expanduser(reference.pattern)
    if not _GLOB.search(pattern):
        path = _existing(pattern, roots)
        if path is None or not os.path.isfile(path):
            return []
        if problem := roots.problem(path):
            raise WorkflowError(
                f"{_place(reference)}: {reference.pattern} {problem}",
                hint="ALLOW-DIR, ALLOW-FILES, DENY-FILES and DENY-DIR say what may be read",
            )
        return [path]
    for root in roots.folders():
        found = [
            p for p in _glob(root, pattern, reference) if not _excluded(p, roots.cwd, excludes)
        ]
        allowed = [path for path in found if roots.allows(path)]
        if len(allowed) > _MOST_FILES:
            raise WorkflowError(
                f"{_place(reference)}: {reference.pattern} means more than {_MOST_FILES} files"
            )
        if allowed:
            return allowed
    return []


def is_left_out(path: Path, reference: Reference) -> bool:
    """Whether a glob happened to mean a binary file; one that is named is an error instead."""
    if not _GLOB.search(reference.pattern):
        return False
    try:
        with path.open("rb") as stream:
            return b"\0" in stream.read(_HEAD)
    except OSError:
        return False


def read_excerpt(path: Path, reference: Reference, roots: Roots) -> str:
    """The text of a file, or of the lines that the fragment names. Raises WorkflowError."""
    data = _content(path, reference, roots)
    if b"\0" in data:
        raise WorkflowError(f"{_place(reference)}: {path} is a binary file")
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").removeprefix("\ufeff")
    if reference.fragment is None:
        return text
    lines = _pick(text.split("\n"), reference.fragment)
    if not lines and not reference.optional:
        raise WorkflowError(f"{_place(reference)}: {path}#{reference.fragment} matches no line")
    return "\n".join(lines)


def _content(path: Path, reference: Reference, roots: Roots) -> bytes:
    """What is in a file, by the way that is allowed: through no link that came since."""
    real = Path(os.path.realpath(path))
    problem = roots.problem(real)
    root = roots.root_of(real)
    if problem is not None or root is None:
        raise WorkflowError(f"{_place(reference)}: {path} {problem}")
    try:
        data = read_foreign(root, real.relative_to(root).as_posix(), largest=LARGEST_FILE)
    except UnsafeFileError as error:
        raise WorkflowError(f"{_place(reference)}: {path}: {error}") from error
    if data is None:
        raise WorkflowError(f"{_place(reference)}: {path} is gone")
    return data


def _pick(lines: list[str], fragment: str) -> list[str]:
    span = _LINES.match(fragment)
    if span is not None:
        first = int(span.group(1))
        if "-" not in fragment:
            return lines[first - 1 : first]
        last = int(span.group(2)) if span.group(2) else len(lines)
        return lines[first - 1 : last]
    pattern = _pattern(fragment)
    return [line for line in lines if pattern.search(line)]


def _pattern(fragment: str) -> re.Pattern[str]:
    """The expression between the slashes. What Python finds doubtful in it is no news to us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile(fragment[1:-1])


def _check_fragment(fragment: str) -> None:
    if len(fragment) > 2 and fragment[0] == fragment[-1] == "/":
        try:
            _pattern(fragment)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"#{fragment} is no regular expression: {error}") from error
        return
    span = _LINES.match(fragment)
    if span is None:
        raise ValueError(f"#{fragment} is not #L10, #L10-L50, #L10- or #/regex/")
    if int(span.group(1)) < 1 or (span.group(2) and int(span.group(2)) < int(span.group(1))):
        raise ValueError(f"#{fragment}: the lines run backwards")


def _split(value: str) -> list[str]:
    """Words apart by blanks; a blank inside `#/.../` or quotes is part of the word."""
    pattern = r"""@"[^"]+"(?:\#\S+)?|@\S*?\#/(?:\\/|[^/])*/|\S+"""
    return [word.replace('"', "") for word in re.findall(pattern, value)]


def _existing(pattern: str, roots: Roots) -> Path | None:
    return next((p for r in roots.folders() if os.path.exists(p := r / pattern)), None)


def _glob(root: Path, pattern: str, reference: Reference) -> list[Path]:
    """The files that a glob means, from `root` unless it is absolute. Raises WorkflowError for a
    text that is no glob, and where the files cannot be looked for.
    """
    anchor = Path(pattern).anchor
    start = Path(anchor) if anchor else root
    try:
        # From Python 3.13 on glob takes it for `*`.
        if any("**" in part and part != "**" for part in Path(pattern).parts):
            raise ValueError("`**` is a part of a name")
        return sorted(path for path in start.glob(pattern[len(anchor) :]) if path.is_file())
    except (ValueError, OSError) as error:
        raise WorkflowError(
            f"{_place(reference)}: {reference.pattern} cannot be looked for: {error}",
            hint="`*` stands for a part of a name, `**` alone for folders: src/**/*.py",
        ) from error


def _excluded(path: Path, cwd: Path, excludes: Sequence[str]) -> bool:
    relative = _relative(path, cwd)
    return any(_matches(relative, pattern.removeprefix("@")) for pattern in excludes)


def _folder_of(workflow: Path, cwd: Path) -> Path | None:
    """The workflow's folder, without links; None for one behind a link that came with the working
    directory, unless the workflow is there: the user named it then.
    """
    real = Path(os.path.realpath(workflow.parent))
    return None if _is_led_out(workflow.parent, cwd) and not workflow.is_file() else real


def _is_led_out(folder: Path, cwd: Path) -> bool:
    """Whether a link in the working directory leads out of it to a folder."""
    return leads_out(str(folder), (os.path.realpath(cwd),))


def _relative(path: Path, cwd: Path) -> str:
    for base in (cwd, Path(os.path.realpath(cwd))):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)


def _matches(relative: str, pattern: str) -> bool:
    plain = pattern.rstrip("/")
    name = relative.rsplit("/", 1)[-1]
    return (
        fnmatch(relative, plain)
        or fnmatch(relative, f"{plain}/*")
        or ("/" not in plain and fnmatch(name, plain))
        or (plain.startswith("**/") and fnmatch(relative, plain[3:]))
    )


def _denies(rule: FileRule, real: Path, relative: str, cwd: Path) -> bool:
    if rule.allow:
        return False
    if rule.directory:
        return real.is_relative_to(os.path.realpath(cwd / os.path.expanduser(rule.pattern)))
    return _matches(relative, rule.pattern)


def _place(reference: Reference) -> str:
    span = reference.span
    return f"{span.file}:{span.line}:{span.column}"
