"""The template variables of a run."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from sdqctl.cli.runs.launch import Start
    from sdqctl.model.workflow import Plan, PlannedStep, Workflow


def base_variables(workflow: Workflow, cwd: Path, name: str) -> Mapping[str, str]:
    """The template variables that hold for a whole run."""
    from sdqctl.workflow.template import standard_variables

    return standard_variables(cwd=cwd, session_name=name, workflow_path=workflow.path)


def run_variables(begin: Start) -> Mapping[str, str]:
    """All template variables of a run but those of its cycles."""
    base = base_variables(begin.workflow, begin.cwd, begin.target.name)
    return ChainMap(dict(begin.variables), cast("MutableMapping[str, str]", base))


def cycle_variables(
    variables: Mapping[str, str], plan: Plan, step: PlannedStep
) -> Mapping[str, str]:
    """The variables of a step: those of its cycle over those of the run."""
    total = str(plan.cycles)
    cycle = {"CYCLE_NUMBER": str(step.cycle), "CYCLE_TOTAL": total, "MAX_CYCLES": total}
    return ChainMap(cycle, cast("MutableMapping[str, str]", variables))
