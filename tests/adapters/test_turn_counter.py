"""Counting the turns of a journal that grows: what was counted is not read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdqctl.adapters.journal import TurnCounter, read_turns


def event(number: int, kind: str = "user.message") -> bytes:
    data = {"content": f"prompt {number}", "messageId": f"m{number}"}
    return json.dumps({"type": kind, "id": f"e{number}", "data": data}).encode() + b"\n"


def bytes_read() -> int:
    """By this process so far, as the kernel counts them (proc(5), io)."""
    line = next(row for row in Path("/proc/self/io").read_text().splitlines() if "rchar" in row)
    return int(line.split()[1])


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(map(event, range(5))) + event(5, "assistant.turn_end"))
    return path


def test_a_journal_that_is_not_there_has_no_turns(tmp_path: Path) -> None:
    assert TurnCounter(tmp_path / "none").count() == 0


def test_turns_that_come_are_counted(journal: Path) -> None:
    counter = TurnCounter(journal)
    assert counter.count() == 5
    for number in range(10, 20):
        with journal.open("ab") as stream:
            stream.write(event(number))
        assert counter.count() == len(list(read_turns(journal)))


def test_a_torn_line_counts_once_it_is_whole(journal: Path) -> None:
    counter = TurnCounter(journal)
    line = event(6)
    with journal.open("ab") as stream:
        stream.write(line[:20])
        stream.flush()
        assert counter.count() == 5
        stream.write(line[20:])
    assert counter.count() == 6


@pytest.mark.parametrize("more", [0, 1, 9])
def test_a_journal_that_was_cut_and_grew_again_is_counted_anew(journal: Path, more: int) -> None:
    counter = TurnCounter(journal)
    counter.count()
    journal.write_bytes(event(0) + b"".join(event(100 + number) for number in range(more)))
    assert counter.count() == 1 + more


def test_what_was_counted_is_not_read_again(journal: Path) -> None:
    with journal.open("ab") as stream:
        stream.writelines(map(event, range(100, 20_000)))
    counter = TurnCounter(journal)
    counter.count()
    with journal.open("ab") as stream:
        stream.write(event(30_000))
    before = bytes_read()
    assert counter.count() == 5 + 19_900 + 1
    assert bytes_read() - before < 20_000 < journal.stat().st_size / 50
