"""The adapter's own settings: in sdqctl.toml, in the environment, and what holds without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from sdqctl.adapters.settings import AdapterSettings
from sdqctl.config import about
from sdqctl.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class CopilotSettings:
    """What may be set. Each field is a setting of the same name."""

    copilot_home: Path = field(
        metadata=about(
            "the Copilot runtime's folder", variable="COPILOT_HOME", unset="`~/.copilot`"
        )
    )
    runtime_path: Path | None = field(
        default=None,
        metadata=about(
            "the Copilot runtime's program",
            variable="COPILOT_CLI_PATH",
            unset="found on PATH, then in the SDK's cache",
        ),
    )


SETTINGS: Mapping[str, Field[Any]] = {known.name: known for known in fields(CopilotSettings)}


def copilot_home(settings: AdapterSettings) -> Path:
    """The runtime's folder: `session-state/` lies below it. Raises UsageError without a HOME."""
    found = settings.own.get("copilot_home")
    if found is not None:
        return cast("Path", found)
    home = settings.environment.get("HOME") or settings.environment.get("USERPROFILE")
    if not home:
        raise UsageError(
            "there is no HOME, so the folder for the Copilot runtime is not known",
            hint="set HOME, or both SDQCTL_HOME and COPILOT_HOME",
        )
    return Path(home) / ".copilot"


def runtime_path(settings: AdapterSettings) -> Path | None:
    """The runtime's program, where it is set."""
    return cast("Path | None", settings.own.get("runtime_path"))
