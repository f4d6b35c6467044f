"""The quick reading of the SDK's times gives what the SDK's own gives."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import pytest

from sdqctl.adapters.copilot.prestart import import_sdk
from sdqctl.adapters.copilot.times import read_times_quickly

TIMES = [
    "2026-11-25T17:21:37.123Z",
    "2026-11-25T17:21:37Z",
    "2026-11-25T17:21:37.123456+02:00",
    "2026-11-25T17:21:37.1Z",
    "2026-11-25",
    "Wed, 25 Nov 2026 17:21:37 GMT",
]


class Reading(NamedTuple):
    """The SDK's function as it is after ours was put in, and as it came."""

    quick: Callable[[object], datetime]
    plain: Callable[[object], datetime]


@pytest.fixture(params=["generated.session_events", "generated.rpc", "client"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Reading:
    import_sdk()
    module = importlib.import_module(f"copilot.{request.param}")
    plain = getattr(module.from_datetime, "slow", module.from_datetime)
    monkeypatch.setattr(module, "from_datetime", plain)
    read_times_quickly()
    read_times_quickly()
    assert module.from_datetime.slow is plain, "the pinned SDK reads times where it is expected"
    return Reading(module.from_datetime, plain)


@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_the_same(text: str, reading: Reading) -> None:
    assert reading.quick(text) == reading.plain(text)


@pytest.mark.parametrize("value", [None, 7, "no time"])
def test_what_is_no_time_fails_as_before(value: object, reading: Reading) -> None:
    with pytest.raises((AssertionError, ValueError, TypeError)):
        reading.quick(value)
