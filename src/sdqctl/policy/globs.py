"""Globs over absolute paths, as expressions: `*` stays within a folder, `**` does not."""

from __future__ import annotations

import glob
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable

from sdqctl.policy.places import real_path

_GLOB = re.compile(r"[*?\[]")
_PLAIN_SIGN = re.compile(r"\[([*?\[])\]")


def allowing(text: str, base: str) -> re.Pattern[str]:
    """What a pattern of an allow rule means: links are resolved in front of its first wildcard."""
    return _compiled(_with_real_folder(_absolute(text, base)))


def denying(text: str, base: str, *, deep: bool = True) -> tuple[re.Pattern[str], ...]:
    """What a pattern of a deny rule may mean, with and without its links resolved.

    The expressions are for paths, and (folded) for `folded` paths. `deep`: a pattern without a
    slash means the name at any depth.
    """
    written = _absolute(text, base, deep=deep)
    lexical = os.path.normpath(written)
    forms = {lexical, _with_real_folder(lexical), _with_real_folder(written)}
    forms |= {_folded_pattern(form) for form in forms}
    return tuple(map(_compiled, sorted(forms)))


def matches_any(patterns: Iterable[re.Pattern[str]], paths: Iterable[str]) -> bool:
    """Whether a path, or its folded form, is meant by one of the patterns."""
    forms = {form for path in paths for form in (path, folded(path))}
    return any(pattern.match(form) for pattern in patterns for form in forms)


def folded(path: str) -> str:
    """A path as the most lenient file system reads it.

    Without regard to case and normal form (APFS, HFS+), to signs that are not seen (HFS+), and to
    blanks and dots that end a name (vfat).
    """
    return "/".join(name.rstrip(". ") or name for name in _lenient(path).split("/"))


def literal_part(text: str) -> str:
    """The names of a pattern up to its first wildcard, without a `**` that it begins with."""
    parts = text.split("/")
    while parts and parts[0] == "**":
        del parts[0]
    return "/".join(map(_unescaped, parts[: _first_wildcard(parts)]))


def has_wildcard(text: str) -> bool:
    """Whether a pattern means more than one path and what lies below it."""
    return any(map(_is_glob, text.split("/")))


def escaped(path: str) -> str:
    """A pattern for this one path, fit to be written in a rule."""
    text = "".join(sign if sign.isprintable() else "?" for sign in glob.escape(path))
    if text[:1] in ("~", " "):
        text = f"./{text}"
    return f"{text[:-1]}[ ]" if text.endswith(" ") else text


def _lenient(text: str) -> str:
    if text.isascii():
        return text.lower()
    seen = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())


def _folded_pattern(pattern: str) -> str:
    parts = _lenient(pattern).split("/")
    return "/".join(part if _is_glob(part) else part.rstrip(". ") or part for part in parts)


def _absolute(text: str, base: str, *, deep: bool = True) -> str:
    text = os.path.expanduser(text)
    if deep and "/" not in text.rstrip("/"):
        text = f"**/{text}"
    return os.path.join(glob.escape(base), text)


def _with_real_folder(pattern: str) -> str:
    """The pattern with the links in front of its first wildcard resolved."""
    parts = pattern.split("/")
    plain = _first_wildcard(parts)
    folder = real_path("/".join(map(_unescaped, parts[:plain])) or "/")
    return posixpath.normpath(posixpath.join(glob.escape(folder), *parts[plain:]))


def _first_wildcard(parts: list[str]) -> int:
    return next((i for i, part in enumerate(parts) if _is_glob(part)), len(parts))


def _is_glob(part: str) -> bool:
    return bool(_GLOB.search(_PLAIN_SIGN.sub("", part)))


def _unescaped(part: str) -> str:
    return _PLAIN_SIGN.sub(r"\1", part)


def _compiled(pattern: str) -> re.Pattern[str]:
    """A glob over absolute paths, which means what lies below, too; a broken one means itself."""
    try:
        return re.compile(f"{_expression(pattern)}(?:/.*)?\\Z", re.DOTALL)
    except re.error:
        return re.compile(f"{re.escape(_unescaped(pattern))}(?:/.*)?\\Z", re.DOTALL)


def _expression(pattern: str) -> str:
    found: list[str] = []
    for part in pattern.strip("/").split("/"):
        deep = "(?:/[^/]+)*"
        if part != "**":
            found.append("/" + _part_expression(part))
        elif found[-1:] != [deep]:
            found.append(deep)
    return "".join(found) if pattern.strip("/") else ""


def _part_expression(part: str) -> str:
    found: list[str] = []
    index = 0
    while index < len(part):
        char = part[index]
        end = part.find("]", index + 2) if char == "[" else -1
        if char == "*":
            found.append("[^/]*")
        elif char == "?":
            found.append("[^/]")
        elif end > 0:
            inner = part[index + 1 : end].replace("\\", "\\\\")
            negated = inner.startswith(("!", "^"))
            body = re.sub(r"([\[\]^&~|])", r"\\\1", inner[1:] if negated else inner)
            found.append(f"[^/{body}]" if negated else f"(?!/)[{body}]")
            index = end
        else:
            found.append(re.escape(char))
        index += 1
    return "".join(found)
