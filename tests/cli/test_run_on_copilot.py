"""The main job through the real command line, on the real runtime with the loopback model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel, Reply, Request
from tests.command import Running, sdqctl
from tests.conftest import ROOT, RUNTIME
from tests.sampling import some
from tests.waiting import wait_for

pytestmark = pytest.mark.runtime


def write(project: Path, text: str, name: str = "work.conv") -> Path:
    path = project / name
    path.write_text(text)
    return path


def journal(home: Path, session_id: str) -> Path:
    return home / "copilot" / "session-state" / session_id / "events.jsonl"


def test_a_multi_day_audit_goes_through_three_processes_with_its_whole_history(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "app.py").write_text("print('hi')\n")
    first = sdqctl("run", ROOT / "examples/security-audit.conv", "--session-name", "audit-1")
    assert first.code in (0, 8), first.err
    before = len(model.requests)
    second = sdqctl("resume", "audit-1", "--prompt", "Which finding is worst? [[reply: the first]]")
    assert second.code == 0, second.err
    assert second.out == "the first\n"
    history = model.user_messages(before)
    assert history[-1].startswith("Which finding is worst?")
    assert len(history) > 1
    native = subprocess.run(
        [RUNTIME, "--resume=audit-1", "-p", "[[reply: said in the native CLI]]"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "said in the native CLI" in native.stdout
    shown = sdqctl("sessions", "show", "audit-1", "--format", "json").json
    assert [turn["response"] for turn in shown["turns"]][-2:] == [
        "the first",
        "said in the native CLI",
    ]


@pytest.mark.thorough
def test_an_existing_name_is_refused_and_its_history_untouched(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = write(project, "SESSION-NAME taken\nPROMPT hello [[reply: one]]\n")
    assert sdqctl("run", path).code == 0
    kept = journal(home, "taken").read_bytes()
    refused = sdqctl("run", path)
    assert refused.code == 7
    assert "`--resume-if-exists`" in refused.err
    assert journal(home, "taken").read_bytes() == kept
    again = sdqctl("run", path, "--resume-if-exists")
    assert again.code == 0, again.err
    assert model.user_messages()[-2:] == ["hello [[reply: one]]"] * 2


@pytest.mark.thorough
def test_ci_cleanup_deletes_what_is_old_and_made_by_sdqctl(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = write(project, "PROMPT hello\n")
    for name in ("release-1", "release-2", "other"):
        assert sdqctl("run", path, "--session-name", name).code == 0
    for name in ("release-1", "other"):
        old = time.time() - 8 * 86_400
        os.utime(journal(home, name), (old, old))
    listed = sdqctl("sessions", "list", "--filter", "release-*", "--format", "json").json
    assert [entry["name"] for entry in listed] == ["release-2", "release-1"]
    rehearsal = sdqctl("sessions", "cleanup", "--older-than", "7d", "--dry-run")
    assert sorted(rehearsal.out.split()) == ["other", "release-1"]
    done = sdqctl("sessions", "cleanup", "--older-than", "7d", "--filter", "release-*")
    assert (done.code, done.out) == (0, "release-1\n"), done.err
    left = sdqctl("sessions", "list", "--format", "json").json
    assert sorted(entry["name"] for entry in left) == ["other", "release-2"]
    assert not journal(home, "release-1").parent.exists()


@pytest.mark.thorough
def test_the_result_object_and_the_event_stream_have_their_documented_fields(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = write(
        project,
        'SESSION-NAME fields\nPROMPT [[tool: bash {"command": "ls", "description": "d"}]] hello\n',
    )
    done = sdqctl("run", path, "--format", "json")
    assert done.code == 0, done.err
    assert done.json["session"] == {"id": "fields", "name": "fields"}
    assert done.json["status"] == "completed"
    assert done.json["run"]["steps_done"] == done.json["run"]["steps_total"] == 1
    assert done.json["denied"][0]["kind"] == "shell"
    assert done.json["usage"]["model_calls"] == 2
    told = sdqctl("resume", "fields", "--prompt", "more [[reply: yes]]", "--format", "jsonl")
    lines = [json.loads(line) for line in told.out.splitlines()]
    kinds = [line["type"] for line in lines if "type" in line]
    assert kinds[0] == "session.opened"
    assert kinds.index("prompt.accepted") < kinds.index("prompt.stored")
    assert kinds.index("turn.finished") < kinds.index("step.finished") < kinds.index("run.finished")
    assert lines[-1]["output"] == "yes"


@pytest.mark.parametrize(
    ("prompt", "code", "word"),
    some(
        1,
        [
            ("[[status: 401]]", 6, "authentication"),
            ("[[empty]]", 4, "step-failed"),
            ("[[status: 429]] [[header: Retry-After: 200]]", 75, "rate-limited"),
            ("[[status: 400]]", 4, "step-failed"),
        ],
    ),
)
def test_a_model_error_has_its_exit_code_and_leaves_a_clean_context(
    prompt: str, code: int, word: str, home: Path, project: Path, model: LoopbackModel
) -> None:
    path = write(project, f"SESSION-NAME broken\nPROMPT fine [[reply: ok]]\nPROMPT bad {prompt}\n")
    failed = sdqctl("run", path, "--retry-for", "0", "--format", "json")
    assert failed.code == code, failed.err
    error = json.loads(failed.err.splitlines()[-1])["error"]
    assert (error["code"], error["exit"]) == (word, code)
    assert "resume broken --continue" in error["hint"]
    assert failed.json["run"]["steps_done"] == 1
    assert sdqctl("resume", "broken", "--prompt", "after [[reply: clean]]").code == 0
    assert model.user_messages() == ["fine [[reply: ok]]", "after [[reply: clean]]"]


@pytest.mark.thorough
@pytest.mark.parametrize("limit", some(1, ["--idle-timeout", "--step-timeout"]))
def test_a_timeout_aborts_the_turn_and_the_run_goes_on_later(
    limit: str, home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(project, "SESSION-NAME slow\nPROMPT wait\n")
    answers = threading.Event()

    def script(request: Request) -> Reply:
        return Reply(text="at last", hang=not answers.is_set())

    with LoopbackModel(script) as model:
        for name, value in model.environment().items():
            monkeypatch.setenv(name, value)
        late = sdqctl("run", path, limit, "2s")
        assert late.code == 4
        assert f"({limit})" in late.err
        answers.set()
        done = sdqctl("resume", "slow", "--continue")
        assert (done.code, done.out) == (0, "at last\n"), done.err
        assert len(model.user_messages()) == 1


@pytest.mark.thorough
def test_a_tool_may_work_longer_than_the_model_may_be_silent(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    tool = '[[tool: bash {"command": "sleep 8", "description": "work"}]]'
    path = write(project, f"MODE implement\nPROMPT go {tool} [[reply: done]]\n")
    done = sdqctl("run", path, "--idle-timeout", "5s")
    assert (done.code, done.out) == (0, "done\n"), done.err


@pytest.mark.parametrize(
    "signals", some(1, [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM], [signal.SIGINT]])
)
def test_a_signal_ends_the_run_resumable_and_leaves_no_process(
    signals: list[signal.Signals], home: Path, project: Path, model: LoopbackModel
) -> None:
    path = write(project, "SESSION-NAME cut\nPROMPT wait [[hang: x1]] [[reply: done]]\n")
    process = Running("run", str(path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(model.requests) > 0)
    runtime = children(process.pid)
    assert runtime
    for number in signals:
        process.send_signal(number)
        time.sleep(0.02)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "sdqctl resume cut --continue" in err
    assert "Traceback" not in err
    wait_for(lambda: not any(map(alive, runtime)))
    shown = sdqctl("sessions", "show", "cut", "--format", "json").json
    assert (shown["status"], shown["runs"][0]["status"]) == ("interrupted", "interrupted")
    assert shown["runs"][0]["message"] == "interrupted by a signal"
    done = sdqctl("resume", "cut", "--continue")
    assert (done.code, done.out) == (0, "done\n"), done.err
    assert len(model.user_messages()) == 1


def test_the_death_of_the_runtime_is_survived_once(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = write(project, "SESSION-NAME phoenix\nPROMPT wait [[hang: x1]] [[reply: done]]\n")
    process = Running("run", str(path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(model.requests) > 0)
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "done\n"), err
    assert "ended unexpectedly (exit code -9); a new one is started" in err
    assert len(model.user_messages()) == 1


def test_a_second_writer_and_a_delete_are_refused_while_a_run_holds_the_session(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = write(project, "SESSION-NAME held\nPROMPT wait [[hang: x1]] [[reply: done]]\n")
    process = Running("run", str(path), stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(model.requests) > 0)
        second = sdqctl("resume", "held", "--prompt", "me too")
        assert second.code == 75
        assert str(process.pid) in second.err
        deleted = sdqctl("sessions", "delete", "held", "--force")
        assert deleted.code == 75
        cleaned = sdqctl("sessions", "cleanup", "--older-than", "0", "--all-clients")
        assert cleaned.code == 0
        assert "in use" in cleaned.err
        entry = sdqctl("sessions", "list", "--format", "json").json[0]
        assert (entry["status"], entry["in_use"]) == ("running", True)
    finally:
        process.kill()
        process.wait()
    done = sdqctl("resume", "held", "--continue")
    assert done.code == 0, done.err


@pytest.mark.thorough
def test_tools_may_read_inside_the_folder_and_nothing_else(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "notes.txt").write_text("inside")
    view = f'[[tool: view {{"path": "{project}/notes.txt"}}]]'
    outside = '[[tool: view {"path": "/etc/hostname"}]]'
    make = f'[[tool: create {{"path": "{project}/new.txt", "file_text": "x"}}]]'
    path = write(project, f"SESSION-NAME tools\nPROMPT {view}{outside}{make} [[reply: done]]\n")
    done = sdqctl("run", path, "--format", "json")
    assert done.code == 0, done.err
    assert {entry["kind"] for entry in done.json["denied"]} == {"read", "write"}
    assert not (project / "new.txt").exists()
    results = model.requests[-1].tool_results
    assert "inside" in results[0]
    assert "working directory" in results[1]
    allowed = sdqctl("run", path, "--session-name", "tools-2", "--mode", "implement")
    assert allowed.code == 0, allowed.err
    assert (project / "new.txt").read_text() == "x"


@pytest.mark.thorough
def test_a_session_with_a_torn_journal_is_listed_shown_and_resumed(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = write(project, "SESSION-NAME torn\nPROMPT one [[reply: 1]]\n")
    assert sdqctl("run", path).code == 0
    file = journal(home, "torn")
    file.write_bytes(file.read_bytes()[:-10])
    assert sdqctl("sessions", "list", "--format", "json").json[0]["name"] == "torn"
    assert (
        sdqctl("sessions", "show", "torn", "--format", "json").json["turns"][0]["response"] == "1"
    )
    assert sdqctl("resume", "torn", "--prompt", "two [[reply: 2]]").code == 0
    file.write_bytes(b"")
    refused = sdqctl("resume", "torn", "--prompt", "three")
    assert refused.code == 4
    kept = sdqctl("sessions", "show", "torn", "--format", "json")
    assert [turn["response"] for turn in kept.json["turns"]] == ["1", "2"]
    assert "ledger" in kept.err


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
