"""The values that a run is given: those of the command, else what was recorded, else defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sdqctl.engine.component import component_path
from sdqctl.errors import UsageError
from sdqctl.model.options import RunOptions
from sdqctl.text.suggest import meant
from sdqctl.workflow import check_workflow

if TYPE_CHECKING:
    from sdqctl.model.run import RunRecord
    from sdqctl.model.workflow import Input, Workflow


def inputs_of(
    workflow: Workflow, options: RunOptions, run: RunRecord | None, cwd: Path
) -> Mapping[str, Any]:
    """The values of a run's inputs by their names; `run` is the one that goes on.

    Raises UsageError for a name that is none, a value that does not fit, one that the run has
    already, and for all that are missing together.
    """
    given = dict(options.inputs)
    names = [one.name for one in workflow.inputs]
    for name in given:
        if name not in names:
            hint = meant(name, names, "inputs") if names else "the workflow has no INPUT"
            raise UsageError(f"--set {name}: there is no such input", hint=hint)
    if not workflow.inputs:
        return {}
    recorded = recorded_inputs(run)
    component = component_path(options)
    said = "--set " if component is None else f"component {component}: input "
    value = partial(input_value, cwd=cwd, said=said)
    found = {}
    for one in workflow.inputs:
        if one.name in recorded:
            found[one.name] = recorded[one.name]
            if one.name in given and value(one, given[one.name]) != found[one.name]:
                raise UsageError(
                    f"{said}{one.name}: the run was begun with another value",
                    hint="a new session begins a run with it",
                )
        elif (text := given.get(one.name, one.default)) is not None:
            found[one.name] = value(one, text)
    missing = [one for one in workflow.inputs if one.name not in found]
    if missing:
        raise UsageError(
            "values are missing: " + "; ".join(map(described, missing)),
            hint=" ".join(f"--set {one.name}=VALUE" for one in missing),
        )
    return found


def recorded_inputs(run: RunRecord | None) -> dict[str, Any]:
    """The values that a run was begun with."""
    return {} if run is None else msgspec.json.decode(run.inputs or "{}", type=dict[str, Any])


def missing_inputs(workflow: Workflow, options: RunOptions) -> Sequence[Input]:
    """The inputs that have no value yet."""
    given = dict(options.inputs)
    return [one for one in workflow.inputs if one.name not in given and one.default is None]


def input_value(one: Input, text: str, cwd: Path, said: str = "--set ") -> Any:  # noqa: ANN401 - any JSON
    """The value of a text. Raises UsageError that says what is wanted; `said` is how it was given,
    before its name.
    """
    from sdqctl.workflow.flow.values import read_text

    try:
        return read_text(text, one.type, folder=cwd)
    except ValueError as error:
        raise UsageError(f"{said}{one.name}: {error}", hint=described(one)) from error


def flags_wanted(path: Path) -> str:
    """What a command that runs a file says after it: a flag for each input without a value.

    Raises WorkflowError for one that cannot be run.
    """
    missing = missing_inputs(check_workflow(path), RunOptions())
    return "".join(f" --set {one.name}=..." for one in missing)


def described(one: Input) -> str:
    """An input in one line: its name, its type, what it is."""
    return f"{one.name} ({one.type})" + (f": {one.doc}" if one.doc else "")
