"""A workflow as a step: a run of its own, which goes on where it was, and is done once."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.command import sdqctl
from tests.sampling import each

PART = "INPUT n int = 1\nPROMPT part {{n}} [[reply: said]]\nRETURN [n, 2 * n]\n"
TWO = """\
PROMPT one [[tool: shell echo 1 >> effects]] [[reply: A]]
PROMPT two [[tool: shell echo 2 >> effects]] [[reply: B]]
"""


def listed(*flags: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sdqctl("sessions", "list", "--format", "json", *flags).json
    return found


def effects(bench: Bench) -> list[str]:
    path = bench.project / "effects"
    return path.read_text().split() if path.exists() else []


def test_what_a_workflow_returns_is_a_value_of_its_caller(bench: Bench) -> None:
    bench.write("part.conv", PART)
    told = bench.run("CALL part.conv WITH n=4 AS pair\nPROMPT {{ pair[1] + 1 }} [[reply: C]]\n")
    assert told.done.code == 0, told.done.err
    assert [p.split(" [[")[0] for p in told.prompts] == ["part 4", "9"]


def test_without_return_it_is_the_last_answer(bench: Bench) -> None:
    bench.write("part.conv", "PROMPT a [[reply: first]]\nPROMPT b [[reply: last words]]\n")
    told = bench.run("CALL part.conv\nCAPTURE text\nPROMPT <{{ text }}> [[reply: C]]\n")
    assert told.prompts[-1].startswith("<last words>"), told.done.err


def test_values_keep_their_types_and_stay_values(bench: Bench) -> None:
    bench.write("part.conv", "INPUT x json\nINPUT t text\nRETURN [x, t, x | length]\n")
    hostile = "{{ DATE }} $(touch hit)\nPROMPT no"
    bench.write("in.json", json.dumps({"x": [1, "two", {"a": None}], "t": hostile}))
    told = bench.run(
        "INPUT x json\nINPUT t text\nCALL part.conv WITH x={{ x }} t='{{ t }}' AS all\n"
        "PROMPT {{ all[0] == x and all[1] == t and all[2] == 3 }} [[reply: C]]\n",
        "--inputs",
        str(bench.project / "in.json"),
    )
    assert told.prompts[-1].startswith("true"), (told.prompts, told.done.err)


def test_it_runs_in_a_session_of_its_own_named_after_its_caller(bench: Bench) -> None:
    bench.write("part.conv", PART)
    bench.run("PROMPT mine [[reply: A]]\nCALL part.conv\nCALL part.conv WITH n=2\n")
    assert {s["name"] for s in listed("--children")} == {"s", "s/part", "s/part-2"}
    assert "part 1" not in bench.journal()


def test_in_same_it_goes_on_in_the_conversation_of_its_caller(bench: Bench) -> None:
    bench.write("part.conv", PART)
    told = bench.run("PROMPT mine [[reply: A]]\nCALL part.conv IN same\nPROMPT end [[reply: Z]]\n")
    assert told.done.code == 0, told.done.err
    assert [s["name"] for s in listed("--children")] == ["s"]
    assert listed()[0]["run"]["workflow"] == "work"
    assert listed()[0]["turns"] == 3


def test_it_is_held_to_a_mode_that_has_a_sandbox_as_its_caller_is(bench: Bench) -> None:
    bench.write("part.conv", "MODE full\nPROMPT x [[reply: A]]\n")
    told = bench.run("MODE implement\nCALL part.conv\n")
    assert told.done.code == 0, told.done.err
    warned = [event["message"] for event in told.of("warning")]
    assert any("MODE full is held to what its caller may do" in each for each in warned)


@pytest.mark.parametrize(("mode", "writes"), [("audit", False), ("implement", True)])
def test_it_may_do_nothing_that_its_caller_may_not(mode: str, writes: bool, bench: Bench) -> None:
    bench.write("part.conv", "MODE implement\nPROMPT [[tool: write new.txt text]] [[reply: A]]\n")
    told = bench.run(f"MODE {mode}\nCALL part.conv\n")
    assert told.done.code == 0, told.done.err
    assert (bench.project / "new.txt").exists() is writes


def test_a_run_that_failed_inside_goes_on_inside(bench: Bench) -> None:
    bench.write("part.conv", f"{TWO}RUN test -e there\nPROMPT three [[reply: C]]\n")
    text = "MODE implement\nCALL part.conv AS x\nPROMPT got {{ x }} [[reply: D]]\n"
    told = bench.run(text)
    assert told.done.code == 4
    assert "part.conv: step 3" in told.done.err
    assert effects(bench) == ["1", "2"]
    bench.write("there", "")
    on = bench.go_on()
    assert on.done.code == 0, on.done.err
    assert [p.split(" [[")[0] for p in on.prompts] == ["$ test -e there\n\nthree", "got C"]
    assert effects(bench) == ["1", "2"]
    assert len(listed("--children")) == 2


def test_a_pause_inside_pauses_the_whole_and_is_passed_once_it_was_shown(bench: Bench) -> None:
    bench.write("part.conv", "PROMPT a [[reply: A]]\nPAUSE look\nPROMPT b [[reply: B]]\n")
    told = bench.run("CALL part.conv\nPROMPT c [[reply: C]]\n")
    assert told.done.code == 8
    assert {s["status"] for s in listed("--children")} == {"paused"}
    on = bench.go_on()
    assert on.done.code == 0, on.done.err
    assert [p[0] for p in on.prompts] == ["b", "c"]


def test_a_question_inside_is_the_question_of_the_whole(bench: Bench) -> None:
    bench.write("part.conv", 'ASK really "Do it?" choice(yes|no)\nRETURN really\n')
    told = bench.run("CALL part.conv AS word\nPROMPT {{ word }} [[reply: C]]\n")
    assert told.done.code == 8
    gate = told.of("result")[0]["run"]["gate"]
    assert gate["question"] == "Do it?"
    wrong = bench.resume("--answer", "maybe")
    assert wrong.done.code == 2
    on = bench.resume("--answer", "yes")
    assert on.done.code == 0, on.done.err
    assert on.prompts[0].startswith("yes")


def test_an_edited_caller_finds_its_calls_again(bench: Bench) -> None:
    bench.write("part.conv", TWO)
    bench.run("MODE implement\nCALL part.conv\nRUN test -e there\n")
    bench.write("there", "")
    bench.write("work.conv", "MODE implement\nPROMPT new [[reply: N]]\nCALL part.conv\nRUN true\n")
    on = bench.go_on()
    assert on.done.code == 0, on.done.err
    assert [p.split(" [[")[0] for p in on.prompts] == ["new"]
    assert effects(bench) == ["1", "2"]


def test_from_calls_anew(bench: Bench) -> None:
    bench.write("part.conv", TWO)
    bench.run("MODE implement\nCALL part.conv\nRUN test -e there\n")
    bench.write("there", "")
    assert bench.go_on("--from", "1").done.code == 0
    assert effects(bench) == ["1", "2", "1", "2"]


def test_what_belongs_to_a_run_is_gone_on_with_there(bench: Bench) -> None:
    bench.write("part.conv", "PROMPT a [[reply: A]]\nPAUSE look\n")
    bench.run("CALL part.conv\n")
    done = sdqctl("resume", "s/part", "--continue")
    assert done.code == 2
    assert "belongs to the run of session 's'" in done.err


MISTAKES = [
    ("CALL no.conv\n", "1:6", "CALL: there is no file"),
    ("CALL prat.conv\n", "1:6", "did you mean part.conv?"),
    ("CALL work.conv\n", "1:6", "in a circle: work.conv -> work.conv"),
    ("CALL round.conv\n", "1:6", "in a circle: work.conv -> round.conv -> work.conv"),
    ("CALL part.conv WITH m=1\n", "1:21", "there is no input m"),
    ("CALL part.conv WITH n=many\n", "1:21", "n: 'many' is not a whole number"),
    ("CALL part.conv WITH n=1 n=2\n", "1:6", "n is given twice"),
    ("CALL part.conv WITH n={{ m }}\n", "1:26", "there is no value m"),
    ("CALL needs.conv\n", "1:6", "it is not given what (text)"),
    ("CALL part.conv IN here\n", "1:6", "write CALL FILE"),
    ("CALL other.conv IN same\n", "1:20", "its ADAPTER cannot be had"),
    ("CALL wide.conv\n", "1:6", "ALLOW-DIR /etc: its caller may not use that"),
    ("CALL ../outside.conv\n", "1:6", "leads outside the allowed folders"),
    ("CALL part.conv AS Big\n", "1:6", "'Big' is not a name"),
    ("CALL bad.conv\n", "1:1", "unknown directive"),
    ("CALL alien.conv\n", "1:9", "unknown adapter 'alien'"),
]


@pytest.mark.each(2)
@pytest.mark.parametrize(("text", "place", "words"), MISTAKES)
def test_mistakes_are_found_before_anything_starts(
    text: str, place: str, words: str, bench: Bench
) -> None:
    bench.write("part.conv", PART)
    bench.write("round.conv", "CALL work.conv\n")
    bench.write("needs.conv", "INPUT what\nPROMPT {{ what }}\n")
    bench.write("other.conv", "ADAPTER copilot\nPROMPT a\n")
    bench.write("wide.conv", "ALLOW-DIR /etc\nPROMPT a\n")
    bench.write("bad.conv", "PRMPT a\n")
    bench.write("alien.conv", "ADAPTER alien\nPROMPT a\n")
    (bench.project.parent / "outside.conv").write_text("PROMPT a\n")
    path = bench.write("work.conv", f"{text}PROMPT a [[reply: A]]\n")
    commands: list[tuple[str | Path, ...]] = [
        ("validate", path),
        ("run", path, "--session-name", "s"),
        ("run", path, "--session-name", "s", "--dry-run"),
        ("apply", path, "--components", "*.conv"),
    ]
    for command in commands:
        done = (
            sdqctl(*command, "--cwd", bench.project)
            if command[0] != "validate"
            else sdqctl(*command)
        )
        assert done.code == 3, (command, done.err)
        told = done.out + done.err
        assert f":{place}: " in told, (command, told)
        assert words in told, (command, told)
    assert listed("--children") == []


def test_nine_levels_are_too_deep(bench: Bench) -> None:
    for number in range(9):
        bench.write(f"d{number}.conv", f"CALL d{number + 1}.conv\n")
    bench.write("d9.conv", "PROMPT a [[reply: A]]\n")
    done = sdqctl("validate", bench.project / "d0.conv")
    assert done.code == 3
    assert "more than 8 deep" in done.out
    assert sdqctl("validate", bench.project / "d1.conv").code == 0


@pytest.mark.thorough
def test_the_deepest_blocks_run_through_the_longest_chain(bench: Bench) -> None:
    for number in range(9):
        inner = f"CALL d{number + 1}.conv AS x" if number < 8 else "RUN true"
        lines = ["INPUT n int = 1", *["IF n"] * 16, inner, *["END"] * 16, "RETURN n", ""]
        bench.write(f"d{number}.conv", "\n".join(lines))
    done = sdqctl("run", bench.project / "d0.conv", "--session-name", "s")
    assert done.code == 0, done.err
    (found,) = listed()
    assert found["status"] == "completed"


def test_render_and_dry_run_show_what_is_called(bench: Bench) -> None:
    bench.write("part.conv", PART)
    path = bench.write("work.conv", "INPUT k int\nPROMPT a\nCALL part.conv WITH n={{ k + 1 }}\n")
    shown = sdqctl("render", path, "--set", "k=6")
    assert "--- part.conv: step 1/2 prompt" in shown.out
    assert "part 7" in shown.out
    views = sdqctl("render", path, "--set", "k=6", "--format", "json").json
    assert [(v["path"], v["calls"]) for v in views] == [
        ("1", []),
        ("2", []),
        ("1", ["2"]),
        ("2", ["2"]),
    ]
    dry = sdqctl("run", path, "--set", "k=6", "--dry-run", "--format", "json", "-a", "mock").json
    assert [(s["kind"], s["calls"]) for s in dry["steps"]] == [
        ("prompt", []),
        ("call", []),
        ("prompt", ["2"]),
        ("return", ["2"]),
    ]


def test_a_list_folds_what_is_called_and_show_draws_the_tree(bench: Bench) -> None:
    bench.write("leaf.conv", "PROMPT leaf [[reply: L]]\n")
    bench.write("part.conv", "PROMPT part [[reply: P]]\nCALL leaf.conv\n")
    assert bench.run("CALL part.conv\nPROMPT a [[reply: A]]\n").done.code == 0
    assert [(s["name"], s["children"]) for s in listed()] == [("s", 2)]
    parents = {s["name"]: s["parent"] is not None for s in listed("--children")}
    assert parents == {"s": False, "s/part": True, "s/part/leaf": True}
    text = sdqctl("sessions", "show", "s").out
    assert "part, completed, 2 of 2 steps done, session s/part\n" in text
    assert "leaf, completed, 1 of 1 steps done, session s/part/leaf\n" in text
    run = sdqctl("sessions", "show", "s", "--format", "json").json["runs"][0]
    part, leaf = run["called"]
    assert (part["session"]["name"], part["parent"], part["path"]) == ("s/part", run["id"], "1")
    assert (leaf["workflow"], leaf["parent"], leaf["path"]) == ("leaf", part["id"], "2")


def test_a_tree_is_deleted_and_restored_together(bench: Bench) -> None:
    bench.write("leaf.conv", "PROMPT leaf [[reply: L]]\n")
    bench.write("part.conv", f"MODE implement\n{TWO}CALL leaf.conv\n")
    bench.run("MODE implement\nCALL part.conv\nRUN test -e there\n")
    part = sdqctl("sessions", "delete", "s/part", "--force")
    assert part.code == 2
    assert "belongs to session 's'" in part.err
    assert sdqctl("sessions", "delete", "s", "--force").code == 0
    assert listed("--children") == []
    assert sdqctl("sessions", "restore", "s").code == 0
    assert len(listed("--children")) == 3
    bench.write("there", "")
    on = bench.go_on()
    assert on.done.code == 0, on.done.err
    assert effects(bench) == ["1", "2"]


def test_cleanup_spares_a_tree_of_which_a_part_is_kept(bench: Bench) -> None:
    bench.write("part.conv", PART)
    bench.run("CALL part.conv\n")
    sdqctl("sessions", "keep", "s/part")
    assert sdqctl("sessions", "cleanup", "--older-than", "0s", "--force").code == 0
    assert len(listed("--children")) == 2


EACH = """\
MODE implement
INPUT x
RUN test ! -e bad-{{x}}
PROMPT do {{x}} [[tool: shell echo {{x}} >> effects]] [[reply: R]]
RETURN x | upper
"""
SIDE_BY_SIDE = """\
MODE implement
INPUT xs json = ["a", "b", "c", "d", "b"]
FOR x IN xs PARALLEL 3
  CALL each.conv WITH x={{x}} AS up
