"""RUN commands: stopped whole, bounded, decoded, and harmless on a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import Running, sdqctl
from tests.waiting import alive, has_line, wait_for, wait_until_gone


def test_a_timeout_kills_the_whole_group(bench: Bench) -> None:
    told = bench.run("RUN-TIMEOUT 0.5s\nRUN sh -c 'sleep 77 & sleep 77'\nPROMPT x\n")
    assert told.done.code == 4
    wait_until_gone(bench.home, b"77")


def test_a_background_command_ends_with_the_run_also_when_it_fails(bench: Bench) -> None:
    told = bench.run("RUN-ASYNC sleep 78\nRUN false\nPROMPT x\n")
    assert told.done.code == 4
    wait_until_gone(bench.home, b"78")


def test_no_command_outlives_a_killed_sdqctl(bench: Bench) -> None:
    path = bench.write("w.conv", "RUN-ASYNC sleep 79\nRUN sh -c 'sleep 79; echo'\nPROMPT x\n")
    process = Running("run", str(path), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(alive(bench.home, b"79")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until_gone(bench.home, b"79")


def test_output_that_is_no_text_is_decoded_with_replacement(bench: Bench) -> None:
    told = bench.run(r"RUN printf 'a\377b\000c'" + "\nPROMPT x\n")
    assert told.done.code == 0
    assert "a\ufffdb" in told.prompts[0]


def test_control_characters_of_a_command_do_not_reach_the_terminal(bench: Bench) -> None:
    command = r"""RUN sh -c 'printf "\033]0;owned\007\033[2J"; exit 1'"""
    told = bench.run(f"{command}\nPROMPT x\n")
    assert told.done.code == 4
    assert "\x1b" not in told.done.err
    assert "\x07" not in told.done.err


def test_endless_output_is_bounded(bench: Bench) -> None:
    told = bench.run("RUN head -c 50000000 /dev/zero\nPROMPT x\n")
    assert told.done.code == 0
    assert len(told.prompts[0]) < 2_000_000
    assert "left out" in told.prompts[0]


def test_a_command_reads_no_input_of_ours(bench: Bench) -> None:
    assert bench.run("RUN cat\nPROMPT x\n").prompts == ["$ cat\n\nx"]


def test_a_missing_program_is_reported(bench: Bench) -> None:
    told = bench.run("RUN no-such-program --flag\nPROMPT x\n")
    assert told.done.code == 4
    assert "no-such-program" in told.done.err


def test_a_value_that_is_too_long_for_an_argument_fails_the_step(bench: Bench) -> None:
    (bench.project / "long.txt").write_text("a" * 140_000)
    text = "INPUT a\nRUN echo {{a}}\nPROMPT x\n"
    told = bench.run(text, "--set", "a=@long.txt")
    assert told.done.code == 4, told.done.err
    assert "longer than this system takes" in told.done.err
    (bench.project / "long.txt").write_text("short")
    again = sdqctl("resume", "s", "--continue")
    assert again.code == 4, again.err
    assert sdqctl("resume", "s", "--continue", "--from", "2").code == 0


def test_a_background_command_that_fails_is_told_of(bench: Bench) -> None:
    ends = "RUN-ASYNC sh -c 'exit 7'\nRUN-ASYNC true\nRUN-ASYNC sleep 92\n"
    waits = "RUN sh -c 'while [ ! -e go ]; do sleep 0.05; done'\n"
    path = bench.write("w.conv", f"SESSION-NAME s\n{ends}{waits}PROMPT x\n")
    process = Running("run", path, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert any("RUN-ASYNC sh -c 'exit 7': exit status 7" in line for line in process.stderr)
    (bench.project / "go").touch()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "exit status" not in err


def test_the_environment_of_commands_tells_no_secret_of_the_provider(bench: Bench) -> None:
    told = bench.run("RUN env\nPROMPT x\n", COPILOT_PROVIDER_API_KEY="a-secret-key-value")
    assert "a-secret-key-value" not in told.prompts[0]


def test_a_background_command_works_again_after_a_pause(bench: Bench) -> None:
    path = bench.write(
        "w.conv",
        "SESSION-NAME bg\n"
        "RUN-ASYNC sh -c 'echo >> server; exec sleep 80'\n"
        "RUN-ASYNC sh -c 'echo >> job'\n"
        "RUN-WAIT 0.5s\nPAUSE\nRUN-WAIT 0.5s\nPROMPT x\nPAUSE\n",
    )
    assert sdqctl("run", path).code == 8
    wait_until_gone(bench.home, b"80")
    again = sdqctl("resume", "bg", "--continue")
    assert again.code == 8
    assert "[1/7] recovered" in again.err
    assert "[2/7] recovered" not in again.err
    assert Path("server").read_text() == "\n\n"
    assert Path("job").read_text() == "\n"
    done = sdqctl("resume", "bg", "--continue")
    assert (done.code, Path("server").read_text()) == (0, "\n\n"), "nothing was left to do"
    wait_until_gone(bench.home, b"80")


def test_a_cut_off_command_is_known_also_where_an_edit_moved_it(bench: Bench) -> None:
    command = "RUN sh -c 'echo >> effect; sleep 81; echo'\nPROMPT x\n"
    path = bench.write("w.conv", f"SESSION-NAME moved\n{command}")
    process = Running("run", str(path), stderr=subprocess.DEVNULL)
    wait_for(lambda: has_line(Path("effect")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    bench.write("w.conv", f"SESSION-NAME moved\nCHECKPOINT new\n{command}")
    cut = sdqctl("resume", "moved", "--continue")
    assert cut.code == 4
    assert "cut off" in cut.err
    assert Path("effect").read_text() == "\n"
    wait_until_gone(bench.home, b"81")


def commands(bench: Bench) -> Path:
    """Where what is known of commands lies."""
    return bench.home / "sdqctl" / "commands"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def kill_once(condition: Callable[[], object], *arguments: str | Path) -> None:
    """Start sdqctl, and kill it as soon as a condition holds."""
    process = Running(*map(str, arguments), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()


def test_what_a_command_said_is_known_when_a_kill_came_before_its_record(bench: Bench) -> None:
    text = "RUN sh -c 'echo >> effect; echo spoken; echo loud >&2'\nPROMPT x [[reply: A]]\n"
    killed = bench.run(text, SDQCTL_CRASH_AT="ledger.finish.before:1")
    assert killed.done.code == -signal.SIGKILL
    done = bench.resume("--continue")
    assert done.done.code == 0, done.done.err
    assert Path("effect").read_text() == "\n"
    (prompt,) = done.prompts
    assert "spoken\nloud\n" in prompt
    assert prompt.endswith("\n\nx [[reply: A]]")


def test_the_output_of_a_command_that_ended_by_its_limit_is_known_after_a_kill(
    bench: Bench,
) -> None:
    text = "RUN-ON-ERROR continue\nRUN-TIMEOUT 1s\nRUN sh -c 'echo spoken; sleep 84'\nPROMPT x\n"
    killed = bench.run(text, SDQCTL_CRASH_AT="ledger.finish.before:1")
    assert killed.done.code == -signal.SIGKILL
    done = bench.resume("--continue")
    assert done.done.code == 0, done.done.err
    assert "spoken\n[ended by its time limit: RUN-TIMEOUT 1.0s]" in done.prompts[0]


def test_the_output_of_a_background_command_that_ended_before_a_kill_is_reported(
    bench: Bench,
) -> None:
    path = bench.write(
        "w.conv",
        "SESSION-NAME s\nRUN-ASYNC sh -c 'echo job said; echo >> job'\n"
        "RUN sh -c 'until test -e job; do sleep 0.01; done; echo > ready; exec sleep 85'\n"
        "RUN-WAIT 0.1s\nPROMPT x [[reply: A]]\nRUN-WAIT 0.1s\nPROMPT y\n",
    )
    ended = commands(bench)
    kill_once(lambda: Path("ready").exists() and list(ended.rglob("ended")), "run", path)
    wait_until_gone(bench.home, b"85")
    done = bench.resume("--continue", "--from", "3")
    assert done.done.code == 0, done.done.err
    assert Path("job").read_text() == "\n"
    first, second = done.prompts
    assert "echo >> job' &\njob said\n[exit status 0]\n" in first
    assert "job" not in second


def test_what_a_background_command_said_before_it_was_cut_off_is_reported(bench: Bench) -> None:
    path = bench.write(
        "w.conv",
        "SESSION-NAME s\nRUN-ASYNC sh -c 'echo >> starts; wc -l < starts; exec sleep 86'\n"
        "RUN-WAIT 30s\nPROMPT x [[reply: A]]\n",
    )
    said = commands(bench)
    kill_once(lambda: [p for p in said.rglob("head") if b"1" in p.read_bytes()], "run", path)
    wait_until_gone(bench.home, b"86")
    bench.write("w.conv", path.read_text().replace("30s", "1s"))
    done = bench.resume("--continue")
    assert done.done.code == 0, done.done.err
    assert "&\n1\n[ended with the process that had started it]\n\n$ sh" in done.prompts[0]
    assert done.prompts[0].count("&\n2\n") == 1


def test_what_it_said_before_its_start_was_recorded_is_reported_too(bench: Bench) -> None:
    text = "RUN-ASYNC sh -c 'echo >> starts; exec sleep 86'\nRUN-WAIT 1s\nPROMPT x [[reply: A]]\n"
    killed = bench.run(text, SDQCTL_CRASH_AT="ledger.finish.before:1")
    assert killed.done.code == -signal.SIGKILL
    wait_until_gone(bench.home, b"86")
    (started,) = commands(bench).rglob("started")
    started.with_name("head").write_text("1\n")
    done = bench.resume("--continue")
    assert done.done.code == 0, done.done.err
    assert "&\n1\n[ended with the process that had started it]\n\n$ sh" in done.prompts[0]


def test_the_same_background_command_in_two_cycles_is_known_apart(bench: Bench) -> None:
    first_only = "echo >> starts; test $(wc -l < starts) = 1 || exec sleep 87"
    path = bench.write(
        "w.conv",
        f"SESSION-NAME s\nMAX-CYCLES 2\nRUN-ASYNC sh -c '{first_only}'\n"
        "RUN-WAIT 0.5s\nPAUSE\nRUN-WAIT 0.1s\nPROMPT x [[reply: A]]\n",
    )
    assert sdqctl("run", path).code == 8
    assert sdqctl("resume", "s", "--continue").code == 8
    assert len(Path("starts").read_text()) == 2
    wait_until_gone(bench.home, b"87")
    assert sdqctl("resume", "s", "--continue").code == 0
    assert len(Path("starts").read_text()) == 3, "that of the second cycle alone was cut off"
    wait_until_gone(bench.home, b"87")


def test_an_ended_background_command_is_not_started_again_when_a_completed_workflow_grows(
    bench: Bench,
) -> None:
    text = "SESSION-NAME s\nRUN-ASYNC sh -c 'echo >> job'\nRUN-WAIT 0.5s\nPROMPT x [[reply: A]]\n"
    assert sdqctl("run", bench.write("w.conv", text)).code == 0
    assert files(commands(bench)) == []
    bench.write("w.conv", text + "RUN echo more\nPROMPT y [[reply: B]]\n")
    done = sdqctl("resume", "s", "--continue")
    assert (done.code, Path("job").read_text()) == (0, "\n"), done.err


@pytest.mark.thorough
def test_a_flood_is_bounded_on_the_disk_too(bench: Bench) -> None:
    told = bench.run("RUN-TIMEOUT 2s\nRUN yes\nPROMPT x\n")
    assert told.done.code == 4
    sizes = [path.stat().st_size for path in files(commands(bench))]
    assert 1_000_000 < sum(sizes) < 4_000_000
    assert "bytes left out" in told.done.err or "characters left out" in told.done.err


def test_what_is_known_of_commands_is_private_and_goes_with_the_run(bench: Bench) -> None:
    told = bench.run("RUN sh -c 'echo secret; exit 3'\nPROMPT x\n")
    assert told.done.code == 4
    left = files(commands(bench))
    assert left
    places = [commands(bench), *commands(bench).rglob("*")]
    assert {oct(path.stat().st_mode & 0o077) for path in places} == {"0o0"}
    assert sdqctl("sessions", "delete", "s", "--force").code == 0
    assert list(commands(bench).iterdir()) == []


def test_an_edit_that_mends_a_failed_command_leaves_nothing_behind(bench: Bench) -> None:
    told = bench.run("RUN false\nPROMPT x [[reply: A]]\n")
    assert told.done.code == 4
    bench.write("work.conv", "RUN true\nPROMPT x [[reply: A]]\n")
    assert bench.resume("--continue").done.code == 0
    assert list(commands(bench).iterdir()) == []


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("RUN sleep 88\nPROMPT x\n", ("--step-timeout", "1s")),
        ("RUN-ON-ERROR continue\nRUN sleep 88\nPROMPT x\n", ("--step-timeout", "1s")),
        ("RUN-WAIT 88s\nPROMPT x\n", ("--step-timeout", "1s")),
        ("RUN sleep 88\nPROMPT x\n", ("--max-time", "1s")),
        ("RUN-WAIT 88s\nPROMPT x\n", ("--max-time", "1s")),
    ],
)
def test_the_limits_of_a_run_stop_commands_and_waiting(
    text: str, flags: tuple[str, ...], bench: Bench
) -> None:
    began = time.monotonic()
    told = bench.run(text, *flags)
    assert time.monotonic() - began < 88
    assert told.done.code == 4
    assert flags[0] in told.done.err
    assert ("budget-reached" in told.done.err) is (flags[0] == "--max-time")
    assert told.prompts == []
    wait_until_gone(bench.home, b"88")


def test_the_nearest_limit_ends_a_command(bench: Bench) -> None:
    text = "RUN-ON-ERROR continue\nRUN-TIMEOUT 1s\nRUN sleep 89\nPROMPT x [[reply: A]]\n"
    told = bench.run(text, "--step-timeout", "30s")
    assert told.done.code == 0, told.done.err
    assert "[ended by its time limit: RUN-TIMEOUT 1.0s]" in told.prompts[0]


def test_a_tolerated_failure_is_reported_with_its_status_and_that_the_run_goes_on(
    bench: Bench,
) -> None:
    path = bench.write(
        "w.conv",
        "SESSION-NAME s\nRUN-ON-ERROR continue\nRUN sh -c 'exit 3'\nPROMPT x [[reply: A]]\n",
    )
    done = sdqctl("run", path)
    assert done.code == 0
    assert re.search(r"\[1/2\] done in .*, exit 3; the run goes on", done.err)
    shown = sdqctl("sessions", "show", "s").out
    assert re.search(r"1 done .*, failed \(exit status 3\), the run went on", shown)
    step = sdqctl("sessions", "show", "s", "--format", "json").json["runs"][0]["steps"][0]
    assert (step["status"], step["exit_status"]) == ("done", 3)


def test_a_skipped_step_is_not_done_in_a_dry_run(bench: Bench) -> None:
    path = bench.write(
        "w.conv",
        "SESSION-NAME s\nRUN true\nON-FAILURE\nPROMPT never\nEND\nPROMPT x [[reply: A]]\nPAUSE\n",
    )
    assert sdqctl("run", path).code == 8
    dry = sdqctl("resume", "s", "--continue", "--dry-run")
    states = [line.split()[1] for line in dry.out.splitlines()]
    assert states[:3] == ["done", "skipped", "done"]
    assert "2 done, 1 skipped" in dry.err


def keepers(home: Path) -> list[int]:
    """The keepers of this test's commands."""
    return alive(home, b"keeper.main()")


