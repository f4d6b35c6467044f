"""`sessions show --audit`: what each tool request was answered, and by what."""

from __future__ import annotations

import json
import shutil
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.bench import Bench
from tests.command import sdqctl
from tests.terminal import Terminal

RULES = ("--allow-tool", "shell(echo:*)", "--deny-tool", "write(*.lock)")
STORY = """\
PROMPT look [[tool: read work.conv]] [[tool: read ../secret]] [[reply: one]]
PROMPT act [[tool: shell echo hi]] [[tool: write a.lock x]] [[tool: shell rm work.conv]]
"""


def audit(name: str = "s") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sdqctl(
        "sessions", "show", name, "--audit", "--format", "json"
    ).json["audit"]
    return found


def decided(name: str = "s") -> list[tuple[int, str, str, bool, str]]:
    return [(e["position"], e["kind"], e["target"], e["allowed"], e["by"]) for e in audit(name)]


EXPECTED = [
    (1, "read", "work.conv", True, "the default"),
    (1, "read", "../secret", False, "the default"),
    (2, "shell", "echo hi", True, "shell(echo:*)"),
    (2, "write", "a.lock", False, "write(*.lock)"),
    (2, "shell", "rm work.conv", False, "the default"),
]


def test_every_request_is_listed_with_what_decided_it(bench: Bench) -> None:
    assert bench.run(STORY, *RULES).done.code == 0
    assert decided() == EXPECTED
    entries = audit()
    assert {entry["source"] for entry in entries} == {"policy"}
    assert all(entry["attempt"] == 1 and entry["time"] and entry["run"] for entry in entries)
    assert [e["reason"] for e in entries if e["target"] == "a.lock"] == [
        "the rule write(*.lock) denies it"
    ]
    calls = [c["id"] for t in shown("s")["turns"] for c in t["tools"]]
    assert [entry["tool_call_id"] for entry in entries] == calls


def shown(name: str, *flags: str) -> dict[str, Any]:
    found: dict[str, Any] = sdqctl("sessions", "show", name, "--format", "json", *flags).json
    return found


def test_the_audit_is_in_the_json_only_when_asked_for(bench: Bench) -> None:
    done = bench.run(STORY, *RULES).done
    assert done.code == 0, done.err
    assert "audit" not in shown("s")
    assert set(shown("s", "--audit")) == {*shown("s"), "audit"}
    both = sdqctl("sessions", "show", "s", "--audit", "--transcript")
    assert both.code == 2


def test_a_pipe_gets_a_line_of_ten_fields_for_each_request(bench: Bench) -> None:
    bench.run(STORY + "PROMPT odd [[tool: shell echo 'a\tb']]\n", *RULES)
    lines = sdqctl("sessions", "show", "s", "--audit").out.splitlines()
    rows = [line.split("\t") for line in lines]
    assert [len(row) for row in rows] == [10] * 6
    kinds = [(int(r[2]), r[4], r[5], r[6] == "allowed", r[7]) for r in rows]
    assert kinds == [*EXPECTED, (3, "shell", "echo 'a b'", True, "shell(echo:*)")]


def test_a_terminal_gets_a_table(bench: Bench) -> None:
    bench.run(STORY, *RULES)
    with Terminal(["sessions", "show", "s", "--audit"], columns=120) as terminal:
        assert terminal.wait_for_end() == 0
        heading, *lines = terminal.text.splitlines()
    assert heading.split() == ["WHEN", "STEP", "DECISION", "KIND", "TARGET", "BY", "REASON"]
    assert [line.split()[3] for line in lines] == [
        "allowed" if row[3] else "refused" for row in EXPECTED
    ]
    assert max(map(len, lines)) <= 120


def test_show_says_how_many_requests_were_refused(bench: Bench) -> None:
    bench.run(STORY, *RULES)
    out = sdqctl("sessions", "show", "s").out
    assert "\n3 tool requests were refused:\n" in out
    bench.run("SESSION-NAME calm\nPROMPT hello\n")
    assert "refused" not in sdqctl("sessions", "show", "calm").out
    nothing = sdqctl("sessions", "show", "calm", "--audit")
    assert (nothing.out, nothing.err) == ("", "no tool was asked for\n")


def test_a_tool_acts_when_its_record_is_in_the_ledger(bench: Bench) -> None:
    copy = bench.project / "copy"
    command = 'cp -r "$SDQCTL_HOME" copy'
    assert bench.run(f"PROMPT go [[tool: shell {command}]]", "--allow-tool", "shell").done.code == 0
    connection = sqlite3.connect(copy / "ledger.db")
    rows = connection.execute("SELECT target, allowed, decided_by FROM tool_requests").fetchall()
    connection.close()
    assert rows == [(command, 1, "shell")]


def test_what_cannot_be_recorded_is_not_done(bench: Bench) -> None:
    gone = 'rm "$SDQCTL_HOME/ledger.db"'
    told = bench.run(
        f"PROMPT go [[tool: shell {gone}]] [[tool: shell touch made]]", "--allow-tool", "shell"
    )
    assert told.done.code == 9, "the ledger is gone"
    decisions = [(e["allowed"], e["by"]) for e in told.of("permission.decided")]
    assert decisions == [(True, "shell"), (False, "sdqctl")]
    assert not (bench.project / "made").exists()


