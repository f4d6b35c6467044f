"""Every example runs to its end on the real runtime, and sends what `render` shows."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl
from tests.conftest import ROOT
from tests.sampling import some

pytestmark = pytest.mark.runtime

EXAMPLES = sorted((ROOT / "examples").glob("*.conv"))
FILES = {
    "README.md": "# Shop\n\nSee [the guide](docs/guide.md).\n",
    "docs/guide.md": "# Guide\n",
    "pyproject.toml": "[project]\nname = 'shop'\n",
    "src/app.py": "print('hi')\n",
    "MIGRATION.md": "# Rules\n\n- one\n- two\n",
    "Makefile": "test:\n\t@echo all 3 tests pass\n",
}
OUTPUTS = {
    "dependency-review": "reports/dependencies.md",
    "nightly-check": "reports/nightly.json",
    "release-notes": "RELEASE-NOTES.md",
    "review-each": "reports/review.md",
    "test-triage": "reports/test-triage.md",
}
PAUSES = {"investigation": 2}
ANSWERS = {"risk-triage": "keep", "release": "yes"}
GIVEN = {"release": "version=1.2.0", "review-file": "file=src/app.py"}
"""What those need that have no default."""


@pytest.fixture
def shop(project: Path) -> Path:
    """A repository with what the examples look for: two commits and a tag."""
    for name, text in FILES.items():
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    git = ["git", "-c", "init.defaultBranch=main"]
    for command in (
        ["init", "-q"],
        ["config", "user.name", "dev"],
        ["config", "user.email", "dev@localhost"],
        ["add", "."],
        ["commit", "-qm", "First"],
        ["tag", "v1"],
    ):
        subprocess.run([*git, *command], cwd=project, check=True)
    (project / "src/app.py").write_text("print('hello')\n")
    (project / "README.md").write_text("# Shop\n\nIt says hello.\n")
    subprocess.run([*git, "commit", "-qam", "Say hello"], cwd=project, check=True)
    return project


@pytest.mark.parametrize("fifth", some(1, range(5)))
def test_the_examples_run_to_their_ends(
    fifth: int, home: Path, shop: Path, model: LoopbackModel
) -> None:
    """Those that need nothing in one runtime, which waits where a human is wanted."""
    assert sdqctl("validate", "--strict", *EXAMPLES).code == 0
    alone = [path for path in EXAMPLES if path.stem not in GIVEN][fifth::5]
    done = sdqctl("run", *alone, "--keep-going", "--format", "json")
    runs = {Path(one["name"]).stem: one for one in done.json}
    waiting = {*PAUSES, *ANSWERS} & {*runs}
    assert {name: one["status"] for name, one in runs.items()} == {
        path.stem: "paused" if path.stem in waiting else "completed" for path in alone
    }, done.err
    for name in waiting:
        runs[name] = {"run": _went_on(name, runs[name]["session"]["name"])}
    for one in runs.values():
        assert one["run"]["steps_done"] == one["run"]["steps_total"]
    for name, file in ((name, OUTPUTS[name]) for name in OUTPUTS if name in runs):
        assert "loopback model" in (shop / file).read_text(), name


def _went_on(name: str, session: str) -> dict[str, Any]:
    """The run of an example, after what a human does."""
    for _ in range(PAUSES.get(name, 0)):
        done = sdqctl("resume", session, "--continue", "--format", "json")
    if name in ANSWERS:
        done = sdqctl("resume", session, "--answer", ANSWERS[name], "--format", "json")
    assert done.code == 0, done.err
    found: dict[str, Any] = done.json["run"]
    return found


@pytest.mark.thorough
def test_a_release_waits_for_a_human_and_is_tagged(
    home: Path, shop: Path, model: LoopbackModel
) -> None:
    path = ROOT / "examples" / "release.conv"
    done = sdqctl("run", path, "--session-name", "next", "--set", GIVEN["release"])
    assert done.code == 8, done.err
    assert "loopback model" in (shop / "RELEASE-NOTES.md").read_text()
    run = _went_on("release", "next")
    assert run["steps_done"] == run["steps_total"]
    assert [one["workflow"] for one in run["called"]] == ["release-notes"]
    tags = subprocess.run(["git", "tag", "-n"], cwd=shop, capture_output=True, text=True).stdout
    assert "v1.2.0          Version 1.2.0, a major release" in tags


def test_there_are_at_least_eight_examples() -> None:
    assert len(EXAMPLES) >= 8


VERBATIM = """\
# Audit of the parser

| input | checked by |
| --- | --- |
| text  | `lexer.py` |

```sh
# a comment inside a fence
RUN ls | wc
```

- first
    1. nested
       deeper

## RUN it twice

    RUN indented code
Last line."""


def test_the_model_receives_a_prompt_character_for_character(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "w.conv").write_text(f"PROMPT <<DONE\n{VERBATIM}\nDONE\nPROMPT {VERBATIM}\n")
    done = sdqctl("run", "w.conv", "--session-name", "exact")
    assert done.code == 0, done.err
    assert model.user_messages() == [VERBATIM, VERBATIM]
    rendered = sdqctl("render", "w.conv", "--format", "json").json
    assert [step["prompt"] for step in rendered] == [VERBATIM, VERBATIM]
