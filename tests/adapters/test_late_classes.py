"""The SDK's data classes are what they are without us, and few are made before they are used."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import dataclasses, inspect, json, sys

if sys.argv[1] == "late":
    from sdqctl.adapters.copilot.prestart import import_sdk
    import_sdk()
else:
    import copilot
from copilot.generated import rpc, session_events

def told(kind, index):
    try:
        shown = repr(kind()) if index % 2 else ""
    except TypeError as error:
        shown = str(error)
    fields = [(field.name, str(field.type), field.kw_only) for field in dataclasses.fields(kind)]
    made = [name for name in ("__init__", "__eq__", "__repr__", "__hash__") if name in vars(kind)]
    return [shown, fields, str(inspect.signature(kind)), made]

kinds = [
    kind
    for module in (rpc, session_events)
    for kind in vars(module).values()
    if isinstance(kind, type) and kind.__module__ == module.__name__
    if "__dataclass_fields__" in vars(kind)
]
whole = sum("__repr__" in vars(kind) for kind in kinds)
found = {kind.__qualname__: told(kind, index) for index, kind in enumerate(kinds[::7])}
print(json.dumps([len(kinds), whole, found]))
"""


def classes(manner: str) -> Any:  # noqa: ANN401 - any JSON
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, manner], capture_output=True, check=True, timeout=300
    )
    return json.loads(done.stdout)


@pytest.mark.thorough
def test_the_classes_are_those_of_the_sdk_and_are_made_when_they_are_used() -> None:
    """Some are asked for their fields first, some are called first."""
    (number, whole, late), (same, all_of_them, plain) = classes("late"), classes("plain")
    assert late == plain
    assert number == same > 1000
    assert whole < number / 10 < all_of_them
