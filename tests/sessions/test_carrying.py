"""Sessions are exported, imported, forked, renamed, kept, deleted and brought back."""

from __future__ import annotations

import hashlib
import json
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sdqctl.model.session import SessionRef
from sdqctl.store.locks import SessionLock
from tests.bench import Bench
from tests.command import Done, sdqctl
from tests.sampling import each

THREE = (
    "PROMPT a [[reply: A]]\nCHECKPOINT half\nPROMPT b [[reply: B]]\nPAUSE\nPROMPT c [[reply: C]]\n"
)


def show(name: str) -> dict[str, object]:
    found: dict[str, object] = sdqctl("sessions", "show", name, "--format", "json").json
    return found


def answers(name: str) -> list[str]:
    turns = show(name)["turns"]
    assert isinstance(turns, list)
    return [turn["response"] for turn in turns]


def ok(done: Done) -> Done:
    assert done.code == 0, done.err
    return done


@pytest.fixture
def job(bench: Bench) -> Bench:
    """A session `s` that paused after its second prompt."""
    assert bench.run(THREE).done.code == 8
    return bench


def elsewhere(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another machine: another home, and none of this project's files."""
    home = bench.home.parent / "other-home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SDQCTL_HOME", str(home / "sdqctl"))
    monkeypatch.setenv("COPILOT_HOME", str(home / "copilot"))
    (bench.project / "work.conv").unlink()
    return home


def test_a_bundle_is_written_while_nobody_writes_its_session(job: Bench, tmp_path: Path) -> None:
    file = tmp_path / "s.sdqctl"
    with SessionLock.acquire(job.home / "sdqctl", SessionRef("mock", "s")):
        busy = sdqctl("sessions", "export", "s", "-o", str(file))
        assert (busy.code, file.exists()) == (75, False), busy.err
        assert "is being written by" in busy.err
        ok(sdqctl("sessions", "export", "s", "-o", str(tmp_path / "s.md")))
    ok(sdqctl("sessions", "export", "s", "-o", str(file)))


def test_a_fork_has_another_name_than_its_original(bench: Bench) -> None:
    assert bench.run('SESSION-NAME "my audit"\nPROMPT a\n').done.code == 0
    taken = sdqctl("sessions", "fork", "my audit", "my audit")
    assert taken.code == 7, taken.err
    assert len(sdqctl("sessions", "list", "--format", "json").json) == 1
    ok(sdqctl("sessions", "rename", "my audit", "my audit"))


def test_a_bundle_goes_to_another_machine_and_its_run_goes_on(
    job: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "s.sdqctl"
    ok(sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file))
    elsewhere(job, monkeypatch)
    folder = tmp_path / "checkout"
    folder.mkdir()
    assert sdqctl("sessions", "list", "--format", "json").json == []
    ok(sdqctl("sessions", "import", file, "--cwd", folder))
    entry = sdqctl("sessions", "list", "--format", "json").json[0]
    assert (entry["name"], entry["cwd"], entry["status"]) == ("s", str(folder), "paused")
    done = ok(sdqctl("resume", "s", "--continue"))
    assert done.out == "C\n"
    assert answers("s") == ["A", "B", "C"]


def test_a_bundle_is_imported_beside_the_original_under_another_name(
    job: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "s.sdqctl"
    ok(sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file))
    refused = sdqctl("sessions", "import", file)
    assert refused.code == 7
    assert "--name" in refused.err
    ok(sdqctl("sessions", "import", file, "--name", "copy"))
    assert ok(sdqctl("resume", "copy", "--continue")).out == "C\n"
    assert answers("s") == ["A", "B"]
    assert show("s")["status"] == "paused"


def test_deleted_and_restored_and_resumed(job: Bench) -> None:
    done = ok(sdqctl("sessions", "delete", "s", "--force"))
    assert "restore" in done.err
    assert sdqctl("sessions", "show", "s").code == 7
    listed = sdqctl("sessions", "trash", "list", "--format", "json").json
    assert [entry["name"] for entry in listed] == ["s"]
    assert listed[0]["size"] > 0
    ok(sdqctl("sessions", "restore", "s"))
    assert sdqctl("sessions", "trash", "list", "--format", "json").json == []
    assert ok(sdqctl("resume", "s", "--continue")).out == "C\n"
    assert sdqctl("sessions", "restore", "s").code == 7


