"""What a released version left on disk is read, shown, imported, and gone on with by this one."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdqctl.model.options import options_of
from sdqctl.testing.loopback import LoopbackModel
from sdqctl.workflow import check_workflow
from sdqctl.workflow.plan import build_plan
from tests.command import sdqctl

HERE = Path(__file__).parent
VERSION = HERE / "0.1"
PLACE = "/released/project"
STATUS = {
    "done": "completed",
    "paused": "paused",
    "consulted": "paused",
    "forked": "interrupted",
    "failed": "failed",
    "signalled": "interrupted",
    "unsent": "interrupted",
    "unanswered": "interrupted",
    "answered": "interrupted",
    "acted": "interrupted",
    "commanded": "interrupted",
    "moving": "idle",
    "moving (2)": "interrupted",
    "moved": "idle",
    "moved (2)": "interrupted",
}
TURNS = {
    "paused": ["first", "second"],
    "consulted": ["first", "second"],
    "forked": ["first", "second"],
    "failed": ["first", "second"],
    "signalled": ["first", "second"],
    "unsent": ["first", "second"],
    "unanswered": ["first", "second"],
    "answered": ["first", "second"],
    "acted": ["first", "second", "The", "third"],
    "commanded": ["first", "$"],
    "moving": ["first"],
    "moving (2)": ["first"],
    "moved": ["first", "second"],
    "moved (2)": ["first", "second"],
}
"""The first words of all prompts, once the run is finished; an output stands before its prompt."""
PLANS: list[dict[str, Any]] = json.loads((VERSION / "plans.json").read_text("utf-8"))


@pytest.fixture
def released(home: Path, project: Path) -> Iterator[Path]:
    """The home that the version left, with its workflows in the project's folder."""
    shutil.copytree(VERSION / "home" / "sdqctl", home / "sdqctl")
    for path in (home / "sdqctl" / "mock").glob("*/*.json*"):
        path.write_bytes(path.read_bytes().replace(PLACE.encode(), str(project).encode()))
    for path in (VERSION / "home" / "project").iterdir():
        shutil.copy(path, project)
    connection = sqlite3.connect(home / "sdqctl" / "ledger.db")
    for column in ("runs.workflow_path", "runs.cwd", "sessions.cwd"):
        table, name = column.split(".")
        connection.execute(
            f"UPDATE {table} SET {name} = replace({name}, ?, ?)", (PLACE, str(project))
        )
    connection.commit()
    connection.close()
    yield home / "sdqctl"


def shown(name: str) -> Any:  # noqa: ANN401 - any JSON
    return sdqctl("sessions", "show", name, "--format", "json").json


def test_its_sessions_are_listed_as_they_stood_and_the_ledger_stays_as_it_is(
    released: Path,
) -> None:
    before = (released / "ledger.db").read_bytes()
    listed = sdqctl("sessions", "list", "--format", "json")
    assert listed.code == 0, listed.err
    assert (released / "ledger.db").read_bytes() == before
    assert {entry["name"]: entry["status"] for entry in listed.json} == STATUS


@pytest.mark.parametrize("name", STATUS)
def test_each_of_its_sessions_is_shown(name: str, released: Path) -> None:
    before = sdqctl("sessions", "show", name, "--transcript")
    assert before.code == 0, before.err
    assert name in before.out
    journal = (released / "mock" / shown(name)["id"] / "events.jsonl").read_text().splitlines()
    asked = [event for event in map(json.loads, journal) if event["type"] == "user.message"]
    assert [t["prompt"] for t in shown(name)["turns"]] == [e["data"]["content"] for e in asked]


@pytest.mark.parametrize("name", TURNS)
def test_a_run_that_it_began_is_finished(name: str, released: Path) -> None:
    done = sdqctl("resume", name, "--continue")
    assert done.code == 0, done.err
    found = shown(name)
    assert found["runs"][-1]["status"] == "completed"
    assert {step["status"] for step in found["runs"][-1]["steps"]} == {"done"}
    assert [turn["prompt"].split()[0] for turn in found["turns"]] == TURNS[name]


@pytest.mark.parametrize(("bundle", "turns"), [("paused", 1), ("acted", 2), ("carried", 2)])
def test_its_bundles_are_imported(bundle: str, turns: int, home: Path, project: Path) -> None:
    file = VERSION / "bundles" / f"{bundle}.sdqctl"
    done = sdqctl("sessions", "import", file, "--cwd", project)
    assert (done.code, done.out) == (0, f"{bundle}\n"), done.err
    found = shown(bundle)
    assert found["cwd"] == str(project)
    assert (len(found["turns"]), len(found["runs"])) == (turns, 1)
    assert found["turns"][0]["response"] == "one"


@pytest.mark.runtime
def test_its_bundle_of_a_runtime_s_session_goes_on(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    file = VERSION / "bundles" / "carried.sdqctl"
    assert sdqctl("sessions", "import", file, "--cwd", project).code == 0
    done = sdqctl("resume", "carried", "--continue")
    assert (done.code, done.out) == (0, "three\n"), done.err
    asked = [text.split()[0] for text in model.user_messages()]
    assert asked == ["first", "second", "third"]


@pytest.mark.parametrize("plan", PLANS, ids=[str(number) for number in range(len(PLANS))])
def test_its_steps_are_known_by_the_same_digests(plan: dict[str, Any], project: Path) -> None:
    for name, text in {"work.conv": plan["text"], **plan.get("files", {})}.items():
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    names = ("cycles", "session_mode", "prologues", "epilogues")
    options = options_of({name: plan.get(name) for name in names})
    steps = build_plan(check_workflow(project / "work.conv"), options).steps
    assert [[step.kind, step.digest] for step in steps] == plan["steps"]
