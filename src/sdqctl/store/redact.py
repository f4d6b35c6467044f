"""Keeps secrets out of what is written down: values of variables, known shapes, telling names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping

from sdqctl.errors import UsageError
from sdqctl.store.secret_names import is_secret_member, is_secret_variable, named_secrets
from sdqctl.store.secret_shapes import shaped_secrets

MARK = "[redacted]"
_SHORTEST = 8
_SHORTEST_LINE = 16
_LONG, _REMEMBERED = 256, 100_000
"""Characters of a text that is not looked through twice, and of how many that is known."""
_AT_ONCE = 4
"""So many levels of a JSON value are looked through at once: most hold no secret, and many short
texts cost more than a long one.
"""
_WRAPPED = 76
"""The width at which base64(1) breaks its lines."""
_PLAIN_WORDS = frozenset(
    {"loopback", "disabled", "required", "optional", "password", "anonymous", "postgres"}
)
_OF_COLLECTOR = re.compile(r"OTEL_EXPORTER_OTLP_(?:[A-Z]+_)?HEADERS")
_IN_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@]*:([^\s/]+)@", re.IGNORECASE)


class Redactor:
    """A function from text to the same without secrets; `data` is one for JSON values.

    Applying it twice changes nothing more. The work grows with the length of the text.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.values = {value for item in environment.items() for value in _secrets(*item)}
        """The secrets that variables hold, as they are."""
        forms = {form for value in self.values for form in _forms(value)}
        self._literal = sorted(forms, key=len, reverse=True)
        self._without: set[bytes] = set()
        """Digests of long texts that hold no secret: a session that is published again and again
        has few that are new.
        """

    def __call__(self, text: str) -> str:
        spans = self._found(text)
        if not spans:
            return text
        parts, end = [], 0
        for start, stop in spans:
            if start >= end:
                parts += [text[end:start], MARK]
            end = max(end, stop)
        return "".join([*parts, text[end:]])

    def data(self, value: object) -> object:
        """A JSON value without secrets, in its strings and in members that are named so.

        One that has none is returned as it is.
        """
        return self._clean(value, _AT_ONCE)

    def _clean(self, value: object, levels: int) -> object:
        """`levels` deep it is looked whether there is a secret in all texts at once."""
        if isinstance(value, str):
            return self(value)
        if not isinstance(value, list | tuple | dict) or (levels > 0 and self._is_clean(value)):
            return value
        if isinstance(value, dict):
            return {
                self(str(key)): self._member(str(key), each, levels - 1)
                for key, each in value.items()
            }
        return [self._clean(each, levels - 1) for each in value]

    def _member(self, name: str, value: object, levels: int) -> object:
        if isinstance(value, str) and is_secret_member(name, value):
            return MARK
        return self._clean(value, levels)

    def _is_clean(self, value: object) -> bool:
        texts: list[str] = []
        return _gather(value, texts) and not self._found("\n".join(texts))

    def _found(self, text: str) -> list[tuple[int, int]]:
        """Where its secrets are, in order."""
        digest = _digest(text) if len(text) >= _LONG else b""
        if digest in self._without:
            return []
        spans = sorted(self._spans(text))
        if digest and not spans and len(self._without) < _REMEMBERED:
            self._without.add(digest)
        return spans

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for form in self._literal:
            start = text.find(form)
            while start >= 0:
                yield start, start + len(form)
                start = text.find(form, start + len(form))
        lower = _lower(text)
        yield from shaped_secrets(text, lower)
        yield from named_secrets(text, lower)


def refuse_secret_name(
    name: str, environment: Mapping[str, str], *, hint: str = "name it without"
) -> None:
    """Raise UsageError for a session's name that holds a secret: a name is kept and shown whole."""
    if Redactor(environment)(name) != name:
        raise UsageError("the session's name holds what looks like a secret", hint=hint)


def _gather(value: object, texts: list[str]) -> bool:
    """Gather all texts of a JSON value; False where a member's name makes a secret of one."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, dict):
        for key, each in value.items():
            texts.append(str(key))
            if isinstance(each, str) and is_secret_member(str(key), each):
                return False
            if not _gather(each, texts):
                return False
    elif isinstance(value, list | tuple):
        return all(_gather(each, texts) for each in value)
    return True


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).digest()


def _lower(text: str) -> str:
    """The text in lower case, each character at its place: a few become longer otherwise."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower()[:1] for c in text)


def _secrets(name: str, value: str) -> Iterator[str]:
    """What of a variable is secret: all of it, the lines of a long one, an address's password."""
    found = [match[1] for match in _IN_ADDRESS.finditer(value)]
    if is_secret_variable(name) or found:
        found.append(value)
    if _OF_COLLECTOR.fullmatch(name):
        found += _headers(value)
    if "\n" in value and is_secret_variable(name):
        found += [line for line in value.splitlines() if len(line) >= _SHORTEST_LINE]
    for each in found:
        plain = each.casefold() in _PLAIN_WORDS or each.isdecimal() or each in MARK
        if len(each) >= _SHORTEST and not plain and not each.startswith("-----"):
            yield each


def _headers(value: str) -> Iterator[str]:
    """The values of `name=value,name=value`, encoded or not, and without a scheme before them."""
    from urllib.parse import unquote

    for pair in value.split(","):
        given = pair.partition("=")[2].strip()
        yield from {given, unquote(given), unquote(given).rpartition(" ")[2]}


def _forms(value: str) -> set[str]:
    """A value as it stands in text, JSON, HTML and addresses, and encoded as base64 or hex."""
    forms = {value}
    for ascii_only in (True, False):
        forms.add(json.dumps(value, ensure_ascii=ascii_only)[1:-1])
    if any(sign in value for sign in "&<>\"'"):
        import html

        forms.add(html.escape(value))
    raw = value.encode("utf-8", "surrogatepass")
    forms |= {_percent(raw, upper=True), _percent(raw, upper=False), raw.hex(), raw.hex().upper()}
    return forms | _base64(raw)


def _percent(raw: bytes, *, upper: bool) -> str:
    """As in an address; what never needs it stays."""
    spelled = "%{:02X}" if upper else "%{:02x}"
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
    return "".join(chr(byte) if byte in plain else spelled.format(byte) for byte in raw)


def _base64(raw: bytes) -> set[str]:
    """The characters that base64 makes of a value wherever it begins in a longer text.

    At its ends one character in three also holds a neighbour's bits, and is left out.
    """
    from base64 import b64encode

    forms = {b64encode(raw).decode()}
    for before in range(3):
        whole = b64encode(bytes(before) + raw).decode().rstrip("=")
        bits = (before + len(raw)) * 8
        forms.add(whole[(before * 8 + 5) // 6 : bits // 6])
    lines = b64encode(raw).decode()
    forms |= {lines[i : i + _WRAPPED] for i in range(0, len(lines) - _SHORTEST_LINE, _WRAPPED)}
    forms |= {form.replace("+", "-").replace("/", "_") for form in forms}
    return {form for form in forms if len(form) >= _SHORTEST}
