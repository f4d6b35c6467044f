"""Going on with a workflow: edited, moved, deleted, from elsewhere, and in a held session."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.cli.test_waiting import has_open, started
from tests.command import SDQCTL, Running, sdqctl
from tests.waiting import has_line, wait_for

THREE = "PROMPT a [[reply: A]]\nPAUSE\nPROMPT b [[reply: B]]\n"


@pytest.fixture
def paused(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workflow that stopped at its PAUSE, in session `job`."""
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    path = project / "work.conv"
    path.write_text(THREE)
    assert sdqctl("run", path, "--session-name", "job").code == 8
    return path


def prompts() -> list[str]:
    shown = sdqctl("sessions", "show", "job", "--format", "json").json
    return [turn["prompt"].split()[0] for turn in shown["turns"]]


def status() -> str:
    (listed,) = sdqctl("sessions", "list", "--format", "json").json
    return str(listed["status"])


def test_an_edited_workflow_shows_its_plan_and_repeats_nothing(paused: Path) -> None:
    paused.write_text(
        "PROMPT a [[reply: A]]\nPAUSE\nPROMPT c [[reply: C]]\nPROMPT b [[reply: B]]\n"
    )
    shown = sdqctl("resume", "job", "--continue", "--dry-run")
    assert shown.code == 0
    assert [line.split()[:2] for line in shown.out.splitlines()] == [
        ["1", "done"],
        ["2", "to"],
        ["3", "to"],
        ["4", "to"],
    ]
    assert prompts() == ["a"]
    done = sdqctl("resume", "job", "--continue")
    assert (done.code, done.out) == (0, "C\n\nB\n"), done.err
    assert "1 done, 3 to run" in done.err
    assert prompts() == ["a", "c", "b"]


def test_a_changed_done_step_is_reported_and_runs(paused: Path) -> None:
    paused.write_text("PROMPT a2 [[reply: A2]]\nPAUSE\nPROMPT b [[reply: B]]\n")
    done = sdqctl("resume", "job", "--continue")
    assert done.code == 0, done.err
    assert "0 done, 1 changed, 2 to run" in done.err
    assert prompts() == ["a", "a2", "b"]


def test_from_starts_elsewhere(paused: Path) -> None:
    done = sdqctl("resume", "job", "--continue", "--from", "3")
    assert (done.code, done.out) == (0, "B\n"), done.err
    again = sdqctl("resume", "job", "--continue", "--from", "1")
    assert again.code == 8
    assert prompts() == ["a", "b", "a"]
    wrong = sdqctl("resume", "job", "--continue", "--from", "9")
    assert wrong.code == 2
    assert "steps 1 to 3" in wrong.err


@pytest.mark.parametrize(("command", "said"), [("resume", ["a", "c"]), ("run", ["c"])])
def test_from_skips_what_is_not_done_before_it(command: str, said: list[str], paused: Path) -> None:
    paused.write_text(
        "PROMPT a [[reply: A]]\nPAUSE\nPROMPT b [[reply: B]]\nPROMPT c [[reply: C]]\n"
    )
    flags = ["resume", "job", "--continue"]
    if command == "run":
        assert sdqctl("sessions", "delete", "job", "--force").code == 0
        flags = ["run", str(paused), "--session-name", "job"]
    planned = sdqctl(*flags, "--from", "4", "--dry-run")
    states = [line.split()[1] for line in planned.out.splitlines()]
    assert states[2:] == ["skipped", "to"]
    done = sdqctl(*flags, "--from", "4")
    assert (done.code, done.out) == (0, "C\n"), done.err
    assert "skipped (--from 4): step" in done.err
    assert prompts() == said
    again = sdqctl("resume", "job", "--continue")
    assert (again.code, again.out) == (0, "")


