"""Random keys on the screen of sessions, on sessions of the mock: it never ends by itself.

`python -m tests.fuzz.screen --seconds 3600 --seed 7`; the seed is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from pathlib import Path

from sdqctl.cli.context import App
from sdqctl.cli.ui.screen import SessionsApp
from tests.command import sdqctl

KEYS = [
    *("up", "down", "pageup", "pagedown", "home", "end", "enter", "escape", "tab", "space"),
    *("a", "c", "p", "x", "d", "n", "f", "w", "m", "e", "k", "delete", "slash", "F", "r"),
    *("question_mark", "y", "N", "ctrl+p", "left", "right", "j", "g", "G", "1"),
]
"""All but those that leave the screen: q and o."""
_WORKFLOWS = {
    "done": "PROMPT a [[reply: [b]A[/b]]]\n",
    "gated": 'ASK v "Publish?" choice(yes|no)\nPROMPT b\n',
    "paused": "PAUSE look\nPROMPT b\n",
    "broken": "PROMPT a [[fail: request]]\n",
    "asked": 'INPUT who text "whom"\nPROMPT {{who}}\n',
}


def main() -> None:
    """Press keys for so many seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(HOME=folder, SDQCTL_HOME=f"{folder}/data", SDQCTL_ADAPTER="mock")
        work = Path(folder) / "work"
        work.mkdir()
        os.chdir(work)
        for name, text in _WORKFLOWS.items():
            Path(f"{name}.conv").write_text(f"SESSION-NAME {name}\n{text}")
            sdqctl("run", f"{name}.conv", "--set", "who=all") if name == "asked" else sdqctl(
                "run", f"{name}.conv"
            )
        pressed = asyncio.run(_press(random.Random(options.seed), options.seconds))
        os.chdir("/")
    print(f"{pressed} keys, and it still goes on")


async def _press(chance: random.Random, seconds: float) -> int:
    app = SessionsApp(App(environment=os.environ))
    pressed = 0
    async with app.run_test(size=(80, 24)) as pilot:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await pilot.press(chance.choice(KEYS))
            pressed += 1
            assert app.is_running, f"it ended after {pressed} keys"
            if chance.random() < 0.01:
                await pilot.resize_terminal(
                    chance.choice([40, 80, 140]), chance.choice([10, 24, 50])
                )
    return pressed


if __name__ == "__main__":
    main()
