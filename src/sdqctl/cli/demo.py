"""`sdqctl demo`: the main job end to end, in a temporary home: each command is shown and run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.options import examples
from sdqctl.cli.output import note, paint, write_line, write_painted
from sdqctl.errors import StepError

if TYPE_CHECKING:
    from sdqctl.cli.context import App

_TOKENS = ("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN")
_WORKFLOW = """\
# A small audit: two questions, a command, and a summary.
MODE audit
SESSION-NAME demo-audit
PROLOGUE You are reviewing a small Python project. Be brief.

PROMPT What should a reviewer look at first in this project?
CONTEXT @app.py

RUN python3 -m py_compile app.py

PROMPT The command above checked the syntax. What would you test next?

PROMPT Sum up the review in one sentence.
"""
_APP = 'def greet(name: str) -> str:\n    return f"Hello, {name}"\n'
_COMMANDS = (
    ("run", "audit.conv"),
    ("sessions", "list", "--format", "table"),
    ("resume", "demo-audit", "--prompt", "Which finding matters most?"),
    ("sessions", "show", "demo-audit"),
    ("status", "--sessions"),
    ("sessions", "cleanup", "--older-than", "0", "--dry-run"),
    ("sessions", "delete", "demo-audit", "--force"),
    ("sessions", "list", "--format", "json"),
)


@click.command(epilog=examples("sdqctl demo", "NO_COLOR=1 sdqctl demo | less"))
@click.pass_obj
def demo(app: App, /) -> int:
    """See the main job end to end, in a temporary home that is removed afterwards.

    The real Copilot runtime is used; with your provider or token if one is set, else with the
    built-in loopback model, and the demo says which.
    """
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sdqctl-demo-")))
        environment = _environment(app, root, stack)
        project = root / "project"
        project.mkdir()
        (project / "audit.conv").write_text(_WORKFLOW, "utf-8")
        (project / "app.py").write_text(_APP, "utf-8")
        _show("cat", "audit.conv")
        write_line(_WORKFLOW)
        for arguments in _COMMANDS:
            _run(arguments, project, environment)
    note("the temporary home is removed; your own sessions were not touched")
    return 0


def _environment(app: App, root: Path, stack: ExitStack) -> dict[str, str]:
    environment = {
        **app.environment,
        "HOME": str(root / "home"),
        "SDQCTL_HOME": str(root / "home" / "sdqctl"),
        "COPILOT_HOME": str(root / "home" / "copilot"),
        "XDG_CACHE_HOME": _cache(app),
    }
    (root / "home").mkdir()
    if app.environment.get("COPILOT_PROVIDER_BASE_URL"):
        write_line("The answers come from your own model provider (COPILOT_PROVIDER_BASE_URL).")
    elif any(app.environment.get(name) for name in _TOKENS):
        write_line("The answers come from GitHub Copilot, with the token in your environment.")
    else:
        from sdqctl.testing.loopback import LoopbackModel

        model = stack.enter_context(LoopbackModel())
        environment |= model.environment()
        write_line("No provider or token is set: the answers come from the built-in loopback")
        write_line("model, a scripted stand-in on this machine. The runtime is the real one.")
    write_line()
    return environment


def _cache(app: App) -> str:
    """The user's own cache: a fresh one would cost the runtime 235 MB."""
    home = app.environment.get("HOME", "")
    return app.environment.get("XDG_CACHE_HOME") or f"{home}/.cache"


def _run(arguments: tuple[str, ...], project: Path, environment: dict[str, str]) -> None:
    _show("sdqctl", *arguments)
    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "sdqctl", *arguments]
    code = subprocess.run(command, cwd=project, env=environment, check=False).returncode
    if code != os.EX_OK:
        raise StepError(
            f"`sdqctl {shlex.join(arguments)}` ended with exit code {code}",
            hint="`sdqctl status --adapters` shows which runtime was found",
        )
    write_line()


def _show(*words: str) -> None:
    write_painted(paint(f"$ {shlex.join(words)}", "bold") + "\n")
