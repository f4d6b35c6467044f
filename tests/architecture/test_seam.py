"""What an agent is, only its adapter knows; what an adapter can do, it says in one way."""

from __future__ import annotations

import ast
import re
import tomllib

from sdqctl.adapters import registry
from sdqctl.adapters.base import POWERS
from tests.architecture.sources import nodes_of
from tests.conftest import ROOT

HOUSE = ROOT / "src" / "sdqctl"
SPEAKS_OF_AN_AGENT = {
    "__main__.py": "what its SDK leaves behind need not be taken apart at the end",
    "adapters/__init__.py": "its adapter is a name of the public API",
    "adapters/registry.py": "the table of our own entry points",
    "cli/demo.py": "the demo shows the default adapter",
    "config.py": "the default adapter's name, and the variable that a model is named in",
}
OWN_ROOMS = ("adapters/copilot/", "adapters/acp/", "testing/")
PAGE = "docs/copilot-findings.md"
"""Where facts are recorded that more than one adapter keeps to."""


def test_no_room_but_its_adapter_speaks_of_an_agent() -> None:
    speaking = set()
    for path in HOUSE.rglob("*.py"):
        name = path.relative_to(HOUSE).as_posix()
        text = path.read_text().replace(PAGE, "")
        if not name.startswith(OWN_ROOMS) and re.search("copilot", text, re.IGNORECASE):
            speaking.add(name)
    assert speaking == {*SPEAKS_OF_AN_AGENT}, "each exception has its reason, and is still one"


def test_our_own_adapters_are_entry_points_like_any_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"][registry.GROUP] == registry.OWN


def test_a_power_is_asked_for_by_its_helper_alone() -> None:
    names = {kind.__name__ for kind in POWERS}
    for path in HOUSE.rglob("*.py"):
        for node in nodes_of(path):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "isinstance",
                "cast",
            ):
                used = {word.id for word in ast.walk(node) if isinstance(word, ast.Name)}
                assert not names & used, path
