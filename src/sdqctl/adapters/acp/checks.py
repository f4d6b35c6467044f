"""What was seen of agents when they were checked: whether they ask before they act.

Some versions of agents run every tool unasked. So a session whose policy only reads is opened only
with a version that was seen to ask, and to heed a refusal.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from sdqctl.errors import CapabilityError
from sdqctl.fs import make_private_folder, write_private

_FILE = "checks.json"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check."""

    version: str | None
    asks: bool
    """Whether it asked before it ran a command."""
    heeds: bool
    """Whether a refused command did not run."""
    restores: bool
    """Whether another process of it had the conversation."""
    checked_at: datetime
    offline: bool = False
    """Whether a scripted model answered."""

    @property
    def passed(self) -> bool:
        """Whether it may be used where nothing is to be changed."""
        return self.asks and self.heeds


def known_checks(data_dir: Path) -> dict[str, list[Check]]:
    """The checks of each agent, one a version."""
    try:
        data = (data_dir / "acp" / _FILE).read_bytes()
        return msgspec.json.decode(data, type=dict[str, list[Check]])
    except (OSError, msgspec.MsgspecError):
        return {}


def known_check(data_dir: Path, agent: str, version: str | None) -> Check | None:
    """The check of one version."""
    found = known_checks(data_dir).get(agent, [])
    return next((check for check in found if check.version == version), None)


def keep_check(data_dir: Path, agent: str, check: Check) -> None:
    """Keep a check in place of an earlier one of the same version."""
    checks = known_checks(data_dir)
    others = [known for known in checks.get(agent, []) if known.version != check.version]
    checks[agent] = [*others, check]
    folder = data_dir / "acp"
    make_private_folder(folder)
    write_private(folder / _FILE, msgspec.json.encode(checks))


def require_checked(data_dir: Path, agent: str, version: str | None) -> None:
    """Raise CapabilityError unless this version passed its check."""
    check = known_check(data_dir, agent, version)
    if check is not None and check.passed:
        return
    what = f"{agent} {version}" if version else agent
    seen = "was not checked yet" if check is None else "did not ask before it acted"
    raise CapabilityError(
        f"nothing may be changed in this mode, and {what} {seen}",
        hint=f"`sdqctl agents check {agent}` finds out whether it asks; or choose another mode",
    )