def test_from_behind_the_last_step_ends_a_run_whose_command_was_cut_off(bench: Bench) -> None:
    kill = "read -r _ _ _ up _ < /proc/$PPID/stat; kill -9 $up"
    text = f"PROMPT x\nALLOW-SHELL true\nRUN {kill}; sleep 9\n"
    assert bench.run(text, "--sandbox", "none").done.code == -signal.SIGKILL
    cut = sdqctl("resume", "s", "--continue")
    assert cut.code == 4
    assert "`sdqctl resume s --continue --from 3`" in cut.err
    assert sdqctl("resume", "s", "--continue", "--from", "3").code == 0
    assert sdqctl("sessions", "list", "--format", "json").json[0]["status"] == "completed"


def test_a_session_that_was_being_made_at_a_kill_is_made(home: Path, project: Path) -> None:
    (home / "sdqctl" / "mock" / "job").mkdir(parents=True)
    (project / "w.conv").write_text("ADAPTER mock\nSESSION-NAME job\nPROMPT a [[reply: A]]\n")
    done = sdqctl("run", "w.conv")
    assert (done.code, done.out) == (0, "A\n"), done.err


def test_from_a_checkpoint(home: Path, project: Path) -> None:
    path = project / "w.conv"
    path.write_text("ADAPTER mock\nPROMPT a [[reply: A]]\nCHECKPOINT half\nPROMPT b [[reply: B]]\n")
    assert sdqctl("run", path, "--session-name", "job").code == 0
    assert sdqctl("resume", "job", "--continue", "--from", "half").code == 0
    assert prompts() == ["a", "b", "b"]


def test_a_deleted_workflow_file_is_an_error_that_says_what_is_known(paused: Path) -> None:
    paused.unlink()
    gone = sdqctl("resume", "job", "--continue")
    assert gone.code == 2
    assert str(paused) in gone.err
    moved = paused.with_name("moved.conv")
    moved.write_text(THREE)
    done = sdqctl("resume", "job", "--continue", moved)
    assert (done.code, done.out) == (0, "B\n"), done.err


def test_a_finished_run_has_nothing_to_go_on_with(paused: Path) -> None:
    assert sdqctl("resume", "job", "--continue").code == 0
    done = sdqctl("resume", "job", "--continue")
    assert (done.code, done.out) == (0, "")
    assert prompts() == ["a", "b"]


def test_run_with_resume_if_exists_goes_on_or_starts_anew_and_says_which(paused: Path) -> None:
    on = sdqctl("run", paused, "--session-name", "job", "--resume-if-exists")
    assert (on.code, on.out) == (0, "B\n"), on.err
    assert "going on" in on.err
    anew = sdqctl("run", paused, "--session-name", "job", "--resume-if-exists")
    assert anew.code == 8
    assert prompts() == ["a", "b", "a"]


def test_a_prompt_comes_from_stdin_or_a_file_too(paused: Path, project: Path) -> None:
    (project / "ask.txt").write_text("from a file [[reply: F]]\n")
    assert sdqctl("resume", "job", "--prompt", "@ask.txt").out == "F\n"
    assert sdqctl("resume", "job", "--prompt", "-", stdin="from stdin [[reply: S]]").out == "S\n"
    assert sdqctl("resume", "job", "--prompt", "-", stdin="  \n").code == 2
    missing = sdqctl("resume", "job", "--prompt", "@nope.txt")
    assert missing.code == 2
    assert "nope.txt" in missing.err


def test_a_session_is_found_by_id_name_and_unique_prefix(paused: Path) -> None:
    for key in ("job", "JOB", "jo"):
        assert sdqctl("resume", key, "--prompt", "x [[reply: y]]").code == 0


def test_a_paused_run_survives_single_prompts(paused: Path) -> None:
    assert sdqctl("resume", "job", "--prompt", "aside [[reply: x]]").code == 0
    entry = sdqctl("sessions", "list", "--format", "json").json[0]
    assert entry["status"] == "paused"
    assert sdqctl("resume", "job", "--continue").out == "B\n"
    assert prompts() == ["a", "aside", "b"]


