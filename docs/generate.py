"""Write the pages that come from the code; with --check, say which of them are out of date."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import Field
from pathlib import Path
from typing import Any

import click
import event_schema
import json_page
from agents_table import agents

from sdqctl.adapters.registry import own_settings
from sdqctl.cli.app import COMMANDS, root
from sdqctl.cli.help import environment, exit_codes
from sdqctl.config import SETTINGS
from sdqctl.text.duration import format_duration
from sdqctl.workflow.directives import DIRECTIVES, GROUPS, REFUSED, Directive

FOLDER = Path(__file__).resolve().parent
TESTS = "tests/workflow/test_every_directive.py"


def main() -> int:
    """Write or check every page; 1 when a checked page differs."""
    pages = {
        "agents.md": agents(),
        "directives.md": directives(),
        "commands.md": commands(),
        "configuration.md": configuration(),
        "events.md": event_schema.page(),
        "json.md": json_page.page(),
        **{f"schema/{name}": text for name, text in json_page.schemas().items()},
    }
    stale = []
    for name, text in pages.items():
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    kept = {path.name for path in (FOLDER / "schema").iterdir()}
    stale += [f"schema/{name}" for name in kept - {*json_page.schemas()}]
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
    for group, rows in GROUPS.items():
        lines += ["", f"## {group}", "", "| directive | effect | holds for | tested by |"]
        lines.append("| --- | --- | --- | --- |")
        for row in rows:
            shown = f"`{row.name} {row.usage}`".replace("|", "\\|").replace(" `", "`")
            lines.append(f"| {shown} | {row.doc} | {_scope(row)} | `{tests[row.name]}` |")
    return "\n".join(lines) + "\n"


def _scope(row: Directive) -> str:
    known = {
        "file": "the file; the last one wins",
        "adds": "the file; several add up",
        "step": "a step",
        "block": "a block of steps",
        "refused": "-",
    }
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


_CONFIGURATION = """\
# Configuration

Settings stand in TOML files named `sdqctl.toml`; `make docs` writes this page from the code. In
order, the later one wins:

1. the defaults below;
2. your own file: `sdqctl/sdqctl.toml` in the platform's folder for user configuration (`~/.config`
   on Linux), or the file that `SDQCTL_CONFIG` names;
3. the project's file: the nearest `sdqctl.toml` from the agent's working directory (`--cwd`, CWD,
   or where you are) up to the folder with `.git`;
4. the environment, where a variable is named below;
5. the workflow's directives (MODEL, ADAPTER, ...), then the flags of the command.

`deny_tools` is never replaced: the denials of all files and flags add up, and those of your file
also hold when an earlier run goes on.

A project's file is a stranger's until you say `sdqctl trust` ([security](security.md#trust)).
Until then it can only make a run stricter; the column "a project's file may" says what counts for
each setting. What does not count is named in a note, and is no error. `sdqctl trust --show` shows
what the file sets; `--no-repository-config` leaves it out.

Durations are texts such as `"30m"`, `"1h30m"`, `"7d"`. A relative path starts from the folder of
its file. An unknown name or a value of the wrong kind is an error that names the file (exit 2).

```toml
# ~/.config/sdqctl/sdqctl.toml
model = "gpt-5"
step_timeout = "45m"
max_tokens = 2_000_000
allow_tools = ["shell(git status)", "shell(npm test)"]
deny_tools = ["read(.env)", "url"]
```

| setting | type | default | variable | a project's file may | what it does |
| --- | --- | --- | --- | --- | --- |
"""


def configuration() -> str:
    """Every setting, from the table that the configuration is read by."""
    rows = []
    for name, known in {**SETTINGS, **own_settings()}.items():
        what = known.metadata
        variable = f"`{what['variable']}`" if what["variable"] else ""
        cells = (f"`{name}`", _kind(known), _default(known), variable, what["rule"].value)
        rows.append(f"| {' | '.join(cells)} | {what['doc']} |\n")
    return _CONFIGURATION + "".join(rows)


def _kind(known: Field[Any]) -> str:
    """A setting's type in words."""
    if known.metadata["duration"]:
        return "duration"
    plain = str(known.type).removesuffix(" | None")
    words = {"str": "text", "bool": "true or false", "Path": "path"}
    words |= dict.fromkeys(("int", "float"), "number")
    lists = {"tuple[str, ...]": "list of texts", "tuple[Path, ...]": "list of paths"}
    tables = {"Mapping[str, Mapping[str, Any]]": "tables"}
    return {**words, **lists, **tables}[plain]


def _default(known: Field[Any]) -> str:
    """A setting's default as it would be written, or what holds without one."""
    if known.metadata["unset"] is not None:
        return str(known.metadata["unset"])
    if known.metadata["duration"]:
        return f'`"{format_duration(known.default)}"`' if known.default else '`"0"`'
    if isinstance(known.default, bool):
        return f"`{str(known.default).lower()}`"
    if isinstance(known.default, tuple):
        return f"`{list(known.default)}`"
    return f'`"{known.default}"`' if isinstance(known.default, str) else f"`{known.default}`"


def _helps(command: click.Command, title: str) -> Iterator[tuple[str, str]]:
    yield title, _help(command, title)
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=title)
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None, "the table names commands that there are"
            yield from _helps(sub, f"{title} {name}")


def _help(command: click.Command, title: str) -> str:
    context = click.Context(command, info_name=title, terminal_width=100, max_content_width=100)
    return command.get_help(context).rstrip()


if __name__ == "__main__":
    sys.exit(main())
