"""`sdqctl sessions`: the group; each command or family of commands has a module here."""

from __future__ import annotations

import click

from sdqctl.cli.group import CommandTable, LazyGroup

COMMANDS: CommandTable = {
    "list": ("sessions.list:list_command", "List sessions, the last changed first."),
    "show": ("sessions.show:show", "Show a session: its state, its runs, its turns."),
    "diff": ("sessions.files:diff", "Show what a session, or a step, changed in its files."),
    "rewind": ("sessions.files:rewind", "Go back to a step, in the talk and in the files."),
    "redo": ("sessions.files:redo", "Undo the last rewind of a session."),
    "apply": ("sessions.files:apply", "Bring what a session changed into your branch."),
    "search": ("sessions.search:search", "Find the places where all words of a text stand."),
    "usage": ("sessions.usage:usage", "Show what runs used: tokens, cost, tools, time."),
    "interrupt": ("sessions.under_way:interrupt", "End a run that another process does."),
    "answer": ("sessions.under_way:answer", "Answer what a run asks that goes on elsewhere."),
    "fork": ("sessions.fork:fork", "Copy a session under a new name, up to a place."),
    "rename": ("sessions.fork:rename", "Give a session a new name, in its runtime too."),
    "keep": ("sessions.fork:keep", "Protect a session from cleanup."),
    "export": ("sessions.transfer:export", "Write a session as a text, a page, data, or a bundle."),
    "import": ("sessions.transfer:import_command", "Make a session of a bundle."),
    "push": ("sessions.shared:push", "Publish a session in a store that machines share."),
    "pull": ("sessions.shared:pull", "Bring a session here from a shared store."),
    "delete": ("sessions.delete:delete", "Delete sessions, by whole name or id, or by filter."),
    "cleanup": ("sessions.delete:cleanup", "Delete sessions by age, but for those still needed."),
    "restore": ("sessions.transfer:restore", "Bring a deleted session back from the trash."),
    "trash": ("sessions.transfer:trash", "List or empty the trash of deleted sessions."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def sessions() -> None:
    """List, show, search, fork, export and clean up sessions."""
