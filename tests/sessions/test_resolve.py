"""What a name on the command line means."""

from __future__ import annotations

import pytest

from sdqctl.errors import SessionAmbiguousError
from sdqctl.model.session import SessionInfo
from sdqctl.sessions.resolve import resolve_session

BY_ID = SessionInfo(id="audit", adapter="mock", name="audit")
BY_NAME = SessionInfo(id="255732b8-1c3d-4f6a-9d1e-0a2b3c4d5e6f", adapter="copilot", name="audit")
LATER = SessionInfo(id="audit-2-75a820093c", adapter="mock", name="audit")
"""A later conversation of its run."""


def test_the_name_of_one_that_is_the_id_of_another_means_two() -> None:
    with pytest.raises(SessionAmbiguousError, match="means 2 sessions"):
        resolve_session("audit", [BY_ID, BY_NAME])
    assert resolve_session("audit", [BY_NAME]) is BY_NAME
    assert resolve_session(BY_NAME.id, [BY_ID, BY_NAME]) is BY_NAME
    assert resolve_session("audit", [LATER, BY_ID]) is BY_ID
