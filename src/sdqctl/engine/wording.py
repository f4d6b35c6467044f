"""What humans are told of a step, with its variables and values filled in as in a prompt."""

from __future__ import annotations

from typing import cast

import msgspec

from sdqctl.engine.context import LiveRun
from sdqctl.errors import StepError
from sdqctl.model.events import Warned
from sdqctl.model.plan import PlannedStep
from sdqctl.model.run import StepStatus
from sdqctl.model.workflow import TOLD, Single
from sdqctl.workflow.plan import title_of


def worded(step: PlannedStep, run: LiveRun) -> PlannedStep:
    """A step as humans are told of it at this place of the run; one that tells nothing stays.

    Raises StepError for an expression that has no value.
    """
    field = TOLD.get(type(step.action), "")
    text: str = getattr(step.action, field, "")
    if "{{" not in text:
        return step
    from sdqctl.workflow.flow.expressions import ExpressionError
    from sdqctl.workflow.flow.templates import render_text

    try:
        rendered = render_text(text, run.scope.values, variables=run.context.variables_of(step))
    except ExpressionError as error:
        message = f"step {step.path}: {error.message}"
        run.begin(step)
        run.finish(step, StepStatus.FAILED, error=message)
        raise StepError(message) from error
    for warning in rendered.warnings:
        run.context.emit(Warned(message=f"step {step.path}: {warning}"))
    action = cast("Single", msgspec.structs.replace(step.action, **{field: rendered.text}))
    return msgspec.structs.replace(step, action=action, title=title_of(action))
