"""A key in a prompt, in a command's output or in a tool's request is written down nowhere."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import forked

SECRET = 'an-0dd-"value'
WORKFLOW = f"""\
SESSION-NAME safe
EVENT-LOG events.jsonl
PROMPT use {SECRET} [[tool: shell curl {SECRET}]] [[reply: I used {SECRET}]]
RUN-ON-ERROR continue
RUN printenv SERVICE_TOKEN
RUN-ON-ERROR stop
RUN sh -c 'printenv SERVICE_TOKEN; exit 3'
"""


@pytest.fixture
def failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("SERVICE_TOKEN", SECRET)
    bench.write("safe.conv", WORKFLOW)
    return bench


@pytest.mark.parametrize("flags", [[], ["-v"], ["--show-prompts"]])
def test_neither_in_the_log_nor_on_disk(flags: list[str], failed: Bench) -> None:
    done = forked("run", failed.project / "safe.conv", *flags)
    assert done.code == 4
    assert "denied: shell curl [redacted]" in done.err
    assert "ended with exit status 3" in done.err
    assert SECRET not in done.err
    log = (failed.project / "events.jsonl").read_text()
    assert log.count("[redacted]") >= 4
    for text in (log, *dumped(failed.home / "sdqctl" / "ledger.db")):
        assert "0dd-" not in text


@pytest.mark.parametrize("output_format", ["md", "html", "json", "jsonl"])
def test_nor_in_an_export(output_format: str, failed: Bench) -> None:
    assert forked("run", failed.project / "safe.conv").code == 4
    done = forked("sessions", "export", "safe", "--format", output_format)
    assert done.code == 0
    assert "[redacted]" in done.out
    assert "0dd-" not in done.out


def dumped(file: Path) -> list[str]:
    with sqlite3.connect(file) as connection:
        return list(connection.iterdump())
