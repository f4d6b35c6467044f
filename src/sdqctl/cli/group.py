"""Groups of commands that are imported one by one, when they are run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, cast

import click
from click.shell_completion import CompletionItem

from sdqctl.cli.arguments import TEXT
from sdqctl.text.suggest import nearest

CommandTable = Mapping[str, tuple[str, str]]
"""Command name -> module and function in `sdqctl.cli`, and the line that `--help` shows."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is run; its list needs no import.

    `sections` has the names of commands under the titles that `--help` shows them with.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401
        table: CommandTable,
        sections: Mapping[str, Sequence[str]] | None = None,
        **attributes: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **attributes)
        self.table = table
        self.sections = sections or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a reader wants them."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name][0].partition(":")
        command = cast("click.Command", getattr(import_module(f"sdqctl.cli.{module}"), attribute))
        for param in command.params:
            if param.type is click.STRING:
                param.type = TEXT
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or fail with the nearest name."""
        name = args[0]
        if name not in self.table:
            near = nearest(name, self.table)
            meant = f" Did you mean {near!r}?" if near else ""
            raise click.UsageError(f"No such command {name!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing any."""
        names = [
            CompletionItem(name, help=line)
            for name, (_, line) in self.table.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        widest = max(map(len, self.table))  # so that all sections are in line
        told = {name for names in self.sections.values() for name in names}
        rest = [name for name in self.table if name not in told]
        for title, names in {**self.sections, **({"Commands": rest} if rest else {})}.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{widest}}", self.table[name][1]) for name in names])
