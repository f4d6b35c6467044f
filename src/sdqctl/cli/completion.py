"""Shell completion: session names and workflow files, without starting a runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.output import write_line

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_SHELLS = ("bash", "zsh", "fish")
_HINTS = {
    "bash": 'put it into a file of bash-completion, or `eval "$(sdqctl completion bash)"`',
    "zsh": 'put `eval "$(sdqctl completion zsh)"` into ~/.zshrc, behind compinit',
    "fish": "`sdqctl completion fish > ~/.config/fish/completions/sdqctl.fish`",
}


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of SHELL."""
    from click.shell_completion import get_completion_class

    from sdqctl.cli.app import root
    from sdqctl.cli.output import is_terminal, note

    kind = get_completion_class(shell)
    assert kind is not None, "click knows these shells"
    write_line(kind(root, {}, "sdqctl", "_SDQCTL_COMPLETE").source())
    if is_terminal():
        note(_HINTS[shell])


def complete_session(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The names of sessions, and the ids of those without one."""
    from click.shell_completion import CompletionItem

    from sdqctl.cli.context import App
    from sdqctl.errors import SdqctlError

    wanted = incomplete.casefold()
    try:
        archives = App(environment=os.environ).archives()
        labels = {info.label for archive in archives.values() for info in archive.sessions()}
    except SdqctlError:
        return []
    return [CompletionItem(x) for x in sorted(labels) if x.casefold().startswith(wanted)]


def complete_workflow(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Workflow files, and the folders on the way to them."""
    from click.shell_completion import CompletionItem

    folder, _, start = incomplete.rpartition("/")
    place = Path(os.path.expanduser(folder or ("/" if incomplete.startswith("/") else ".")))
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return []
    prefix = incomplete[: len(incomplete) - len(start)]
    found = []
    for entry in entries:
        hidden = entry.name.startswith(".") and not start.startswith(".")
        if not entry.name.startswith(start) or hidden:
            continue
        if entry.is_dir():
            found.append(CompletionItem(f"{prefix}{entry.name}/"))
        elif entry.name.endswith(".conv"):
            found.append(CompletionItem(f"{prefix}{entry.name}"))
    return found
