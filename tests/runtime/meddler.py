"""The real runtime behind a program that meddles with its output, once, when a turn begins, or
that ends when a session is made.

Started by sdqctl as if it were the runtime (COPILOT_CLI_PATH). MEDDLE says how, MEDDLE_RUNTIME
which program is the runtime. MEDDLE_MARK names a file that is made then, and while it is there
nothing is done; without it the meddling never ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

_OUT = sys.stdout.buffer
_LOCK = threading.Lock()


def frame(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def event(session: str, kind: str, data: object) -> bytes:
    told = {"id": "e", "timestamp": "2026-01-01T00:00:00Z", "type": kind, "data": data}
    params = {"sessionId": session, "event": told}
    message = {"jsonrpc": "2.0", "method": "session.event", "params": params}
    return frame(json.dumps(message).encode())


def write(data: bytes) -> None:
    with _LOCK:
        _OUT.write(data)
        _OUT.flush()


def write_for_ever(data: bytes) -> None:
    while True:
        write(data)


def beside(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


def garbage(session: str) -> None:
    write(b"Segmentation fault (core dumped)\n")


def no_json(session: str) -> None:
    write(frame(b"{nonsense"))


def no_text(session: str) -> None:
    write(frame(b"\xff\xfe{}"))


def no_object(session: str) -> None:
    write(frame(b"[1, 2, 3]"))


def closed(session: str) -> None:
    with _LOCK:
        os.close(1)
        time.sleep(600)


def giant(session: str) -> None:
    write(b"Content-Length: 999999999999\r\n\r\n")
    write_for_ever(b"x" * 65536)


def endless_line(session: str) -> None:
    write_for_ever(b"x" * 65536)


def odd_events(session: str) -> None:
    write(event(session, "assistant.message", {"content": [1], "messageId": 7}))
    write(event(session, "tool.execution_start", {"toolCallId": None, "toolName": None}))
    write(event(session, "session.idle", 5))
    write(event(session, "no.such.event", {}))
    write(frame(b'{"jsonrpc": "2.0", "method": "session.event", "params": [1]}'))


def errors(session: str) -> None:
    def noise() -> None:
        while True:
            os.write(2, b"\xff noise " * 1000)

    beside(noise)


def flood(session: str) -> None:
    delta = {"messageId": "m", "deltaContent": "lorem ipsum " * 8}
    block = event(session, "assistant.message_delta", delta) * 1000
    beside(lambda: write_for_ever(block))


def ends_before_create(session: str) -> None:
    os._exit(9)


def ends_after_create(session: str) -> None:
    with _LOCK:  # the answer is kept back
        time.sleep(1)
        os._exit(9)


_AT_CREATE = (ends_before_create, ends_after_create)
_WAYS = (
    garbage, no_json, no_text, no_object, closed, giant, endless_line, odd_events, errors, flood,
    *_AT_CREATE,
)  # fmt: skip
WAYS: dict[str, Callable[[str], None]] = {way.__name__: way for way in _WAYS}


def main() -> None:
    way, mark = WAYS[os.environ["MEDDLE"]], os.environ.get("MEDDLE_MARK")
    runtime = subprocess.Popen(
        [os.environ["MEDDLE_RUNTIME"], *sys.argv[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert runtime.stdin is not None
    assert runtime.stdout is not None
    told = runtime.stdin

    def is_time() -> bool:
        if mark and os.path.exists(mark):
            return False
        if mark:
            Path(mark).touch()
        return True

    def pass_on() -> None:
        while data := os.read(0, 65536):
            creating = way in _AT_CREATE and b'"session.create"' in data and is_time()
            if creating and way is ends_before_create:
                way("")
            told.write(data)
            told.flush()
            if creating:
                way("")
        told.close()

    beside(pass_on)
    while header := runtime.stdout.readline():
        runtime.stdout.readline()
        body = runtime.stdout.read(int(header.split(b":")[1]))
        write(frame(body))
        if way not in _AT_CREATE and b'"assistant.turn_start"' in body and is_time():
            way(json.loads(body)["params"]["sessionId"])


if __name__ == "__main__":
    main()
