"""What commands write with `--format json` is what `model/views` says: no field more, none less."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sdqctl.model.views.outputs import LINES, OUTPUTS
from tests.adapters.acp.scripted import Scripted
from tests.bench import Bench
from tests.command import Done, sdqctl
from tests.conftest import ROOT
from tests.strict import paths, strict
from tests.workspace import gits

STORY = """\
SESSION-NAME s
PROMPT go [[tool: shell rm a]] [[reply: one]]
RUN true
PAUSE "look"
PROMPT more
"""
FIRST = ROOT / "tests" / "released" / "json_fields.json"
"""The fields that version 0.1 wrote, by command."""


def read(done: Done, output: str) -> Any:  # noqa: ANN401 - any JSON
    """What a command wrote, once it has been found to be of its type to the last field."""
    return _read(done.err if output == "an error" else done.out, OUTPUTS[output])


def read_lines(done: Done, output: str) -> list[Any]:
    return [_read(line, LINES[output]) for line in done.out.splitlines()]


def _read(text: str, kind: Any) -> Any:  # noqa: ANN401 - any JSON, of any type
    found = msgspec.json.decode(text, type=strict(kind))
    document = json.loads(text)
    assert json.loads(msgspec.json.encode(found)) == document, "nothing is lost on the way"
    return document


@pytest.fixture
def story(bench: Bench) -> Path:
    """A run that waits at a PAUSE, in session `s`."""
    path = bench.write("work.conv", STORY)
    assert sdqctl("run", path).code == 8
    return path


def test_run_writes_its_result(bench: Bench) -> None:
    done = sdqctl("run", bench.write("work.conv", STORY), "--format", "json")
    found = read(done, "run")
    assert [denied["target"] for denied in found["denied"]] == ["rm a"]


def test_run_writes_events_and_then_its_result(bench: Bench) -> None:
    done = sdqctl("run", bench.write("work.conv", STORY), "--format", "jsonl")
    lines = read_lines(done, "run --format jsonl")
    assert [line["type"] for line in lines].index("result") == len(lines) - 1


def test_a_dry_run_writes_its_plan(story: Path) -> None:
    done = sdqctl("run", story, "--dry-run", "--session-name", "t", "--format", "json")
    assert len(read(done, "run --dry-run")["steps"]) == 4


def test_runs_of_several_workflows_write_how_each_ended(bench: Bench) -> None:
    one = bench.write("one.conv", "PROMPT a\n")
    two = bench.write("two.conv", "PROMPT b [[fail: request]]\n")
    done = sdqctl("run", one, two, "--format", "json")
    found = read(done, "run (several workflows)")
    assert [entry["error"] is None for entry in found] == [True, False]


def test_a_workflow_writes_its_answers_in_json(bench: Bench) -> None:
    path = bench.write("work.conv", "OUTPUT-FORMAT json\nHEADER top\nPROMPT a\nPROMPT b\n")
    assert len(read(sdqctl("run", path), "run (OUTPUT-FORMAT json)")["answers"]) == 2


def test_resume_writes_its_result(story: Path) -> None:
    found = read(sdqctl("resume", "s", "--continue", "--format", "json"), "resume")
    assert found["run"]["steps_done"] == 4


def test_resume_writes_events_and_then_its_result(story: Path) -> None:
    done = sdqctl("resume", "s", "--continue", "--format", "jsonl")
    assert read_lines(done, "resume --format jsonl")[-1]["status"] == "completed"


def test_apply_writes_how_each_run_ended(bench: Bench) -> None:
    path = bench.write("work.conv", "PROMPT look at {{COMPONENT_NAME}}\n")
    for name in ("a.py", "b.py"):
        bench.write(name, "x = 1\n")
    done = sdqctl("apply", path, "--components", "*.py", "--format", "json")
    assert [entry["status"] for entry in read(done, "apply")] == ["completed"] * 2


def test_sessions_list_writes_sessions(story: Path) -> None:
    [entry] = read(sdqctl("sessions", "list", "--format", "json"), "sessions list")
    assert entry["status"] == "paused"


def test_sessions_show_writes_a_session_with_turns_and_runs(story: Path) -> None:
    found = read(sdqctl("sessions", "show", "s", "--format", "json"), "sessions show")
    assert "audit" not in found
    assert len(found["turns"]) == 1
    assert len(found["runs"][0]["steps"]) == 3


def test_sessions_show_writes_the_tool_requests_when_asked(story: Path) -> None:
    done = sdqctl("sessions", "show", "s", "--audit", "--format", "json")
    assert [request["allowed"] for request in read(done, "sessions show")["audit"]] == [False]


def test_sessions_export_writes_a_session(story: Path) -> None:
    done = sdqctl("sessions", "export", "s", "--format", "json")
    assert read(done, "sessions export")["name"] == "s"


def test_sessions_export_writes_a_line_for_the_session_and_each_turn(story: Path) -> None:
    done = sdqctl("sessions", "export", "s", "--format", "jsonl")
    lines = read_lines(done, "sessions export --format jsonl")
    assert [line["type"] for line in lines] == ["session", "turn"]


def test_sessions_search_writes_places(story: Path) -> None:
    done = sdqctl("sessions", "search", "one", "--format", "json")
    assert {hit["in"] for hit in read(done, "sessions search")} == {"prompt", "answer"}


@pytest.mark.each(2)
@pytest.mark.parametrize("group", ["day", "workflow", "model", "session"])
def test_sessions_usage_writes_a_row_for_each_group(group: str, story: Path) -> None:
    done = sdqctl("sessions", "usage", "--by", group, "--format", "json")
    [row] = read(done, "sessions usage")
    assert {*row} & {"day", "workflow", "model", "session"} == {group}


def test_sessions_delete_writes_what_went(story: Path) -> None:
    done = sdqctl("sessions", "delete", "s", "--force", "--format", "json")
    assert [each["name"] for each in read(done, "sessions delete")["sessions"]] == ["s"]


def test_sessions_cleanup_writes_what_would_go(story: Path) -> None:
    flags = ["--older-than", "0s", "--include-unfinished", "--dry-run"]
    done = sdqctl("sessions", "cleanup", *flags, "--format", "json")
    assert [each["name"] for each in read(done, "sessions cleanup")["sessions"]] == ["s"]


def test_sessions_trash_list_writes_what_can_be_restored(story: Path, home: Path) -> None:
    assert sdqctl("sessions", "delete", "s", "--force").code == 0
    (home / "sdqctl" / "trash" / "broken.sdqctl").write_text("no bundle")
    done = sdqctl("sessions", "trash", "list", "--format", "json")
    assert {each["name"] for each in read(done, "sessions trash list")} == {"s", None}


@pytest.mark.each(2)
@pytest.mark.parametrize("flag", ["--sessions", "--adapters", "--auth", "--models"])
def test_status_writes_what_it_is_asked_for(flag: str, story: Path) -> None:
    found = read(sdqctl("status", flag, "--format", "json"), "status")
    assert {"--auth": "adapters"}.get(flag, flag.removeprefix("--")) in found


def test_doctor_writes_each_part(bench: Bench) -> None:
    found = read(sdqctl("doctor", "--format", "json"), "doctor")
    assert {"data", "git", "runtime", "model", "ui"} <= {each["part"] for each in found}


def test_validate_writes_findings(bench: Bench) -> None:
    done = sdqctl("validate", bench.write("bad.conv", "PROMT x\n"), "--format", "json")
    assert [finding["line"] for finding in read(done, "validate")] == [1]


def test_validate_lists_the_inputs_of_a_workflow(bench: Bench) -> None:
    text = """\
