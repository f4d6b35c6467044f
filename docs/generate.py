"""Write the pages that come from the code; with --check, say which of them are out of date."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from sdqctl.cli.app import COMMANDS, root
from sdqctl.cli.help import environment, exit_codes
from sdqctl.conversation.directives import DIRECTIVES, REFUSED

FOLDER = Path(__file__).resolve().parent
TESTS = "tests/conversation/test_every_directive.py"


def main() -> int:
    """Write or check every page; 1 when a checked page differs."""
    pages = {"directives.md": directives(), "commands.md": commands()}
    stale = []
    for name, text in pages.items():
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    for name in stale:
        print(f"docs/{name} is out of date: run `make docs`")
    return 1 if stale else 0


def directives() -> str:
    """Every directive, its effect, and where that is tested."""
    tests = _tests()
    lines = [
        "# Directives",
        "",
        "Every directive of the `.conv` language ([its rules](language.md)). This page comes from",
        f"the table that the parser uses (`make docs`); the tests named stand in `{TESTS}`.",
    ]
    group = ""
    for name, row in DIRECTIVES.items():
        if row.group != group:
            group = row.group
            lines += ["", f"## {group}", "", "| directive | effect | holds for | tested by |"]
            lines.append("| --- | --- | --- | --- |")
        value = row.value.replace("|", "\\|")
        shown = f"`{name} {value}`".replace(" `", "`") if value else f"`{name}`"
        lines.append(f"| {shown} | {row.doc} | {_scope(name)} | `{tests[name]}` |")
    return "\n".join(lines) + "\n"


def _scope(name: str) -> str:
    row = DIRECTIVES[name]
    if row.kind != "setting":
        return {"step": "a step", "block": "a block of steps", "refused": "-"}[row.kind]
    known = {"file": "the file; the last one wins", "adds": "the file; several add up"}
    return known.get(row.scope) or f"the {row.scope} steps after it"


def _tests() -> dict[str, str]:
    """The test of each directive: the one of its name, else the first that holds the name."""
    tree = ast.parse((FOLDER.parent / TESTS).read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    tests = [name for name in names if name.startswith("test_")]
    found = {}
    for directive in DIRECTIVES:
        own = "test_" + directive.lower().replace("-", "_")
        inside = own.removeprefix("test")
        matches = [t for t in tests if t == own] or [t for t in tests if f"{inside}_" in f"{t}_"]
        if directive in REFUSED:
            matches = ["test_refused"]
        if not matches:
            raise SystemExit(f"{directive} has no test in {TESTS}")
        found[directive] = matches[0]
    return found


def commands() -> str:
    """The help of every command, the exit codes and the environment."""
    lines = [
        "# Commands",
        "",
        "What `--help` says (`make docs` writes this page).",
        "",
        "```text",
        _help(root, "sdqctl"),
        "```",
    ]
    context = click.Context(root, info_name="sdqctl")
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None, "the table names commands that there are"
        for title, text in _helps(command, f"sdqctl {name}"):
            lines += ["", f"## {title}", "", "```text", text, "```"]
    lines += ["", "## Exit codes", "", "```text", exit_codes(), "```"]
    lines += ["", "## Environment", "", "```text", environment(), "```", ""]
    return "\n".join(lines)


def _helps(command: click.Command, title: str) -> Iterator[tuple[str, str]]:
    yield title, _help(command, title)
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            yield from _helps(sub, f"{title} {name}")


def _help(command: click.Command, title: str) -> str:
    context = click.Context(command, info_name=title, terminal_width=100, max_content_width=100)
    return command.get_help(context).rstrip()


if __name__ == "__main__":
    sys.exit(main())
