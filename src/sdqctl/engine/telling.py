"""The process that hands one notice to a program or an address, and ends soon whatever they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import msgspec

from sdqctl.engine.notices import Notice, Telling
from sdqctl.offspring import end_offspring, new_mark

_SECONDS = 60
"""How long a program or an address may take."""
_MARK = "SDQCTL_NOTICE"
"""The variable that holds the mark of a program and of all that it starts."""
_ANSWER = 10.0
_PAUSES = (1.0, 5.0, 0.0)
"""Seconds after each try at an address that cannot be reached."""


def tell(target: str, notice: Notice) -> None:
    """Hand a notice over; what fails is passed over: the run does not depend on it."""
    data = msgspec.json.encode(notice)
    with suppress(OSError):
        if _is_address(target):
            _post(target, data)
        else:
            _run(target, notice, data)


def _is_address(target: str) -> bool:
    return target.startswith(("http://", "https://"))


def _run(command: str, notice: Notice, data: bytes) -> None:
    """Run a command; when its time is over, it and all that it started end. Raises OSError."""
    mark = new_mark()
    variables = {"SDQCTL_EVENT": notice.event, "SDQCTL_SESSION": notice.session, _MARK: mark}
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        cwd=notice.cwd,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            process.communicate(data, timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            end_offspring(mark, variable=_MARK)


def _post(address: str, data: bytes) -> None:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    kind = {"Content-Type": "application/json", "User-Agent": "sdqctl"}
    for pause in _PAUSES:
        try:
            with urlopen(Request(address, data, kind), timeout=_ANSWER):
                return
        except HTTPError as error:
            if error.code < 500:
                return
        except (OSError, HTTPException, ValueError):
            pass
        time.sleep(pause)


def main() -> None:
    """Hand over the notice that stdin holds."""
    telling = msgspec.json.decode(sys.stdin.buffer.read(), type=Telling)
    if _is_address(telling.target):
        signal.alarm(_SECONDS)  # an answer may come byte by byte for ever
    tell(telling.target, telling.notice)


if __name__ == "__main__":
    main()
