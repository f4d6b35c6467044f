"""`sdqctl run -p`: prompts that are typed, with all that a workflow has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import sdqctl

ODD = "# Heading\n\n    indented\nEND0\nRUN rm -rf x\n$(touch pwned) `x` \"q\" 'q'\n"


def test_prompts_are_a_run_named_after_the_first_and_are_sent_as_they_are(bench: Bench) -> None:
    done = sdqctl("run", "-p", "What is this, here?", "-p", ODD, "--format", "json")
    assert done.code == 0
    assert done.json["session"]["name"] == "what-is-this-here"
    shown = sdqctl("sessions", "show", "what-is-this-here", "--format", "json").json
    assert [turn["prompt"].rstrip("\n") for turn in shown["turns"]] == [
        "What is this, here?",
        ODD.rstrip("\n"),
    ]
    assert not Path("pwned").exists()
    assert shown["runs"][0]["workflow"] == "prompts"
    assert done.err.splitlines()[0] == "2 prompts"


def test_the_same_prompt_again_is_another_session_and_names_may_be_given(bench: Bench) -> None:
    names = [sdqctl("run", "-p", "Hello", "--format", "json").json["session"]["name"]]
    names.append(sdqctl("run", "-p", "Hello", "--format", "json").json["session"]["name"])
    assert names == ["hello", "hello-2"]
    assert sdqctl("run", "-p", "Hello", "--session-name", "hello").code == 7
    assert sdqctl("run", "-p", "\u4f60\u597d", "--session-name", "greeting").code == 0


def test_a_prompt_that_failed_is_done_by_a_resume(bench: Bench) -> None:
    done = sdqctl("run", "-p", "Try [[fail: request x1]] it", "-p", "Then this")
    assert done.code == 4
    name = "try-fail-request-x1-it"
    assert f"sdqctl resume {name} --continue" in done.err
    assert sdqctl("resume", name, "--continue").code == 0
    run = sdqctl("sessions", "show", name, "--format", "json").json["runs"][0]
    assert (run["status"], run["steps_done"]) == ("completed", 2)


def test_a_prompt_comes_from_a_file_or_stdin(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "prompt.md"
    file.write_text("from a file\n")
    done = sdqctl("run", "-p", f"@{file}", "-p", "-", "-q", stdin="from stdin", cwd=tmp_path)
    assert done.code == 0
    shown = sdqctl("sessions", "show", "from-a-file", "--format", "json").json
    prompts = [turn["prompt"].strip() for turn in shown["turns"]]
    assert prompts == ["from a file", "from stdin"]


@pytest.mark.parametrize("arguments", [[], ["w.conv", "-p", "x"], ["-p", " "]])
def test_neither_both_and_an_empty_prompt_are_usage_errors(
    arguments: list[str], bench: Bench
) -> None:
    bench.write("w.conv", "PROMPT x\n")
    done = sdqctl("run", *arguments)
    assert (done.code, done.out) == (2, "")
