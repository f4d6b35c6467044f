"""A block whose line was edited decides anew, and repeats nothing of what is in it."""

from __future__ import annotations

import sqlite3

import pytest

from tests.bench import Bench
from tests.command import sdqctl
from tests.engine.test_changed_lists import KILLED, edited, sent

BRANCH = """\
INPUT k = a
PROMPT one
{line}
  PROMPT deploy
  RUN test -e go
ELSE
  PROMPT other
END
PROMPT last
"""
ROUNDS = """\
INPUT k = a
{line}
  RUN sh -c "echo r >> rounds; grep -c r rounds"
  CAPTURE n AS int
  PROMPT round {{{{n}}}}
END
RUN test -e go
PROMPT all {{{{ n_all | join(",") }}}}
"""


def live(bench: Bench) -> list[str]:
    """The paths of the steps that are part of the run, each attempt by itself."""
    ledger = sqlite3.connect(bench.home / "sdqctl" / "ledger.db")
    rows = ledger.execute("SELECT path FROM attempts WHERE superseded = 0 ORDER BY number")
    found = [str(path) for (path,) in rows]
    ledger.close()
    return found


MOVED = """\
INPUT k = a
PROMPT one
IF k == "b"
  PROMPT other
ELSE IF k == "a"
  PROMPT deploy
  RUN test -e go
END
PROMPT last
"""


@pytest.mark.each(3)
@pytest.mark.parametrize(
    "after",
    [
        BRANCH.format(line='IF k == "a" or k == "b"'),
        BRANCH.format(line='IF k == "z"\n  PROMPT z\nELSE IF k == "a"'),
        MOVED,
        "PROMPT new\n" + BRANCH.format(line='IF k != "b"').replace("PROMPT one\n", ""),
    ],
)
def test_a_branch_that_is_gone_into_again_repeats_nothing(after: str, bench: Bench) -> None:
    assert bench.run(BRANCH.format(line='IF k == "a"')).done.code == 4
    assert edited(bench, after) in (["last"], ["new", "last"])


def test_a_branch_that_is_not_gone_into_any_more_is_no_part_of_the_run(bench: Bench) -> None:
    first, other = BRANCH.format(line='IF k == "a"'), BRANCH.format(line='IF k == "b"')
    assert bench.run(first).done.code == 4
    bench.write("work.conv", other.replace("PROMPT last", "RUN test -e go\nPROMPT last"))
    assert sent(bench.go_on()) == ["other"]
    assert [path for path in live(bench) if path.startswith("2")] == ["2", "2.else.1"]
    assert edited(bench, first) == ["deploy", "last"]


@pytest.mark.each(2)
@pytest.mark.parametrize("lines", [("k", "k or 1"), ("1", "1"), ("k", "1")])
def test_blocks_are_known_by_what_is_in_them(lines: tuple[str, str], bench: Bench) -> None:
    """Not by their lines: a new block before them has the line that one of them had."""
    text = "INPUT k = a\nIF {}\n  PROMPT a\nEND\nIF {}\n  PROMPT b\nEND\n"
    assert bench.run(text.format(1, "k") + "RUN test -e go\n").done.code == 4
    new = "IF 1\n  PROMPT new\nEND\n"
    assert edited(bench, new + text.format(*lines) + "RUN test -e go\n") == ["new"]


@pytest.mark.each(3)
@pytest.mark.each(3)
@pytest.mark.parametrize(
    "point",
    [
        "ledger.plan.after:1",
        "ledger.begin.after:1",
        "ledger.finish.after:1",
        "ledger.rounds.before:1",
        "ledger.rounds.after:1",
    ],
)
def test_a_kill_while_a_branch_is_decided_anew_repeats_nothing(point: str, bench: Bench) -> None:
    """Also when the line is edited back before the run goes on."""
    first = BRANCH.format(line='IF k == "a"')
    assert bench.run(first).done.code == 4
    bench.write("work.conv", BRANCH.format(line='IF k == "b"'))
    killed = bench.go_on(SDQCTL_CRASH_AT=point)
    assert killed.done.code in KILLED
    gone = point.startswith("ledger.rounds.after")
    assert edited(bench, first) == (["deploy", "last"] if gone else ["last"])
    paths = live(bench)
    again = 0 if gone else 1  # the RUN that failed
    assert len(paths) == len({*paths}) + again


