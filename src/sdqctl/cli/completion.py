"""Shell completion: the scripts, and what is completed; no runtime is started for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from sdqctl.cli.context import App
from sdqctl.cli.output import note, write_line
from sdqctl.cli.shells import SCRIPTS
from sdqctl.errors import SdqctlError
from sdqctl.model.modes import READING_MODES, WRITING_MODES
from sdqctl.text.terminal import sanitize

if TYPE_CHECKING:
    from sdqctl.model.session import SessionInfo

_Completer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem[str]]"]


_install_option = click.option("--install", is_flag=True, help="Install it for this user.")


@click.group()
def completion() -> None:
    """Print the completion script of a shell, or install it.

    --install puts it where the shell finds it; the help of each shell's command says how to do
    that by hand. Commands, options, session names,
    workflow files, adapters and modes are completed.
    """


@completion.command()
@_install_option
def bash(install: bool) -> None:
    """Print the script for bash, or install it.

    \b
    Now, in this shell:
      eval "$(sdqctl completion bash)"
    For good, with the package bash-completion:
      mkdir -p ~/.local/share/bash-completion/completions
      sdqctl completion bash > ~/.local/share/bash-completion/completions/sdqctl
    For good, without it:
      echo 'eval "$(sdqctl completion bash)"' >> ~/.bashrc
    """
    _give("bash", install=install)


@completion.command()
@_install_option
def zsh(install: bool) -> None:
    """Print the script for zsh, or install it.

    \b
    Now, in this shell (after compinit):
      eval "$(sdqctl completion zsh)"
    For good, in a folder that is in $fpath before compinit runs:
      sdqctl completion zsh > ~/.zfunc/_sdqctl
    For good, in ~/.zshrc:
      autoload -Uz compinit && compinit
      eval "$(sdqctl completion zsh)"
    """
    _give("zsh", install=install)


@completion.command()
@_install_option
def fish(install: bool) -> None:
    """Print the script for fish, or install it.

    \b
    Now, in this shell:
      sdqctl completion fish | source
    For good:
      sdqctl completion fish > ~/.config/fish/completions/sdqctl.fish
    """
    _give("fish", install=install)


def _give(shell: str, *, install: bool) -> None:
    if not install:
        write_line(SCRIPTS[shell].rstrip())
        return
    from sdqctl.cli.install_completion import install_completion

    changed = install_completion(shell, os.environ)
    for path in changed:
        write_line(f"wrote {path}")
    note("completion is installed; open a new shell" if changed else "it is installed already")


def complete_session(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """The names of sessions, and the ids of those without a name that can be typed."""
    given = ctx.params.get("names") or ()
    try:
        archives = App(environment=os.environ).archives(ctx.params.get("adapter"))
        infos = [info for archive in archives.values() for info in archive.sessions()]
    except SdqctlError:
        return []
    return _beginning_with(incomplete, {_label(info) for info in infos} - set(given))


def complete_deleted(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """The sessions in the trash."""
    from sdqctl.sessions.trash import deleted_sessions

    try:
        found = deleted_sessions(App(environment=os.environ).settings.home)
    except SdqctlError:
        return []
    return _beginning_with(incomplete, {_label(entry.info) for entry in found if entry.info})


def complete_adapter(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """The names of the adapters."""
    from sdqctl.adapters.registry import adapter_names

    return _beginning_with(incomplete, adapter_names())


def complete_mode(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """The words of MODE, with what each allows."""
    allowed = dict.fromkeys(sorted(READING_MODES), "reading only")
    allowed |= dict.fromkeys(sorted(WRITING_MODES), "writing, and the shell")
    words = {word: help for word, help in allowed.items() if word.startswith(incomplete)}
    return [CompletionItem(word, help=help) for word, help in words.items()]


def complete_folder(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Folders; the shell knows them best."""
    return [CompletionItem(incomplete, type="dir")]


def complete_words(*words: str) -> _Completer:
    """A completer of fixed words."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        return _beginning_with(incomplete, words)

    return complete


def complete_workflow(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Workflow files, and the folders on the way to them."""
    folder, _, start = incomplete.rpartition("/")
    place = Path(os.path.expanduser(folder or ("/" if incomplete.startswith("/") else ".")))
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return []
    prefix = incomplete[: len(incomplete) - len(start)]
    dashed = prefix or "./"  # what begins with a dash would be read as an option
    found = []
    for entry in entries:
        hidden = entry.name.startswith(".") and not start.startswith(".")
        if not entry.name.startswith(start) or hidden:
            continue
        path = f"{dashed if entry.name.startswith('-') else prefix}{entry.name}"
        if entry.is_dir():
            found.append(CompletionItem(f"{path}/", type="workflow"))
        elif entry.name.endswith(".conv"):
            found.append(CompletionItem(path, type="workflow"))
    return found


def _label(info: SessionInfo) -> str:
    """A session's name; its id where the name would drive a terminal or look like an option."""
    label = info.label
    return label if sanitize(label) == label and not label.startswith("-") else info.id


def _beginning_with(incomplete: str, words: Iterable[str]) -> list[CompletionItem[str]]:
    wanted = incomplete.casefold()
    return [CompletionItem(x) for x in sorted(words) if x.casefold().startswith(wanted)]