END
PROMPT all {{ up_all | join(",") }} [[reply: Z]]
"""


@pytest.mark.thorough
def test_items_go_side_by_side_and_their_values_stand_in_order(bench: Bench) -> None:
    bench.write("each.conv", EACH)
    told = bench.run(SIDE_BY_SIDE)
    assert told.done.code == 0, told.done.err
    assert told.prompts[-1].startswith("all A,B,C,D,B")
    assert sorted(effects(bench)) == [*"abbcd"]
    assert len(listed("--children")) == 6


def test_a_failed_item_stops_no_other_and_alone_is_left(bench: Bench) -> None:
    bench.write("each.conv", EACH)
    bad = bench.write("bad-c", "")
    told = bench.run(SIDE_BY_SIDE)
    assert told.done.code == 4
    assert "1 of 5 items failed" in told.done.err
    assert "c: each.conv: step 1" in told.done.err
    bad.unlink()
    on = bench.go_on()
    assert on.done.code == 0, on.done.err
    assert [p.split(" [[")[0].split()[-2:] for p in on.prompts] == [
        ["do", "c"],
        ["all", "A,B,C,D,B"],
    ]
    assert sorted(effects(bench)) == [*"abbcd"]


@pytest.mark.each(3)
@pytest.mark.parametrize(
    ("parallel", "number", "point"),
    each(
        4,
        itertools.product(
            [1, 3], [4, 9, 13], ["ledger.begin.after", "ledger.finish.after", "ledger.run.after"]
        ),
    ),
)
def test_a_kill_between_items_loses_and_repeats_none(
    point: str, number: int, parallel: int, bench: Bench
) -> None:
    """What the tools of other items were at when it was killed may be done again, as ever."""
    bench.write("each.conv", EACH.replace("RUN test ! -e bad-{{x}}\n", ""))
    story = re.sub(r"PARALLEL \d+", f"PARALLEL {parallel}", SIDE_BY_SIDE)
    killed = bench.run(story, SDQCTL_CRASH_AT=f"{point}:{number}")
    assert killed.done.code in (-9, 137), killed.done.err
    on = bench.go_on()
    assert on.done.code == 0, on.done.err
    wanted, found = Counter("abbcd"), Counter(effects(bench))
    assert not wanted - found
    assert (found - wanted).total() < parallel
    assert any("all A,B,C,D,B" in p for p in on.prompts), on.prompts


@pytest.mark.thorough
def test_an_edited_list_does_only_what_is_new(bench: Bench) -> None:
    """Equal items are done as often as they stand there, and keep what each of them gave."""
    answer = "[[json: 1 x1]] [[json: 2 x1]] [[json: 3 x1]]"
    bench.write(
        "each.conv",
        f"MODE implement\nINPUT x\nRUN test ! -e bad-{{{{x}}}}\nPROMPT {{{{x}}}} {answer} "
        "[[tool: shell echo {{x}} >> effects]]\nCAPTURE n AS json\nRETURN [x, n]\n",
    )
    bad = bench.write("bad-c", "")
    work = """\
