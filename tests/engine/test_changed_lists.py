"""Rounds of a FOR are known by their items: a list that was edited runs only what is new."""

from __future__ import annotations

import sqlite3

import pytest

from tests.bench import Bench, Told
from tests.command import sdqctl
from tests.sampling import each

KILLED = (-9, 137)
WORK = """\
FOR x IN {list}
  PROMPT a{{{{x}}}} [[reply: A{{{{x}}}}]]
  CAPTURE said
  PROMPT b{{{{x}}}}
  {here}
END
RUN test -e go
PROMPT all {{{{ said_all | join(",") }}}}
"""


def work(items: str, here: str = "CHECKPOINT") -> str:
    return WORK.format(list=items, here=here)


def sent(told: Told) -> list[str]:
    """The last lines of the prompts: before them stand the outputs of commands."""
    return [prompt.partition(" [[")[0].splitlines()[-1] for prompt in told.prompts]


def edited(bench: Bench, text: str, *flags: str, **environment: str) -> list[str]:
    """The prompts of going on with another text, to the end."""
    bench.write("go", "")
    bench.write("work.conv", text)
    return sent(bench.go_on(*flags, **environment))


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("before", "after", "new", "whole"),
    each(
        2,
        [
            ("[1, 2]", "[0, 1, 2]", ["a0", "b0"], "A0,A1,A2"),
            ("[1, 2, 3]", "[1, 3]", [], "A1,A3"),
            ("[1, 2, 3]", "[3, 1, 4, 2]", ["a4", "b4"], "A3,A1,A4,A2"),
            ("[1, 2, 1]", "[1, 1, 1, 2]", ["a1", "b1"], "A1,A1,A1,A2"),
            ("[1, 1]", "[2, 1]", ["a2", "b2"], "A2,A1"),
            ("[1, 2]", "[2, 1] MAX 1", [], "A2"),
            ("[1, 2]", "[3]", ["a3", "b3"], "A3"),
            ('[["x", {"i": 1, "j": 2}], 2]', '[2, ["x", {"j": 2, "i": 1}]]', [], None),
        ],
    ),
)
def test_a_changed_list_runs_only_what_is_new(
    before: str, after: str, new: list[str], whole: str | None, bench: Bench
) -> None:
    assert bench.run(work(before)).done.code == 4
    found = edited(bench, work(after))
    assert found[:-1] == new
    assert whole is None or found[-1] == f"all {whole}"


def test_a_half_done_round_goes_on_where_it_was(bench: Bench) -> None:
    here = "RUN test -e go-{{x}}"
    bench.write("go-1", "")
    assert bench.run(work("[1, 2, 3]", here)).done.code == 4
    bench.write("go-0", "")
    assert edited(bench, work("[0, 2, 1, 3]", here)) == ["a0", "b0"]
    for name in ("go-2", "go-3"):
        bench.write(name, "")
    assert sent(bench.go_on()) == ["a3", "b3", "all A0,A2,A1,A3"]


def test_each_step_stands_once_in_the_ledger(bench: Bench) -> None:
    bench.run(work("[1, 2, 3]"))
    edited(bench, work("[3, 0, 1]"))
    ledger = sqlite3.connect(bench.home / "sdqctl" / "ledger.db")
    query = "SELECT path, prompt FROM attempts WHERE superseded = {} AND kind = 'prompt'"
    rows = ledger.execute(query.format(0)).fetchall()
    live = sorted((path, text.splitlines()[-1][:2]) for path, text in rows)
    rounds = [("1[1].1", "a3"), ("1[1].2", "b3"), ("1[2].1", "a0"), ("1[2].2", "b0")]
    assert live == [*rounds, ("1[3].1", "a1"), ("1[3].2", "b1"), ("3", "al")]
    gone = [str(text)[:2] for _, text in ledger.execute(query.format(1))]
    assert gone == ["a2", "b2"]
    lists = "SELECT count(*) FROM attempts WHERE superseded = 0 AND path = '1'"
    assert ledger.execute(lists).fetchone() == (1,)
    ledger.close()


NESTED = """\
FOR x IN {outer}
  FOR y IN {inner}
    PROMPT {{{{x}}}}{{{{y}}}} [[reply: R{{{{x}}}}{{{{y}}}}]]
    CAPTURE said
  END
END
RUN test -e go
PROMPT all {{{{ said_all | join(",") }}}}
"""


