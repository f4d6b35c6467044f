"""The account behind the runtime: what is known of it without the runtime, and what to do without.

Tokens come from the environment (`copilot help environment`), a login from the runtime's own
`config.json` (`loggedInUsers`, runtime 1.0.102) or from the system's keychain, which only the
runtime reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from sdqctl.adapters.copilot.provider import provider_from
from sdqctl.adapters.copilot.runtime import require_runtime, runtime_environment
from sdqctl.adapters.copilot.settings import copilot_home
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import (
    AuthenticationError,
    BusyError,
    SdqctlError,
    SessionUnusableError,
)
from sdqctl.model.health import SignIn

_TOKENS = ("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN")
_CLASSIC = "ghp_"
_WAYS = (
    ("sdqctl login", "your Copilot account"),
    ("COPILOT_GITHUB_TOKEN", "a fine-grained token"),
    ("COPILOT_PROVIDER_BASE_URL", "a model of your own"),
    ("-a mock", "scripted, no account"),
)
WAYS_IN = "\n".join(["one of these:", *(f"  {way:<27}{what}" for way, what in _WAYS)])
"""What a user can do, for a hint; it fits 50 columns."""


def token_variable(environment: Mapping[str, str]) -> str | None:
    """The variable whose token the runtime takes."""
    return next((name for name in _TOKENS if environment.get(name)), None)


def stored_login(home: Path) -> str | None:
    """The login that the runtime has stored in its folder; one in a keychain is not seen."""
    try:
        text = (home / "config.json").read_text("utf-8")
        lines = (line for line in text.splitlines() if not line.lstrip().startswith("//"))
        users: Any = msgspec.json.decode("\n".join(lines)).get("loggedInUsers")
        return str(users[0]["login"]) if users else None
    except (OSError, ValueError, AttributeError, TypeError, KeyError, IndexError):
        return None


def sign_in(settings: AdapterSettings) -> SignIn:
    """`copilot login` (runtime 1.0.102: exit 1 where it fails). Raises RuntimeMissingError."""
    program = require_runtime(settings)
    return SignIn(
        command=(str(program.path), "login"),
        environment=runtime_environment(settings),
        other_ways=WAYS_IN,
    )


def lacks(settings: AdapterSettings) -> list[str]:
    """What a run would fail for, as far as it is known without the runtime: who would answer."""
    try:
        if provider_from(settings.environment) is None:
            refuse_nobody(settings)
    except SdqctlError as error:
        return [f"{error.message}, as far as is seen from here; {error.hint or ''}".rstrip("; ")]
    return []


def describe_account(settings: AdapterSettings) -> str:
    """Who would answer where there is no provider of one's own, as far as that is known."""
    if variable := token_variable(settings.environment):
        return f"the account of the token in {variable}"
    if login := stored_login(copilot_home(settings)):
        return f"the Copilot account {login}"
    return "none is known: no provider, no token, and no login in the runtime's folder"


def refuse_nobody(settings: AdapterSettings) -> None:
    """Raise AuthenticationError where a runtime that says that nobody is signed in is right.

    With a token or a stored login the network may be at fault; that is seen later.
    """
    variable = token_variable(settings.environment)
    if variable and settings.environment[variable].startswith(_CLASSIC):
        raise AuthenticationError(
            f"the runtime does not take the token in {variable}: it is a classic one", hint=WAYS_IN
        )
    if variable is None and stored_login(copilot_home(settings)) is None:
        raise AuthenticationError("nobody is signed in to GitHub Copilot", hint=WAYS_IN)


def opening_error(what: str, error: Exception) -> SdqctlError:
    """Why a session could not be opened: the account, the network, or the session."""
    message = f"{what}: {error}"
    if "Authentication failed" not in message:
        return SessionUnusableError(message)
    if "network fetch failed" in message:
        return BusyError(message, hint="GitHub could not be asked about the token; try later")
    return AuthenticationError(message, hint=WAYS_IN)