MODE implement
FOR x IN {list} PARALLEL 1
  CALL each.conv WITH x={{{{x}}}} AS one
END
PROMPT all {{{{ one_all }}}} [[reply: Z]]
"""
    told = bench.run(work.format(list='["a", "b", "c", "b"]'))
    assert told.done.code == 4
    assert sorted(effects(bench)) == [*"abb"]
    bad.unlink()
    bench.write("work.conv", work.format(list='["b", "c", "d", "b", "b"]'))
    on = bench.go_on()
    assert on.done.code == 0, on.done.err
    assert sorted(effects(bench)) == [*"abbbcd"]
    values = json.loads(on.prompts[-1].removeprefix("all ").split(" [[reply")[0])
    assert values[:4] == [["b", 1], ["c", 1], ["d", 1], ["b", 1]]
    assert values[4][0] == "b"


@pytest.mark.thorough
def test_an_item_that_was_left_over_is_known_again_among_its_equals(bench: Bench) -> None:
    check = "ALLOW-SHELL\nRUN test ! -e bad || test ! -s effects"
    bench.write("each.conv", EACH.replace("RUN test ! -e bad-{{x}}", check))
    work = """\
MODE implement
FOR x IN {list} PARALLEL 1
  CALL each.conv WITH x={{{{x}}}}
