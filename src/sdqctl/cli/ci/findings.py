"""What a run found, where that is a list of objects with a file and a line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

_BLOCK = re.compile(r"^(`{3,}|~{3,})[ \t]*(?:json)?[ \t]*\n(.*?)^\1[ \t]*$", re.M | re.S)
_ERRORS = frozenset({"error", "critical", "high", "blocker", "major", "fatal"})
_NOTICES = frozenset({"note", "notice", "info", "information", "low", "minor", "hint"})
_TITLES = ("title", "rule", "name")
_MESSAGES = ("message", "text", "description", "finding", "title", "name")


@dataclass(frozen=True)
class Finding:
    """One of them; `severity` is `error`, `warning` or `notice`."""

    file: str
    line: int
    severity: str
    message: str
    title: str | None = None
    column: int | None = None
    end_line: int | None = None


def findings_of(value: object, text: str, folder: Path) -> list[Finding]:
    """The findings in what a run returned, or in its last answer: JSON, or the last block of it.

    A file below `folder` is named as from there. What is no finding is passed over.
    """
    found = value if isinstance(value, list | dict) else _read(text)
    if isinstance(found, dict):
        found = found.get("findings")
    if not isinstance(found, list):
        return []
    return [one for each in found if (one := _finding(each, folder)) is not None]


def _read(text: str) -> object:
    blocks = [match[2] for match in _BLOCK.finditer(text)]
    for candidate in (text, *reversed(blocks)):
        try:
            return msgspec.json.decode(candidate)
        except (msgspec.DecodeError, UnicodeEncodeError):
            continue
    return None


def _finding(value: object, folder: Path) -> Finding | None:
    if not isinstance(value, dict):
        return None
    file, line = _first(value, ("file", "path")), _number(value, ("line", "start_line"))
    if file is None or line is None:
        return None
    return Finding(
        file=_relative(file, folder),
        line=line,
        severity=_severity(value),
        message=_first(value, _MESSAGES) or msgspec.json.encode(value).decode(),
        title=_first(value, _TITLES),
        column=_number(value, ("column", "col")),
        end_line=_number(value, ("end_line", "endLine")),
    )


def _severity(value: dict[str, Any]) -> str:
    word = (_first(value, ("severity", "level")) or "").lower()
    return "error" if word in _ERRORS else "notice" if word in _NOTICES else "warning"


def _first(value: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next(_texts(value, names), None)


def _texts(value: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if isinstance(found := value.get(name), str) and found.strip():
            yield found


def _number(value: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        found = value.get(name)
        if isinstance(found, str) and found.isascii() and found.isdecimal():
            found = int(found[:9])
        if isinstance(found, int) and not isinstance(found, bool) and found > 0:
            return found
    return None


def _relative(file: str, folder: Path) -> str:
    if os.path.isabs(file) and Path(file).is_relative_to(folder):
        return str(Path(file).relative_to(folder))
    return file.removeprefix("./")
