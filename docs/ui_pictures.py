"""Draws the pictures of docs/ui.md: the screen of sessions of the mock, in a temporary home.

`python docs/ui_pictures.py` writes docs/images/ui-80x24.svg and ui-120x40.svg.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(__file__).parent / "images"
SIZES = [(80, 24), (120, 40)]
WORKFLOWS = {
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


def main() -> None:
    """Make the sessions, draw them, end what goes on."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ.update(HOME=folder, SDQCTL_HOME=f"{folder}/data", SDQCTL_ADAPTER="mock")
        (home / "shop").mkdir()
        os.chdir(home / "shop")
        for name, text in WORKFLOWS.items():
            _sdqctl("run", _written(name, text))
        for name, (text, flags) in BACKGROUND.items():
            _sdqctl("run", _written(name, text), "--detach", *flags)
        try:
            for size in SIZES:
                asyncio.run(_draw(*size))
        finally:
            for name in BACKGROUND:
                _sdqctl("sessions", "interrupt", name)


def _written(name: str, text: str) -> str:
    Path(f"{name}.conv").write_text(f"SESSION-NAME {name}\n{text}")
    return f"{name}.conv"


def _sdqctl(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "sdqctl", *arguments], check=False, capture_output=True)


async def _draw(columns: int, rows: int) -> None:
    from sdqctl.cli.context import App
    from sdqctl.cli.ui.screen import SessionsApp

    app = SessionsApp(App(environment=os.environ))
    async with app.run_test(size=(columns, rows)) as pilot:
        while len(app.view.items) < len(WORKFLOWS) + len(BACKGROUND):
            await pilot.pause(0.1)
        await pilot.press("down")
        await pilot.pause(1)
        picture = app.export_screenshot(title="sdqctl ui")
    picture = re.sub(r"@font-face \{.*?\}\n?", "", picture, flags=re.DOTALL)
    picture = picture.replace("https://www.textualize.io", "")
    picture = re.sub(r"/tmp/[\w/-]+/shop", "~/shop", picture)
    (IMAGES / f"ui-{columns}x{rows}.svg").write_text(picture)


if __name__ == "__main__":
    main()
