"""Ports on loopback for agents that talk to themselves over one: in a net they may use no other."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from functools import cache
from itertools import cycle

_ENOUGH = 16
"""More than the agents that one process has at a time."""


@cache
def own_ports() -> tuple[int, ...]:
    """Ports that were free when this process first asked, the same each time."""
    with ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(_ENOUGH)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return tuple(one.getsockname()[1] for one in sockets)


def next_port() -> int:
    """One of them, in turn, that is free now."""
    turn = _turn()
    return next((port for port in (next(turn) for _ in range(_ENOUGH)) if _is_free(port)), 0)


@cache
def _turn() -> cycle[int]:
    return cycle(own_ports())


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
