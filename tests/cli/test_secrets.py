"""A key in a prompt, in a command's output or in a tool's request is written down nowhere."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import sdqctl

PASSWORD = "hunter2" * 2
SECRET = 'an-0ddly-"value'
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


@pytest.mark.each(3)
@pytest.mark.parametrize("flags", [[], ["-v"], ["--show-prompts"]])
def test_neither_in_the_log_nor_on_disk(flags: list[str], failed: Bench) -> None:
    done = sdqctl("run", failed.project / "safe.conv", *flags)
    assert done.code == 4
    assert "denied: shell curl [redacted]" in done.err
    assert "exit status 3" in done.err
    assert SECRET not in done.err
    log = (failed.project / "events.jsonl").read_text()
    assert log.count("[redacted]") >= 4
    for text in (log, *dumped(failed.home / "sdqctl" / "ledger.db")):
        assert "0ddly-" not in text


@pytest.mark.each(2)
@pytest.mark.parametrize("output_format", ["md", "html", "json", "jsonl"])
def test_nor_in_an_export(output_format: str, failed: Bench) -> None:
    assert sdqctl("run", failed.project / "safe.conv").code == 4
    done = sdqctl("sessions", "export", "safe", "--format", output_format)
    assert done.code == 0
    assert "[redacted]" in done.out
    assert "0ddly-" not in done.out


@pytest.mark.each(2)
@pytest.mark.parametrize(
    "flags", [["--transcript"], ["--format", "json"], []], ids=["transcript", "json", "text"]
)
def test_nor_in_what_is_shown_of_the_journal(flags: list[str], failed: Bench) -> None:
    assert sdqctl("run", failed.project / "safe.conv").code == 4
    done = sdqctl("sessions", "show", "safe", *flags)
    assert done.code == 0
    assert "[redacted]" in done.out
    assert "0ddly-" not in done.out + done.err


def test_nor_in_the_summary_of_a_list(bench: Bench) -> None:
    bench.run("PROMPT x\n")
    file = bench.home / "sdqctl" / "mock" / "s" / "session.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": "use password=" + PASSWORD}))
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert listed[0]["summary"] == "use password=[redacted]"


def test_a_bundle_is_without_secrets_and_its_run_goes_on(bench: Bench, tmp_path: Path) -> None:
    bench.run(
        f"PROMPT a\nPROMPT try password={PASSWORD} [[reply: B]]\nPAUSE\nPROMPT c [[reply: C]]\n"
    )
    file = tmp_path / "s.sdqctl"
    done = sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file)
    assert done.code == 0
    assert "--with-secrets" in done.err
    assert PASSWORD not in unpacked(file)
    assert "try password=[redacted]" in unpacked(file)
    assert sdqctl("sessions", "import", file, "--name", "copy").code == 0
    assert PASSWORD not in sdqctl("sessions", "show", "copy", "--transcript").out
    assert sdqctl("resume", "copy", "--continue").out == "C\n"


def test_a_journal_without_secrets_is_carried_to_the_byte(bench: Bench, tmp_path: Path) -> None:
    bench.run("PROMPT a [[reply: ü \\u2028 \\ud800]]\n")
    file = tmp_path / "s.sdqctl"
    assert sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file).err.count("\n") == 1
    with zipfile.ZipFile(file) as archive:
        assert archive.read("session/events.jsonl").decode() == bench.journal()


def test_a_bundle_with_secrets_is_whole_and_so_is_the_trash(bench: Bench, tmp_path: Path) -> None:
    bench.run(f"PROMPT try password={PASSWORD}\n")
    before = bench.journal()
    file = tmp_path / "s.sdqctl"
    flags = ("--with-secrets", "-o", file)
    assert sdqctl("sessions", "export", "s", "--format", "bundle", *flags).code == 0
    assert PASSWORD in unpacked(file)
    assert sdqctl("sessions", "export", "s", "--format", "json", *flags).code == 2
    assert sdqctl("sessions", "delete", "s", "--force").code == 0
    assert sdqctl("sessions", "restore", "s").code == 0
    assert bench.journal() == before


def test_a_file_that_is_no_text_and_has_a_secret_is_left_out(bench: Bench, tmp_path: Path) -> None:
    bench.run("PROMPT x\n")
    folder = bench.home / "sdqctl" / "mock" / "s"
    (folder / "data.bin").write_bytes(b"\xff\x00password=" + PASSWORD.encode() + b"\x00")
    (folder / "clean.bin").write_bytes(b"\xff\x00\x01")
    (folder / "notes.txt").write_text(f"password={PASSWORD}\n")
    (folder / "torn.jsonl").write_bytes(b'{"a": "password=' + PASSWORD.encode() + b" \xff")
    file = tmp_path / "s.sdqctl"
    done = sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file)
    assert "data.bin is left out" in done.err
    with zipfile.ZipFile(file) as archive:
        assert "session/data.bin" not in archive.namelist()
        assert archive.read("session/clean.bin") == b"\xff\x00\x01"
        assert archive.read("session/notes.txt") == b"password=[redacted]\n"
        assert archive.read("session/torn.jsonl") == b'{"a": "password=[redacted] \xff'


def test_a_prompt_that_was_cut_off_is_found_again_after_a_redacted_import(
    bench: Bench, tmp_path: Path
) -> None:
    told = bench.run(
        f"PROMPT try password={PASSWORD} [[tool: write x 1]] [[reply: B]]\n",
        "--mode", "implement", SDQCTL_CRASH_AT="mock.tool.after:1",
    )  # fmt: skip
    assert told.done.code == -9
    file = tmp_path / "s.sdqctl"
    assert sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file).code == 0
    assert sdqctl("sessions", "import", file, "--name", "copy").code == 0
    done = sdqctl("resume", "copy", "--continue")
    assert "the agent is asked to finish it" in done.err, done.err


def test_no_session_is_named_by_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", PASSWORD)
    path = bench.write("work.conv", "ADAPTER mock\nPROMPT x\n")
    named = bench.write("named.conv", f"ADAPTER mock\nSESSION-NAME of-{PASSWORD}\nPROMPT x\n")
    assert sdqctl("run", path, "--session-name", "good").code == 0
    assert sdqctl("sessions", "export", "good", "-o", "good.sdqctl").code == 0
    for command in (
        ("run", path, "--session-name", f"of-{PASSWORD}"),
        ("run", named),
        ("sessions", "rename", "good", f"of-{PASSWORD}"),
        ("sessions", "fork", "good", f"of-{PASSWORD}"),
        ("sessions", "import", "good.sdqctl", "--name", f"of-{PASSWORD}"),
    ):
        refused = sdqctl(*command)
        assert refused.code == 2, refused.err
        assert "the session's name holds what looks like a secret" in refused.err
    (listed,) = sdqctl("sessions", "list", "--format", "json").json
    assert listed["name"] == "good"


def test_a_hint_does_not_show_a_part_of_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", f"{PASSWORD}/value")
    missing = sdqctl("run", f"no-{PASSWORD}/value")
    assert missing.code == 2
    assert "[redacted]" in missing.err
    assert PASSWORD not in missing.err


def unpacked(file: Path) -> str:
    with zipfile.ZipFile(file) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist())


def dumped(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())
