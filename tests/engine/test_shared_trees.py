"""A step is taken back only where no other run was at work in its tree meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from tests.bench import Bench
from tests.command import Done, Running, sdqctl
from tests.waiting import has_line, wait_for, wait_until_gone

PART = "INPUT n\nPROMPT p{{ n }}\nRETURN n\n"
TOGETHER = """\
ADAPTER mock
MODE implement
SESSION-NAME s
INPUT items json = ["a", "b"]
FOR i IN items PARALLEL 2
  CALL part.conv WITH n={{ i }} AS got
END
PROMPT end {{ got_all }} [[reply: C]]
"""
MEETING = {
    "pa": "[[tool: write fa x]] [[tool: shell {until} fb {done}]] [[fail: server x1]] [[reply: A]]",
    "pb": "[[tool: shell {until} fa {done}]] [[tool: write fb x]] [[reply: B]]",
}
"""Two prompts at work at once: the first fails when the second has written its file."""
SINGLE = "SESSION-NAME {name}\nADAPTER mock\nMODE implement\nPROMPT {prompt}\n"
FAILING = "go [[tool: write {name} x]] [[die: x1]] [[reply: done]]"
NOT_BACK = "is not taken back: {} was at work in the same tree meanwhile"
KILLED = (-signal.SIGKILL, 137)


@pytest.fixture
def repository(bench: Bench) -> Bench:
    """The project as a repository with the workflows committed."""
    bench.write("part.conv", PART)
    bench.write("work.conv", TOGETHER)
    commit(bench)
    return bench


def commit(bench: Bench) -> None:
    user = ("-c", "user.name=u", "-c", "user.email=u@x")
    for line in (("init", "-q"), ("add", "-A"), (*user, "commit", "-qm", "first")):
        subprocess.run(["git", "-C", bench.project, *line], check=True)


def script(bench: Bench, orders: dict[str, str]) -> dict[str, str]:
    """The environment in which the mock does these orders."""
    loop = {"until": "until test -e", "done": "; do sleep 0.02; done"}
    rules = [{"match": key, "orders": text.format(**loop)} for key, text in orders.items()]
    path = bench.home / "script.json"
    path.write_text(json.dumps(rules))
    return {"SDQCTL_MOCK_SCRIPT": str(path)}


def files(bench: Bench) -> list[str]:
    names = (path.name for path in bench.project.iterdir())
    return sorted(name for name in names if len(name) == 2)


def rewinding(*arguments: str, **environment: str) -> Done:
    return sdqctl(*arguments, "--on-interrupted", "rewind", **environment)


def test_what_a_sibling_made_stays_where_a_failed_prompt_is_tried_again(repository: Bench) -> None:
    done = rewinding("run", "work.conv", **script(repository, MEETING))
    assert done.code == 0, done.err
    assert f"step 1 {NOT_BACK.format('s/part-2')}" in done.err
    assert "WORKTREE in the workflow that is called" in done.err
    assert "the agent is asked to finish it" in done.err
    assert files(repository) == ["fa", "fb"]


@pytest.mark.thorough
def test_a_worktree_of_the_whole_run_is_shared_by_what_it_calls(repository: Bench) -> None:
    done = sdqctl("run", "work.conv", "--worktree", **script(repository, MEETING))
    assert done.code == 0, done.err
    assert NOT_BACK.format("s/part-2") in done.err
    place = sdqctl("worktrees", "path", "s").out.strip()
    assert {"fa", "fb"} <= set(subprocess.check_output(["ls", place], text=True).split())


def test_siblings_with_trees_of_their_own_are_taken_back(repository: Bench) -> None:
    repository.write("part.conv", f"WORKTREE\n{PART}")
    orders = {
        "pa": "[[tool: write fa x]] [[fail: server x1]] [[reply: A]]",
        "pb": "[[tool: write fb x]] [[reply: B]]",
    }
    done = rewinding("run", "work.conv", **script(repository, orders))
    assert done.code == 0, done.err
    assert "sent again with its files taken back" in done.err
    assert files(repository) == []


def test_after_a_kill_the_files_of_a_sibling_that_is_done_stay(repository: Bench) -> None:
    environment = script(repository, MEETING | {"pa": "[[tool: write fa x]] [[stall]]"})
    killed = rewinding("run", "work.conv", SDQCTL_CRASH_AT="ledger.finish.after:2", **environment)
    assert killed.code in KILLED, killed.err
    assert files(repository) == ["fa", "fb"]
    done = sdqctl("resume", "s", "--continue", **script(repository, {"pa": "[[reply: A]]"}))
    assert done.code == 0, done.err
    assert NOT_BACK.format("s/part-2") in done.err
    assert files(repository) == ["fa", "fb"]


@pytest.mark.thorough
def test_components_in_one_tree_do_not_take_back_what_others_made(repository: Bench) -> None:
    repository.write("part.conv", "ADAPTER mock\nMODE implement\nPROMPT p{{ COMPONENT_NAME }}\n")
    repository.write("list.json", json.dumps([{"name": "a"}, {"name": "b"}]))
    flags = ("--components", "@list.json", "--parallel", "2")
    done = rewinding("apply", "part.conv", *flags, **script(repository, MEETING))
    assert done.code == 0, done.err
    assert "at work in the same tree meanwhile" in done.err
    assert files(repository) == ["fa", "fb"]


def test_a_command_that_was_cut_off_beside_another_session_is_not_run_again(bench: Bench) -> None:
    go = bench.home / "go"
    command = f"echo line >> f1; while [ ! -e {go} ]; do sleep 0.05; done"
    head = "SESSION-NAME s\nADAPTER mock\nALLOW-SHELL true\n"
    path = bench.write("work.conv", f"{head}RUN {command}\n")
    process = Running("run", path, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: has_line(bench.project / "f1"))
        prompt = "go [[tool: write f2 x]] [[reply: done]]"
        other = bench.write("other.conv", SINGLE.format(name="other", prompt=prompt))
        assert sdqctl("run", other).code == 0
    finally:
        process.kill()
        process.wait()
    wait_until_gone(bench.home, b"f1")
    go.touch()
    stopped = rewinding("resume", "s", "--continue")
    assert stopped.code == 4, stopped.err
    assert NOT_BACK.format("other") in stopped.err
    assert "--on-interrupted resend`, or go on after it" in stopped.err
    assert files(bench) == ["f1", "f2"]


def test_a_session_that_ended_or_died_before_the_step_does_not_hinder(repository: Bench) -> None:
    ended = SINGLE.format(name="ended", prompt="go [[tool: write f1 x]] [[reply: done]]")
    died = SINGLE.format(name="died", prompt="go [[tool: write f2 x]] [[tool: write no x]]")
    assert sdqctl("run", repository.write("a.conv", ended)).code == 0
    killed = sdqctl("run", repository.write("b.conv", died), SDQCTL_CRASH_AT="mock.tool.after:1")
    assert killed.code in KILLED, killed.err
    text = SINGLE.format(name="s", prompt=FAILING.format(name="f3"))
    done = rewinding("run", str(repository.write("c.conv", text)))
    assert done.code == 0, done.err
    assert "sent again with its files taken back" in done.err
    assert files(repository) == ["f1", "f2", "f3"]


def test_a_copy_that_was_made_meanwhile_does_not_hinder(repository: Bench) -> None:
    done = "MODE implement\nADAPTER mock\nSESSION-NAME s\nPROMPT one [[tool: write f1 x]]\n"
    text = f"{done}PROMPT two [[tool: write f2 x]] [[tool: write f3 x]] [[reply: A]]\n"
    path = repository.write("work.conv", text)
    killed = rewinding("run", str(path), SDQCTL_CRASH_AT="mock.tool.after:2")
    assert killed.code in KILLED, killed.err
    assert sdqctl("sessions", "fork", "s", "copy", "--at", "1").code == 0
    gone_on = sdqctl("resume", "s", "--continue")
    assert gone_on.code == 0, gone_on.err
    assert "sent again with its files taken back" in gone_on.err
    assert files(repository) == ["f1", "f2", "f3"]


def test_what_was_called_before_a_step_is_part_of_its_run(repository: Bench) -> None:
    first = "PROMPT one [[tool: write f1 x]] [[reply: A]]\n"
    repository.write("part.conv", first)
    then = f"CALL part.conv\nPROMPT {FAILING.format(name='f2')}\n"
    text = SINGLE.format(name="s", prompt="begin [[reply: A]]") + then
    done = rewinding("run", str(repository.write("work.conv", text)))
    assert done.code == 0, done.err
    assert "sent again with its files taken back" in done.err
    assert files(repository) == ["f1", "f2"]
