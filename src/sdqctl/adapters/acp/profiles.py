"""What is known of each agent: `profiles.toml`, and what the user's configuration says."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from sdqctl.errors import UsageError

PORT = "{port}"
_REFERENCE = re.compile(r"\$\{(\w+):-([^}]*)\}")


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an agent's own settings say which address its model has."""

    file: str
    """A TOML or JSON file."""
    chosen: str
    """The key whose value, as far as a `/`, names the provider."""
    address: str
    """The dotted keys of its address; `{chosen}` is the provider."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent. The keys of profiles.toml, and of `[agents.NAME]` in a configuration file."""

    command: tuple[str, ...] = ()
    """The program and its arguments; `{port}` is a free port, which it may connect to."""
    title: str = ""
    seen: str = ""
    """The version that the profile was tried with."""
    install: str = ""
    version: tuple[str, ...] = ("--version",)
    variables: tuple[str, ...] = ()
    """Globs of the variables that it is given whatever the setting `env` leaves out."""
    addresses: tuple[str, ...] = ()
    """Variables that may hold the address of its model's provider."""
    provider: Provider | None = None
    """Where its settings have that address, if they do."""
    ports: tuple[int, ...] = ()
    """Further TCP ports that it connects to."""
    folders: tuple[str, ...] = ()
    """Its own folders: sessions, settings, login."""
    files: tuple[str, ...] = ()
    """Where the agent's own files of one session lie: paths with `*`, `{id}` and a last `**`, which
    go along in a bundle."""
    caches: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    """Variables that it is started with."""
    mode: str | None = None
    """The mode in which it asks before it acts; None: it has but one."""
    forks: bool = False
    deletes: bool = False
    """Whether it deletes a session when it is asked over the protocol."""
    forget: tuple[str, ...] = ()
    """Arguments of its program that delete a session; `{id}` is the session's."""
    moves: bool = True
    """Whether a session goes on in another folder than the one that it was begun in."""
    failure: str | None = None
    """A pattern: an answer that reports a failed model call."""
    failed: tuple[str, ...] = ()
    """Where in the `_meta` of the end of a turn a failure stands, told as an answer besides."""
    declares: dict[str, Any] = {}
    """The `_meta` of what we can do: extensions that the agent wants to be asked for."""
    notice: str | None = None
    """A pattern: a paragraph before the answer that is the agent's own."""
    loads_after: float = 0.0
    """Seconds after its creation from which a session can be loaded without harm."""

    @property
    def serves_itself(self) -> bool:
        """Whether it talks to itself over a port."""
        return PORT in self.command

    @property
    def program(self) -> str:
        """What is looked for on PATH."""
        return self.command[0]


@cache
def shipped() -> Mapping[str, Profile]:
    """The profiles that come with sdqctl, by name."""
    import tomllib

    text = resources.files(__package__).joinpath("profiles.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Profile])


def profile_of(name: str, configured: Mapping[str, Any]) -> Profile:
    """An agent's profile, with what the configuration says over it.

    Raises UsageError for keys that are unknown or of a wrong type, and where no command is known.
    """
    known = shipped().get(name)
    base = msgspec.to_builtins(known) if known is not None else {"title": name}
    try:
        found = msgspec.convert({**base, **configured}, Profile)
    except msgspec.ValidationError as error:
        raise UsageError(f"[agents.{name}]: {error}", hint="see docs/agents.md") from error
    for path in found.files:
        if "{id}" not in path:
            raise UsageError(f"[agents.{name}]: files: {path!r} lacks {{id}}, the session's id")
    if not found.command:
        raise UsageError(
            f"[agents.{name}] names no command", hint='such as command = ["my-agent", "acp"]'
        )
    return found


def expanded(paths: Iterable[str], environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Paths with `${NAME:-default}` and `~` filled in from an environment."""

    def value(match: re.Match[str]) -> str:
        return environment.get(match[1]) or match[2]

    home = environment.get("HOME") or os.path.expanduser("~")
    filled = (_REFERENCE.sub(value, path) for path in paths)
    return tuple(
        Path(home + path[1:]) if path == "~" or path.startswith("~/") else Path(path)
        for path in filled
    )
