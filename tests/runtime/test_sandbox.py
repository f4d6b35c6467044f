"""The net around the real runtime, with the policy switched off: what holds is the net alone."""

from __future__ import annotations

import json
import os
import pty
import socket
import threading
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import Command, Done, sdqctl, started
from tests.runtime.plans import Call, Plans, sub_agent
from tests.sampling import some

pytestmark = pytest.mark.runtime

SECRET = "TOP-SECRET"
DONE = "[[reply: done]]"


def tool(name: str, /, **arguments: object) -> str:
    return f"[[tool: {name} {json.dumps(arguments)}]]"


def bash(command: str) -> str:
    return tool("bash", command=command, description="work")


@pytest.fixture
def secret(home: Path) -> Path:
    """A key of the user's, in a folder that no project has."""
    file = home / ".ssh" / "id"
    file.parent.mkdir()
    file.write_text(SECRET)
    return file


def run(
    project: Path, text: str, *flags: str, command: Command = sdqctl, **environment: str
) -> Done:
    """Run a workflow with every tool allowed, to its good end."""
    (project / "w.conv").write_text(text)
    words = ("run", "w.conv", "--allow-all-tools", "--format", "json", *flags)
    done = command(*words, **environment)
    assert done.code == 0, done.err
    return done


def received(model: LoopbackModel) -> str:
    """All that the model was told."""
    return json.dumps([request.body["messages"] for request in model.requests])


@pytest.mark.parametrize("mode", some(1, ["audit", "implement"]))
def test_no_tool_and_no_command_reads_the_secret_or_writes_outside(
    mode: str, secret: Path, home: Path, project: Path, model: LoopbackModel
) -> None:
    outside = secret.parent
    orders = "".join(
        [
            bash(f"cat {secret}; echo x > {outside}/by-bash; ln -s {secret} link; cat link"),
            tool("view", path=str(secret)),
            tool("create", path=str(outside / "by-create"), file_text="x"),
            tool("edit", path=str(secret), old_str="TOP", new_str="NO"),
            tool("grep", pattern="SECRET", paths=str(outside)),
        ]
    )
    text = (
        f"MODE {mode}\nALLOW-SHELL true\nRUN-ON-ERROR continue\n"
        f"RUN cat {secret}; echo x > {outside}/by-run\nPROMPT {orders} {DONE}\n"
    )
    done = run(project, text)
    assert done.json["denied"] == []
    assert SECRET not in received(model)
    assert [path.name for path in outside.iterdir()] == ["id"]
    assert secret.read_text() == SECRET
    told = done.json["sandbox"]
    assert told["kind"] == "landlock"
    assert {entry["path"] for entry in told["refused"]} >= {
        str(secret),
        str(outside / "by-bash"),
        str(outside / "by-create"),
        str(outside / "by-run"),
    }
    assert done.err.count("sandbox (landlock)") == 1


