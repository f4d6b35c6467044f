"""What a person reads of refused tools: a line for each, a count, and the way to allow them."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from sdqctl.text.terminal import between_words
from tests.bench import Bench
from tests.command import sdqctl

LONG = "git push origin main " + "--quite-a-long-option " * 20
STORY = f"""\
SESSION-NAME s
PROMPT look [[tool: read work.conv]] [[tool: read ../secret]]
PROMPT act [[tool: shell {LONG}]] [[tool: write a.lock x]] [[tool: shell rm work.conv]]
"""
RULES = ("--deny-tool", "write(*.lock)")


def narrated(bench: Bench, *flags: str) -> list[str]:
    done = sdqctl("run", bench.write("work.conv", STORY), *RULES, *flags)
    assert done.code == 0, done.err
    return done.err.splitlines()


def test_the_end_of_a_run_counts_the_refusals_and_says_what_would_allow_them(bench: Bench) -> None:
    secret = bench.project.parent / "secret"
    first, *ways = narrated(bench)[-3:]
    assert re.fullmatch(
        r"run completed: 2 steps in [\d.]+s, 181 tokens, "
        r"4 refused \(--mode implement allows 2\)",
        first,
    )
    assert ways == [
        f"  to allow 3 of them: --allow-tool 'read({secret})' --allow-tool 'shell(git:*)' "
        "--allow-tool 'shell(rm:*)'",
        "  `sdqctl sessions show s --audit` lists them",
    ]


def test_the_flags_that_are_named_allow_what_was_refused(bench: Bench) -> None:
    text = "SESSION-NAME t\nPROMPT go [[tool: shell rm a]] [[tool: write b.txt x]]\n"
    first = bench.run(text)
    assert [event["allowed"] for event in first.of("permission.decided")] == [False, False]
    rules = [rule for event in first.of("permission.decided") for rule in event["rules"]]
    flags = [part for rule in rules for part in ("--allow-tool", rule)]
    again = bench.run(text.replace("NAME t", "NAME u"), *flags)
    assert [event["allowed"] for event in again.of("permission.decided")] == [True, True]


def test_a_refusal_is_one_line_for_the_human_cut_between_words(bench: Bench) -> None:
    denied = [line for line in narrated(bench) if "denied" in line]
    assert len(denied) == 4
    words = {*LONG.split(), "denied:", "shell", "…:", "the", "program", "git", "is", "not"}
    assert {*denied[1].split()} <= {*words, "allowed"}
    assert "Go on without it" not in "".join(denied), "that is what the agent is told"
    assert denied[2] == "  denied: write a.lock: the rule write(*.lock) denies it"


def test_a_run_without_refusals_says_nothing_of_them(bench: Bench) -> None:
    done = sdqctl("run", bench.write("a.conv", "SESSION-NAME s\nPROMPT hello\n"))
    last = done.err.splitlines()[-1]
    assert re.fullmatch(r"run completed: 1 step in [\d.]+s, 19 tokens", last)


def test_the_json_has_the_words_for_both(bench: Bench) -> None:
    done = sdqctl("run", bench.write("work.conv", STORY), *RULES, "--format", "json")
    assert [(e["kind"], e["why"], e["rules"]) for e in done.json["denied"][2:]] == [
        ("write", "the rule write(*.lock) denies it", []),
        ("shell", "the program rm is not allowed", ["shell(rm:*)"]),
    ]
    assert "Go on without it" in done.json["denied"][3]["reason"]


def test_sessions_show_lists_refusals(bench: Bench) -> None:
    narrated(bench)
    lines = sdqctl("sessions", "show", "s").out.splitlines()
    start = lines.index("4 tool requests were refused:")
    secret = f"it lies outside the working directory {bench.project}"
    assert lines[start + 1] == f"  step 1: read ../secret: {secret}"
    assert lines[start + 2].startswith("  step 2: shell git push origin main --quite-a-long-option")
    assert lines[start + 2].endswith("--quite-a-long-option …: the program git is not allowed")
    assert lines[start + 3 :] == [
        "  step 2: write a.lock: the rule write(*.lock) denies it",
        "  step 2: shell rm work.conv: the program rm is not allowed",
        "  `sdqctl sessions show s --audit` lists all requests",
    ]


def test_a_batch_counts_refusals_for_each_and_in_all(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.write(f"parts/{name}", "")
    path = bench.write("w.conv", "PROMPT go [[tool: shell rm {{COMPONENT_NAME}}]]\n")
    done = sdqctl("apply", path, "--components", "parts/*", "--format", "json")
    assert done.code == 0
    assert [len(entry["denied"]) for entry in done.json] == [1, 1]
    lines = done.err.splitlines()
    assert sum(line.endswith(", 1 refused (--mode implement allows)") for line in lines) == 2
    assert lines[-2:] == [
        "2 refused (--mode implement allows) in all",
        "  to allow them: --allow-tool 'shell(rm:*)'",
    ]


def test_a_step_that_is_stopped_by_refusals_says_so_to_the_human(bench: Bench) -> None:
    told = bench.run("SESSION-NAME s\nPROMPT go " + "[[tool: shell rm a]] " * 5)
    assert told.done.code == 4
    error = json.loads(told.done.err.splitlines()[-1])["error"]["message"]
    assert "denied 5 times in a row: shell rm a: the program rm is not allowed" in error
    assert "Go on without it" not in error


@given(st.lists(st.text("ab/ü世", min_size=1, max_size=30), min_size=1), st.integers(4, 60))
def test_text_is_cut_between_words(words: list[str], width: int) -> None:
    text = " ".join(words)
    kept = between_words(text, width)
    if kept != text:
        first = kept.removesuffix(" …")
        assert first in (" ".join(words[: n + 1]) for n in range(len(words)))


def test_a_tool_that_the_mock_has_not_is_a_mistake_in_the_prompt(bench: Bench) -> None:
    told = bench.run("PROMPT a [[tool: bash ls]]\n")
    assert told.done.code == 2, told.done.err
    assert "[[tool: bash ls]]: the mock's tools are read, write, shell" in told.done.err
