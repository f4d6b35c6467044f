"""The SDK's data classes, each made whole when it is first used.

The SDK (1.0.27) has some 1,900 of them, and one run uses a few dozen. `dataclass` writes and
compiles the methods of each: three quarters of the time that importing the SDK takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

_PACKAGE = "copilot.generated."
_FIELDS, _INIT = "__dataclass_fields__", "__init__"
_make_whole = dataclasses.dataclass
_lock = RLock()


@contextmanager
def late_classes() -> Iterator[None]:
    """While this is open, `dataclass` leaves the SDK's generated classes for later; all others, and
    those that ask for something special, are made as ever.
    """
    dataclasses.dataclass = _dataclass  # type: ignore[assignment]
    try:
        yield
    finally:
        dataclasses.dataclass = _make_whole


def _dataclass(
    kind: type | None = None,
    /,
    **options: Any,  # noqa: ANN401 - what `dataclass` takes
) -> type | Callable[[type], type]:
    plain = kind is not None and not options and _INIT not in vars(kind)
    if kind is None or not plain or not kind.__module__.startswith(_PACKAGE):
        return _make_whole(kind, **options)

    def init(self: object, *arguments: object, **named: object) -> None:
        _finish(kind)
        kind.__init__(self, *arguments, **named)  # type: ignore[misc]

    setattr(kind, _INIT, init)
    setattr(kind, _FIELDS, _Fields(kind))
    return kind


class _Fields:
    """Stands for the fields of a class that is not whole yet; looking at them makes it so."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def __get__(self, instance: object, owner: type) -> object:
        _finish(self._kind)
        return vars(self._kind)[_FIELDS]


def _finish(kind: type) -> None:
    with _lock:
        if isinstance(vars(kind).get(_FIELDS), _Fields):
            delattr(kind, _INIT)
            delattr(kind, _FIELDS)
            _make_whole(kind)
