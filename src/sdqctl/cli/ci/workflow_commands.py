"""What GitHub's runner reads in a log: its commands, and text that shall be none.

The forms are those of actions/runner, `ActionCommand.cs`: `::name key=value::data` at the beginning
of a line, and the older `##[name]` anywhere in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NEW = re.compile(r"(^|[\r\n])(\s*):(?=:)")
_OLD = re.compile(r"##(?=\[|(?:vso|teamcity)\[)", re.IGNORECASE)
"""Of Azure Pipelines and TeamCity, too."""


def is_github(environment: Mapping[str, str]) -> bool:
    """Whether this is a step of a GitHub workflow."""
    return environment.get("GITHUB_ACTIONS") == "true"


def command(name: str, data: str = "", **properties: object) -> str:
    """A command as the runner reads it; properties that are None are left out."""
    given = [f"{key}={_property(str(v))}" for key, v in properties.items() if v is not None]
    return f"::{name}{' ' if given else ''}{','.join(given)}::{_data(data)}"


def disarmed(text: str) -> str:
    """A text of which no line is a command of a runner."""
    return _OLD.sub("## ", _NEW.sub(r"\1\2: ", text))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