@pytest.mark.parametrize("word", [b"keeper.main()", b"sleep\x0090"], ids=["starting", "running"])
def test_no_command_outlives_its_killed_keeper(bench: Bench, word: bytes) -> None:
    path = bench.write("w.conv", "SESSION-NAME s\nRUN sh -c 'sleep 90; echo >> effect'\nPROMPT x\n")
    process = Running("run", str(path), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not alive(bench.home, word):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for pid in keepers(bench.home):
        os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 4
    assert "exit status 137" in err
    assert alive(bench.home, b"sleep") == []
    assert not Path("effect").exists()


def test_a_cut_off_command_is_ended_before_it_is_run_again(bench: Bench) -> None:
    path = bench.write(
        "w.conv",
        "SESSION-NAME s\nRUN sh -c 'echo >> starts; test -e again || sleep 91; echo >> ends'\n"
        "PROMPT x [[reply: A]]\n",
    )
    process = Running("run", str(path), stderr=subprocess.DEVNULL)
    wait_for(lambda: has_line(Path("starts")) and alive(bench.home, b"91"))
    process.send_signal(signal.SIGSTOP)
    for pid in [*keepers(bench.home), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert alive(bench.home, b"sleep")
    Path("again").touch()
    done = sdqctl("resume", "s", "--continue", "--on-interrupted", "resend")
    assert done.code == 0, done.err
    assert alive(bench.home, b"sleep") == []
    assert (Path("starts").read_text(), Path("ends").read_text()) == ("\n\n", "\n")