INPUT least choice(low|high) = low "what counts"
INPUT file
PROMPT {{least}} {{file}}
"""
    path = bench.write("work.conv", text)
    found = read(sdqctl("validate", path, "--strict", "--format", "json"), "validate")
    assert [(one["severity"], one["line"]) for one in found] == [("info", 1), ("info", 2)]
    assert [one["input"] for one in found] == [
        {
            "name": "least",
            "type": "choice",
            "choices": ["low", "high"],
            "default": "low",
            "required": False,
            "description": "what counts",
        },
        {
            "name": "file",
            "type": "text",
            "choices": [],
            "default": None,
            "required": True,
            "description": "",
        },
    ]
    assert sdqctl("validate", path).out == ""


def test_render_writes_prompts(story: Path) -> None:
    found = read(sdqctl("render", story, "--format", "json"), "render")
    assert [step["prompt"] is None for step in found] == [False, True, True, False]


@pytest.mark.thorough
def test_agents_write_what_is_known_of_them(
    home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Scripted(home, monkeypatch)
    listed = read(sdqctl("agents", "list", "--format", "json"), "agents list")
    assert {"opencode", "codex", "claude", "scripted"} <= {agent["name"] for agent in listed}
    done = sdqctl("agents", "check", "scripted", "--offline", "--format", "json")
    checked = read(done, "agents check")
    assert (checked["asks"], checked["heeds"], checked["restores"]) == (True, True, True)
    found = read(sdqctl("agents", "info", "scripted", "--format", "json"), "agents info")
    assert found["checks"] == [checked]
    (project / "w.conv").write_text("SESSION-NAME s\nPROMPT Hello\n")
    assert sdqctl("run", "w.conv").code == 0
    known = read(sdqctl("agents", "sessions", "scripted", "--format", "json"), "agents sessions")
    assert "s" in {session["name"] for session in known}


@pytest.fixture
def repository(bench: Bench) -> Path:
    """A repository whose configuration file allows a tool."""
    (bench.project / ".git").mkdir()
    bench.write("sdqctl.toml", 'allow_tools = ["write"]\n')
    return bench.project


def test_trust_writes_what_a_repository_brings(repository: Path) -> None:
    found = read(sdqctl("trust", "--show", "--format", "json"), "trust")
    assert (found["state"], len(found["files"])) == ("untrusted", 1)
    assert read(sdqctl("trust", "--yes", "--format", "json"), "trust")["state"] == "trusted"


def test_trust_writes_the_trusted_folders(repository: Path, home: Path) -> None:
    assert sdqctl("trust", "--yes").code == 0
    (home / "sdqctl" / "trusted.json").write_text('{"/old/sdqctl.toml": "digest"}')
    folder, file = read(sdqctl("trust", "--list", "--format", "json"), "trust --list")
    assert (folder["folder"], file["file"]) == (str(repository), "/old/sdqctl.toml")


def test_trust_writes_from_where_it_was_taken(repository: Path) -> None:
    assert sdqctl("trust", "--yes").code == 0
    done = sdqctl("trust", "--remove", "--format", "json")
    assert read(done, "trust --remove")["removed"] == [str(repository)]


def test_an_error_is_an_object_on_stderr(home: Path) -> None:
    done = sdqctl("sessions", "show", "nobody", "--format", "json")
    assert read(done, "an error")["error"]["exit"] == done.code == 7


def _all_fields() -> Iterator[tuple[str, set[str]]]:
    for output, kind in {**OUTPUTS, **LINES}.items():
        yield output, set(paths(kind))


def test_no_field_that_was_written_is_gone() -> None:
    now = dict(_all_fields())
    for output, fields in json.loads(FIRST.read_text()).items():
        assert {*fields} <= now[output], output


def test_worktrees_are_listed_with_what_would_be_lost(bench: Bench) -> None:
    gits.repository(bench.project)
    bench.run("MODE implement\nPROMPT [[tool: write new.txt x]]\n", "--worktree")
    (found,) = read(sdqctl("worktrees", "list", "--format", "json"), "worktrees list")
    assert (found["name"], found["would_lose"]) == ("s", "1 uncommitted file (new.txt)")


def test_runs_in_the_background_write_what_they_are(bench: Bench) -> None:
    path = bench.write("work.conv", 'SESSION-NAME job\nASK v "Which?"\nPROMPT b\n')
    read(sdqctl("run", path, "--detach", "--format", "json"), "run --detach")
    assert sdqctl("watch", "job").code == 8
    read(sdqctl("sessions", "answer", "job", "--format", "json"), "sessions answer")
    read(sdqctl("watch", "job", "--format", "json"), "watch")
    read_lines(sdqctl("watch", "job", "--format", "jsonl"), "watch --format jsonl")
    answered = sdqctl("sessions", "answer", "job", "x", "--format", "json")
    read(answered, "sessions answer (at an ASK)")
    assert sdqctl("watch", "job").code == 0
    detached = ("--detach", "--wait", "9s", "--format", "json")
    read(sdqctl("resume", "job", "--prompt", "p", *detached), "resume --detach")
    assert sdqctl("watch", "job").code == 0


def test_every_output_has_its_test() -> None:
    queues = Path(__file__).parent.parent / "fleet" / "test_queue.py"
    text = Path(__file__).read_text() + queues.read_text()
    assert [output for output in (*OUTPUTS, *LINES) if f', "{output}")' not in text] == []
