"""A budget stops a run cleanly, and a higher one goes on."""

from __future__ import annotations

import json
import re

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
    assert "`sdqctl resume s --continue --max-turn-tool-calls 7`" in told.done.err
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
    flag = re.search("`sdqctl resume s --continue --max-tokens ([0-9]+)`", again.done.err)
    assert flag is not None
    on = bench.resume("--continue", "--max-tokens", flag[1])
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


def test_warn_at_reports_a_budget_that_comes_near_once(bench: Bench) -> None:
    text = "".join(f"PROMPT {'word ' * 400} [[reply: {n}]]\n" for n in range(3))
    told = bench.run(text, "--max-tokens", "1600", "--warn-at", "50", "--max-steps", "10")
    assert told.done.code == 0, told.done.err
    [near] = told.of("budget.nearing")
    assert (near["budget"], near["limit"]) == ("max-tokens", 1600)
    assert 800 <= near["used"] < 1600
    [result] = told.of("result")
    assert result["nearing"] == [{k: near[k] for k in ("budget", "used", "limit")}]
    assert f"warning: --max-tokens: {near['used']:g} of 1600 are used" in told.done.err


def test_cost_where_the_runtime_reports_it(bench: Bench) -> None:
    text = "".join(f"PROMPT {n} [[cost: 0.4]] [[reply: {n}]]\n" for n in range(4))
    told = bench.run(text, "--max-cost", "0.75", "--warn-at", "50")
    assert told.done.code == 4
    assert error(told.done.err)["code"] == "budget-reached"
    assert "a cost of 0.8 of 0.75 (--max-cost)" in told.done.err
    assert len(told.of("turn.finished")) == 2
    assert [e["budget"] for e in told.of("budget.nearing")] == ["max-cost"]
    on = bench.resume("--continue", "--max-cost", "2")
    assert on.done.code == 0, on.done.err
    assert len(on.prompts) == 2


def test_a_runtime_that_reports_no_cost_is_said_to(bench: Bench) -> None:
    told = bench.run("PROMPT a [[reply: A]]\nPROMPT b [[reply: B]]\n", "--max-cost", "1")
    assert told.done.code == 0, told.done.err
    warnings = [e["message"] for e in told.of("warning")]
    assert [w for w in warnings if "the runtime reports no cost" in w] == warnings[:1]


@pytest.mark.parametrize("crash", [{}, {"SDQCTL_CRASH_AT": "ledger.begin.after:2"}])
def test_time_counts_over_commands(crash: dict[str, str], bench: Bench) -> None:
    """Of one that was killed as far as it is recorded."""
    text = "RUN sleep 1.1\nPAUSE look\nRUN true\nPROMPT a [[reply: A]]\n"
    assert bench.run(text, **crash).done.code in (8, -9, 137)
    on = bench.go_on("--max-time", "1s")
    assert on.done.code == 4
    assert "(--max-time)" in on.done.err
    assert on.of("step.started") == []


PART = "INPUT n\nPROMPT part {{n}} [[reply: said]]\nRUN true\n"


def test_steps_count_over_the_tree_and_over_commands(bench: Bench) -> None:
    bench.write("part.conv", PART)
    text = "CALL part.conv WITH n=1\nCALL part.conv WITH n=2\nRUN test -e there\n"
    assert bench.run(text, "--max-steps", "3").done.code == 4
    bench.write("there", "")
    again = bench.go_on()
    assert again.done.code == 4
    assert "more than 3 steps (--max-steps)" in again.done.err
    on = bench.go_on("--max-steps", "4")
    assert on.done.code == 0, on.done.err
    assert on.prompts == []


LIST = """\
INPUT xs json = ["a", "b", "c", "d", "e"]
FOR x IN xs PARALLEL 4
  CALL part.conv WITH n={{x}}
END
"""


def test_a_list_with_more_items_than_steps_are_left_is_not_begun(bench: Bench) -> None:
    bench.write("part.conv", PART)
    told = bench.run(LIST, "--max-steps", "4")
    assert told.done.code == 4
    assert told.prompts == []


@pytest.mark.each(2)
@pytest.mark.parametrize("order", ["tokens", "cost"])
def test_items_together_begin_no_more_than_is_left(order: str, bench: Bench) -> None:
    """Each uses 400: a third one has room, a fourth has not."""
    bench.write(
        "part.conv",
        f"INPUT n\nPROMPT {{{{n}}}} {'word ' * 310} [[delay: 0.2]] [[cost: 400]] [[reply: R]]\n",
    )
    told = bench.run(LIST, f"--max-{order}", "1250")
    assert told.done.code == 4
    assert f"(--max-{order})" in told.done.err
    assert len(told.prompts) == len(told.of("turn.finished")) == 4
    on = bench.go_on(f"--max-{order}", "0")
    assert on.done.code == 0, on.done.err
    assert len(on.prompts) == 1