def test_purge_passes_the_trash_by_and_the_trash_is_emptied_when_asked(job: Bench) -> None:
    assert job.run(THREE, "--session-name", "t").done.code == 8
    ok(sdqctl("sessions", "delete", "t", "--force", "--purge"))
    ok(sdqctl("sessions", "delete", "s", "--force"))
    ok(sdqctl("sessions", "trash", "empty", "--force"))
    assert len(sdqctl("sessions", "trash", "list", "--format", "json").json) == 1
    assert sdqctl("sessions", "trash", "empty", "--older-than", "0").code == 2
    ok(sdqctl("sessions", "trash", "empty", "--older-than", "0", "--force"))
    assert sdqctl("sessions", "trash", "list", "--format", "json").json == []


def test_a_kept_session_survives_cleanup(job: Bench) -> None:
    job.run("PROMPT x\n", "--session-name", "t")
    ok(sdqctl("sessions", "keep", "t"))
    done = ok(sdqctl("sessions", "cleanup", "--older-than", "0", "--include-unfinished"))
    assert done.out == "s\n"
    assert "protected" in done.err
    ok(sdqctl("sessions", "keep", "t", "--off"))
    assert ok(sdqctl("sessions", "cleanup", "--older-than", "0")).out == "t\n"


def test_cleanup_leaves_all_sessions_of_an_unfinished_run(bench: Bench) -> None:
    text = "SESSION-MODE fresh\nMAX-CYCLES 2\nPROMPT x\nPAUSE\n"
    assert bench.run(text).done.code == 8
    assert bench.resume("--continue").done.code == 8
    done = ok(sdqctl("sessions", "cleanup", "--older-than", "0"))
    assert (done.out, done.err.count("its run is not finished")) == ("", 2)
    ok(sdqctl("resume", "s", "--continue"))
    gone = ok(sdqctl("sessions", "cleanup", "--older-than", "0")).out.splitlines()
    assert sorted(gone) == ["s", "s (2)"]


def test_a_fork_in_mid_workflow_goes_on_differently(job: Bench) -> None:
    ok(sdqctl("sessions", "fork", "s", "other", "--at", "half"))
    assert answers("other") == ["A"]
    entry = next(
        e for e in sdqctl("sessions", "list", "--format", "json").json if e["name"] == "other"
    )
    assert (entry["run"]["steps_done"], entry["run"]["steps_total"]) == (2, 5)
    job.write("work.conv", THREE.replace("reply: B", "reply: other B"))
    job.write("again.conv", THREE)
    on = sdqctl("resume", "other", "--continue")
    assert (on.code, on.out) == (8, "other B\n")
    assert ok(sdqctl("resume", "other", "--continue")).out == "C\n"
    assert answers("other") == ["A", "other B", "C"]
    job.write("work.conv", THREE)
    assert ok(sdqctl("resume", "s", "--continue")).out == "C\n"
    assert answers("s") == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("at", "kept", "steps"), [("1", ["A"], 1), ("3", ["A", "B"], 3), ("turn:1", ["A"], 2)]
)
def test_a_fork_is_cut_at_a_step_or_a_turn(
    at: str, kept: list[str], steps: int, job: Bench
) -> None:
    ok(sdqctl("sessions", "fork", "s", "other", "--at", at))
    assert answers("other") == kept
    runs = show("other")["runs"]
    assert isinstance(runs, list)
    assert runs[0]["steps_done"] == steps


@pytest.mark.parametrize("at", ["9", "5", "nowhere", "turn:7"])
def test_a_fork_at_a_place_that_is_not_there_is_refused(at: str, job: Bench) -> None:
    done = sdqctl("sessions", "fork", "s", "other", "--at", at)
    assert done.code == 2
    assert len(sdqctl("sessions", "list", "--format", "json").json) == 1


