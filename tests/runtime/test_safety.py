"""What a model that may not be trusted gets done on the real runtime: what was allowed, no more."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl

pytestmark = pytest.mark.runtime


def tool(name: str, **arguments: object) -> str:
    return f"[[tool: {name} {json.dumps(arguments)}]]"


def bash(command: str) -> str:
    return tool("bash", command=command, description="work")


def create(path: Path) -> str:
    return tool("create", path=str(path), file_text="made")


def edit(path: Path) -> str:
    return tool("edit", path=str(path), old_str="before", new_str="after")


@pytest.fixture
def files(project: Path) -> Path:
    for name in ("docs/private", "src"):
        (project / name).mkdir(parents=True)
    outside = project.parent / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("TOP-SECRET")
    (project / "docs/link").symlink_to(outside)
    (project / "docs/b.md").write_text("before\n")
    (project / "src/app.py").write_text("before\n")
    subprocess.run(["git", "init", "-q", project], check=True)
    return project


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts and path.name != "w.conv"
    }


def test_of_fourteen_tools_exactly_the_allowed_ones_happen_on_disk(
    home: Path, files: Path, model: LoopbackModel
) -> None:
    outside = files.parent / "outside"
    wanted = [
        tool("view", path=str(files / "src/app.py")),  # allowed
        tool("view", path=str(outside / "secret.txt")),
        create(files / "docs/a.md"),  # allowed
        create(files / "src/x.py"),
        create(files / "docs/private/p.md"),
        create(outside / "new.txt"),
        create(files / "docs/link/new.txt"),
        edit(files / "docs/b.md"),  # allowed
        edit(files / "src/app.py"),
        bash("touch docs/ok-shell.txt"),  # allowed
        bash("touch evil.txt"),
        bash("git status; touch evil2.txt"),
        bash("git status > evil3.txt"),
        bash("curl -s http://127.0.0.1:9/x"),
    ]
    (files / "w.conv").write_text(f"PROMPT {''.join(wanted)} [[reply: done]]\n")
    rules = ["write(docs/**)", "shell(git:*)", "shell(touch docs/ok-shell.txt)"]
    done = sdqctl(
        "run",
        "w.conv",
        "--session-name",
        "safe",
        *(argument for rule in rules for argument in ("--allow-tool", rule)),
        "--deny-tool",
        "write(docs/private/**)",
        "--format",
        "json",
    )
    assert done.code == 0, done.err
    assert done.json["output"] == "done"
    assert snapshot(files) == {
        "docs/a.md": "made",
        "docs/b.md": "after\n",
        "docs/ok-shell.txt": "",
        "src/app.py": "before\n",
    }
    assert snapshot(outside) == {"secret.txt": "TOP-SECRET"}
    assert len(done.json["denied"]) == 10
    assert all(entry["reason"] for entry in done.json["denied"])
    received = json.dumps([request.body for request in model.requests])
    assert "TOP-SECRET" not in received
    shown = sdqctl("sessions", "show", "safe", "--format", "json").json
    assert sum(call["denied"] for call in shown["turns"][0]["tools"]) == 10


@pytest.mark.thorough
def test_an_agent_that_asks_gets_no_answer_and_goes_on(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    ask = tool("ask_user", question="Which one?", choices=["a", "b"])
    (project / "w.conv").write_text(f"PROMPT {ask} [[reply: done]]\n")
    done = sdqctl("run", "w.conv", "--session-name", "asks", "--step-timeout", "30s")
    assert (done.code, done.out) == (0, "done\n"), done.err


def texts_of(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (home / "copilot").glob("session-store.db*"))


@pytest.mark.thorough
def test_purge_removes_the_runtimes_own_copy_and_delete_says_that_it_is_kept(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    for name in ("one", "two", "stays"):
        (project / "w.conv").write_text(f"PROMPT mark-{name}-prompt [[reply: mark-{name}-reply]]\n")
        assert sdqctl("run", "w.conv", "--session-name", name).code == 0
    assert b"mark-one-reply" in texts_of(home)
    kept = sdqctl("sessions", "delete", "one", "--force")
    assert kept.code == 0
    assert "session-store.db" in kept.err
    assert "--purge" in kept.err
    assert b"mark-one-reply" in texts_of(home)
    purged = sdqctl("sessions", "delete", "two", "--force", "--purge")
    assert purged.code == 0, purged.err
    assert b"mark-two" not in texts_of(home)
    assert b"mark-stays-reply" in texts_of(home)
    again = sdqctl("resume", "stays", "--prompt", "more [[reply: fine]]")
    assert (again.code, again.out) == (0, "fine\n"), again.err


@pytest.mark.thorough
def test_history_store_false_keeps_a_session_out_of_the_runtimes_copy(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    config = home / "my.toml"
    config.write_text("history_store = false\n")
    (project / "w.conv").write_text("PROMPT mark-prompt [[reply: mark-reply]]\n")
    done = sdqctl("run", "w.conv", SDQCTL_CONFIG=str(config))
    assert done.code == 0, done.err
    assert b"mark-" not in texts_of(home)


def test_the_environment_of_tools_is_cut_down_to_the_list(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    config = home / "my.toml"
    config.write_text('env = ["KEPT_*"]\n')
    shell = bash("env > seen.txt")
    (project / "w.conv").write_text(
        f"MODE full\nALLOW-SHELL true\nRUN env > run.txt\nPROMPT {shell} [[reply: done]]\n"
    )
    done = sdqctl(
        "run",
        "w.conv",
        SDQCTL_CONFIG=str(config),
        KEPT_ONE="1",
        AWS_SECRET_ACCESS_KEY="do-not-tell",
        OTHER="x",
    )
    assert done.code == 0, done.err
    for name in ("run.txt", "seen.txt"):
        seen = (project / name).read_text()
        assert "KEPT_ONE=1" in seen
        assert "do-not-tell" not in seen
        assert "OTHER=" not in seen


@pytest.mark.thorough
def test_no_start_up_file_of_a_shell_gives_back_what_the_list_leaves_out(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    for folder in (home, project):
        for name in (".bash_profile", ".profile", ".bash_login", ".bashrc", ".bash_env", ".envrc"):
            (folder / name).write_text(f"export BACK='{folder.name}/{name}'\n")
    config = home / "my.toml"
    config.write_text('env = ["KEPT_*"]\n')
    shell = bash("env > seen.txt")
    (project / "w.conv").write_text(
        f"MODE full\nALLOW-SHELL true\nRUN env > run.txt\nPROMPT {shell} [[reply: done]]\n"
    )
    done = sdqctl(
        "run",
        "w.conv",
        SDQCTL_CONFIG=str(config),
        KEPT_ONE="1",
        BASH_ENV=str(project / ".bash_env"),
        ENV=str(project / ".envrc"),
    )
    assert done.code == 0, done.err
    for name in ("run.txt", "seen.txt"):
        seen = (project / name).read_text()
        assert "KEPT_ONE=1" in seen
        assert "BACK=" not in seen


def test_keys_are_in_no_file_and_no_output_of_ours(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    key = "k3y-0123456789abcdef-secret"
    token = "ghp_" + "Z" * 36
    (project / "w.conv").write_text(
        f"EVENT-LOG events.jsonl\nPROMPT use {key} and {token} [[reply: used {key} and {token}]]\n"
    )
    done = sdqctl("run", "w.conv", "--session-name", "keys", COPILOT_PROVIDER_API_KEY=key)
    assert done.code == 0, done.err
    told = sdqctl("status", "--auth", COPILOT_PROVIDER_API_KEY=key)
    assert key not in told.out + told.err
    for path in (home / "sdqctl").rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes(), path
            assert token.encode() not in path.read_bytes(), path
    logged = (project / "events.jsonl").read_text()
    assert key not in logged
    assert token not in logged
    assert model.user_messages()[0].startswith(f"use {key}")


HOSTILE = 'allow_tools = ["shell", "write"]\nruntime_path = "./evil"\n'


@pytest.mark.thorough
def test_a_hostile_project_file_turns_nothing_on_before_it_is_trusted(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    evil = project / "evil"
    evil.write_text("#!/bin/sh\ntouch ran\n")
    evil.chmod(0o755)
    config = project / "sdqctl.toml"
    config.write_text(HOSTILE)
    (project / "w.conv").write_text(f"PROMPT {create(project / 'x.txt')} [[reply: done]]\n")
    refused = sdqctl("run", "w.conv")
    assert refused.code == 0
    assert "sdqctl trust" in refused.err
    assert not (project / "x.txt").exists()
    assert not (project / "ran").exists()
    config.write_text('allow_tools = ["write"]\n')
    assert sdqctl("trust", "--yes").code == 0
    assert sdqctl("trust", "--list").out == f"{project}\n"
    done = sdqctl("run", "w.conv", "--session-name", "trusted")
    assert done.code == 0, done.err
    assert (project / "x.txt").read_text() == "made"
    (project / "x.txt").unlink()
    config.write_text(HOSTILE)
    sdqctl("run", "w.conv", "--session-name", "changed")
    config.write_text('allow_tools = ["write"]\n')
    assert sdqctl("trust", "--remove").code == 0
    sdqctl("run", "w.conv", "--session-name", "removed")
    assert not (project / "x.txt").exists()
    assert not (project / "ran").exists()
