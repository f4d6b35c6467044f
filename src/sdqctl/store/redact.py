"""Keeps secrets out of what is written down: key-like variables and known token shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

MARK = "[redacted]"
_SHORTEST = 8
_NAME = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|AUTH|AUTHORIZATION)S?(?![A-Z])"
    r"(?!.*(PATH|FILE|SOCK|DIR))",
    re.IGNORECASE,
)
"""Not GIT_AUTHOR_NAME, TOKENIZERS_PARALLELISM or SSH_AUTH_SOCK."""
_PLAIN_WORDS = frozenset({"loopback", "disabled", "required", "optional", "password", "anonymous"})
_SHAPES = (
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"sk-[A-Za-z0-9_-]{20,}",
    r"AKIA[0-9A-Z]{16}",
    r"xox[abprs]-[A-Za-z0-9-]{10,}",
    r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----",
    r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",
    r"(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{16,}",
)


class Redactor:
    """A function from text, JSON or HTML to the same without secrets.

    Applying it twice changes nothing more.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = {
            value
            for name, value in environment.items()
            if _NAME.search(name)
            and len(value) >= _SHORTEST
            and value.casefold() not in _PLAIN_WORDS
            and not value.isdecimal()
        }
        written = {form for value in values for form in _forms(value)}
        literal = [re.escape(form) for form in sorted(written, key=len, reverse=True)]
        self._pattern = re.compile("|".join([*literal, *_SHAPES]), re.DOTALL)

    def __call__(self, text: str) -> str:
        return self._pattern.sub(MARK, text)


def _forms(value: str) -> set[str]:
    """A value as it stands in text, in JSON and in HTML."""
    forms = {value, json.dumps(value, ensure_ascii=False)[1:-1]}
    if any(sign in value for sign in "&<>\"'"):
        import html

        forms.add(html.escape(value))
    return forms
