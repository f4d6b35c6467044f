"""A run in a git worktree of its session's own: made, or found again, before anything is opened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from sdqctl.engine.context import RunContext
from sdqctl.errors import UsageError
from sdqctl.model.events import Warned
from sdqctl.model.options import OnInterrupted
from sdqctl.text.terminal import one_line
from sdqctl.workflow.render import render_text

_SHOWN = 5


def in_own_tree(context: RunContext) -> RunContext:
    """The run in its session's worktree, if it is wanted by an option or by WORKTREE.

    A step that is cut off there is taken back, unless something else was asked for. Raises
    UsageError for a branch that is none, WorkspaceRefusedError where there can be no worktree.
    """
    options = context.options
    wanted = options.worktree if options.worktree is not None else context.workflow.worktree
    if wanted is None:
        if options.carry_changes:
            raise UsageError("--carry-changes is for a run with --worktree")
        return context
    from sdqctl.workspace.worktrees import Made, make_worktree

    target = context.target
    made: Made = make_worktree(
        context.setup.settings.home,
        context.cwd,
        target.ref,
        target.name,
        branch=render_text(wanted, context.run_variables).strip() or None,
        carry=options.carry_changes,
    )
    _report(context, made.behind)
    if options.on_interrupted is None and options.snapshots is not False:
        options = msgspec.structs.replace(options, on_interrupted=OnInterrupted.REWIND)
    return replace(_moved(context, made.cwd), options=options)


def _moved(context: RunContext, cwd: Path) -> RunContext:
    """The run in another folder: what the repository brings there is looked at there."""
    bounds = context.confinement
    commands = bounds.commands and replace(bounds.commands, cwd=cwd)
    return replace(
        context,
        cwd=cwd,
        setup=context.setup.working_in(cwd),
        confinement=replace(bounds, runtime=replace(bounds.runtime, cwd=cwd), commands=commands),
    )


def _report(context: RunContext, behind: tuple[str, ...]) -> None:
    if behind:
        shown = ", ".join(map(one_line, behind[:_SHOWN]))
        more = f" and {len(behind) - _SHOWN} more" if len(behind) > _SHOWN else ""
        context.emit(
            Warned(
                message=f"changes that are not committed are not in the worktree: {shown}{more} "
                "(--carry-changes takes them along)"
            )
        )
