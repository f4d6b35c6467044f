"""Answers that are long, and what is typed while one streams."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.bench import Bench
from tests.command import sdqctl
from tests.sampling import some
from tests.terminal import CTRL_C, CTRL_D, ENTER, Terminal

LINES = 10_000
BEGUN = "SESSION-NAME s\nPROMPT hello [[reply: Hello.]]\n"


def long_answer() -> str:
    """Prose, lists and code in turn, forty lines of each; every line has its number."""
    lines = []
    for first in range(0, LINES, 40):
        begin, before, after = (("", "", ""), ("- ", "", ""), ("    x = ", "```", "```"))[
            first // 40 % 3
        ]
        lines += [before]
        for number in range(first, first + 40):
            lines += [f"{begin}line-{number:05} of the answer", *[""] * (number % 10 == 9)]
        lines += [after]
    return "\n".join(lines)


def numbers(raw: bytes) -> list[int]:
    """The lines of the answer in what was written, in that order."""
    return [int(found) for found in re.findall(rb"line-(\d{5})", raw)]


@pytest.mark.thorough
def test_no_line_of_ten_thousand_is_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [{"match": "Tell me all", "orders": f"[[reply: {long_answer()}]]"}]
    monkeypatch.setenv("SDQCTL_MOCK_SCRIPT", str(bench.write("script.json", json.dumps(script))))
    bench.run(BEGUN)
    with Terminal(["resume", "s"], rows=24) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.wait_for_prompt()
        terminal.type(f"Tell me all{ENTER}")
        terminal.wait_for(f"line-{LINES - 1:05}")
        terminal.wait_for_prompt()
        assert numbers(terminal.raw) == list(range(LINES))
        assert "writing, " not in terminal.text
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0


@pytest.mark.thorough
@pytest.mark.runtime
@pytest.mark.parametrize("columns", some(1, [50, 120]))
def test_a_resize_in_the_middle_of_an_answer_loses_nothing(
    columns: int, home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "w.conv").write_text(BEGUN)
    assert sdqctl("run", "w.conv").code == 0
    text = "".join(f"line-{number:05} is one of the many\n\n" for number in range(60))
    with Terminal(["resume", "s"], rows=24) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.wait_for_prompt()
        paste = f"\x1b[200~Tell me [[pace: 0.004]] [[reply: {text}]]\x1b[201~"
        terminal.type(f"{paste}{ENTER}")
        terminal.wait_for("writing, ")
        terminal.wait_for("line-00005 is")
        terminal.resize(columns, 15)
        terminal.wait_for("line-00030 is")
        terminal.resize(80, 24)
        terminal.wait_for("line-00059 is")
        terminal.wait_for_prompt()
        assert numbers(terminal.raw)[-60:] == list(range(60))
        left = [
            line for line in terminal.text.splitlines() if "writing" in line or "in all" in line
        ]
        assert left == []
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0


def test_what_is_typed_during_a_turn_is_seen_and_sent_after_it(bench: Bench) -> None:
    bench.run(BEGUN)
    with Terminal(["resume", "s"], rows=24) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.wait_for_prompt()
        terminal.type(f"First [[delay: 4]] [[reply: One.]]{ENTER}")
        terminal.wait_for("waiting for the model")
        terminal.type("Secund\x7f\x7f\x7fond [[reply: Two.]]")
        terminal.wait_for("» Second [[reply: Two.]]")
        assert "\nOne." not in terminal.text
        terminal.type(f"{ENTER}and a thi")
        terminal.wait_for("» and a thi")
        terminal.wait_for("\nTwo.")
        terminal.wait_for("> and a thi")
        terminal.type(f"rd [[reply: Three.]]{ENTER}")
        terminal.wait_for("\nThree.")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    shown = sdqctl("sessions", "show", "s", "--format", "json").json
    prompts = [turn["prompt"].split(" [[")[0] for turn in shown["turns"]]
    assert prompts == ["hello", "First", "Second", "and a third"]


def test_a_paste_during_a_turn_is_one_message_and_only_offered_after_an_abort(bench: Bench) -> None:
    bench.run(BEGUN)
    with Terminal(["resume", "s"], rows=24) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.wait_for_prompt()
        terminal.type(f"Wait [[stall]]{ENTER}")
        terminal.wait_for("waiting for the model")
        terminal.type("\x1b[200~one\rtwo\x1b[201~")
        terminal.wait_for("» one⏎two")
        terminal.type(CTRL_C)
        terminal.wait_for("aborted; the conversation goes on")
        terminal.wait_for("> one\n... two")
        terminal.type(f" [[reply: Both.]]{ENTER}")
        terminal.wait_for("\nBoth.")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    shown = sdqctl("sessions", "show", "s", "--format", "json").json
    assert shown["turns"][-1]["prompt"].startswith("one\ntwo")
