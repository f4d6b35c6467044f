"""What holds for which agent: the table that `make agents` writes into the page of agents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
OUTCOME = FOLDER.parent / "tests" / "agents" / "outcome.json"
_PLACE = re.compile(r"(?<=<!-- make agents -->\n).*(?=<!-- end of make agents -->)", re.DOTALL)
_ROWS = (
    ("Version", "version"),
    ("Contract of adapters: passed / does not have the power / failed", "contract"),
    ("Asks before it runs a command", "asks"),
    ("Asks before it writes a file", "asks_to_write"),
    ("A refused command does not run, a refused file is not written", "heeds"),
    ("An allowed command runs", "acts"),
    ("Another process of it has the conversation", "restores"),
    ("A bundle carries its conversation to another machine", "carried"),
    ("Called by a workflow of another agent, and resumed after a kill in either", "called"),
    ("Kills at random moments", "kills"),
    ("Steps lost", "lost"),
    ("Steps or effects repeated", "repeated"),
    ("Runs that could not be resumed", "wedged"),
)


def agents() -> str:
    """The page with the table of the outcomes that are kept."""
    page = (FOLDER / "agents.md").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(OUTCOME.read_text(encoding="utf-8"))
    lines = ["", f"| | {' | '.join(found)} |", f"| --- |{' --- |' * len(found)}"]
    for title, key in _ROWS:
        cells = [_cell(outcome.get(key)) for outcome in found.values()]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return _PLACE.sub("\n".join(lines) + "\n\n", page)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return "not tried" if value is None else str(value)
