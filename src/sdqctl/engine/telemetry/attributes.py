"""What stands in spans: the GenAI conventions of OpenTelemetry (0.1.0), and ours as `sdqctl.*`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdqctl.engine.context import RunContext
    from sdqctl.model.events import StepFinished, StepStarted
    from sdqctl.model.run import RunRecord, StepRecord
    from sdqctl.model.session import ToolCall, Usage

Values = dict[str, str | int | bool]
ERROR = "error.type"


def of_run(run: RunRecord) -> Values:
    """A run."""
    name = run.workflow or run.session_name or run.session_id
    found: Values = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.agent.name": name,
        "gen_ai.conversation.id": run.session_id,
        "sdqctl.run.id": run.id,
        "sdqctl.adapter": run.adapter,
        "sdqctl.session.name": run.session_name or run.session_id,
    }
    if run.workflow:
        found["sdqctl.workflow"] = run.workflow
    return found


def of_step(step: StepStarted | StepRecord, attempt: int) -> Values:
    """A step that begins."""
    return {
        "sdqctl.run.id": step.run_id,
        "sdqctl.step.path": step.path,
        "sdqctl.step.kind": step.kind,
        "sdqctl.step.cycle": step.cycle,
        "sdqctl.step.attempt": attempt,
    }


def of_step_end(event: StepFinished) -> Values:
    """How a step ended."""
    found: Values = {"sdqctl.step.status": event.status}
    if event.exit_status is not None:
        found["sdqctl.step.exit_status"] = event.exit_status
    if event.status == "failed":
        found[ERROR] = "failed"
    return found


def of_turn(context: RunContext, step: StepRecord) -> Values:
    """A turn: an agent is asked, in a process of its own."""
    adapter = context.target.ref.adapter
    found: Values = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": adapter,
        "gen_ai.agent.name": adapter,
        "gen_ai.conversation.id": step.session_id or "",
        "sdqctl.run.id": step.run_id,
        "sdqctl.session.name": context.target.name,
        "sdqctl.step.path": step.path,
        "sdqctl.step.attempt": step.attempts,
    }
    if context.options.model:
        found["gen_ai.request.model"] = context.options.model
    return found


def of_usage(usage: Usage) -> Values:
    """What the model calls of a turn used, where the runtime says it."""
    if not usage.model_calls:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "sdqctl.turn.model_calls": usage.model_calls,
    }


def of_tool(call: ToolCall) -> Values:
    """A use of a tool that begins."""
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.name,
        "gen_ai.tool.call.id": call.id,
    }


def of_tool_end(call: ToolCall) -> Values:
    """How it ended."""
    found: Values = {}
    if call.exit_status is not None:
        found["sdqctl.tool.exit_status"] = call.exit_status
    if call.denied:
        found[ERROR] = "denied"
    elif call.ok is False:
        found[ERROR] = "tool_error"
    return found


def message(role: str, text: str) -> str:
    """One message, as the conventions write a list of them."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])