@pytest.mark.each(3)
@pytest.mark.each(3)
@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ("REPEAT MAX 2 UNTIL n == 4", "REPEAT MAX 6 UNTIL n == 4", ["round 3", "round 4"]),
        ("REPEAT MAX 3 UNTIL n == 9", "REPEAT MAX 3 UNTIL n == 2 or n == 3", []),
        ("REPEAT MAX 3 UNTIL n == 9", "REPEAT MAX 4 UNTIL n == 2", ["round 4"]),
        ("REPEAT MAX 3 UNTIL n == 3", "REPEAT MAX 4 UNTIL n >= 4", ["round 4"]),
        ("REPEAT MAX 3 UNTIL n == 9", "REPEAT MAX 1 UNTIL n == 3", []),
        ("REPEAT MAX 2", "REPEAT MAX 4 UNTIL n == 1 or n == 3", ["round 3"]),
        ("REPEAT MAX 3 UNTIL n == 9", "REPEAT MAX 4", ["round 4"]),
    ],
)
def test_rounds_that_are_done_stay(before: str, after: str, new: list[str], bench: Bench) -> None:
    """The condition is looked at after the last of them, and not after those before."""
    assert bench.run(ROUNDS.format(line=before)).done.code == 4
    found = edited(bench, ROUNDS.format(line=after))
    if after != "REPEAT MAX 4 UNTIL n == 2":
        count = len(new) + int(before.split()[2])
        assert found.pop() == "all " + ",".join(str(n + 1) for n in range(count))
    assert found == new


def test_a_round_that_had_begun_is_done_to_its_end_whatever_max_says(bench: Bench) -> None:
    text = ROUNDS.replace("PROMPT round", "RUN test -e go-{{{{n}}}}\n  PROMPT round")
    bench.write("go-1", "")
    assert bench.run(text.format(line="REPEAT MAX 5")).done.code == 4
    bench.write("go-2", "")
    assert edited(bench, text.format(line="REPEAT MAX 1")) == ["round 2", "all 1,2"]


def test_what_is_left_is_said_and_shown_before_a_block_decides_anew(bench: Bench) -> None:
    assert bench.run(ROUNDS.format(line="REPEAT MAX 2 UNTIL n == 3")).done.code == 4
    bench.write("work.conv", ROUNDS.format(line="REPEAT MAX 6 UNTIL n == 3"))
    shown = sdqctl("resume", "s", "--continue", "--dry-run", "--format", "json").json["steps"]
    states = {one["path"]: one["state"] for one in shown}
    assert states == {
        "1": "changed",
        **dict.fromkeys(("1[1].1", "1[1].2", "1[2].1", "1[2].2"), "done"),
        **dict.fromkeys(("1[3].1", "1[3].2", "2", "3"), "to run"),
    }
    done = sdqctl("resume", "s", "--continue")
    assert "6 done, 1 changed, 5 to run" in done.err


def test_a_branch_that_is_not_gone_into_is_not_shown(bench: Bench) -> None:
    text = (
        "INPUT k = a\nIF k == {}\n  PROMPT no\nEND\nFOR x IN []\n  PROMPT x\nEND\nRUN test -e go\n"
    )
    assert bench.run(text.replace("{}", '"b"')).done.code == 4
    shown = sdqctl("resume", "s", "--continue", "--dry-run", "--format", "json").json["steps"]
    assert [one["path"] for one in shown] == ["1", "2", "3"]


def test_blocks_in_blocks_are_edited_each(bench: Bench) -> None:
    text = """\
FOR x IN {items}
  IF x {than} 0
    REPEAT MAX {most} UNTIL n == 9
      RUN sh -c "echo r >> rounds{{{{x}}}}; grep -c r rounds{{{{x}}}}"
      CAPTURE n AS int
      PROMPT {{{{x}}}}-{{{{n}}}}
    END
  END
END
"""
    assert bench.run(text.format(items="[1, 2]", than=">", most=2)).done.code == 4
    found = bench.write("work.conv", text.format(items="[2, 1]", than=">=", most=3))
    assert found.exists()
    assert sent(bench.go_on()) == ["2-1", "2-2", "2-3"]
    bench.write("work.conv", text.format(items="[1]", than="!=", most=4))
    assert sent(bench.go_on()) == ["1-3", "1-4"]