def test_the_record_has_no_secrets_and_an_end(bench: Bench) -> None:
    key = "ghp_" + "a1B2" * 9
    bench.run(f"PROMPT go [[tool: shell echo {key} {'x' * 9000}]]", *RULES)
    [entry] = audit()
    assert key not in json.dumps(entry)
    assert entry["target"].startswith("echo [redacted] xxx")
    assert len(entry["target"]) == 4000
    assert entry["target"].endswith("…")


def test_the_record_goes_with_the_session_and_its_forks(bench: Bench) -> None:
    bench.run(STORY, *RULES)
    assert sdqctl("sessions", "fork", "s", "half", "--at", "1").code == 0
    assert decided("half") == EXPECTED[:2]
    assert sdqctl("sessions", "export", "s", "--format", "bundle", "-o", "s.zip").code == 0
    assert sdqctl("sessions", "import", "s.zip", "--name", "twin").code == 0
    assert decided("twin") == EXPECTED
    assert sdqctl("sessions", "delete", "s", "--force").code == 0
    ledger = sqlite3.connect(bench.home / "sdqctl" / "ledger.db")
    count = "SELECT count(*) FROM tool_requests WHERE session_id = 's'"
    assert ledger.execute(count).fetchone() == (0,)
    ledger.close()
    assert sdqctl("sessions", "restore", "s").code == 0
    assert decided("s") == EXPECTED


def test_a_later_attempt_is_counted(bench: Bench) -> None:
    told = bench.run("PROMPT go [[tool: read work.conv]] [[fail: server x1]]", *RULES)
    assert told.done.code == 0
    assert [(e["position"], e["attempt"], e["allowed"]) for e in audit()] == [
        (1, 1, True),
        (1, 2, True),
    ]


def journal_turn(prompt: str, message_id: str | None, *calls: tuple[str, str, str | None]) -> str:
    """Lines of a journal: a prompt with tool calls (id, path, error code) and its answer."""
    events: list[tuple[str, dict[str, Any]]] = []
    if message_id is not None:
        events.append(("user.message", {"content": prompt, "messageId": message_id}))
    for call, path, code in calls:
        start = {"toolCallId": call, "toolName": "view", "arguments": {"path": path}}
        error = {"code": code, "message": "no"} if code else None
        end = {"toolCallId": call, "success": code is None, "error": error}
        events += [("tool.execution_start", start), ("tool.execution_complete", end)]
    lines = [{"type": kind, "id": str(uuid.uuid4()), "data": data} for kind, data in events]
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def test_what_nobody_here_was_asked_about_is_the_runtimes_or_another_clients(bench: Bench) -> None:
    bench.run("PROMPT go [[tool: read work.conv]] [[reply: one]]")
    path = bench.home / "sdqctl" / "mock" / "s" / "events.jsonl"
    own = journal_turn("", None, ("r1", "free", None), ("r2", "barred", "denied"))
    other = journal_turn("hi", "elsewhere", ("o1", "theirs", "denied"))
    path.write_text(path.read_text() + own + other)
    assert [(e["tool_call_id"][:2], e["allowed"], e["by"], e["source"]) for e in audit()] == [
        ("ca", True, "the default", "policy"),
        ("r1", True, "the runtime", "journal"),
        ("r2", False, "the runtime", "journal"),
        ("o1", False, "another client", "journal"),
    ]
    assert "2 tool requests were refused" in sdqctl("sessions", "show", "s").out


def test_a_session_of_a_version_without_records_says_so(home: Path, project: Path) -> None:
    released = Path(__file__).parent.parent / "released" / "0.1" / "home" / "sdqctl"
    shutil.copytree(released, home / "sdqctl")
    names = [entry["name"] for entry in sdqctl("sessions", "list", "--format", "json").json]
    by = {entry["by"] for name in names for entry in audit(name)}
    assert by == {"not recorded"}


@pytest.mark.thorough
@pytest.mark.runtime
def test_on_the_real_runtime_each_call_of_a_tool_is_in_the_audit(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    tools = [
        ("view", {"path": str(project / "w.conv")}),
        ("view", {"path": "/etc/hostname"}),
        ("bash", {"command": "echo hi", "description": "greet"}),
        ("bash", {"command": "rm w.conv", "description": "remove"}),
        ("create", {"path": str(project / "new"), "file_text": "x"}),
        ("sql", {"description": "count", "query": "SELECT 1"}),
    ]
    orders = "".join(f"[[tool: {name} {json.dumps(arguments)}]]" for name, arguments in tools)
    (project / "w.conv").write_text(f"PROMPT {orders} [[reply: done]]\n")
    done = sdqctl("run", "w.conv", "--session-name", "s", "--allow-tool", "shell(echo:*)")
    assert done.code == 0, done.err
    calls = shown("s")["turns"][0]["tools"]
    entries = audit()
    assert [call["name"] for call in calls] == [name for name, _ in tools]
    assert {call["id"] for call in calls} == {entry["tool_call_id"] for entry in entries}
    refused = [entry["target"] for entry in entries if not entry["allowed"]]
    assert refused == ["/etc/hostname", "rm w.conv", str(project / "new")]
    assert all(entry["by"] == "the default" for entry in entries if not entry["allowed"])
    assert "shell(echo:*)" in [entry["by"] for entry in entries]
