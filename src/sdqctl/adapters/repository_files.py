"""What an agent takes from a repository beyond text, by the places where it looks for it.

Files of instructions (AGENTS.md, `.github/instructions`) are text for the model and no such place.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sdqctl.foreign import UnsafeFileError, list_foreign, read_foreign, strangers_hand
from sdqctl.model.repository import RepositoryFile, content_digest
from sdqctl.text.terminal import one_line

_MOST_FILES = 2000
_LONGEST = 2000
"""Characters of a summary: a command that is cut could hide what it does."""
_COMMANDS = ("command", "bash", "powershell", "sh", "cmd", "url", "exec")


@dataclass(frozen=True)
class Place:
    """A file, or a folder with all that lies in it, that takes effect.

    It counts in every folder from the repository's down to the working directory.
    """

    kind: str
    path: str
    folder: bool = False


def files_at(places: Iterable[Place], root: Path, folder: Path) -> list[RepositoryFile]:
    """The files that would take effect for a session in `folder`, a folder of the repository
    `root` (both without links); paths start from `root`. Reads each file once.
    """
    places = tuple(places)
    found = _Found(root)
    below = folder.relative_to(root)
    for level in (*reversed(below.parents), below) if below.parts else (below,):
        prefix = "" if not level.parts else f"{level.as_posix()}/"
        for place in places:
            if place.folder:
                found.add_folder(f"{prefix}{place.path}", place.kind)
            else:
                found.add(f"{prefix}{place.path}", place.kind)
    return [*found.files.values()]


class _Found:
    """The files of one repository, and those that they name in turn."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.files: dict[str, RepositoryFile] = {}

    def add_folder(self, path: str, kind: str) -> None:
        """All that lies in a folder; one that holds too much cannot be trusted."""
        for number, name in enumerate(list_foreign(self._root, path, deep=True)):
            if number == _MOST_FILES:
                self._refuse(path, kind, f"there are more than {_MOST_FILES} files in it")
                return
            self.add(name, kind)

    def add(self, path: str, kind: str) -> None:
        """One file, if it is there, and what it names."""
        if path in self.files:
            return
        try:
            data = read_foreign(self._root, path)
            if data is None:
                return
            hand = strangers_hand(self._root, path)
        except UnsafeFileError as error:
            if os.path.lexists(self._root / path):  # else a folder above it is a link
                self._refuse(path, kind, str(error))
            return
        summary = one_line(_summary(path, data))
        if len(summary) > _LONGEST:
            summary = f"{summary[:_LONGEST]}... (cut here: read the file)"
        self.files[path] = RepositoryFile(
            path=path, kind=kind, summary=summary, digest=content_digest(data), problem=hand
        )
        if path.endswith(".json"):
            self._add_named(path, kind, data)

    def _add_named(self, path: str, kind: str, data: bytes) -> None:
        """The programs that a JSON file names by a path, and the folders of hooks and the like."""
        try:
            named = list(_strings(json.loads(data)))
        except (ValueError, RecursionError):
            if kind in ("settings", "hook"):  # they may name folders that are not known then
                self._refuse(path, kind, "it is no JSON")
            return
        for key, text in named:
            for word in {text, *text.split()}:
                name = os.path.normpath(word.strip("\"'"))
                if name.startswith(("..", "/")) or name == ".":
                    continue
                if key.endswith("Directories") and word == text:
                    self.add_folder(name, "folder of the settings")
                elif _is_file(self._root / name):
                    self.add(name, "program")

    def _refuse(self, path: str, kind: str, problem: str) -> None:
        self.files[path] = RepositoryFile(
            path=path, kind=kind, summary="", digest="", problem=problem
        )


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _strings(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """The strings in a JSON document, each with the key that it, or its list, stands under."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, key)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _strings(item, name)


def _summary(path: str, data: bytes) -> str:
    """What a file would do, as far as a line can say it."""
    text = data.decode("utf-8", "replace")
    if path.endswith(".json"):
        try:
            commands = list(_commands(json.loads(text)))
        except (ValueError, RecursionError):
            return "no JSON that can be read here"
        return "runs " + "; ".join(commands) if commands else "runs nothing by itself"
    if path.endswith((".md", ".txt")):
        lines = (line.strip() for line in text.splitlines())
        told = [line for line in lines if line.startswith(("description:", "command:", "tools:"))]
        return ", ".join(told)
    return text.split("\n", 1)[0] if text.startswith("#!") else ""


def _commands(value: object) -> Iterator[str]:
    """The programs and addresses that a JSON document names, with their arguments."""
    if isinstance(value, list):
        for item in value:
            yield from _commands(item)
    elif isinstance(value, dict):
        arguments = value.get("args")
        more = [str(item) for item in arguments] if isinstance(arguments, list) else []
        for key, item in value.items():
            words = item if isinstance(item, list) and key in _COMMANDS else [item]
            if key in _COMMANDS and all(isinstance(word, str) for word in words):
                yield " ".join([*words, *more])
            else:
                yield from _commands(item)
