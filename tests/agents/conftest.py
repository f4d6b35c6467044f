"""Nothing of this folder is collected but by `make agents`, which names the agents to try.

What was seen goes into outcome.json, from which the table of docs/agents.md is made.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests import command

collect_ignore_glob = [] if os.environ.get("TRY_AGENTS") else ["test_*.py"]
if os.environ.get("TRY_AGENTS"):
    command.TIMEOUT = 900.0  # a check of a heavy agent on a busy machine takes minutes
_OUTCOME = Path(__file__).with_name("outcome.json")
_SEEN: dict[str, dict[str, Any]] = defaultdict(dict)
_CONTRACT: dict[str, Counter[str]] = defaultdict(Counter)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Gather what a test tells of an agent."""
    told = dict(report.user_properties)
    agent = str(told.pop("agent", ""))
    if report.when == "call" and agent:
        if "contract" in told:
            _CONTRACT[agent][report.outcome] += 1
        else:
            _SEEN[agent].update(told)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write it, over what earlier runs have told."""
    if hasattr(session.config, "workerinput") or not (_SEEN or _CONTRACT):
        return
    whole = not session.config.getoption("keyword")
    for agent, counts in _CONTRACT.items() if whole else ():
        numbers = (counts["passed"], counts["skipped"], counts["failed"])
        _SEEN[agent]["contract"] = " / ".join(map(str, numbers))
    kept = json.loads(_OUTCOME.read_text("utf-8")) if _OUTCOME.exists() else {}
    for agent, seen in _SEEN.items():
        kept[agent] = {**kept.get(agent, {}), **seen}
    _OUTCOME.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", "utf-8")
