"""The pictures of the pages show what happens when one does what the page says."""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path

import pytest

from sdqctl.cli.ui import session_list
from tests.cli.ui.test_keys import Driven, drive
from tests.command import sdqctl
from tests.conftest import ROOT
from tests.pictures import COLUMNS, ROWS, compare, compare_picture, without_font
from tests.terminal import ENTER, Terminal
from tests.workspace.gits import repository

TRIAGE = """\
[{"match": "How risky", "orders": "[[json: {\\"level\\": \\"high\\", \\"why\\": \\"it changes what is billed\\"}]]"},
 {"match": "The change stays", "orders": "[[reply: Watch the number of refunds.]]"}]
"""  # noqa: E501 - JSON
ONE = """\
PROMPT Move {{COMPONENT_PATH}} to the new interface. [[reply: Moved.]]
RUN grep -q new {{COMPONENT_PATH}}
"""
SESSIONS = {
    "nightly-check": "PROMPT Look at what fails. [[reply: Two tests fail for one reason.]]\n",
    "audit-main": "PROMPT Which inputs reach a shell?\n"
    "[[reply: Two do:\n- `name` in report.py\n- `path` in export.py]]\n",
    "release": "PROMPT Write the notes. [[reply: The notes are written.]]\n"
    'ASK verdict "Publish it?" choice(yes|no)\nPROMPT {{verdict}}\n',
    "docs-sync": "PROMPT Compare the pages. [[fail: request]]\n",
}
BACKGROUND = {
    "migration": ("PROMPT Move the tables. [[stall]]\n", ()),
    "clean-up": ("PROMPT Tidy. [[tool: shell rm -r build]]\n", ("--ask",)),
}


@pytest.fixture
def shop(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's project in git, whose sessions are of the scripted agent."""
    shop = repository(home / "shop", {f"src/{name}.py": "new\n" for name in ("cart", "list")})
    monkeypatch.chdir(shop)
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    return shop


def on_screen(*arguments: str, **environment: str) -> Terminal:
    """A command as a user sees it."""
    return Terminal(arguments, columns=COLUMNS, rows=ROWS, colours=True, environment=environment)


def block(page: str, language: str) -> str:
    """The first block of a language that stands on a page."""
    found = re.search(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)


@pytest.mark.thorough
def test_ten_minutes(shop: Path) -> None:
    (shop / "audit.conv").write_text(block("index.md", "dockerfile"))
    with on_screen("run", "audit.conv") as terminal:
        waiting = re.compile(r"3/5\] waiting for the model \d+s")
        terminal.wait_until(lambda: waiting.search(terminal.text) is not None)
        compare_picture("ten-minutes-run", "sdqctl run audit.conv", terminal)
        terminal.kill(signal.SIGKILL)
    with on_screen("resume", "audit", "--continue") as terminal:
        assert terminal.wait_for_end() == 8
        compare_picture("ten-minutes-resume", "sdqctl resume audit --continue", terminal)


def test_a_migration_of_which_one_component_fails(shop: Path) -> None:
    (shop / "src" / "list.py").write_text("old\n")
    (shop / "migrate-one.conv").write_text(ONE)
    line = ("apply", "migrate-one.conv", "--components", "src/*.py")
    with on_screen(*line) as terminal:
        assert terminal.wait_for_end() == 4
        compare_picture("migration-failed", f"sdqctl {shlex.join(line)}", terminal)
    (shop / "src" / "list.py").write_text("new\n")
    with on_screen(*line) as terminal:
        assert terminal.wait_for_end() == 0
        compare_picture("migration-again", f"sdqctl {shlex.join(line)}", terminal)


def test_triage_with_a_gate(shop: Path, tmp_path: Path) -> None:
    (script := tmp_path / "script.json").write_text(TRIAGE)
    (shop / "risk-triage.conv").write_text((ROOT / "examples" / "risk-triage.conv").read_text())
    orders = {"SDQCTL_MOCK_SCRIPT": str(script)}
    arguments = ("run", "risk-triage.conv", "--session-name", "triage")
    with on_screen(*arguments, **orders) as terminal:
        terminal.wait_for("[keep|revert]")
        terminal.type(f"keep{ENTER}")
        assert terminal.wait_for_end() == 0
        compare_picture("triage", f"sdqctl {shlex.join(arguments)}", terminal)


@pytest.mark.each(2)
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_the_screen_of_sessions(
    columns: int, rows: int, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_list, "age", lambda item: "now")
    for name, text in SESSIONS.items():
        assert sdqctl("run", workflow(name, text)).code in (0, 4, 8)
    for name, (text, flags) in BACKGROUND.items():
        assert sdqctl("run", workflow(name, text), "--detach", *flags).code == 0

    async def story(at: Driven) -> None:
        await at.until(lambda: len(at.names) == len(SESSIONS) + len(BACKGROUND))
        await at.until(lambda: at.app.view.items[0].question is not None)
        await at.at("docs-sync")
        await at.until(lambda: "docs-sync: failed" in at.preview)
        drawn = without_font(at.app.export_screenshot(title="sdqctl ui"))
        drawn = drawn.replace("https://www.textualize.io", "")
        compare(f"ui-{columns}x{rows}", re.sub(r"terminal-\d+", "ui", drawn))

    try:
        drive(story, (columns, rows))
    finally:
        for name in BACKGROUND:
            sdqctl("sessions", "interrupt", name)


def workflow(name: str, text: str) -> Path:
    """A workflow of the user's."""
    path = Path(f"{name}.conv")
    path.write_text(f"SESSION-NAME {name}\n{text}")
    return path
