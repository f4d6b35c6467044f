"""A session is found by its id and its name, without regard to case, in one way everywhere."""

from __future__ import annotations

import pytest

from sdqctl.errors import SessionExistsError, SessionNotFoundError
from sdqctl.model.session import SessionInfo, find_called, refuse_taken
from sdqctl.sessions.resolve import resolve_session

NAMED = SessionInfo(id="0a1b", adapter="mock", name="Straße")
UNNAMED = SessionInfo(id="Audit-1", adapter="mock")


@pytest.mark.parametrize(
    ("name", "found"),
    [("STRASSE", NAMED), ("0A1B", NAMED), ("audit-1", UNNAMED), ("audit", None), ("", None)],
)
def test_a_name_means_the_session_that_has_it(name: str, found: SessionInfo | None) -> None:
    assert find_called([NAMED, UNNAMED], name) is found


def test_an_empty_name_means_no_session() -> None:
    with pytest.raises(SessionNotFoundError):
        resolve_session("", [UNNAMED])


def test_a_new_name_is_refused_when_it_is_the_id_of_another_session() -> None:
    refuse_taken([NAMED, UNNAMED], "other", hint="")
    with pytest.raises(SessionExistsError, match="'Audit-1' exists already"):
        refuse_taken([NAMED, UNNAMED], "other", "AUDIT-1", hint="")
