"""The component that a run is for, one of those that `apply` does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from sdqctl.engine.matching import is_whole
from sdqctl.errors import UsageError
from sdqctl.model.options import RunOptions, decode_options, encode_options
from sdqctl.model.plan import Plan
from sdqctl.model.run import RunRecord
from sdqctl.store.ledger import Ledger
from sdqctl.workflow.calls import all_called
from sdqctl.workflow.format import whole_text
from sdqctl.workflow.template import COMPONENT

_FOLDER = "FOLDER"
"""What the folder is recorded as; no template variable."""
_NAMED = re.compile("|".join(sorted(COMPONENT)))
"""A component's variable, as a template has it or a command's environment."""


def component_variables(options: RunOptions) -> dict[str, str]:
    """The template variables of the component that a run is for; none without one."""
    return {name: value for name, value in options.component or () if name in COMPONENT}


def component_path(options: RunOptions) -> str | None:
    """What the component is called by, as it was given or found."""
    return component_variables(options).get("COMPONENT_PATH")


def component_of(variables: Mapping[str, str], folder: Path) -> tuple[tuple[str, str], ...]:
    """A component as an option of its run: its variables, and where its path starts from."""
    return (*variables.items(), (_FOLDER, str(folder)))


def of_its_component(options: RunOptions, run: RunRecord | None) -> RunOptions:
    """The options of a run that goes on: where they name no component, for the one that is recorded
    with it. `component` is None where an older version recorded none.
    """
    if run is None or options.component:
        return options
    recorded = decode_options(run.options).component
    return msgspec.structs.replace(options, component=recorded)


def kept_component(options: RunOptions, redact: Callable[[str], str]) -> RunOptions:
    """The options as they are recorded: a component that would lose a secret is not."""
    text = encode_options(RunOptions(component=options.component))
    return options if redact(text) == text else msgspec.structs.replace(options, component=None)


def is_for(run: RunRecord, options: RunOptions) -> bool:
    """Whether a run is for the component of `options`: its path, from the same folder or from one
    that is not here. One without a record is for any.
    """
    recorded = decode_options(run.options)
    if recorded.component is None:
        return True
    folder, here = _folder(recorded), _folder(options)
    moved = here is None or folder is None or not os.path.isdir(folder)
    return component_path(recorded) == component_path(options) and (moved or folder == here)


def described(run: RunRecord) -> str:
    """What a run is for, in a few words."""
    options = decode_options(run.options)
    path, folder = component_path(options), _folder(options)
    if path is None:
        return "no component"
    return f"component {path}" + (f" in {folder}" if folder else "")


def refuse_forgotten(
    plan: Plan, options: RunOptions, run: RunRecord | None, ledger: Ledger
) -> None:
    """Raise UsageError for a run with steps to do that need a component, when nobody knows which:
    its variables would be sent as they stand in the file.
    """
    if run is None or options.component is not None:
        return
    workflow = plan.workflow
    texts = [*map(whole_text, (workflow, *all_called(workflow))), *options.prologues]
    named = next(filter(None, map(_NAMED.search, (*texts, *options.epilogues))), None)
    if named is not None and not is_whole(plan, ledger.steps(run.id)):
        raise UsageError(
            f"{workflow.path} uses {named[0]}, and it is not recorded for which component this run "
            "was begun",
            hint="give the `sdqctl apply` again that began it: it does the steps that are left",
        )


def _folder(options: RunOptions) -> str | None:
    return dict(options.component or ()).get(_FOLDER)
