"""Durations as users write them: `30s`, `30m`, `24h`, `7d`, `2w`, `1h30m`."""

from __future__ import annotations

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_LONGEST = 100 * 365 * 86_400


def parse_duration(text: str) -> float:
    """Seconds in a duration; a bare `0` is zero. Raises ValueError with what is accepted."""
    compact = text.strip().lower()
    if compact == "0":
        return 0.0
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"{text!r} is not a duration; write 30m, 24h, 7d, 2w or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds > _LONGEST:
        raise ValueError(f"{text!r} is longer than 100 years")
    return seconds


def format_duration(seconds: float, *, whole: bool = False) -> str:
    """A duration in its two largest units, `0.4s` below ten seconds unless they are to be whole."""
    if seconds < 10 and not whole:
        return f"{seconds:.1f}s"
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"