@pytest.mark.each(3)
@pytest.mark.parametrize(
    ("outer", "inner", "new"),
    [
        ("[0, 1, 2]", "[7, 8]", ["07", "08"]),
        ("[1, 2]", "[6, 8, 7]", ["16", "26"]),
        ("[2, 3, 1]", "[8, 9]", ["29", "38", "39", "19"]),
    ],
)
def test_lists_in_lists_change_each(outer: str, inner: str, new: list[str], bench: Bench) -> None:
    assert bench.run(NESTED.format(outer="[1, 2]", inner="[7, 8]")).done.code == 4
    found = edited(bench, NESTED.format(outer=outer, inner=inner))
    assert found[:-1] == new
    xs, ys = outer.strip("[]").split(", "), inner.strip("[]").split(", ")
    assert found[-1] == "all " + ",".join(f"R{x}{y}" for x in xs for y in ys)


@pytest.mark.each(3)
@pytest.mark.parametrize(
    "point",
    each(
        2,
        [
            "ledger.plan.after:1",
            "ledger.begin.after:1",
            "ledger.finish.after:1",
            "ledger.rounds.before:1",
            "ledger.rounds.after:1",
            "ledger.finish.after:2",
        ],
    ),
)
def test_a_kill_while_a_list_is_decided_anew_repeats_no_round(point: str, bench: Bench) -> None:
    """Also when the list is edited once more before the run goes on."""
    first = bench.run(work("[1, 2, 3]"), SDQCTL_CRASH_AT="ledger.finish.after:5")
    assert first.done.code in KILLED
    assert sent(first) == ["a1", "b1", "a2"]
    bench.write("work.conv", work("[0, 2, 1]"))
    killed = bench.go_on(SDQCTL_CRASH_AT=point)
    assert killed.done.code in KILLED
    found = [*sent(killed), *edited(bench, work("[5, 0, 1, 2]"))]
    assert sorted(found[:-1]) == ["a0", "a5", "b0", "b2", "b5"]
    assert found[-1] == "all A5,A0,A1,A2"


def test_a_list_that_cannot_be_decided_loses_no_round(bench: Bench) -> None:
    assert bench.run(work("[1, 2]")).done.code == 4
    assert edited(bench, work("7")) == []
    assert edited(bench, work("[2, 1, 3]")) == ["a3", "b3", "all A2,A1,A3"]


@pytest.mark.each(3)
@pytest.mark.parametrize("after", ["", " PARALLEL 2", " PARALLEL 3"])
@pytest.mark.parametrize("before", ["", " PARALLEL 2"])
def test_a_called_run_goes_with_its_item(before: str, after: str, bench: Bench) -> None:
    """Also where the items go side by side from now on, or no longer do."""
    bench.write("each.conv", "INPUT x\nPROMPT do {{x}}\nRETURN x | upper\n")
    text = (
        "FOR x IN LIST\n  CALL each.conv WITH x={{x}} AS up\nEND\n"
        'RUN test -e go\nPROMPT all {{ up_all | join(",") }}\n'
    )
    assert bench.run(text.replace("LIST", '["a", "b"]' + before)).done.code == 4
    found = edited(bench, text.replace("LIST", '["c", "b", "a"]' + after))
    assert found == ["do c", "all C,B,A"]


def test_a_loop_is_known_by_its_steps(bench: Bench) -> None:
    """Not by its place: another one stands before it now, which has nothing of it."""
    assert bench.run(work("[1, 2]")).done.code == 4
    found = edited(bench, "FOR z IN [1]\n  PROMPT z{{z}}\nEND\n" + work("[2, 1]"))
    assert found == ["z1", "all A2,A1"]


def test_what_is_left_is_shown_before_the_list_is_decided(bench: Bench) -> None:
    assert bench.run(work("[1]")).done.code == 4
    bench.write("work.conv", work("[0, 1]"))
    shown = sdqctl("resume", "s", "--continue", "--dry-run", "--format", "json").json["steps"]
    states = [(one["path"], one["state"]) for one in shown]
    assert states[:3] == [("1", "changed"), ("1[1].1", "done"), ("1[1].2", "done")]
