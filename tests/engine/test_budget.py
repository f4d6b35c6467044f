"""A budget stops a run cleanly, and a higher one goes on."""

from __future__ import annotations

import json

import pytest

from tests.bench import Bench


def error(err: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(err.splitlines()[-1])["error"]
    return found


def test_tool_calls_in_a_turn(bench: Bench) -> None:
    bench.write("f.txt", "x")
    text = f"PROMPT {'[[tool: read f.txt]] ' * 4}[[reply: A]]\n"
    told = bench.run(text, "--max-turn-tool-calls", "3")
    assert told.done.code == 4
    assert error(told.done.err)["code"] == "budget-reached"
    assert "--max-turn-tool-calls" in told.done.err
    on = bench.resume("--continue", "--max-turn-tool-calls", "4")
    assert on.done.code == 0, on.done.err


def test_tokens_of_the_whole_run(bench: Bench) -> None:
    text = "".join(f"PROMPT {'word ' * 400} [[reply: {n}]]\n" for n in range(4))
    told = bench.run(text, "--max-tokens", "1100")
    assert told.done.code == 4
    assert len(told.of("turn.finished")) == 3
    assert "(--max-tokens)" in told.done.err
    again = bench.resume("--continue")
    assert again.done.code == 4
    assert again.prompts == []
    on = bench.resume("--continue", "--max-tokens", "0")
    assert on.done.code == 0
    assert len(on.prompts) == 1


def test_time(bench: Bench) -> None:
    told = bench.run(
        "PROMPT a [[reply: A]]\nPROMPT [[delay: 20]] [[reply: B]]\n", "--max-time", "1s"
    )
    assert told.done.code == 4
    assert "(--max-time)" in told.done.err
    assert error(told.done.err)["code"] == "budget-reached"


@pytest.mark.parametrize(
    "line", ["max_tokens = 5", "max_turn_tool_calls = 1", 'max_time = "1s"', 'max_tokens = "5"']
)
def test_a_budget_in_the_configuration(line: str, bench: Bench) -> None:
    bench.write("f.txt", "x")
    bench.write("sdqctl.toml", f"{line}\n")
    tools = "[[tool: read f.txt]] [[tool: read f.txt]] [[delay: 1.2]]"
    told = bench.run(f"PROMPT {'word ' * 400} {tools} [[reply: A]]\nPROMPT b\n")
    assert told.done.code == (2 if line.endswith('"5"') else 4)


def test_the_same_denial_five_times_stops_the_step_and_names_the_rule(bench: Bench) -> None:
    told = bench.run(f"PROMPT {'[[tool: shell rm x]] ' * 7}[[reply: A]]\n")
    assert told.done.code == 4
    assert len(told.of("permission.decided")) == 5
    assert "--allow-tool 'shell(rm:*)'" in told.done.err
