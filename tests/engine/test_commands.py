"""RUN commands: stopped whole, bounded, decoded, and harmless on a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.bench import Bench
from tests.command import SDQCTL, sdqctl


def alive(home: Path, word: bytes) -> list[int]:
    """Processes of this test's home whose command holds a word."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if word in command and f"HOME={home}".encode() in environment:
            found.append(int(name))
    return found


def wait_until_gone(home: Path, word: bytes) -> None:
    deadline = time.monotonic() + 10
    while alive(home, word):
        assert time.monotonic() < deadline, alive(home, word)
        time.sleep(0.05)


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
    process = subprocess.Popen([*SDQCTL, "run", str(path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
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


def test_a_missing_program_is_told(bench: Bench) -> None:
    told = bench.run("RUN no-such-program --flag\nPROMPT x\n")
    assert told.done.code == 4
    assert "no-such-program" in told.done.err


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
    process = subprocess.Popen([*SDQCTL, "run", str(path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not Path("effect").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    bench.write("w.conv", f"SESSION-NAME moved\nCHECKPOINT new\n{command}")
    cut = sdqctl("resume", "moved", "--continue")
    assert cut.code == 4
    assert "cut off" in cut.err
    assert Path("effect").read_text() == "\n"
    wait_until_gone(bench.home, b"81")
