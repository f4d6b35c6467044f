"""One writer a session, and a dead holder that never blocks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdqctl.errors import SessionBusyError
from sdqctl.model.session import SessionRef
from sdqctl.offspring import MARK, new_mark
from sdqctl.process import is_alive
from sdqctl.store.locks import SessionLock, holder

REF = SessionRef("mock", "Audit")
HOLD = """
import sys, subprocess
from pathlib import Path
from sdqctl.model.session import SessionRef
from sdqctl.store.locks import SessionLock
lock = SessionLock.acquire(Path(sys.argv[1]), SessionRef("mock", "Audit"))
if len(sys.argv) > 2:
    child = subprocess.Popen(["sleep", "60"])
    lock.note_runtime(child.pid, *sys.argv[3:])
    print(child.pid, flush=True)
print("held", flush=True)
sys.stdin.read()
"""


def hold(home: Path, *extra: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home), *extra],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_writer_is_told_who_holds_the_session(tmp_path: Path) -> None:
    process = hold(tmp_path)
    try:
        assert read(process) == "held"
        for ref in (REF, SessionRef("mock", "audit")):
            with pytest.raises(SessionBusyError, match=f"process {process.pid}"):
                SessionLock.acquire(tmp_path, ref)
        found = holder(tmp_path, REF)
        assert found is not None
        assert found.pid == process.pid
        SessionLock.acquire(tmp_path, SessionRef("copilot", "Audit")).close()
    finally:
        kill(process)


def test_a_dead_holder_never_blocks(tmp_path: Path) -> None:
    process = hold(tmp_path)
    assert read(process) == "held"
    kill(process)
    assert holder(tmp_path, REF) is None
    with SessionLock.acquire(tmp_path, REF):
        found = holder(tmp_path, REF)
        assert found is not None
        assert found.pid == os.getpid()
    assert holder(tmp_path, REF) is None


def test_the_runtime_of_a_dead_holder_still_counts(tmp_path: Path) -> None:
    process = hold(tmp_path, "with a runtime")
    runtime = int(read(process))
    assert read(process) == "held"
    kill(process)
    try:
        assert holder(tmp_path, REF) is not None
        with pytest.raises(SessionBusyError, match=f"process {runtime}, the runtime"):
            SessionLock.acquire(tmp_path, REF)
    finally:
        os.kill(runtime, 9)
    deadline = time.monotonic() + 120
    while holder(tmp_path, REF) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    SessionLock.acquire(tmp_path, REF).close()


def test_waiting_takes_the_lock_when_it_is_given_back(tmp_path: Path) -> None:
    process = hold(tmp_path)
    assert read(process) == "held"
    assert process.stdin is not None
    with pytest.raises(SessionBusyError):
        SessionLock.acquire(tmp_path, REF, wait=0.2)
    process.stdin.close()
    SessionLock.acquire(tmp_path, REF, wait=30).close()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_wait_in_an_event_loop_can_be_cancelled_and_leaves_the_lock_alone(tmp_path: Path) -> None:
    process = hold(tmp_path)
    assert read(process) == "held"

    async def wait_and_cancel() -> None:
        waiting = asyncio.create_task(SessionLock.wait_for(tmp_path, REF, wait=60))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(wait_and_cancel())
    kill(process)
    asyncio.run(SessionLock.wait_for(tmp_path, REF)).close()


def test_another_run_of_the_same_process_is_refused_and_said_so(tmp_path: Path) -> None:
    with (
        SessionLock.acquire(tmp_path, REF),
        pytest.raises(SessionBusyError, match="another run of this command"),
    ):
        SessionLock.acquire(tmp_path, SessionRef("mock", "audit"))


def test_a_process_of_the_same_number_is_not_the_holder(tmp_path: Path) -> None:
    lock = SessionLock.acquire(tmp_path, REF)
    (file,) = (tmp_path / "locks").glob("*.json")
    text = file.read_bytes()
    lock.close()
    pid = str(os.getpid()).encode()
    assert pid in text
    file.write_bytes(text.replace(b'"mark":"', b'"mark":"9'))
    assert holder(tmp_path, REF) is None
    SessionLock.acquire(tmp_path, REF).close()


def test_a_runtime_that_does_not_end_with_its_dead_holder_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARK, mark := new_mark())
    process = hold(tmp_path, "with a runtime", mark)
    runtime = int(read(process))
    assert read(process) == "held"
    kill(process)
    monkeypatch.delenv(MARK)
    SessionLock.acquire(tmp_path, REF).close()
    assert not is_alive(runtime)
