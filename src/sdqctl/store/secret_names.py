"""Secrets that only a name gives away: variables, `password=...`, `"token": "..."`.

Source code is full of such names beside values that are none, so a value has to look like one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_VARIABLE = re.compile(
    r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASSCODE|CREDENTIAL|CREDS|AUTH|AUTHORIZATION"
    r"|COOKIE|JWT|BEARER|WEBHOOK|WEBHOOK_URL|CONNECTION_?STRING)S?(?![A-Z])"
    r"(?!.*(?:PATH|FILE|SOCK|DIR))"
    r"|(?:^|_)(?:PASS|PAT|DSN|PW)\d*(?:_|$)|.PWD\d*(?:_|$)(?<!^OLDPWD)",
    re.IGNORECASE,
)
"""Not GIT_AUTHOR_NAME, TOKENIZERS_PARALLELISM, SSH_AUTH_SOCK, PATH or PWD."""
_PASSWORD = r"password|passwd|passphrase|passcode|(?<![a-z])pwd|(?<![a-z])pass"
_KEY = (
    r"secret|token|credentials?|dsn|jwt|[_-]pat|(?:api|access|secret|private|signing|encryption"
    r"|account|auth|master|session|shared|subscription|license)[_-]?key"
)
_NAME = re.compile(
    rf"(?:(?P<password>{_PASSWORD})|(?P<key>{_KEY}))\d{{0,3}}\Z", re.IGNORECASE | re.ASCII
)
_END = re.compile(
    r"(?:pass|pwd|secret|token|credential|dsn|jwt|key|pat)[a-z]{0,6}\d{0,3}"
    r"(?=(?:\\?[\"'])?\]?\s{0,4}[:=]|\s)",
    re.ASCII,
)
"""Where a name may end, in lower case: found fast, looked at closely by `_NAME`."""
_LONGEST_NAME = 24
_VALUE = (
    r"(?:\\?\"(?P<double>[^\"\\\s]{1,512})|'(?P<single>[^'\\\s]{1,512})"
    r"|(?P<bare>[^\s\"'`\\,;&<>(){}\[\]|]{1,512})(?P<call>[(\[]?))"
)
_ASSIGNED = re.compile(
    r"(?P<sign>(?:\\?[\"'])?\]?(?:\s{0,4}:\s{0,4}\w{1,20}\s{0,4}=|\s{0,4}(?:=>|:=|[:=]))\s{0,4})"
    + _VALUE,
    re.ASCII,
)
_FLAG = re.compile(r"--[a-z-]{0,40}\Z", re.IGNORECASE)
_AFTER_FLAG = re.compile(r"(?P<sign>\s{1,4})" + _VALUE, re.ASCII)
_NO_VALUE = re.compile(
    r"[$%{<*.~/]|\[redacted\]|(?:your|my|the|an|example|sample|dummy|placeholder|change|replace)"
    r"[_-]|(?:none|null|true|false|undefined|required|optional|string|hidden|disabled|enabled"
    r"|changeme|str|int|bool|bytes|text|input|prompt|anonymous|loopback)(?![a-z0-9])"
    r"|(?:self|this|os|env|process|secrets?|vars?|settings|config|args|options)[.:]|[a-z]+://"
    r"|-|.*(?:\.\.\.|xxxx|\*\*\*|…)",
    re.IGNORECASE | re.ASCII,
)
"""References to a value, stand-ins for one, and addresses, which have a shape of their own."""
_OF_WORDS = re.compile(r"[A-Za-z]+(?:[_.-][A-Za-z]+)*")
_CODE = re.compile(r"[a-z]+(?:_[a-z0-9]+)+|[a-z_]+\d?|[A-Z]+(?:_[A-Z0-9]+)*")
_ABOUT_SECRETS = re.compile(r"pass|pwd|secret|token|key|user|value|field|credential", re.IGNORECASE)
_SHORTEST_PASSWORD, _SHORTEST_KEY = 6, 12


def is_secret_variable(name: str) -> bool:
    """Whether an environment variable's name says that its value is secret."""
    return _VARIABLE.search(name) is not None


def is_secret_member(name: str, value: str) -> bool:
    """Whether a member of a JSON object is secret by its name, and its value looks like one."""
    found = _named(name)
    return found is not None and _is_secret(value, found == "password", quoted=True, tight=True)


@lru_cache(1024)
def _named(name: str) -> str | None:
    """The kind of secret that a name tells of; the same members come again and again."""
    found = _NAME.search(name)
    return None if found is None else found.lastgroup


def named_secrets(text: str, lower: str) -> Iterator[tuple[int, int]]:
    """Where the values are that a name before them makes secrets; `lower` is the text so."""
    done = 0
    for end in _END.finditer(lower):
        if end.start() < done:
            continue
        name = _NAME.search(text[max(0, end.start() - _LONGEST_NAME) : end.end()])
        if name is None:
            continue
        match = _ASSIGNED.match(text, end.end())
        if match is None and _FLAG.search(text, max(0, end.start() - 42), end.start()):
            match = _AFTER_FLAG.match(text, end.end())
        if match is None or _is_part_of_a_path(text, end, match):
            continue
        if found := _span(match, bool(name["password"])):
            yield found
            done = found[1]


def _is_part_of_a_path(text: str, end: re.Match[str], match: re.Match[str]) -> bool:
    """Whether it is `a:secret:b`, as in an ARN."""
    return match["sign"] == ":" and text[max(0, end.start() - 1) : end.start()] == ":"


def _span(match: re.Match[str], password: bool) -> tuple[int, int] | None:
    group = next(name for name in ("double", "single", "bare") if match[name] is not None)
    if match["call"]:
        return None
    value = match[group].rstrip(".:") if group == "bare" else match[group]
    flagged = match["sign"].isspace()
    if flagged and _OF_WORDS.fullmatch(value):
        return None  # prose about the flag
    tight = match["sign"] == "=" or flagged
    if not _is_secret(value, password, quoted=group != "bare", tight=tight):
        return None
    return match.start(group), match.start(group) + len(value)


def _is_secret(value: str, password: bool, *, quoted: bool, tight: bool) -> bool:
    """Whether a value beside a telling name looks like a secret.

    `tight` is a value that follows its name's `=` at once, as in a shell, a URL or a setting, or
    its flag.
    """
    if _NO_VALUE.match(value) or len(set(value)) < 3:
        return False
    if not quoted and not (password and tight) and _CODE.fullmatch(value):
        return False
    if _OF_WORDS.fullmatch(value):
        plain = "_" in value or "." in value or _ABOUT_SECRETS.search(value) or value.isupper()
        return password and (quoted or tight) and len(value) >= _SHORTEST_PASSWORD and not plain
    if password:
        return len(value) >= _SHORTEST_PASSWORD
    mixed = any(char.isdigit() for char in value) and any(char.isalpha() for char in value)
    return mixed and len(value) >= _SHORTEST_KEY
