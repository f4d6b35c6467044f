"""Timing commands side by side: interleaved, so that the machine's moods hit all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

LIMIT = 900.0


class Figure(Protocol):
    """One thing that was measured several times."""

    name: str
    note: str
    """Of a yardstick: what it does that ours does not, and what it leaves out."""

    @property
    def median(self) -> float: ...

    def record(self) -> dict[str, object]:
        """What goes into the results."""
        ...


@dataclass
class Derived:
    """A figure that is computed from those of commands, round by round."""

    name: str
    values: Callable[[], Sequence[float]]
    unit: str = "s"
    note: str = ""

    @property
    def median(self) -> float:
        """In its unit."""
        return statistics.median(self.values())

    def record(self) -> dict[str, object]:
        """What goes into the results."""
        values = self.values()
        return {
            f"median_{self.unit}": round(self.median, 5),
            f"min_{self.unit}": round(min(values), 5),
            f"max_{self.unit}": round(max(values), 5),
            "runs": len(values),
        }


@dataclass
class Command:
    """One thing to time. `prepare` runs before each time and is not timed."""

    name: str
    arguments: Sequence[str]
    prepare: Callable[[], Sequence[str] | None] = lambda: None
    cwd: Path | None = None
    repeats: int = 1
    """The yardstick's work is so many times smaller; its times are multiplied."""
    after: Callable[[], None] = lambda: None
    """Runs after each counted time, and is not timed either."""
    note: str = ""
    """Of a yardstick: what it does that ours does not, and what it leaves out."""
    seconds: list[float] = field(default_factory=list)
    own_memory: list[int] = field(default_factory=list)
    runtime_memory: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        """In seconds."""
        return statistics.median(self.seconds)

    def record(self) -> dict[str, object]:
        """What goes into the results."""
        found: dict[str, object] = {
            "median_s": round(self.median, 4),
            "min_s": round(min(self.seconds), 4),
            "max_s": round(max(self.seconds), 4),
            "runs": len(self.seconds),
            "own_peak_mb": round(max(self.own_memory) / 2**20, 1),
        }
        if any(self.runtime_memory):
            found["runtime_peak_mb"] = round(max(self.runtime_memory) / 2**20, 1)
        if self.repeats > 1:
            found["multiplied_by"] = self.repeats
        return found


def time_all(
    commands: Sequence[Command], times: int, environment: Mapping[str, str], *, warm_up: bool = True
) -> None:
    """Run the commands in turn, `times` rounds, after one that is thrown away."""
    for number in range(0 if warm_up else 1, times + 1):
        for command in commands:
            more = command.prepare() or ()
            seconds, own, runtime = _run([*command.arguments, *more], command.cwd, environment)
            if number > 0 or times == 0:
                command.seconds.append(seconds * command.repeats)
                command.own_memory.append(own)
                command.runtime_memory.append(runtime)
                command.after()


def _run(
    arguments: Sequence[str], cwd: Path | None, environment: Mapping[str, str]
) -> tuple[float, int, int]:
    """Seconds, and peak memory in bytes of the process itself and of its children."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        arguments,
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    watch = _Watch(process.pid)
    watch.start()
    assert process.stderr is not None
    errors = process.stderr.read()
    code = process.wait(LIMIT)
    seconds = time.perf_counter() - begun
    watch.stop()
    if code != 0:
        shown = errors.decode(errors="replace")[-2000:]
        raise SystemExit(f"{' '.join(arguments)} ended with {code}:\n{shown}")
    return seconds, watch.own, watch.children


class _Watch(threading.Thread):
    """Looks at the peak memory of a process and its children twenty times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.own = 0
        self.children = 0

    def run(self) -> None:
        """Until stopped."""
        while True:
            self.own = max(self.own, _peak(self._pid))
            total = sum(map(_peak, _children(self._pid)))
            self.children = max(self.children, total)
            if self._ended.wait(0.05):
                return

    def stop(self) -> None:
        """The process has ended."""
        self._ended.set()
        self.join()


def _peak(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return 0
    return 0


def _children(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def load() -> float:
    """The machine's load now, over one minute."""
    return os.getloadavg()[0]
