"""Every example runs to its end on the real runtime, and sends what `render` shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl
from tests.conftest import ROOT

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
    "test-triage": "reports/test-triage.md",
}
PAUSES = {"investigation": 2}
ANSWERS = {"risk-triage": "keep"}


@pytest.fixture
def shop(project: Path) -> Path:
    """A repository with what the examples look for: two commits and a tag."""
    for name, text in FILES.items():
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    git = [
        "git",
        "-c",
        "user.name=dev",
        "-c",
        "user.email=dev@localhost",
        "-c",
        "init.defaultBranch=main",
    ]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "First"], ["tag", "v1"]):
        subprocess.run([*git, *command], cwd=project, check=True)
    (project / "src/app.py").write_text("print('hello')\n")
    subprocess.run([*git, "commit", "-qam", "Say hello"], cwd=project, check=True)
    return project


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_to_its_end(
    path: Path, home: Path, shop: Path, model: LoopbackModel
) -> None:
    assert sdqctl("validate", "--strict", path).code == 0
    done = sdqctl("run", path, "--session-name", "example", "--format", "json")
    for _ in range(PAUSES.get(path.stem, 0)):
        assert done.code == 8, done.err
        done = sdqctl("resume", "example", "--continue", "--format", "json")
    if path.stem in ANSWERS:
        assert done.code == 8, done.err
        done = sdqctl("resume", "example", "--answer", ANSWERS[path.stem], "--format", "json")
    assert done.code == 0, done.err
    assert done.json["status"] == "completed"
    assert done.json["run"]["steps_done"] == done.json["run"]["steps_total"]
    if path.stem in OUTPUTS:
        assert "loopback model" in (shop / OUTPUTS[path.stem]).read_text()


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
