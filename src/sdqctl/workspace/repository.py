"""The git repository around a folder, and what of its configuration is taken.

A configuration that came with a folder may name programs. Snapshots therefore read none of it:
what says how files are read and written (line ends, executable bits, ignored names) is copied from
it, and filters of files from the user's own configuration alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import WorkspaceError, WorkspaceRefusedError
from sdqctl.workspace.git import Git, GitError, as_text, names

_LOOKING_SECONDS = 20.0
_OWN_SCOPES = frozenset({"system", "global"})
_TAKEN = frozenset(
    f"core.{name}"
    for name in (
        *("autocrlf", "eol", "filemode", "ignorecase", "symlinks", "precomposeunicode"),
        *("excludesfile", "attributesfile", "trustctime", "checkstat", "longpaths"),
        *("protecthfs", "protectntfs"),
    )
)
_PROGRAM_OF_FILTER = re.compile(r"filter\.(.+)\.(clean|smudge|process)", re.DOTALL)
_DRIVER = re.compile(r"merge\..+\.driver", re.DOTALL)
_CONDITION = re.compile(r"includeif\..+\.path", re.DOTALL)
_OLDEST = (2, 32)


@dataclass(frozen=True)
class Repository:
    """A repository with a work tree. All paths are absolute and without links."""

    top: Path
    """The folder of the work tree."""
    git_folder: Path
    """Of this work tree: with its index and HEAD."""
    common: Path
    """Of all its work trees: with the objects, branches and the configuration."""
    object_format: str = "sha1"


@dataclass(frozen=True)
class Configuration:
    """What git's configuration says, by key, in the order it was read; the last one counts."""

    taken: tuple[tuple[str, str], ...]
    """How files are read and written, and the user's filters."""
    programs: tuple[str, ...]
    """Keys by which the repository itself would run programs on files."""
    drivers: tuple[str, ...]
    """Keys by which it would run programs to merge files."""
    conditions: tuple[str, ...]
    """Keys by which it says more in another work tree, or on another branch."""
    sparse: bool


def find_repository(folder: Path) -> Repository | None:
    """The repository that a folder lies in, with its whole work tree; None when there is none.

    Raises WorkspaceRefusedError for one without a work tree, for one that git itself refuses (as
    that of another user), for one whose parts do not belong together, and for a git that is too
    old.
    """
    if not _may_be_repository(folder):
        return None
    asked = Git(folder).finished(
        *("rev-parse", "--path-format=absolute", "--show-object-format", "--is-inside-work-tree"),
        *("--git-dir", "--git-common-dir", "--show-toplevel"),
        ok=range(256),
        seconds=_LOOKING_SECONDS,
    )
    said = as_text(asked.stderr).strip()
    if "not a git repository (or any" in said:
        return None
    lines = os.fsdecode(asked.stdout).split("\n")[:-1]
    if len(lines) >= 2 and lines[1] == "false":
        raise WorkspaceRefusedError(f"{folder} lies in a git repository without a work tree there")
    if asked.returncode or len(lines) != 5:
        _refuse_old_git(folder)
        raise WorkspaceRefusedError(f"git refuses the repository of {folder}: {said or lines}")
    form, _, git_folder, common, top = lines
    top, git_folder, common = map(os.path.realpath, (top, git_folder, common))
    repository = Repository(Path(top), Path(git_folder), Path(common), form)
    if not _belongs_together(repository):
        raise WorkspaceRefusedError(
            f"{top} and the git folder {git_folder} do not name one another",
            hint=f"if both are yours, have the file {top}/.git name the git folder, and "
            f"core.worktree in that folder's config name {top}",
        )
    return repository


def _belongs_together(repository: Repository) -> bool:
    """Whether work tree and git folder each name the other one. Else a `.git`, or a setting in it,
    that came with a folder makes files outside of it part of the tree, or another repository's
    files part of it.
    """
    top, own, common = repository.top, repository.git_folder, repository.common
    mark = top / ".git"
    if mark.is_symlink():
        return False
    if own == mark:
        return common == own
    if own.parent == common / "worktrees":
        return _named_in(own / "gitdir", own) == mark
    if own != common or not mark.is_file():
        return False
    git = Git(own, {"GIT_DIR": str(own)})
    named = git.line("config", "--local", "--get", "core.worktree", ok=(0, 1))
    return bool(named) and Path(os.path.realpath(own / named)) == top


def _named_in(file: Path, folder: Path) -> Path | None:
    try:
        named = file.read_text("utf-8", "surrogateescape").strip()
    except OSError:
        return None
    path = folder / named
    return Path(os.path.realpath(path.parent), path.name)


