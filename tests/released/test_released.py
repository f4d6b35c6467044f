"""What a released version left on disk is read, shown, imported, and gone on with by this one."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sdqctl.model.options import options_of
from sdqctl.testing.loopback import LoopbackModel
from sdqctl.workflow import check_workflow
from sdqctl.workflow.plan import build_plan
from tests.command import sdqctl
from tests.sampling import some

HERE = Path(__file__).parent
VERSION = HERE / "0.1"
VERSIONS = ["0.1", "0.2"]
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
STATUS_IN_0_2 = {
    **{name: status for name, status in STATUS.items() if name != "moving (2)"},
    "forked": "paused",
    "moving": "interrupted",
    "asked": "paused",
    "looped": "interrupted",
    "calling": "interrupted",
}
SINCE_0_2 = ["asked", "looped", "calling"]
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
TURNS_SINCE_0_2 = {
    "asked": ["first", "second"],
    "looped": ["first", "second", "third"],
    "calling": ["second"],
}
PLANS: dict[str, list[dict[str, Any]]] = {
    version: json.loads((HERE / version / "plans.json").read_text("utf-8")) for version in VERSIONS
}


def of_both(older: Iterable[str], newer: Iterable[str]) -> list[object]:
    """Names of either version, of which each run of the suite tries those that are new in one."""
    old = list(older)
    kept = [name for name in (*newer, *old) if name in STATUS_IN_0_2]
    return [*(("0.1", name) for name in old), *some(3, (("0.2", name) for name in kept))]


def left_by(version: str, home: Path, project: Path) -> Path:
    """The home that a version left, with its workflows in the project's folder."""
    shutil.copytree(HERE / version / "home" / "sdqctl", home / "sdqctl")
    for path in (home / "sdqctl" / "mock").glob("*/*.json*"):
        path.write_bytes(path.read_bytes().replace(PLACE.encode(), str(project).encode()))
    for path in (HERE / version / "home" / "project").iterdir():
        shutil.copy(path, project)
    connection = sqlite3.connect(home / "sdqctl" / "ledger.db")
    for column in ("runs.workflow_path", "runs.cwd", "sessions.cwd"):
        table, name = column.split(".")
        connection.execute(
            f"UPDATE {table} SET {name} = replace({name}, ?, ?)", (PLACE, str(project))
        )
    connection.commit()
    connection.close()
    return home / "sdqctl"


def shown(name: str) -> Any:  # noqa: ANN401 - any JSON
    return sdqctl("sessions", "show", name, "--format", "json").json


@pytest.mark.parametrize("version", VERSIONS)
def test_its_sessions_are_listed_as_they_stood_and_the_ledger_stays_as_it_is(
    version: str, home: Path, project: Path
) -> None:
    released = left_by(version, home, project)
    before = (released / "ledger.db").read_bytes()
    listed = sdqctl("sessions", "list", "--format", "json")
    assert listed.code == 0, listed.err
    assert (released / "ledger.db").read_bytes() == before
    wanted = STATUS if version == "0.1" else STATUS_IN_0_2
    assert {entry["name"]: entry["status"] for entry in listed.json} == wanted


@pytest.mark.each(2)
@pytest.mark.parametrize(("version", "name"), of_both(STATUS, SINCE_0_2))
def test_each_of_its_sessions_is_shown(version: str, name: str, home: Path, project: Path) -> None:
    released = left_by(version, home, project)
    before = sdqctl("sessions", "show", name, "--transcript")
    assert before.code == 0, before.err
    assert name in before.out
    journal = (released / "mock" / shown(name)["id"] / "events.jsonl").read_text().splitlines()
    asked = [event for event in map(json.loads, journal) if event["type"] == "user.message"]
    assert [t["prompt"] for t in shown(name)["turns"]] == [e["data"]["content"] for e in asked]


@pytest.mark.each(2)
@pytest.mark.parametrize(("version", "name"), of_both(TURNS, TURNS_SINCE_0_2))
def test_a_run_that_it_began_is_finished(
    version: str, name: str, home: Path, project: Path
) -> None:
    left_by(version, home, project)
    way = ("--answer", "yes") if name == "asked" else ("--continue",)
    done = sdqctl("resume", name, *way)
    assert done.code == 0, done.err
    found = shown(name)
    assert found["runs"][-1]["status"] == "completed"
    assert {step["status"] for step in found["runs"][-1]["steps"]} == {"done"}
    wanted = {**TURNS, **TURNS_SINCE_0_2}[name]
    assert [turn["prompt"].split()[0] for turn in found["turns"]] == wanted


@pytest.mark.parametrize(
    ("version", "bundle", "turns"),
    [
        ("0.1", "paused", 1),
        ("0.1", "acted", 2),
        ("0.1", "carried", 2),
        ("0.2", "paused", 1),
        ("0.2", "asked", 1),
        ("0.2", "looped", 2),
        ("0.2", "carried", 2),
    ],
)
def test_its_bundles_are_imported(
    version: str, bundle: str, turns: int, home: Path, project: Path
) -> None:
    file = HERE / version / "bundles" / f"{bundle}.sdqctl"
    done = sdqctl("sessions", "import", file, "--cwd", project)
    assert (done.code, done.out) == (0, f"{bundle}\n"), done.err
    found = shown(bundle)
    assert found["cwd"] == str(project)
    assert (len(found["turns"]), len(found["runs"])) == (turns, 1)
    assert found["turns"][0]["response"] in ("one", "said")


@pytest.mark.runtime
@pytest.mark.parametrize("version", some(1, reversed(VERSIONS)))
def test_its_bundle_of_a_runtime_s_session_goes_on(
    version: str, home: Path, project: Path, model: LoopbackModel
) -> None:
    file = HERE / version / "bundles" / "carried.sdqctl"
    assert sdqctl("sessions", "import", file, "--cwd", project).code == 0
    done = sdqctl("resume", "carried", "--continue")
    assert (done.code, done.out) == (0, "three\n"), done.err
    asked = [text.split()[0] for text in model.user_messages()]
    assert asked == ["first", "second", "third"]


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(plan, id=f"{version}-{number}")
        for version in VERSIONS
        for number, plan in enumerate(PLANS[version])
    ],
)
def test_its_steps_are_known_by_the_same_digests(plan: dict[str, Any], project: Path) -> None:
    for name, text in {"work.conv": plan["text"], **plan.get("files", {})}.items():
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    names = ("cycles", "session_mode", "prologues", "epilogues")
    options = options_of({name: plan.get(name) for name in names})
    steps = build_plan(check_workflow(project / "work.conv"), options).steps
    assert [[step.kind, step.digest] for step in steps] == plan["steps"]
