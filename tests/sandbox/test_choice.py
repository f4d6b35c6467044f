"""Which net a run gets, and what is said where it cannot be had."""

from __future__ import annotations

import os

import pytest

from sdqctl.errors import SandboxError, UsageError
from sdqctl.sandbox import landlock
from sdqctl.sandbox.choice import choose, held, require_net

HERE = dict(os.environ)


def test_by_default_every_mode_but_full_has_the_kernels_net() -> None:
    for mode in ("audit", "implement", "write", None, "nonsense"):
        assert choose("auto", mode, HERE) == "landlock"
    assert choose("auto", "full", HERE) == choose("auto", " FULL ", HERE) == "none"
    assert choose("landlock", "full", HERE) == "landlock"
    assert choose("none", "audit", HERE) == "none"


def test_without_landlock_the_default_is_none_and_asking_for_it_is_exit_5(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert choose("auto", "audit", HERE) == "none"
    with pytest.raises(SandboxError, match="no Landlock") as caught:
        choose("landlock", "audit", HERE)
    assert caught.value.exit_code == 5
    assert "--sandbox none" in (caught.value.hint or "")
    assert held("landlock", HERE).problem is not None


def test_bubblewrap_without_its_program_is_exit_5() -> None:
    with pytest.raises(SandboxError, match="bwrap") as caught:
        choose("bubblewrap", "audit", {"PATH": "/nowhere"})
    assert "install bubblewrap" in (caught.value.hint or "")


def test_an_unknown_word_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="landlok"):
        choose("landlok", None, HERE)


@pytest.mark.parametrize(
    ("abi", "lacking"), [(1, 5), (2, 4), (3, 3), (4, 2), (5, 1), (6, 0), (7, 0)]
)
def test_what_an_older_kernel_lacks_is_said(
    abi: int, lacking: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "version", lambda: abi)
    found = held("auto", HERE)
    assert (found.landlock, found.reading, found.full) == (abi, "landlock", "none")
    assert len(found.lacks) == lacking


def test_a_workflow_that_requires_a_net_is_refused_where_none_would_hold() -> None:
    require_net("landlock", "audit")
    with pytest.raises(SandboxError, match="REQUIRE sandbox") as caught:
        require_net("none", "full")
    assert caught.value.exit_code == 5
    assert "--sandbox landlock" in (caught.value.hint or "")
