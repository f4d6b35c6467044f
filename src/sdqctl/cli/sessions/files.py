"""`sdqctl sessions diff`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_session
from sdqctl.cli.options import adapter_option, examples
from sdqctl.cli.output import counted, is_terminal, note, terminal_width, write_bytes, write_painted
from sdqctl.errors import UsageError
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.sessions.rewind import Rewound


@click.command(
    epilog=examples("sdqctl sessions diff audit-1 --stat", "sdqctl sessions diff audit-1 3..5")
)
@click.argument("session", shell_complete=complete_session)
@click.argument("steps", required=False, metavar="[STEP[..STEP]]")
@click.option("--stat", "style", flag_value="stat", help="The files, with lines as bars.")
@click.option("--patch", "style", flag_value="patch", help="The lines; this is the default.")
@click.option("--name-only", "style", flag_value="name_only", help="The files alone.")
@adapter_option
@click.pass_obj
def diff(
    app: App, /, session: str, steps: str | None, style: str | None, adapter: str | None
) -> None:
    """Show what SESSION changed in its files, or what some of its steps did.

    Steps count as in `sessions show`: 3, 3..5 with both of them, 3.. to the end.
    """
    from sdqctl.sessions.files import as_shown, find_range

    found = find_range(app, session, steps, adapter)
    coloured = is_terminal() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    shown = found.diff(style or "patch", color=coloured, width=terminal_width())
    if not shown:
        note("nothing changed")
    elif not is_terminal():
        write_bytes(shown)
    elif not found.is_paged(text := as_shown(shown), app.environment):
        write_painted(text)


@click.command(
    epilog=examples(
        "sdqctl sessions rewind audit-1 --to 3", "sdqctl sessions rewind audit-1 --to 3 --files"
    )
)
@click.argument("session", shell_complete=complete_session)
@click.option("--to", metavar="STEP", required=True, help="The last step, or checkpoint, to keep.")
@click.option("--files", "part", flag_value="files", help="The files alone.")
@click.option("--conversation", "part", flag_value="conversation", help="The talk alone.")
@adapter_option
@click.pass_obj
def rewind(app: App, /, session: str, to: str, part: str | None, adapter: str | None) -> None:
    """Go back to where SESSION stood after a step, in the talk and in the files.

    What there is now is kept before: `sessions redo` brings it back. `resume --continue` then goes
    on from that step.
    """
    from sdqctl.sessions.rewind import rewind_session

    done = rewind_session(
        app,
        session,
        to,
        files=part != "conversation",
        conversation=part != "files",
        adapter=adapter,
    )
    label = one_line(done.entry.info.label)
    talk = [f"{counted(done.steps, 'step')} of the talk taken back"] if part != "files" else []
    note(f"rewound {label} to step {done.record.to}: {', '.join([*talk, *_files(done)])}")
    _report_left(done)
    note(f"`{on_session('sessions redo', done.entry.info.label)}` undoes it")


@click.command(epilog=examples("sdqctl sessions redo audit-1", "sdqctl sessions redo 3f2a -a mock"))
@click.argument("session", shell_complete=complete_session)
@adapter_option
@click.pass_obj
def redo(app: App, /, session: str, adapter: str | None) -> None:
    """Undo the last rewind of SESSION: talk and files are as they were before it."""
    from sdqctl.sessions.rewind import redo_session

    done = redo_session(app, session, adapter)
    talk = ["the talk is as it was"] if done.record.conversation else []
    label = one_line(done.entry.info.label)
    note(
        f"undid the rewind of {label} to step {done.record.to}: {', '.join([*talk, *_files(done)])}"
    )
    _report_left(done)


@click.command(
    epilog=examples("sdqctl sessions apply fix-1", "sdqctl sessions apply fix-1 --branch fix/login")
)
@click.argument("session", shell_complete=complete_session)
@click.option("--branch", metavar="B", help="Commit on branch B, which is made unless it is there.")
@click.option("--commit", is_flag=True, help="Commit on the branch that is checked out.")
@click.option("--patch", is_flag=True, help="Print a patch for `git apply`; nothing is changed.")
@adapter_option
@click.pass_obj
def apply(
    app: App,
    /,
    session: str,
    branch: str | None,
    commit: bool,
    patch: bool,
    adapter: str | None,
) -> None:
    """Bring what SESSION changed into your branch, as git merges; conflicts are told as git does.

    From a worktree of its own the changes go into your work tree, uncommitted, unless a flag says
    otherwise.
    """
    from sdqctl.sessions.apply import How, apply_session, session_patch

    if sum((branch is not None, commit, patch)) > 1:
        raise UsageError("--branch, --commit and --patch are three ways; give one of them")
    if patch:
        write_bytes(session_patch(app, session, adapter))
        return
    how = How.BRANCH if branch is not None else How.COMMIT if commit else How.TREE
    done = apply_session(app, session, how, branch=branch, adapter=adapter)
    where = f"on {branch}" if branch is not None else f"in {done.top}"
    what = f"committed as {done.commit[:12]}" if done.commit else "merged, to be committed,"
    note(f"{counted(done.files, 'file')} of {one_line(done.name)} {what} {where}")


def _files(done: Rewound) -> list[str]:
    return [] if done.files is None else [f"{counted(done.files, 'file')} changed"]


def _report_left(done: Rewound) -> None:
    for path in done.left:
        note(f"left as it is: {one_line(path)} (ignored until now, or a repository of its own)")
