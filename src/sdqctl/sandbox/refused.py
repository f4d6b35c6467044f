"""Recognising in a program's output what the net has refused, and saying what would allow it.

Only what is true is said: the output names a path as refused, the profile does not let it through,
and without the net it could be reached.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from sdqctl.foreign import is_below
from sdqctl.model.sandbox import Access, Refusal
from sdqctl.sandbox.profile import Profile

_LONGEST = 65_536
_LONGEST_PATH = 4096
_MOST = 8
_DENIED = re.compile(r"permission denied|EACCES|read-only file system|EROFS", re.IGNORECASE)
_MISSING = re.compile(r"no such file or directory|ENOENT", re.IGNORECASE)
_WRITING = re.compile(r"creat|writ|touch|mkdir|mov|renam|remov|unlink|link|trunc", re.IGNORECASE)
_QUOTED = re.compile(r"""['"‘`]([^'"’`\n]{1,4096})['"’`]""")
_ABSOLUTE = re.compile(r"""(?:^|[\s=(])(/[^\s:'",;)]+)""")


def refused_paths(
    text: str,
    folder: Path,
    profile: Profile,
    cwd: str,
    temporary: str,
    *,
    missing_counts: bool = False,
) -> tuple[Refusal, ...]:
    """What the net refused, by the output of a program that worked in `folder`.

    `missing_counts`: what is not let through is not there inside.
    """
    found: dict[str, Refusal] = {}
    for line in text[-_LONGEST:].splitlines():
        denied = _DENIED.search(line)
        said = denied or (_MISSING.search(line) if missing_counts else None)
        path = _path(line, said, folder) if said is not None else None
        if path is None or path in found or is_below(path, temporary):
            continue
        access = _access(path, line, profile)
        if access is not None and (denied or os.path.exists(path)):
            found[path] = Refusal(path, access, _hint(path, access, profile, cwd))
    return tuple(found.values())[:_MOST]


def _path(line: str, said: re.Match[str], folder: Path) -> str | None:
    """The path that a line says was refused: the one after the words, else the one before them.

    `permission denied, open '/a'`; `cat: /a: Permission denied`; `open /a: permission denied`.
    """
    before, after = line[: said.start()].rstrip(": "), line[said.end() :]
    part = before.rpartition(": ")[2]
    name = (
        _first(_QUOTED, after)
        or _first(_ABSOLUTE, after)
        or _first(_QUOTED, part)
        or _first(_ABSOLUTE, part)
        or part
    )
    written = os.path.join(folder, os.path.expanduser(name))
    usable = bool(name) and "\0" not in written and len(written) < _LONGEST_PATH
    return os.path.realpath(written) if usable else None


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match.group(1) if match else None


def _access(path: str, line: str, profile: Profile) -> Access | None:
    """What was refused by the net; None: it was not the net."""
    if profile.allows(path, Access.WRITE):
        return None
    exists = os.path.exists(path)
    readable = profile.allows(path, Access.READ)
    access = Access.WRITE if readable or not exists or _WRITING.search(line) else Access.READ
    if access is Access.READ:
        return access if os.access(path, os.R_OK) else None
    place = path if exists else os.path.dirname(path)
    return access if os.path.isabs(path) and os.access(place, os.W_OK) else None


def _hint(path: str, access: Access, profile: Profile, cwd: str) -> str:
    if any(is_below(path, place) for place in profile.hidden):
        return "it belongs to sdqctl; no setting allows it"
    if access is Access.READ:
        return f"`--allow-tool {shlex.quote(f'read({path})')}` or ALLOW-DIR allows it"
    if is_below(path, cwd):
        inside = os.path.relpath(path, cwd)
        return f"`--mode implement` or `--allow-tool {shlex.quote(f'write({inside})')}` allows it"
    if profile.ports is not None:  # a reading mode
        return f"`--allow-tool {shlex.quote(f'write({path})')}` allows it"
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    return f'`sandbox_write = ["{folder}"]` in your configuration or ALLOW-DIR allows it'
