"""The process that hands one notice to a program or an address, and ends soon whatever they do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress

import msgspec

from sdqctl.engine.notices import Notice, Telling

_SECONDS = 60.0
"""How long a program may take."""
_ANSWER = 10.0
_PAUSES = (1.0, 5.0, 0.0)
"""Seconds after each try at an address that cannot be reached."""


def tell(target: str, notice: Notice) -> None:
    """Hand a notice over; what fails is passed over: the run does not depend on it."""
    data = msgspec.json.encode(notice)
    if target.startswith(("http://", "https://")):
        _post(target, data)
        return
    variables = {"SDQCTL_EVENT": notice.event, "SDQCTL_SESSION": notice.session}
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            ["/bin/sh", "-c", target],
            input=data,
            cwd=notice.cwd,
            env={**os.environ, **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )


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


if __name__ == "__main__":
    telling = msgspec.json.decode(sys.stdin.buffer.read(), type=Telling)
    tell(telling.target, telling.notice)
