"""Where an agent's model is, by its own settings, and whether the sandbox lets the agent go there.

An agent may write its settings, so that they do not widen its net: the user's configuration does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from sdqctl.adapters.acp.profiles import Profile, Provider, expanded
from sdqctl.errors import CapabilityError
from sdqctl.model.sandbox import Sandbox

_PORTS = {"http": 80, "ws": 80}


def ports_of(profile: Profile, environment: Mapping[str, str]) -> Iterator[int]:
    """Of the provider where a variable names it, else of a web address."""
    addresses = [environment[name] for name in profile.addresses if environment.get(name)]
    for address in addresses or ["https://any"]:
        port = _port(address)
        if port is not None:  # else who connects to it says so
            yield port


def require_reachable(
    name: str, profile: Profile, environment: Mapping[str, str], sandbox: Sandbox
) -> None:
    """Raise CapabilityError where the agent's settings name a port that the sandbox refuses: it
    would try again for minutes.
    """
    if profile.provider is None or sandbox.ports is None:
        return
    (file,) = expanded([profile.provider.file], environment)
    address = _address(file, profile.provider)
    port = _port(address) if address else None
    if port is None or port in sandbox.ports:
        return
    ports = ", ".join(map(str, sorted({*profile.ports, port})))
    raise CapabilityError(
        f"{name} has its model at {address} ({file}), and where nothing may be changed the sandbox "
        f"does not let it connect to port {port}",
        hint=f"`ports = [{ports}]` under [agents.{name}] in your sdqctl.toml lets it",
    )


def _address(file: Path, place: Provider) -> str | None:
    """The address that a file of settings has; None where it has none, or cannot be read."""
    try:
        data = file.read_bytes()
        read: Any = (
            tomllib.loads(data.decode("utf-8"))
            if file.suffix == ".toml"
            else msgspec.json.decode(data)
        )
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    chosen = read.get(place.chosen) if isinstance(read, dict) else None
    if not isinstance(chosen, str):
        return None
    for key in place.address.split("."):
        read = read.get(chosen.split("/")[0] if key == "{chosen}" else key)
        if not isinstance(read, dict):
            break
    return read if isinstance(read, str) else None


def _port(address: str) -> int | None:
    parts = urlsplit(address if "://" in address else f"http://{address}")
    try:
        return parts.port or _PORTS.get(parts.scheme, 443)
    except ValueError:
        return None
