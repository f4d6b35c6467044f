"""Kills a command of sdqctl, its runtime, or both, while it goes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import msgspec

from sdqctl.process import is_same
from sdqctl.testing.loopback import LoopbackModel
from tests.command import Done

_VICTIMS = ("sdqctl", "runtime", "both")


class Killer:
    """Kills a command, its runtime, or both, some time after it has begun."""

    def __init__(self, home: Path, model: LoopbackModel, seed: int) -> None:
        self._locks = home / "sdqctl" / "locks"
        self._model = model
        self._random = random.Random(seed)
        self.kills: Counter[str] = Counter()

    def strike(self, command: Future[Done]) -> None:
        """Wait by the clock or for a model call, and kill; again until something was there to be
        killed. Nothing if the command has ended by then.
        """
        before = self.kills.total()
        while not command.done() and self.kills.total() == before:
            self._strike_once(command)

    def _strike_once(self, command: Future[Done]) -> None:
        asked = len(self._model.requests)
        by_call = self._random.random() < 0.8
        limit = time.monotonic() + (60 if by_call else self._random.uniform(0.2, 1.5))
        while not command.done() and time.monotonic() < limit:
            if by_call and len(self._model.requests) > asked:
                break
            time.sleep(0.01)
        time.sleep(self._random.uniform(0.0, 0.9) if by_call else 0.0)
        self._kill(command, self._random.choice(_VICTIMS))

    def strike_when(self, command: Future[Done], due: Callable[[], bool], victim: str) -> None:
        """Wait until it is due, and kill; nothing if the command has ended by then."""
        while not command.done() and not due():
            time.sleep(0.01)
        self._kill(command, victim)

    def _kill(self, command: Future[Done], victim: str) -> None:
        pids = self._pids()
        wanted = [pids.get(name) for name in ("runtime", "sdqctl") if victim in (name, "both")]
        if command.done() or None in wanted:
            return
        for pid in filter(None, wanted):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kills[victim] += 1

    def _pids(self) -> dict[str, int | None]:
        """The live holder of a session's lock, and its runtime."""
        for file in self._locks.glob("*.json"):
            with suppress(OSError, msgspec.DecodeError):
                state = msgspec.json.decode(file.read_bytes())
                if is_same(state["pid"], state["mark"]):
                    return {"sdqctl": state["pid"], "runtime": state["runtime_pid"]}
        return {}