def test_a_prompt_that_failed_or_was_cut_off_is_answered_by_continue(bench: Bench) -> None:
    bench.run("SESSION-NAME job\nPROMPT a [[reply: A]]\n")
    failed = sdqctl("resume", "job", "--prompt", "b {{x}} [[fail: request x1]] [[reply: B]]")
    assert failed.code == 4
    assert "go on with `sdqctl resume job --continue`" in failed.err
    assert status() == "failed"
    done = sdqctl("resume", "job", "--continue")
    assert (done.code, done.out) == (0, "B\n"), done.err
    killed = sdqctl("resume", "job", "-p", "c [[reply: C]]", SDQCTL_CRASH_AT="mock.stored:1")
    assert killed.code == -signal.SIGKILL
    assert sdqctl("resume", "job", "--continue").out == "C\n"
    assert prompts() == ["a", "b", "c"]
    assert status() == "completed"
    sdqctl("resume", "job", "-p", "e [[fail: model x1]] [[reply: E]]", "-m", "small")
    waits = sdqctl("resume", "job", "--answer", "yes")
    assert (waits.code, "waits at no ASK" in waits.err) == (2, True), waits.err
    assert sdqctl("resume", "job", "--continue").out == "E\n"
    shown = sdqctl("sessions", "show", "job", "--format", "json").json
    assert shown["model"] == "small"
    secret = "d ghp_" + "0123456789abcdefghij" * 2
    sdqctl("resume", "job", "-p", f"{secret} [[fail: request]]")
    refused = sdqctl("resume", "job", "--continue")
    assert (refused.code, "give it again" in refused.err) == (2, True), refused.err


def test_a_prompt_that_failed_hides_neither_an_open_workflow_nor_what_came_later(
    bench: Bench,
) -> None:
    bench.run(f"SESSION-NAME job\n{THREE}")
    failed = sdqctl("resume", "job", "--prompt", "x [[fail: request]]")
    assert "give the prompt again: `sdqctl resume job --prompt PROMPT`" in failed.err
    assert status() == "paused"
    assert sdqctl("resume", "job", "--continue").out == "B\n"
    sdqctl("resume", "job", "--prompt", "y [[fail: request]]")
    assert status() == "failed"
    sdqctl("resume", "job", "--prompt", "z")
    assert status() == "completed"


def test_wait_waits_for_the_holder(paused: Path) -> None:
    until = "until [ -e go ]; do sleep 0.05; done"
    slow = [*SDQCTL, "resume", "job", "--prompt", f"slow [[tool: shell {until}]] [[reply: slow]]"]
    second = ["resume", "job", "--prompt", "second [[reply: 2]]"]
    with subprocess.Popen([*slow, "--allow-tool", "shell"], stderr=subprocess.PIPE) as first:
        assert first.stderr is not None
        assert any(line.startswith(b"[1/1]") for line in first.stderr)
        busy = sdqctl(*second)
        assert busy.code == 75
        assert f"process {first.pid}" in busy.err
        with started(*second, "--wait", "60s") as waiting:
            wait_for(lambda: has_open(waiting, ".lock"))
            assert waiting.poll() is None
            Path("go").touch()
            out, err = waiting.communicate(timeout=120)
        assert (waiting.returncode, out) == (0, "2\n"), err
        assert first.wait() == 0
    assert prompts() == ["a", "slow", "second"]


def test_a_ledger_that_is_deleted_in_mid_run_is_exit_9_and_the_answers_are_still_there(
    home: Path, project: Path
) -> None:
    path = project / "w.conv"
    path.write_text(
        "ADAPTER mock\nPROMPT a [[reply: A]]\n"
        f"RUN rm -f {home}/sdqctl/ledger.db\nPROMPT b [[reply: B]]\n"
    )
    done = sdqctl("run", path, "--session-name", "job", "--sandbox", "none")
    assert done.code == 9
    assert "deleted or replaced" in done.err
    assert prompts() == ["a"]


