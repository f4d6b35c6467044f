"""A policy that allows what it and another one allow: a called workflow within its caller's."""

from __future__ import annotations

from sdqctl.model.tools import ToolDecision, ToolKind, ToolPolicy, ToolRequest, may_allow


class Within:
    """ToolPolicy and BoundsTools. Neither of the two may ask humans."""

    def __init__(self, policy: ToolPolicy, outer: ToolPolicy) -> None:
        self._policy = policy
        self._outer = outer

    def may_allow(self, kind: ToolKind) -> bool:
        """Whether both could allow anything of a kind."""
        return may_allow(self._policy, kind) and may_allow(self._outer, kind)

    def decide(self, request: ToolRequest) -> ToolDecision:
        """A refusal of either, else what the policy itself says."""
        decision = self._policy.decide(request)
        if not decision.allowed:
            return decision
        outer = self._outer.decide(request)
        return decision if outer.allowed else outer
