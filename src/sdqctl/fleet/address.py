"""Where a shared store is: a Postgres address, whose password is never shown or written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from sdqctl.errors import UsageError
from sdqctl.text.undecoded import is_decoded

VARIABLE = "SDQCTL_STORE"
_SCHEMES = ("postgresql", "postgres")
_EXAMPLE = "postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True)
class Address:
    """The address of a store. `secret` is the whole text, for the client of the database alone."""

    shown: str
    secret: str = field(repr=False)
    password: str | None = field(repr=False)

    def without_secrets(self, text: str) -> str:
        """A text of the client's or the server's, which may repeat what it was given."""
        text = text.replace(self.secret, self.shown)
        return text.replace(self.password, "[redacted]") if self.password else text


def store_address(
    given: str | None, environment: Mapping[str, str], flag: str = "--store"
) -> Address:
    """The address that a flag or a setting gives, checked; `flag` is the one that would give it.

    A password may stand in the variable SDQCTL_STORE alone: other processes can see a command
    line, and files are read by others. Raises UsageError.
    """
    if not given:
        raise UsageError(
            "no shared store is named",
            hint=f"give {flag} {_EXAMPLE}, or set `store` in the configuration, or {VARIABLE}",
        )
    if not is_decoded(given):
        raise UsageError("the address of the store is no UTF-8", hint=_EXAMPLE)
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError as error:
        raise UsageError("the address of the store cannot be read", hint=_EXAMPLE) from error
    if parts.scheme not in _SCHEMES:
        raise UsageError("the address of the store is none of Postgres", hint=_EXAMPLE)
    options = dict(parse_qsl(parts.query))
    password = unquote(parts.password) if parts.password else options.get("password")
    if password is not None and given != environment.get(VARIABLE):
        raise UsageError(
            "the address of the store holds a password, which others could read",
            hint=f"leave it out, and have it in ~/.pgpass, PGPASSWORD, or an address in {VARIABLE}",
        )
    host = options.get("host") or parts.hostname or ""
    place = f"{host}:{port}" if port else host
    user = f"{parts.username}@" if parts.username else ""
    return Address(f"{parts.scheme}://{user}{place}{parts.path}", given, password)