def is_part_of(folder: Path, top: Path) -> bool:
    """Whether a folder lies in the work tree at `top`, and in no other one within that."""
    real = Path(os.path.realpath(folder))
    above = [real, *real.parents]
    return top in above and not any(
        os.path.lexists(each / ".git") for each in above[: above.index(top)]
    )


def _may_be_repository(folder: Path) -> bool:
    """Whether git is to be asked: up to the root it looks for `.git` and a bare one's HEAD."""
    real = Path(os.path.realpath(folder))
    return any(
        os.path.lexists(above / ".git") or os.path.lexists(above / "HEAD")
        for above in (real, *real.parents)
    )


def read_configuration(folder: Path) -> Configuration:
    """git's configuration for a folder. Raises WorkspaceError."""
    data = Git(folder).run("config", "--list", "-z", "--show-scope", seconds=_LOOKING_SECONDS)
    taken, programs, drivers, conditions, sparse = [], [], [], [], False
    for scope, key, value in _settings(names(data)):
        program = _PROGRAM_OF_FILTER.fullmatch(key)
        if program and scope not in _OWN_SCOPES:
            programs += [key] if value else []
        elif _DRIVER.fullmatch(key) and scope not in _OWN_SCOPES:
            drivers.append(key)
        elif _CONDITION.fullmatch(key) and scope not in _OWN_SCOPES:
            conditions.append(key)
        elif key in _TAKEN or (key.startswith("filter.") and scope in _OWN_SCOPES):
            taken.append((key, value))
        elif key == "core.sparsecheckout":
            sparse = value.lower() in ("true", "yes", "on", "1", "")
    return Configuration(tuple(taken), _once(programs), _once(drivers), _once(conditions), sparse)


def refuse_programs(configuration: Configuration, *, merging: bool = False) -> None:
    """Raise WorkspaceRefusedError when files would go through programs of the repository."""
    found = (*configuration.programs, *(configuration.drivers if merging else ()))
    if found:
        raise WorkspaceRefusedError(
            "the repository's own configuration (.git/config) runs a program on files: "
            + ", ".join(found),
            hint=f"if it is yours, move it into your own: git config --global {found[0]} ... "
            "(and --unset it here)",
        )


def refuse_checkout(repository: Repository) -> None:
    """Raise WorkspaceRefusedError where git would run programs of the repository to make another
    work tree of it, or where that would show what lies in another repository.
    """
    configuration = read_configuration(repository.top)
    refuse_programs(configuration)
    if configuration.conditions:
        raise WorkspaceRefusedError(
            "the repository's own configuration (.git/config) says other things in another work "
            f"tree: {', '.join(configuration.conditions)}",
            hint="if they are yours, move them into your own: git config --global ...",
        )
    common = repository.common
    for path in _parts(common):
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(common):
            raise WorkspaceRefusedError(f"{path} is a link out of the git folder")


def _parts(common: Path) -> Iterator[Path]:
    """What a git folder finds commits by, and what holds them."""
    for folder in (common, common / "objects"):
        yield from folder.iterdir()
    for place, folders, files in os.walk(common / "refs"):
        yield from (Path(place, name) for name in (*folders, *files))


def current_commit(repository: Repository) -> str | None:
    """The commit that is checked out; None in a repository without one."""
    git = Git(repository.top, {"GIT_DIR": str(repository.git_folder)})
    return git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}", ok=(0, 1)) or None


def current_branch(repository: Repository) -> str | None:
    """The branch that is checked out, also one without a commit; None when HEAD is detached."""
    git = Git(repository.top, {"GIT_DIR": str(repository.git_folder)})
    return git.line("symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1)) or None


def _settings(parts: list[bytes]) -> Iterator[tuple[str, str, str]]:
    """Scope, key and value of each setting; one without a value is true."""
    for scope, setting in zip(parts[::2], parts[1::2], strict=True):
        key, separator, value = os.fsdecode(setting).partition("\n")
        yield os.fsdecode(scope), key, value if separator else "true"


def _once(keys: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(keys))


def _refuse_old_git(folder: Path) -> None:
    try:
        told = Git(folder).line("version")
    except GitError as error:
        raise WorkspaceError("git does not work here", hint=error.text) from error
    found = re.search(r"(\d+)\.(\d+)", told)
    if found and (int(found[1]), int(found[2])) < _OLDEST:
        raise WorkspaceRefusedError(f"{told} is too old", hint="git 2.32 or later is needed")
