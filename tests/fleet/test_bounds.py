"""What a job may do is bounded by its worker."""

from __future__ import annotations

import pytest

from sdqctl.fleet.preparation import Policy
from sdqctl.model.options import RunOptions
from sdqctl.workflow.parser import parse_workflow


@pytest.mark.parametrize(
    ("most", "wanted", "given"),
    [
        ("audit", "implement", "audit"),
        ("implement", "full", "implement"),
        ("implement", "audit", "audit"),
        ("full", "full", "full"),
        ("implement", None, None),
    ],
)
def test_a_mode_is_given_as_far_as_the_workers_goes(
    most: str, wanted: str | None, given: str | None
) -> None:
    head = f"MODE {wanted}\n" if wanted else ""
    workflow = parse_workflow(f"{head}PROMPT x\n", "w.conv").workflow
    assert workflow is not None
    assert Policy(mode=most).bounded(RunOptions(), workflow).mode == given
