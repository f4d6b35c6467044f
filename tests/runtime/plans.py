"""A loopback model whose tool calls are planned by name, for the session and its sub-agents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sdqctl.testing.loopback import LoopbackModel, Reply, Request

Call = tuple[str, dict[str, Any]]
_PLAN = re.compile(r"PLAN:(\w+)")


class Plans:
    """A script: a prompt that says `PLAN:name` gets that plan's calls one by one, then `done`."""

    def __init__(self, plans: Mapping[str, Sequence[Call]]) -> None:
        self._plans = plans

    def __call__(self, request: Request) -> Reply:
        """The next call of the plan that the last prompt names."""
        named = _PLAN.search(request.prompt)
        calls = self._plans.get(named.group(1), ()) if named else ()
        done = len(request.tool_results)
        if done < len(calls):
            return Reply(text="I will look.", tool_calls=[calls[done]])
        return Reply(text="done")


def sub_agent(plan: str, kind: str = "task") -> Call:
    """The start of a sub-agent that follows a plan, waited for."""
    arguments = {"agent_type": kind, "name": plan, "description": "work", "mode": "sync"}
    return "task", {**arguments, "prompt": f"PLAN:{plan}"}


def tools_offered(model: LoopbackModel, plan: str) -> list[set[str]]:
    """The tools of each request of those who follow a plan."""
    return [
        {tool["function"]["name"] for tool in request.body.get("tools", [])}
        for request in model.requests
        if f"PLAN:{plan}" in request.prompt
    ]