END
RUN test -e there
"""
    bad = bench.write("bad", "")
    assert "1 of 2 items failed" in bench.run(work.format(list='["b", "b"]')).done.err
    bad.unlink()
    assert "step 2" in bench.go_on().done.err
    bench.write("there", "")
    bench.write("work.conv", work.format(list='["b", "b", "e"]'))
    assert bench.go_on().done.code == 0
    assert effects(bench) == ["b", "b", "e"]


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("caller", "part", "code", "words"),
    [
        ("CALL part.conv\n", "CONTEXT @no.md\nPROMPT a\n", 3, "part.conv:1:9: @no.md"),
        ("CALL part.conv\n", "REFCAT @no.md\nPROMPT a\n", 3, "part.conv:1:8: @no.md"),
        ("CALL over.conv\n", "CONTEXT @no.md\nPROMPT a\n", 3, "part.conv:1:9: @no.md"),
        ("CALL part.conv\n", "PROMPT a\nREFCAT @no.md\nPROMPT b\n", 3, "part.conv:2:8"),
        ("RUN touch no.md\nCALL part.conv\n", "CONTEXT @no.md\nPROMPT a\n", 0, ""),
        ("CALL make.conv\nCALL part.conv\n", "CONTEXT @no.md\nPROMPT a\n", 0, ""),
    ],
)
def test_a_file_that_a_called_workflow_misses_is_found_before_anything_starts(
    caller: str, part: str, code: int, words: str, bench: Bench
) -> None:
    """But for one that a step before it may make."""
    bench.write("part.conv", part)
    bench.write("over.conv", "CALL part.conv\n")
    bench.write("make.conv", "RUN touch no.md\n")
    told = bench.run(f"{caller}PROMPT end [[reply: E]]\n")
    assert told.done.code == code, told.done.err
    assert words in told.done.err
    assert (listed() == []) is (code == 3)
