"""The setting `agents`: tables of a configuration file, one an agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from sdqctl.config import about


@dataclass(frozen=True, kw_only=True)
class AcpSettings:
    """What may be set. The field is a setting of the same name."""

    agents: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict,
        metadata=about(
            "a table for each further agent, or for a change of one: [agents](agents.md)",
            unset="those that are known",
        ),
    )


SETTINGS: Mapping[str, Field[Any]] = {known.name: known for known in fields(AcpSettings)}
