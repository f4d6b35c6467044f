"""Programs and addresses that are told what becomes of runs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sdqctl.engine.notices import Notice, Telling
from sdqctl.engine.telling import tell
from tests.bench import Bench
from tests.command import sdqctl
from tests.waiting import alive, has_line, wait_for, wait_until_gone

SECRET = "hunter2-hunter2"
DONE = Notice(
    event="done",
    session="s",
    adapter="mock",
    workflow=None,
    run=None,
    message=None,
    cwd="/",
    at=datetime.now(UTC),
)
HASTY = "from sdqctl.engine import telling; telling._SECONDS = {}; telling.main()"
"""What hands a notice over and takes less than a minute for it."""


@pytest.fixture
def told(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a program that is told: a line each."""
    file = tmp_path / "told"
    config = tmp_path / "user.toml"
    config.write_text(f'on_event = ["(cat; echo; echo) >> {file}.new; mv {file}.new {file}"]\n')
    monkeypatch.setenv("SDQCTL_CONFIG", str(config))
    return file


def notice(file: Path) -> dict[str, Any]:
    """What the program was told, once it was; it is forgotten then."""
    wait_for(file.exists)
    found: dict[str, Any] = json.loads(file.read_text().strip())
    file.unlink()
    return found


def test_a_program_is_told_how_each_run_ended(bench: Bench, told: Path) -> None:
    text = "PROMPT a [[reply: A]]\nPAUSE Look at it.\nPROMPT b [[fail: request x1]]\n"
    path = bench.write("work.conv", text)
    sdqctl("run", path, "--session-name", "s", MY_TOKEN=SECRET)
    paused = notice(told)
    known = [paused[name] for name in ("event", "session", "adapter", "workflow", "message")]
    assert known == ["paused", "s", "mock", "work", "Look at it."]
    assert (paused["steps_done"], paused["steps_total"]) == (1, 3)
    assert paused["cwd"] == str(bench.project)
    on = ("resume", "s", "--continue", "--retry-for", "0")
    sdqctl(*on)
    assert notice(told)["event"] == "failed"
    assert sdqctl(*on).code == 0
    done = notice(told)
    assert (done["event"], done["run"]) == ("done", paused["run"])


def test_secrets_are_told_to_nobody_and_called_runs_are_their_caller_s(
    bench: Bench, told: Path
) -> None:
    bench.write("inner.conv", "PROMPT a [[reply: A]]\n")
    path = bench.write("work.conv", f"CALL inner.conv\nFAIL it is {SECRET}\n")
    sdqctl("run", path, "--session-name", "s", MY_TOKEN=SECRET)
    found = notice(told)
    assert (found["event"], found["session"]) == ("failed", "s")
    assert "[redacted]" in found["message"]
    assert not told.exists()


def test_a_stranger_s_repository_names_nobody_until_it_is_trusted(bench: Bench) -> None:
    made = bench.project / "made"
    bench.write("sdqctl.toml", f'on_event = ["echo $SDQCTL_SESSION >> {made}"]\n')
    path = bench.write("work.conv", "PROMPT a [[reply: A]]\n")
    assert "not trusted" in sdqctl("run", path, "--session-name", "first").err
    sdqctl("run", path, "--session-name", "second", "--trust-once")
    wait_for(lambda: has_line(made))
    assert made.read_text() == "second\n"


def test_a_question_in_the_background_is_told_of(bench: Bench, told: Path) -> None:
    path = bench.write("work.conv", "PROMPT a [[tool: write x.txt y]] [[reply: A]]\n")
    assert sdqctl("run", path, "--session-name", "s", "--ask", "--detach").code == 0
    asked = notice(told)
    assert (asked["event"], asked["session"]) == ("needs-permission", "s")
    assert "x.txt" in asked["message"]
    sdqctl("sessions", "answer", "s", "n")
    assert notice(told)["event"] == "done"


class _Posts(BaseHTTPRequestHandler):
    """Keeps what is posted; the first time it is in trouble."""

    got: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        """Answer one."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(500 if len(self.got) == 1 else 204)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def posts() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """A server's address, and what it was posted."""
    _Posts.got = []
    with HTTPServer(("127.0.0.1", 0), _Posts) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/x", _Posts.got
        server.shutdown()
        thread.join()


def test_an_address_is_told_by_post_and_again_when_it_is_in_trouble(
    bench: Bench,
    posts: tuple[str, list[tuple[str, dict[str, Any]]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sdqctl.engine.telling._PAUSES", (0.0, 0.0))
    address, got = posts
    tell(address, DONE)
    assert [(kind, body["event"]) for kind, body in got] == [("application/json", "done")] * 2


def hand_over(target: str, seconds: int) -> None:
    """Have a process hand a notice over, and wait for its end."""
    subprocess.run(
        [sys.executable, "-c", HASTY.format(seconds)],
        input=msgspec.json.encode(Telling(target=target, notice=DONE)),
        timeout=60,
        check=False,
    )


def test_a_program_that_hangs_ends_with_all_that_it_started(home: Path, tmp_path: Path) -> None:
    (tmp_path / "hang.sh").write_text("trap : TERM\nfor n in 1 2 3; do sleep 61.991; done\n")
    hang = f"sh {tmp_path}/hang.sh"
    bare = f"env -i HOME={home} {hang}"
    hand_over(f"setsid {hang} & {bare} & {hang} & {hang}; touch {tmp_path}/passed", 2)
    assert not alive(home, b"61.991")
    assert not alive(home, b"hang.sh")
    assert not (tmp_path / "passed").exists()


def test_what_a_program_leaves_in_the_background_may_stay(home: Path) -> None:
    hand_over("sleep 61.992 > /dev/null &", 30)
    (left,) = alive(home, b"61.992")
    subprocess.run(["kill", str(left)], check=True)
    wait_until_gone(home, b"61.992")


def test_an_address_that_never_ends_its_answer_is_left(home: Path) -> None:
    """Its process ends; what it ends with does not matter to the run."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        drips = threading.Thread(target=drip, args=(server,))
        drips.start()
        hand_over(f"http://127.0.0.1:{server.getsockname()[1]}/", 2)
        drips.join()


def drip(server: socket.socket) -> None:
    """Answer one post byte by byte, until its sender goes away."""
    connection, _ = server.accept()
    gone = threading.Event()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not gone.wait(0.05):
            try:
                connection.sendall(b"x")
            except OSError:
                gone.set()
