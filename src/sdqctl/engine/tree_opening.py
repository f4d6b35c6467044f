"""Whether a run has snapshots of its work tree, and of which one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.engine.context import RunContext
from sdqctl.engine.tree import Tree
from sdqctl.errors import WorkspaceError
from sdqctl.model.events import Warned
from sdqctl.model.run import RunRecord
from sdqctl.model.tools import ToolKind, ToolPolicy, may_allow
from sdqctl.model.workflow import RunStep
from sdqctl.workflow.calls import all_called, every_step

if TYPE_CHECKING:
    from sdqctl.workspace.snapshots import Workspace


_ACTING = (ToolKind.SHELL, ToolKind.WRITE, ToolKind.MCP, ToolKind.CUSTOM)


def open_tree(context: RunContext, record: RunRecord, policy: ToolPolicy) -> Tree:
    """The tree of a run. It has no snapshots where none are wanted, where nothing can act, and
    where there can be none, which is said once.
    """
    return Tree(
        record,
        _workspace(context, policy),
        ledger=context.ledger,
        home=context.setup.settings.home,
        emit=context.emit,
        discards=context.options.discard_changes,
        keeps=_files_of(context),
    )


def _files_of(context: RunContext) -> tuple[Path, ...]:
    """The files of the workflow, of what it includes and calls, and of what calls it."""
    workflows = [context.workflow, *all_called(context.workflow)]
    steps = (step for one in workflows for step in every_step(one.steps))
    names = {*(one.path for one in workflows), *(step.span.file for step in steps)} - {""}
    callers = context.caller.run.tree.keeps if context.caller is not None else ()
    return (*callers, *(Path(os.path.realpath(name)) for name in names))


def _workspace(context: RunContext, policy: ToolPolicy) -> Workspace | None:
    if context.options.snapshots is False or not _may_act(context, policy):
        return None
    from sdqctl.workspace.snapshots import Limits, Workspace

    settings, setup = context.setup.settings, context.setup
    limits = Limits(files=settings.snapshot_files, bytes=settings.snapshot_bytes)
    try:
        outside = (*setup.agent_folders(), *setup.own_files.values())
        return Workspace.open(context.cwd, settings.home, limits=limits, outside=outside)
    except WorkspaceError as error:
        said = ("no snapshots", error.message)
        if said not in setup.reported:
            setup.reported.add(said)
            context.emit(Warned(message=f"no snapshots: {error.message}"))
        return None


def _may_act(context: RunContext, policy: ToolPolicy) -> bool:
    """Whether anything of the run may change the tree."""
    commands = any(isinstance(step.action, RunStep) for step in context.plan.steps)
    return commands or any(may_allow(policy, kind) for kind in _ACTING)