def test_a_fork_of_an_interrupted_session_recovers_as_the_original_would(bench: Bench) -> None:
    first = "PROMPT one [[tool: write effect x]] [[reply: A]]\n"
    cut = bench.run(
        f"MODE implement\n{first}PROMPT two [[reply: B]]\n", SDQCTL_CRASH_AT="mock.tool.after:1"
    )
    assert cut.done.code == -signal.SIGKILL
    ok(sdqctl("sessions", "fork", "s", "other"))
    for name in ("other", "s"):
        done = ok(sdqctl("resume", name, "--continue"))
        assert "the agent is asked to finish it" in done.err
        turns = show(name)["turns"]
        assert isinstance(turns, list)
        assert [turn["prompt"].split()[0] for turn in turns] == ["one", "The", "two"]


def test_a_cut_off_command_is_not_run_again_in_a_fork(bench: Bench) -> None:
    kill = "read -r _ _ _ up _ < /proc/$PPID/stat; kill -9 $up"
    text = f"PROMPT x\nALLOW-SHELL true\nRUN echo >> effect; {kill}; sleep 9\n"
    assert bench.run(text, "--sandbox", "none").done.code == -signal.SIGKILL  # it may be killed
    ok(sdqctl("sessions", "fork", "s", "other"))
    for name in ("other", "s"):
        done = sdqctl("resume", name, "--continue")
        assert done.code == 4
        assert "was cut off" in done.err
    assert (bench.project / "effect").read_text() == "\n"


def test_a_rename_is_unique_and_the_run_goes_on_under_it(job: Bench) -> None:
    job.run(THREE, "--session-name", "t")
    assert sdqctl("sessions", "rename", "s", "T").code == 7
    assert sdqctl("sessions", "rename", "s", "bad\nname").code == 2
    ok(sdqctl("sessions", "rename", "s", "new name"))
    assert sdqctl("sessions", "show", "s").code in (0, 7)
    assert ok(sdqctl("resume", "new name", "--continue")).out == "C\n"
    assert answers("new name") == ["A", "B", "C"]


def rewrite(file: Path, change: dict[str, bytes | None], *, extra: dict[str, bytes]) -> Path:
    """A bundle with some files changed, taken out, or added."""
    bad = file.with_name("bad.sdqctl")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(bad, "w") as new:
        for entry in old.infolist():
            data = change.get(entry.filename, old.read(entry.filename))
            if data is not None:
                new.writestr(entry.filename, data)
        for name, data in extra.items():
            new.writestr(name, data)
    return bad


def with_manifest(file: Path, **changes: object) -> Path:
    with zipfile.ZipFile(file) as old:
        manifest = json.loads(old.read("manifest.json"))
    manifest.update(changes)
    return rewrite(file, {"manifest.json": json.dumps(manifest).encode()}, extra={})


