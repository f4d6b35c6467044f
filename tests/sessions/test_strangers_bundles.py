"""What somebody else's bundle says of itself cannot touch the sessions that are here."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from shutil import rmtree
from zipfile import ZipFile

import pytest

from tests.bench import Bench
from tests.command import sdqctl
from tests.sessions.test_carrying import ok, rewrite, with_ledger, with_manifest

PAUSED = "PROMPT a [[reply: A]]\nPAUSE\nPROMPT b [[reply: {}]]\n"


@pytest.fixture
def kept(bench: Bench, tmp_path: Path) -> Path:
    """A session `s` whose workflow has no file but the one kept here, and the bundle it is of."""
    assert bench.run(PAUSED.format("mine"), "--session-name", "s").done.code == 8
    file = tmp_path / "s.sdqctl"
    ok(sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file))
    ok(sdqctl("sessions", "delete", "s", "--force", "--purge"))
    (bench.project / "work.conv").unlink()
    ok(sdqctl("sessions", "import", file))
    return file


def with_workflow(file: Path, text: str) -> Path:
    """The bundle with another text for its run's workflow, its checksums made to fit."""
    with ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    [name] = [each for each in manifest["files"] if each.startswith("workflows/")]
    data = text.encode()
    manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return rewrite(file, {name: data, "manifest.json": json.dumps(manifest).encode()}, extra={})


def without_workflow(file: Path) -> Path:
    """The bundle without the text of its run's workflow."""
    with ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    [name] = [each for each in manifest["files"] if each.startswith("workflows/")]
    del manifest["files"][name]
    return rewrite(file, {name: None, "manifest.json": json.dumps(manifest).encode()}, extra={})


@pytest.mark.parametrize("name", ["theirs", "s"])
def test_a_bundle_changes_no_workflow_of_another_session(kept: Path, name: str) -> None:
    bad = with_workflow(kept, PAUSED.format("theirs"))
    done = sdqctl("sessions", "import", bad, "--name", name)
    assert done.code == (0 if name == "theirs" else 7), done.err
    assert ok(sdqctl("resume", "s", "--continue")).out == "mine\n"
    if name == "theirs":
        assert ok(sdqctl("resume", "theirs", "--continue")).out == "theirs\n"


def test_a_refused_bundle_changes_no_workflow_and_leaves_none(kept: Path, bench: Bench) -> None:
    workflows = bench.home / "sdqctl" / "workflows"
    before = sorted(workflows.rglob("*"))
    changed = with_workflow(kept, PAUSED.format("theirs"))
    changed = changed.rename(changed.with_name("changed.sdqctl"))
    bad = with_ledger(changed, "runs", {"status": "bogus"})
    assert sdqctl("sessions", "import", bad, "--name", "theirs").code == 2
    assert sorted(workflows.rglob("*")) == before
    assert ok(sdqctl("resume", "s", "--continue")).out == "mine\n"


@pytest.mark.parametrize("with_text", [True, False])
def test_a_bundle_has_no_part_in_the_workflow_of_another_session(
    kept: Path, bench: Bench, with_text: bool
) -> None:
    [mine] = (bench.home / "sdqctl" / "workflows").rglob("*.conv")
    bad = with_ledger(kept, "runs", {"workflow_path": str(mine)})
    if not with_text:
        bad = without_workflow(bad.rename(bad.with_name("named.sdqctl")))
    ok(sdqctl("sessions", "import", bad, "--name", "theirs"))
    mine.write_text(PAUSED.format("edited"))
    done = sdqctl("resume", "theirs", "--continue")
    assert (done.code, done.out) == ((0, "mine\n") if with_text else (2, "")), done.err
    assert ok(sdqctl("resume", "s", "--continue")).out == "edited\n"


@pytest.mark.parametrize("run_id", ["../../other", "a/b", "..", "", "a\nb", "x" * 300, None])
def test_a_run_is_called_by_no_path(kept: Path, bench: Bench, run_id: str | None) -> None:
    other = bench.home / "other"
    for folder in (other, bench.home / "sdqctl" / "commands"):
        folder.mkdir(exist_ok=True)
    bad = with_ledger(kept, "runs", {"id": run_id})
    for table in ("attempts", "tool_requests"):
        bad = with_ledger(bad.rename(bad.with_name(f"{table}.sdqctl")), table, {"run_id": run_id})
    done = sdqctl("sessions", "import", bad, "--name", "theirs")
    assert done.code == 2, done.err
    sdqctl("sessions", "delete", "theirs", "--force")
    assert other.exists()


