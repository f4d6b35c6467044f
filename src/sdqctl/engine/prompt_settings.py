"""What a prompt runs with: the session is made so before each prompt, also after each resume."""

from __future__ import annotations

from pathlib import Path

from sdqctl.adapters.base import (
    AdapterSession,
    Attaches,
    LimitsTools,
    SelectsAgents,
    SwitchesModels,
    find_power,
    power,
)
from sdqctl.model.workflow import PromptSettings, Workflow
from sdqctl.workflow.attachments import attached_files
from sdqctl.workflow.equipment import prompt_steps
from sdqctl.workflow.references import Roots


async def set_up(
    session: AdapterSession, wanted: PromptSettings, roots: Roots, *, attach: bool = True
) -> None:
    """Have the next prompt run with what is wanted, and with nothing that the last one wanted; with
    its files unless they went along before.

    Raises CapabilityError for what the adapter has not the power for, StepError for what is not to
    be had, WorkflowError for a file that is missing or may not be read.
    """
    name = "SWITCH-MODEL" if wanted.model is not None else "REASONING-EFFORT"
    if wanted.model is not None or wanted.reasoning_effort is not None:
        models = power(session, SwitchesModels, name)
        await models.switch_model(wanted.model, wanted.reasoning_effort)
    elif (switching := find_power(session, SwitchesModels)) is not None:
        await switching.switch_model(None, None)
    if wanted.agent is not None:
        await power(session, SelectsAgents, "AGENT").select_agent(wanted.agent)
    elif (agents := find_power(session, SelectsAgents)) is not None:
        await agents.select_agent(None)
    if wanted.tools is not None:
        await power(session, LimitsTools, "TOOLS").limit_tools(wanted.tools)
    elif (tools := find_power(session, LimitsTools)) is not None:
        await tools.limit_tools(None)
    if wanted.attachments and attach:
        files: list[Path] = attached_files(wanted.attachments, roots)
        power(session, Attaches, "ATTACH").attach(files)


def is_steered(workflow: Workflow) -> bool:
    """Whether a prompt of a workflow changes the model or its effort."""
    steps = (step.runs_with for step in prompt_steps(workflow))
    return any(found.model or found.reasoning_effort for found in steps)