def test_a_full_disk_is_exit_9_and_what_was_recorded_is_still_there(
    home: Path, project: Path
) -> None:
    """The kernel's limit on the size of files stands in for the end of the disk."""
    path = project / "w.conv"
    (project / "big.txt").write_text("word " * 6000)
    path.write_text("ADAPTER mock\nMAX-CYCLES 30\nCONTEXT @big.txt\nPROMPT {{CYCLE_NUMBER}}\n")
    command = " ".join(["ulimit -f 800;", "exec", *SDQCTL, "run", str(path), "--session-name job"])
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 9, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    run = sdqctl("sessions", "list", "--format", "json").json[0]["run"]
    assert run["status"] in ("interrupted", "failed")
    assert 0 < run["steps_done"] < 30
    on = sdqctl("resume", "job", "--continue")
    assert on.code == 0, on.err
    turns = sdqctl("sessions", "show", "job", "--format", "json").json["turns"]
    assert [turn["prompt"].split()[-1] for turn in turns] == [str(n) for n in range(1, 31)]


def test_a_ledger_that_cannot_be_written_is_exit_9(paused: Path, home: Path) -> None:
    """A read-only mode does not stop the superuser, so the right to pass over modes is dropped."""
    drop = "import ctypes; ctypes.CDLL(None).prctl(24, 1)\n"
    script = (
        f"{drop}import os, sys\n"
        f"os.execv(sys.executable, [sys.executable, '-m', 'sdqctl', *sys.argv[1:]])"
    )
    for path in (home / "sdqctl").glob("ledger.db*"):
        path.chmod(0o400)
    (home / "sdqctl").chmod(0o500)
    try:
        done = subprocess.run(
            [SDQCTL[0], "-c", script, "resume", "job", "--continue"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 9, done.stderr
        assert "cannot be" in done.stderr
        assert "Traceback" not in done.stderr
        listed = sdqctl("sessions", "list", "--format", "json")
        assert (listed.code, listed.json[0]["status"]) == (0, "paused"), listed.err
    finally:
        (home / "sdqctl").chmod(0o700)
        for path in (home / "sdqctl").glob("ledger.db*"):
            path.chmod(0o600)
    assert sdqctl("resume", "job", "--continue").code == 0


def test_a_resume_that_waited_goes_on_where_the_run_stands_by_then(bench: Bench) -> None:
    path = bench.write(
        "w.conv",
        "SESSION-NAME moving\nSESSION-MODE fresh\nMAX-CYCLES 2\n"
        "PROMPT one\nRUN sh -c 'echo >> runs; sleep 1.5'\nPROMPT two\n",
    )
    first = Running("run", str(path), stderr=subprocess.DEVNULL)
    wait_for(lambda: has_line(Path("runs")))
    second = Running(
        "resume",
        "moving",
        "--continue",
        "--wait",
        "60s",
        "--on-interrupted",
        "resend",
        stderr=subprocess.PIPE,
    )
    wait_for(
        lambda: Path("runs").read_text() == "\n\n"
    )  # the second cycle, in a session of its own
    first.kill()
    first.wait()
    _, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    for name in ("moving", "moving (2)"):
        turns = sdqctl("sessions", "show", name, "--format", "json").json["turns"]
        assert [turn["prompt"].split()[-1] for turn in turns] == ["one", "two"]


def test_steps_that_a_new_run_skips_are_not_said_to_be_done(bench: Bench) -> None:
    path = bench.write("w.conv", "PROMPT a\nPROMPT b\nPROMPT c\nPAUSE\nPROMPT d\n")
    begun = sdqctl("run", path, "--session-name", "s", "--from", "3")
    assert "\n0 done, 2 skipped, 3 to run\n" in begun.err
    assert "\n1 done, 2 skipped, 2 to run\n" in sdqctl("resume", "s", "--continue").err