@pytest.mark.parametrize("session_id", ["../s", "..", "a\nb", "x" * 300, ""])
def test_a_session_is_called_by_no_path(kept: Path, session_id: str) -> None:
    with ZipFile(kept) as archive:
        session = json.loads(archive.read("manifest.json"))["session"]
    bad = with_manifest(kept, session={**session, "id": session_id, "name": "other"})
    done = sdqctl("sessions", "import", bad)
    assert done.code == 2, done.err
    assert f"session id {session_id!r}" in done.err


def test_a_path_that_came_in_as_a_run_before_is_no_folder_of_its_own(
    kept: Path, bench: Bench
) -> None:
    other = bench.home / "other"
    data = bench.home / "sdqctl"
    for folder in (other, data / "commands", data / "logs"):
        folder.mkdir(exist_ok=True)
    (bench.home / "other.jsonl").touch()
    with closing(sqlite3.connect(data / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE runs SET id = '../../other'")
        ledger.execute("UPDATE attempts SET run_id = '../../other'")
    ok(sdqctl("sessions", "delete", "s", "--force", "--purge"))
    assert other.is_dir()
    assert (bench.home / "other.jsonl").exists()


def test_a_workflow_whose_path_makes_no_file_name_is_kept_all_the_same(kept: Path) -> None:
    odd = with_ledger(kept, "runs", {"workflow_path": f"/x/{'n' * 300}.conv"})
    ok(sdqctl("sessions", "import", odd, "--name", "theirs"))
    assert ok(sdqctl("resume", "theirs", "--continue")).out == "mine\n"


@pytest.mark.parametrize("hidden", ["t", "a\x1b[31mb", "TOKEN-OF-MINE"])
def test_a_session_without_a_name_gets_none_out_of_its_files(
    kept: Path, bench: Bench, hidden: str
) -> None:
    assert bench.run("PROMPT a\n", "--session-name", "t").done.code == 0
    with ZipFile(kept) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        about = json.loads(archive.read("session/session.json"))
    data = json.dumps({**about, "name": hidden}).encode()
    manifest["session"] |= {"id": "unnamed", "name": None}
    manifest["files"]["session/session.json"] = {
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    changes = {"session/session.json": data, "manifest.json": json.dumps(manifest).encode()}
    ok(sdqctl("sessions", "import", rewrite(kept, dict(changes), extra={}), API_KEY=hidden))
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert {entry["id"]: entry["name"] for entry in listed} == {"s": "s", "t": "t", "unnamed": None}


@pytest.mark.parametrize("where", ["manifest", "rows"])
@pytest.mark.parametrize("name", ["a\x1b[31mb", "TOKEN-OF-MINE"])
def test_a_name_in_a_bundle_is_held_to_the_rules_of_names(
    kept: Path, where: str, name: str
) -> None:
    with ZipFile(kept) as archive:
        session = json.loads(archive.read("manifest.json"))["session"]
    own = name if where == "manifest" else "other"
    bad = with_manifest(kept, session={**session, "id": "other", "name": own})
    if where == "rows":
        bad = with_ledger(bad.rename(bad.with_name("o.sdqctl")), "runs", {"session_name": name})
    done = sdqctl("sessions", "import", bad, API_KEY="TOKEN-OF-MINE")
    assert done.code == 2, done.err
    assert "--name" in done.err if name == "TOKEN-OF-MINE" else "control character" in done.err
    ok(sdqctl("sessions", "import", bad, "--name", "good", API_KEY="TOKEN-OF-MINE"))


def test_a_session_without_a_name_gets_none_of_one_that_is_gone(kept: Path, bench: Bench) -> None:
    ok(sdqctl("sessions", "fork", "s", "t"))
    listed = sdqctl("sessions", "list", "--format", "json").json
    [gone] = [entry["id"] for entry in listed if entry["name"] == "t"]
    rmtree(bench.home / "sdqctl" / "mock" / gone)  # as another client does it
    assert bench.run("PROMPT a\n", "--session-name", "t").done.code == 0
    with ZipFile(kept) as archive:
        session = json.loads(archive.read("manifest.json"))["session"]
    ok(
        sdqctl(
            "sessions", "import", with_manifest(kept, session=session | {"id": gone, "name": None})
        )
    )
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert {entry["id"]: entry["name"] for entry in listed} == {"s": "s", "t": "t", gone: None}
