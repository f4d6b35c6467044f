"""A tool's output that is too long for the model is kept in a file, which it may read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdqctl.model.tools import ToolKind, ToolRequest
from sdqctl.policy.policy import build_policy
from sdqctl.testing.loopback import LoopbackModel, Reply, Request
from tests.command import sdqctl
from tests.sampling import some

pytestmark = pytest.mark.runtime

BASH = ("bash", {"command": "seq 1 20000", "description": "count"})
SQL = (
    "sql",
    {
        "description": "count",
        "query": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20000) "
        "SELECT x FROM c",
    },
)


def place_in(result: str) -> str:
    found = re.search(r"Saved to: (\S+)", result)
    assert found, result[:300]
    return found[1]


def looks_at_its_output(tool: tuple[str, dict[str, str]]) -> Callable[[Request], Reply]:
    """The model asks for a tool, then for the first lines of where its output was put."""

    def script(request: Request) -> Reply:
        results = request.tool_results
        if not results:
            return Reply(text="I will count.", tool_calls=[tool])
        if len(results) == 1:
            look = {"path": place_in(results[0]), "view_range": [1, 5]}
            return Reply(text="I will look.", tool_calls=[("view", look)])
        return Reply(text=f"seen: {results[1]}")

    return script


@pytest.fixture(params=[BASH, SQL], ids=["bash", "sql"])
def counting(
    request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LoopbackModel]:
    with LoopbackModel(looks_at_its_output(request.param)) as model:
        for name, value in model.environment().items():
            monkeypatch.setenv(name, value)
        yield model


@pytest.mark.thorough
@pytest.mark.parametrize("sandbox", some(1, ["auto", "none"]))
def test_the_model_may_look_at_an_output_that_was_too_long_for_it(
    sandbox: str, project: Path, counting: LoopbackModel
) -> None:
    (project / "w.conv").write_text("PROMPT count\n")
    allowed = ("--allow-tool", "shell(seq:*)", "--sandbox", sandbox)
    done = sdqctl("run", "w.conv", "--session-name", "long", *allowed, "--format", "json")
    assert done.code == 0, done.err
    assert done.json["denied"] == []
    assert "1" in done.json["output"].split()
    path = place_in(counting.requests[-1].tool_results[0])
    if sandbox == "none":  # else it lay in the run's own folder
        asked = ToolRequest(kind=ToolKind.READ, target=path)
        assert build_policy(mode="audit", cwd=project).decide(asked).allowed, path
    Path(path).unlink(missing_ok=True)