def with_ledger(file: Path, table: str, changes: dict[str, object]) -> Path:
    """A bundle whose ledger rows are changed, its checksums made to fit."""
    with zipfile.ZipFile(file) as old:
        rows = json.loads(old.read("ledger.json"))
        manifest = json.loads(old.read("manifest.json"))
    for row in rows[table]:
        row.update(changes)
    data = json.dumps(rows).encode()
    manifest["files"]["ledger.json"] = {
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    changed = {"ledger.json": data, "manifest.json": json.dumps(manifest).encode()}
    return rewrite(file, dict(changed), extra={})


def with_file(file: Path, name: str, data: bytes = b"x") -> Path:
    """A bundle with one more file, which its manifest names."""
    with zipfile.ZipFile(file) as old:
        manifest = json.loads(old.read("manifest.json"))
    entry = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["files"][name] = entry
    text = json.dumps(manifest).encode()
    return rewrite(file, {"manifest.json": text}, extra={name: data})


def link(file: Path) -> Path:
    bad = rewrite(file, {}, extra={})
    with zipfile.ZipFile(bad, "a") as archive:
        entry = zipfile.ZipInfo("session/link")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return bad


def bomb(file: Path) -> Path:
    bad = rewrite(file, {}, extra={})
    with zipfile.ZipFile(bad, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("session/bomb", b"\0" * 50_000_000)
    return bad


HOSTILE: dict[str, Callable[[Path], Path]] = {
    "traversal": lambda f: rewrite(f, {}, extra={"session/../../evil": b"x"}),
    "absolute": lambda f: rewrite(f, {}, extra={"/tmp/evil": b"x"}),
    "backslash": lambda f: rewrite(f, {}, extra={"session\\..\\evil": b"x"}),
    "unlisted": lambda f: rewrite(f, {}, extra={"session/more": b"x"}),
    "mark": lambda f: rewrite(f, {}, extra={"session/inuse.1.lock": b"x"}),
    "missing": lambda f: rewrite(f, {"session/events.jsonl": None}, extra={}),
    "changed": lambda f: rewrite(f, {"session/events.jsonl": b"other"}, extra={}),
    "no manifest": lambda f: rewrite(f, {"manifest.json": None}, extra={}),
    "broken manifest": lambda f: rewrite(f, {"manifest.json": b"{"}, extra={}),
    "newer": lambda f: with_manifest(f, version=3),
    "files that are not there": lambda f: with_manifest(f, version=2),
    "a work tree that is not there": lambda f: with_manifest(
        f, workspace=dict.fromkeys(("base", "snapshot", "keeper", "inside"), "")
    ),
    "other": lambda f: with_manifest(f, format="something"),
    "unknown adapter": lambda f: with_manifest(f, adapter="nobody"),
    "column": lambda f: with_ledger(f, "runs", {"id) SELECT 1 --": 1}),
    "status": lambda f: with_ledger(f, "runs", {"status": "bogus"}),
    "time": lambda f: with_ledger(f, "attempts", {"started_at": "yesterday"}),
    "tools": lambda f: with_ledger(f, "attempts", {"tools": "{"}),
    "options": lambda f: with_ledger(f, "runs", {"options": "[]"}),
    "type": lambda f: with_ledger(f, "attempts", {"title": {"a": 1}}),
    "nested": lambda f: with_ledger(f, "runs", {"cwd": ["/"]}),
    "folder": lambda f: with_ledger(f, "runs", {"cwd": 9}),
    "options type": lambda f: with_ledger(f, "runs", {"options": 7}),
    "number": lambda f: with_ledger(f, "attempts", {"position": 2**70}),
    "no path": lambda f: with_ledger(f, "runs", {"workflow_path": "a\0b.conv"}),
    "other session": lambda f: with_ledger(f, "attempts", {"session_id": "../other"}),
    "path": lambda f: with_ledger(f, "attempts", {"path": "4.5"}),
    "long name": lambda f: with_file(f, "session/" + "n" * 300),
    "no text": lambda f: with_file(f, "workflows/r.conv", b"\xff\xfe"),
    "link": link,
    "bomb": bomb,
    "no zip": lambda f: f.with_name("no.sdqctl"),
}


@pytest.mark.each(2)
@pytest.mark.parametrize("kind", each(2, HOSTILE))
def test_a_damaged_or_hostile_bundle_is_refused_and_leaves_nothing(
    kind: str, job: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "s.sdqctl"
    ok(sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file))
    (tmp_path / "no.sdqctl").write_text("no zip at all")
    before = sorted(job.home.rglob("*"))
    done = sdqctl("sessions", "import", HOSTILE[kind](file), "--name", "evil")
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    left = [p for p in job.home.rglob("*") if p not in before and p.parent.name != "locks"]
    assert [path for path in left if path.name != "ledger.db-wal"] == []
    assert len(sdqctl("sessions", "list", "--format", "json").json) == 1


def test_permissions_do_not_come_with_someone_elses_bundle(job: Bench, tmp_path: Path) -> None:
    options = {"allow_all_tools": True, "mode": "full", "allow_tools": ["shell", "write"]}
    job.write("work.conv", THREE.replace("PROMPT c", "PROMPT c [[tool: write made.txt x]]"))
    file = tmp_path / "s.sdqctl"
    ok(sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file))
    bad = with_ledger(file, "runs", {"options": json.dumps(options)})
    ok(sdqctl("sessions", "import", bad, "--name", "theirs"))
    assert ok(sdqctl("resume", "theirs", "--continue")).out == "C\n"
    assert not (job.project / "made.txt").exists()


def test_a_truncated_bundle_is_refused_at_every_length(job: Bench, tmp_path: Path) -> None:
    file = tmp_path / "s.sdqctl"
    ok(sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file))
    data = file.read_bytes()
    for length in range(0, len(data), max(1, len(data) // 7)):
        file.write_bytes(data[:length])
        assert sdqctl("sessions", "import", file, "--name", "cut").code == 2
    assert len(sdqctl("sessions", "list", "--format", "json").json) == 1


@pytest.mark.thorough
def test_a_bundle_with_a_flipped_bit_is_refused_or_imported_whole(
    job: Bench, tmp_path: Path
) -> None:
    file, bad = tmp_path / "s.sdqctl", tmp_path / "bad.sdqctl"
    ok(sdqctl("sessions", "export", "s", "--format", "bundle", "-o", file))
    whole = file.read_bytes()
    said = set()
    for place in range(3, len(whole), len(whole) // 61):
        bad.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        done = sdqctl("sessions", "import", bad, "--name", f"copy-{place}")
        assert done.code in (0, 2), (place, done.err)
        if done.code == 0:
            assert answers(f"copy-{place}") == answers("s")
        said.add(done.code)
    assert 2 in said


def test_one_rotten_bundle_in_the_trash_spoils_no_other(job: Bench) -> None:
    ok(sdqctl("sessions", "delete", "s", "--force"))
    trash = job.home / "sdqctl" / "trash"
    whole = next(trash.iterdir()).read_bytes()
    middle = len(whole) // 2
    rotten = {
        "a": whole[:middle] + whole[middle + 100 :],
        "b": b"PK\x05\x06" + b"\xff" * 18,
        "c": b"",
        "d": whole[:-4] + b"\xff\xff\xff\xff",
    }
    for name, data in rotten.items():
        (trash / f"20000101T000000000000-{name}.sdqctl").write_bytes(data)
    listed = ok(sdqctl("sessions", "trash", "list", "--format", "json")).json
    assert len(listed) == 1 + len(rotten)
    ok(sdqctl("sessions", "restore", "s"))
    assert answers("s") == ["A", "B"]
    ok(sdqctl("sessions", "trash", "empty", "--older-than", "0s", "--force"))
    assert list(trash.iterdir()) == []


@pytest.mark.parametrize("damage", ["first line gone", "metadata gone", "torn"])
def test_a_damaged_session_is_deleted_and_restored_as_it_was(job: Bench, damage: str) -> None:
    folder = job.home / "sdqctl" / "mock" / "s"
    journal = folder / "events.jsonl"
    if damage == "first line gone":
        journal.write_bytes(journal.read_bytes().partition(b"\n")[2])
    elif damage == "torn":
        journal.write_bytes(journal.read_bytes()[:-10])
    else:
        (folder / "session.json").write_bytes(b"{")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ok(sdqctl("sessions", "delete", "s", "--force"))
    assert not folder.exists()
    ok(sdqctl("sessions", "restore", "s"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_bundle_needs_a_file(job: Bench) -> None:
    assert sdqctl("sessions", "export", "s", "--format", "bundle").code == 2


@pytest.mark.parametrize("output_format", ["md", "html", "json", "jsonl"])
def test_the_other_formats_go_to_stdout_or_a_file(
    output_format: str, job: Bench, tmp_path: Path
) -> None:
    shown = ok(sdqctl("sessions", "export", "s", "--format", output_format)).out
    for word in ("A", "B", "half" if output_format in ("html", "json") else "B"):
        assert word in shown
    file = tmp_path / "out"
    ok(sdqctl("sessions", "export", "s", "--format", output_format, "-o", file))
    assert file.read_text() == shown
    if output_format == "jsonl":
        kinds = [json.loads(line)["type"] for line in shown.splitlines()]
        assert kinds == ["session", "turn", "turn"]
    if output_format == "json":
        assert json.loads(shown) == show("s")


def test_a_fork_stands_as_its_original_does(bench: Bench) -> None:
    assert bench.run("PROMPT a [[reply: A]]\nPROMPT b [[reply: B]]\n").done.code == 0
    ok(sdqctl("sessions", "fork", "s", "whole"))
    ok(sdqctl("sessions", "fork", "s", "part", "--at", "1"))
    listed = {e["name"]: e for e in sdqctl("sessions", "list", "--format", "json").json}
    assert (listed["whole"]["status"], listed["whole"]["run"]["steps_done"]) == ("completed", 2)
    assert (listed["part"]["status"], listed["part"]["run"]["steps_done"]) == ("interrupted", 1)
    swept = ok(sdqctl("sessions", "cleanup", "--older-than", "0s"))
    assert set(swept.out.split()) == {"s", "whole"}
    assert "kept: part: its run is not finished" in swept.err


@pytest.mark.thorough
def test_a_fork_of_a_paused_run_waits_for_a_human_too(job: Bench) -> None:
    ok(sdqctl("sessions", "fork", "s", "copy"))
    ok(sdqctl("sessions", "fork", "s", "half-way", "--at", "half"))
    listed = {e["name"]: e["status"] for e in sdqctl("sessions", "list", "--format", "json").json}
    assert listed == {"s": "paused", "copy": "paused", "half-way": "interrupted"}
    assert ok(sdqctl("resume", "copy", "--continue")).out == "C\n"
    assert sdqctl("resume", "half-way", "--continue").code == 8


CALLING = """\
PROMPT one [[reply: 1]]
CALL inner.conv IN same
PROMPT three [[reply: 3]]
"""


@pytest.mark.parametrize(
    ("at", "kept", "steps", "then"),
    [
        ("1", ["1"], 1, ["I", "J", "3"]),
        ("2", ["1", "I", "J"], 2, ["3"]),
        ("turn:3", ["1", "I", "J"], 2, ["3"]),
        ("turn:2", ["1", "I"], 1, ["I", "J", "3"]),
    ],
)
def test_a_fork_has_what_was_called_in_the_same_conversation(
    at: str, kept: list[str], steps: int, then: list[str], bench: Bench
) -> None:
    bench.write("inner.conv", "PROMPT i [[reply: I]]\nPROMPT j [[reply: J]]\n")
    assert bench.run(CALLING).done.code == 0
    ok(sdqctl("sessions", "fork", "s", "other", "--at", at))
    assert answers("other") == kept
    entry = next(
        e for e in sdqctl("sessions", "list", "--format", "json").json if e["name"] == "other"
    )
    assert entry["run"]["steps_done"] == steps
    ok(sdqctl("resume", "other", "--continue"))
    assert answers("other") == [*kept, *then]


def test_a_fork_goes_on_within_what_is_called_in_the_same_conversation(bench: Bench) -> None:
    bench.write("inner.conv", "PROMPT i [[reply: I]]\nPAUSE look\nPROMPT j [[reply: J]]\n")
    assert bench.run(CALLING).done.code == 8
    ok(sdqctl("sessions", "fork", "s", "other"))
    for name in ("other", "s"):
        ok(sdqctl("resume", name, "--continue"))
        assert answers(name) == ["1", "I", "J", "3"]
    ok(sdqctl("sessions", "rewind", "other", "--to", "1", "--conversation"))
    assert answers("other") == ["1"]


def test_a_fork_leaves_out_what_was_asked_after_its_step(bench: Bench) -> None:
    assert bench.run("PROMPT a [[reply: A]]\nPAUSE\nPROMPT b [[reply: B]]\n").done.code == 8
    ok(sdqctl("resume", "s", "--prompt", "aside [[reply: X]]"))
    ok(sdqctl("resume", "s", "--continue"))
    for at, kept in (("2", ["A"]), ("3", ["A", "X", "B"])):
        ok(sdqctl("sessions", "fork", "s", f"at-{at}", "--at", at))
        assert answers(f"at-{at}") == kept


def test_a_copy_says_what_it_calls_anew(bench: Bench, tmp_path: Path) -> None:
    bench.write("part.conv", "PROMPT i [[reply: I]]\nPAUSE look\nPROMPT j [[reply: J]]\n")
    assert bench.run("PROMPT one [[reply: 1]]\nCALL part.conv AS got\n").done.code == 8
    file = tmp_path / "s.sdqctl"
    warned = "warning: CALL part.conv (step 2) is not over, and session s/part, in which"
    assert warned in ok(sdqctl("sessions", "export", "s", "-o", file)).err
    assert warned in ok(sdqctl("sessions", "fork", "s", "copy")).err
    assert warned not in ok(sdqctl("sessions", "fork", "s", "early", "--at", "1")).err
    ok(sdqctl("resume", "s", "--continue"))
    assert "warning" not in ok(sdqctl("sessions", "export", "s", "-o", file)).err
    assert "warning" not in ok(sdqctl("sessions", "fork", "s", "late")).err