@pytest.mark.parametrize("mode", some(1, ["implement", "audit"]))
def test_a_sub_agent_is_inside(
    mode: str, secret: Path, home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = f"cat {secret}; echo x > {secret.parent}/by-agent"
    tries: list[Call] = [
        ("bash", {"command": command, "description": "work"}),
        ("view", {"path": str(secret)}),
        ("create", {"path": str(secret.parent / "by-create"), "file_text": "x"}),
    ]
    with LoopbackModel(Plans({"main": [sub_agent("sub")], "sub": tries})) as model:
        for name, value in model.environment().items():
            monkeypatch.setenv(name, value)
        done = run(project, f"MODE {mode}\nPROMPT PLAN:main\n")
        assert done.json["output"] == "done"
        assert SECRET not in received(model)
        results = [result for request in model.requests for result in request.tool_results]
        assert any(f"cat: {secret}: Permission denied" in result for result in results)
    assert [path.name for path in secret.parent.iterdir()] == ["id"]
    refused = {entry["path"] for entry in done.json["sandbox"]["refused"]}
    assert refused >= {str(secret), *(str(secret.parent / f"by-{n}") for n in ("agent", "create"))}


def test_in_a_reading_mode_nothing_in_the_project_changes(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "notes.txt").write_text("before")
    orders = "".join(
        [
            bash("echo x > made; echo x >> notes.txt; rm notes.txt; cat notes.txt"),
            tool("create", path=str(project / "new.txt"), file_text="x"),
            tool("edit", path=str(project / "notes.txt"), old_str="before", new_str="after"),
        ]
    )
    done = run(project, f"MODE audit\nPROMPT {orders} {DONE}\n")
    assert sorted(path.name for path in project.iterdir()) == ["notes.txt", "w.conv"]
    assert (project / "notes.txt").read_text() == "before"
    assert "--mode implement" in done.json["sandbox"]["refused"][0]["hint"]


def test_ordinary_work_is_done_inside_in_a_writing_mode(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    work = (
        "git init -q && git config user.name n && git config user.email e@x && git add -A && "
        "git commit -qm first && git log --oneline && npm init -y > /dev/null && npm pkg get name "
        "&& printf 'def test_it():\\n    assert True\\n' > test_it.py && python3 test_it.py && "
        "mkdir a && mv test_it.py a && cp -r a b && rm -r a && ls b && echo all-done"
    )
    orders = bash(work) + tool("create", path=str(project / "c.txt"), file_text="made")
    done = run(project, f"MODE implement\nPROMPT {orders} {DONE}\n")
    assert "all-done" in model.requests[-1].tool_results[0]
    assert (project / "c.txt").read_text() == "made"
    assert (project / "b" / "test_it.py").exists()
    assert done.json["sandbox"]["refused"] == []


@pytest.mark.thorough
def test_a_session_goes_on_inside(
    secret: Path, home: Path, project: Path, model: LoopbackModel
) -> None:
    run(project, f"SESSION-NAME talk\nPROMPT hello {DONE}\n")
    order = bash(f"cat {secret}; cat w.conv")
    told = sdqctl("resume", "talk", "--prompt", f"{order} {DONE}", "--allow-all-tools")
    assert told.code == 0, told.err
    assert len(model.user_messages()) == 2
    assert SECRET not in received(model)
    assert "SESSION-NAME talk" in model.requests[-1].tool_results[0]


def test_a_reading_mode_reaches_the_model_and_nothing_else(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        orders = bash(f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached-it")
        text = f"PROMPT {orders} {DONE}\n"
        run(project, f"MODE audit\n{text}")
        assert "reached-it\n" not in model.requests[-1].tool_results[0]
        rule = ["--allow-tool", f"url(http://127.0.0.1:{port})"]
        run(project, f"MODE audit\n{text}", "--session-name", "by-rule", *rule)
        assert "reached-it\n" in model.requests[-1].tool_results[0]
        run(project, f"MODE implement\n{text}", "--session-name", "free")
        assert "reached-it\n" in model.requests[-1].tool_results[0]


def test_tools_reach_neither_sdqctl_nor_its_data_nor_an_agent_that_holds_keys(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    data = home / "sdqctl"
    (project / "try.py").write_text(
        "import os, signal, sys\n"
        "data = os.environ['HOME'] + '/sdqctl'\n"
        "up = os.getppid()\n"
        "while b'-m\\0sdqctl' not in open(f'/proc/{up}/cmdline', 'rb').read():\n"
        "    up = int(open(f'/proc/{up}/stat').read().rpartition(')')[2].split()[1])\n"
        "for act in (\n"
        "    lambda: print(os.listdir(data)),\n"
        "    lambda: print(open(data + '/ledger.db', 'rb').read(6)),\n"
        "    lambda: os.unlink(data + '/ledger.db'),\n"
        "    lambda: os.kill(up, signal.SIGKILL),\n"
        "    lambda: print(open(f'/proc/{up}/environ').read()[:9]),\n"
        "):\n"
        "    try:\n"
        "        act()\n"
        "        print('done')\n"
        "    except PermissionError as error:\n"
        "        print(error)\n"
        "print('agent:', os.environ.get('SSH_AUTH_SOCK'))\n"
    )
    done = run(
        project,
        f"MODE implement\nPROMPT {bash('python3 try.py')} {DONE}\n",
        command=started,
        SSH_AUTH_SOCK="/tmp/agent",
    )
    lines = model.requests[-1].tool_results[0].splitlines()
    assert len([line for line in lines if "[Errno" in line]) == 5, lines
    assert "agent: None" in lines
    assert str(data) in {entry["path"] for entry in done.json["sandbox"]["refused"]}


@pytest.mark.thorough
def test_a_tool_writes_into_no_terminal(home: Path, project: Path, model: LoopbackModel) -> None:
    ours, theirs = pty.openpty()
    try:
        name = os.ttyname(theirs)
        run(project, f"MODE implement\nPROMPT {bash(f'echo fake > {name}')} {DONE}\n")
        assert "Permission denied" in model.requests[-1].tool_results[0]
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.thorough
def test_a_long_output_is_read_from_the_runs_own_folder_which_is_gone_afterwards(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    order = bash("seq 1 9000; echo the-last-line; echo $TMPDIR > where")
    run(project, f"MODE implement\nPROMPT {order} {DONE}\n")
    folder = Path((project / "where").read_text().strip())
    assert str(folder) in model.requests[-1].tool_results[0]
    assert not folder.exists()


@pytest.mark.thorough
def test_what_node_compiled_is_kept_from_run_to_run(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    """Else each start of the runtime would compile its program anew."""
    order = bash('ls -a $TMPDIR; echo "in:$NODE_COMPILE_CACHE"')
    run(project, f"MODE implement\nPROMPT {order} {DONE}\n")
    lines = model.requests[-1].tool_results[0].splitlines()
    assert "node-compile-cache" not in lines
    kept = next(line for line in lines if line.startswith("in:")).removeprefix("in:")
    assert any(Path(kept).rglob("*"))


@pytest.mark.thorough
def test_runs_side_by_side_share_a_net_and_each_keeps_to_it(
    secret: Path, home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "names.txt").write_text("a\nb\nc\n")
    order = bash(f"cat {secret}; echo x > {{{{COMPONENT_NAME}}}}.txt")
    (project / "w.conv").write_text(f"MODE implement\nPROMPT {order} {DONE}\n")
    flags = ["--components", "@names.txt", "--parallel", "3", "--allow-all-tools"]
    done = sdqctl("apply", "w.conv", *flags)
    assert done.code == 0, done.err
    assert SECRET not in received(model)
    assert sorted(path.name for path in project.glob("?.txt")) == ["a.txt", "b.txt", "c.txt"]


@pytest.mark.thorough
def test_workflows_of_different_modes_side_by_side_have_a_net_each(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    for mode in ("audit", "implement"):
        (project / f"{mode}.conv").write_text(
            f"MODE {mode}\nSESSION-NAME {mode}\nPROMPT {bash(f'echo x > by-{mode}')} {DONE}\n"
        )
    done = sdqctl("run", "audit.conv", "implement.conv", "--parallel", "2", "--allow-all-tools")
    assert done.code == 0, done.err
    assert not (project / "by-audit").exists()
    assert (project / "by-implement").exists()


@pytest.mark.thorough
def test_a_runtime_that_the_sdk_starts_itself_is_inside(
    secret: Path, home: Path, project: Path, model: LoopbackModel
) -> None:
    """As with an SDK whose way of starting is not known."""
    (project / "sitecustomize.py").write_text(
        "import sdqctl.adapters.copilot.prestart as early\nearly._STARTER = 'no_such_method'\n"
    )
    order = bash(f"cat {secret}; echo x > made; echo $TMPDIR; cat w.conv")
    run(project, f"MODE audit\nPROMPT {order} {DONE}\n", PYTHONPATH=str(project))
    assert SECRET not in received(model)
    assert "MODE audit" in model.requests[-1].tool_results[0]
    assert not (project / "made").exists()


def test_the_temporary_folders_of_parallel_threads_do_not_meet() -> None:
    from sdqctl.sandbox.temporary import make_temporary, remove_temporary

    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(make_temporary())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8
    assert all(Path(folder).is_dir() for folder in made)
    for folder in made:
        remove_temporary(folder)
