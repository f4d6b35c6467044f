"""What other agents can do over MCP, and what they cannot, whatever they ask for.

Its library is imported by the tests that use it: that takes a second in each worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sdqctl.cli.context import App
from sdqctl.cli.mcp.bounds import DEPTH, Limits, Owned, Policy, depth_of, offered
from sdqctl.cli.mcp.runs import Runs
from sdqctl.engine.detached import begin
from sdqctl.errors import UsageError
from sdqctl.model.session import SessionRef
from sdqctl.testing.loopback import LoopbackModel
from tests.bench import Bench
from tests.command import SDQCTL, sdqctl
from tests.conftest import ROOT

if TYPE_CHECKING:
    from mcp.client.client import Client

REVIEW = """\
MODE implement
INPUT file text "Which file"
PROMPT look at {{ file }} [[reply: seen]]
ASK ok "Shall it be fixed?" choice(yes|no)
PROMPT then [[tool: write made.txt x]] [[reply: done]]
RETURN {'file': file, 'ok': ok}
"""


class Caller:
    """A client of the server, which calls tools by their names."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """What a tool gives; its error as `{"error": text}`."""
        done = await self._client.call_tool(tool, arguments)
        text = "".join(getattr(part, "text", "") for part in done.content)
        if done.is_error:
            return {"error": text}
        found: dict[str, Any] = json.loads(text)
        return found

    async def read(self, uri: str) -> str:
        """A resource."""
        done = await self._client.read_resource(uri)
        return "".join(getattr(part, "text", "") for part in done.contents)

    async def tools(self) -> set[str]:
        """The names of the tools."""
        return {tool.name for tool in (await self._client.list_tools()).tools}


Story = Callable[[Caller], Awaitable[None]]


def runs_of(*globs: str, depth: int = 0, runs: int = 10, **policy: Any) -> Runs:  # noqa: ANN401
    """What a server of such a command line does."""
    app, bounds = App(environment=os.environ), Policy(**{"mode": "audit", **policy})
    found = offered(app.directory, globs)
    return Runs(app, found, bounds, Limits(runs=runs, depth=1), depth, Owned(app.home, bounds))


def tell(runs: Runs, story: Story) -> None:
    """Have a client do what a story says."""
    from sdqctl.cli.mcp.serving import server_of

    talk(server_of(runs), story)


def talk(server: Any, story: Story) -> None:  # noqa: ANN401 - the library's, which is not loaded
    """Have a client of that server do what a story says."""
    from mcp.client.client import Client

    async def told() -> None:
        async with Client(server) as client:
            await story(Caller(client))

    asyncio.run(told())


def test_an_agent_starts_a_workflow_waits_answers_and_reads_its_outcome(bench: Bench) -> None:
    bench.write("review.conv", REVIEW)

    async def story(call: Caller) -> None:
        (one,) = (await call("list_workflows"))["workflows"]
        assert (one["workflow"], one["inputs"]) == ("review.conv", ["file (text): Which file"])
        begun = await call(
            "start_workflow", workflow="review.conv", session="r", inputs={"file": "@/etc/passwd"}
        )
        assert begun["session"] == "r"
        asked = await call("wait_for_run", session="r", seconds=120)
        assert (asked["status"], asked["question"]["choices"]) == ("paused", ["yes", "no"])
        assert "usage" in (await call("answer_gate", session="r", answer="maybe"))["error"]
        await call("answer_gate", session="r", answer="yes", comment="-x")
        done = await call("wait_for_run", session="r", seconds=120)
        assert (done["status"], done["value"]) == (
            "completed",
            {"file": "@/etc/passwd", "ok": "yes"},
        )
        (listed,) = (await call("list_sessions", name_glob="r"))["sessions"]
        assert listed["status"] == "completed"
        shown = await call("show_session", session="r", turns=1)
        assert [turn["response"] for turn in shown["turns"]] == ["done"]
        assert "seen" in await call.read("sdqctl://sessions/r/transcript")

    tell(runs_of("*.conv"), story)
    assert not (bench.project / "made.txt").exists(), "the server's mode is audit"


def test_a_workflow_is_started_only_as_it_was_when_it_was_offered(bench: Bench) -> None:
    path = bench.write("a.conv", 'PROMPT a [[reply: A]]\nASK ok "On?"\nPROMPT b\n')
    runs = runs_of("*.conv")

    async def story(call: Caller) -> None:
        assert (
            "is no workflow that may"
            in (await call("start_workflow", workflow="../x.conv", session="x"))["error"]
        )
        await call("start_workflow", workflow="a.conv", session="a")
        await call("wait_for_run", session="a", seconds=120)
        path.write_text('PROMPT a [[reply: A]]\nASK ok "On?"\nRUN touch made.txt\n')
        refused = await call("start_workflow", workflow="a.conv", session="b")
        assert "was changed since it was offered" in refused["error"]
        await call("answer_gate", session="a", answer="yes")
        again = await call("wait_for_run", session="a", seconds=120)
        assert again["status"] == "paused"

    tell(runs, story)
    assert not (bench.project / "made.txt").exists()


@pytest.mark.thorough
def test_what_others_began_is_read_and_forked_but_not_changed(bench: Bench) -> None:
    path = bench.write("w.conv", 'PROMPT a [[reply: A]]\nASK ok "On?"\nPROMPT b\n')
    assert sdqctl("run", path, "--session-name", "theirs", "--mode", "implement").code == 8

    async def story(call: Caller) -> None:
        for tool, more in (
            ("send_prompt", {"prompt": "x"}),
            ("answer_gate", {"answer": "yes"}),
            ("continue_run", {}),
            ("interrupt_run", {}),
        ):
            refused = await call(tool, session="theirs", **more)
            assert "can only be read" in refused["error"], tool
        assert (await call("fork_session", session="theirs", name="mine"))["session"] == "mine"
        assert (
            "can only be read" in (await call("answer_gate", session="mine", answer="y"))["error"]
        )
        line = "@/etc/passwd [[tool: write made.txt x]] [[reply: B]]"
        await call("send_prompt", session="mine", prompt=line)
        done = await call("wait_for_run", session="mine", seconds=120)
        assert (done["status"], done["output"]) == ("completed", "B")
        hits = (await call("search_sessions", text="made.txt"))["hits"]
        assert "mine" in json.dumps(hits)

    tell(runs_of("*.conv"), story)
    assert not (bench.project / "made.txt").exists()


def test_runs_are_counted_and_agents_of_agents_start_none(bench: Bench) -> None:
    async def few(call: Caller) -> None:
        await call("start_session", session="a", prompt="-x [[reply: A]]")
        assert (await call("wait_for_run", session="a", seconds=120))["output"] == "A"
        assert "--max-runs" in (await call("start_session", session="b", prompt="b"))["error"]

    async def deep(call: Caller) -> None:
        assert "--max-depth" in (await call("start_session", session="c", prompt="c"))["error"]
        assert (await call("read_outcome", session="a"))["status"] == "completed"

    tell(runs_of(runs=1), few)
    tell(runs_of(depth=1), deep)


def test_another_policy_has_no_say_in_what_was_begun_under_this_one(bench: Bench) -> None:
    owned = Owned(bench.home, Policy(mode="implement"))
    ref = SessionRef("mock", "a")
    owned.add(ref, "begun")
    assert owned.how(ref) == "begun"
    assert Owned(bench.home, Policy(mode="audit")).how(ref) is None


def test_a_workflow_may_ask_for_less_than_the_server_gives_and_not_for_more(bench: Bench) -> None:
    bench.write("less.conv", "MODE audit\nPROMPT x\n")
    bench.write("more.conv", "MODE implement\nPROMPT x\n")
    bench.write("most.conv", "MODE full\nPROMPT x\n")
    found = offered(bench.project, ["*.conv"])
    wide, narrow = Policy(mode="implement"), Policy(mode="audit", max_tokens=5)
    assert wide.flags(found["less.conv"].workflow) == ["--mode=audit"]
    assert wide.flags(found["more.conv"].workflow) == ["--mode=implement"]
    assert wide.flags(found["most.conv"].workflow) == ["--mode=implement"], "full has no sandbox"
    assert narrow.flags(found["more.conv"].workflow) == ["--mode=audit", "--max-tokens=5"]


def test_what_is_offered_lies_in_the_folder(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "out.conv"
    outside.write_text("PROMPT x\n")
    (bench.project / "in.conv").symlink_to(outside)
    for pattern, said in (("*.conv", "leads out of"), ("none*", "there is no such file")):
        with pytest.raises(UsageError, match=said):
            offered(bench.project, [pattern])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--mode", "adit"), "did you mean audit"),
        (("--allow-tool", "shel(x)"), "shel"),
        (("--workflow", "none.conv"), "there is no such file"),
    ],
)
def test_a_mistake_on_the_command_line_is_found_at_the_start(
    bench: Bench, flags: tuple[str, ...], said: str
) -> None:
    done = sdqctl("mcp", *flags, stdin="")
    assert (done.code, said in done.err) == (2, True), done.err


def test_depth_is_known_by_the_processes_above_too(bench: Bench) -> None:
    assert depth_of({}) == depth_of({DEPTH: "x"}) == 0
    assert depth_of({DEPTH: "2"}) == 2
    code = (
        "import os, subprocess, sys\n"
        "line = 'from sdqctl.cli.mcp.bounds import depth_of; print(depth_of({}))'\n"
        "subprocess.run([sys.executable, '-c', line], env={'PATH': os.environ['PATH']})\n"
    )
    environment = {**os.environ, DEPTH: "3"}
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"


def test_the_command_serves_on_its_streams_and_prints_its_skill(bench: Bench) -> None:
    from mcp.client.stdio import StdioServerParameters

    bench.write("a.conv", "PROMPT a [[reply: A]]\n")
    program, *arguments = SDQCTL
    server = StdioServerParameters(
        command=program,
        args=[*arguments, "mcp", "--workflow", "*.conv", "--adapter", "mock"],
        env={**os.environ},
        cwd=bench.project,
    )

    async def story(call: Caller) -> None:
        assert {"start_workflow", "wait_for_run", "list_sessions"} <= await call.tools()
        await call("start_workflow", workflow="a.conv", session="a")
        done = await call("wait_for_run", session="a", seconds=120)
        assert (done["status"], done["output"]) == ("completed", "A")

    talk(server, story)
    skill = sdqctl("mcp", "--skill")
    assert skill.out.startswith("---\nname: sdqctl\ndescription: ")


@pytest.mark.thorough
@pytest.mark.runtime
def test_the_real_runtime_starts_a_workflow_over_mcp_and_reads_its_outcome(
    model: LoopbackModel, project: Path
) -> None:
    (project / "inner.conv").write_text("ADAPTER mock\nPROMPT a [[reply: from inside]]\n")
    serve = f"{sys.executable} -m sdqctl mcp --workflow inner.conv"
    start = json.dumps({"workflow": "inner.conv", "session": "inner"})
    wait = json.dumps({"session": "inner", "seconds": 120})
    (project / "outer.conv").write_text(
        f"SESSION-NAME outer\nMCP sdqctl {serve}\n"
        f"PROMPT start it [[tool: sdqctl-start_workflow {start}]] "
        f"[[tool: sdqctl-wait_for_run {wait}]] [[reply: it is done]]\n"
    )
    done = sdqctl(
        *("run", "outer.conv", "-a", "copilot", "--allow-tool", "mcp(sdqctl)"),
        *("--sandbox", "none", "--format", "json"),
    )
    assert done.code == 0, done.err
    assert done.json["output"] == "it is done"
    said = json.dumps([request.messages for request in model.requests])
    assert "from inside" in said, (done.json["denied"], said[-3000:])
    inner = sdqctl("sessions", "show", "inner", "--format", "json").json
    assert [turn["response"] for turn in inner["turns"]] == ["from inside"]


def test_no_module_of_the_repository_is_run_in_place_of_sdqctl(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python looks in the working directory first for what `-m` names, and for all it imports."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    ran = bench.project / "ran"
    for name in ("sdqctl/__init__.py", "sdqctl/__main__.py", "msgspec.py"):
        bench.write(name, f"open({str(ran)!r}, 'w')\n")
    bench.write("work.conv", "PROMPT go [[reply: done]]\n")
    runs = runs_of("*.conv")
    assert runs.ask("list") == []
    begun = begin(["run", "work.conv"], folder=bench.project, environment=os.environ)
    assert begun.session.name
    assert not ran.exists()


NUL = "a\0b"


@pytest.mark.each(4)
@pytest.mark.parametrize(
    ("tool", "argument", "others"),
    [
        ("start_session", "session", {"prompt": "a"}),
        ("start_session", "prompt", {"session": "a"}),
        ("start_workflow", "session", {"workflow": "a.conv"}),
        ("start_workflow", "workflow", {"session": "a"}),
        ("send_prompt", "session", {"prompt": "a"}),
        ("answer_gate", "answer", {"session": "s"}),
        ("answer_gate", "comment", {"session": "s", "answer": "yes"}),
        ("fork_session", "name", {"session": "s"}),
        ("list_sessions", "name_glob", {}),
        ("search_sessions", "text", {}),
        ("wait_for_run", "session", {}),
    ],
)
def test_an_argument_with_a_nul_is_named_and_spends_nothing(
    tool: str, argument: str, others: dict[str, str], bench: Bench
) -> None:
    bench.write("a.conv", "PROMPT a [[reply: A]]\n")
    runs = runs_of("*.conv", runs=1)

    async def story(call: Caller) -> None:
        error = (await call(tool, **{argument: NUL}, **others))["error"]
        assert f"usage: {tool}: the argument {argument} holds a NUL character" in error
        within = await call("start_workflow", workflow="a.conv", session="t", inputs={"x": NUL})
        assert "the argument inputs holds" in within["error"]
        assert runs.count == 0
        begun = await call("start_session", session="a", prompt="a [[reply: A]]")
        assert begun["session"] == "a"

    tell(runs, story)


def test_an_argument_that_is_too_long_says_so_and_spends_nothing(bench: Bench) -> None:
    runs = runs_of(runs=1)

    async def story(call: Caller) -> None:
        long = await call("start_session", session="a" * 3_000_000, prompt="a")
        assert "it cannot be done: Argument list too long" in long["error"]
        assert runs.count == 0

    tell(runs, story)
