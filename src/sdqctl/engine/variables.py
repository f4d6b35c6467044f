"""The template variables of a run."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import cast

from sdqctl.model.plan import Plan, PlannedStep
from sdqctl.model.workflow import Workflow
from sdqctl.workflow.template import standard_variables


def base_variables(workflow: Workflow, cwd: Path, name: str) -> Mapping[str, str]:
    """The template variables that hold for a whole run, in a session of this name."""
    return standard_variables(cwd=cwd, session_name=name, workflow_path=workflow.path)


def layered(above: Mapping[str, str], below: Mapping[str, str]) -> Mapping[str, str]:
    """Variables over others, of which none is looked up before it is used."""
    return ChainMap(dict(above), cast("MutableMapping[str, str]", below))


def cycle_variables(
    variables: Mapping[str, str], plan: Plan, step: PlannedStep
) -> Mapping[str, str]:
    """The variables of a step: those of its cycle over those of the run."""
    total = str(plan.cycles)
    cycle = {"CYCLE_NUMBER": str(step.cycle), "CYCLE_TOTAL": total, "MAX_CYCLES": total}
    return layered(cycle, variables)
