"""A policy whose decisions are on record before the tool can act on them."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict

from sdqctl.errors import StoreError
from sdqctl.model.audit import Source
from sdqctl.model.events import NetRefused
from sdqctl.model.sandbox import Access
from sdqctl.model.tools import (
    AsksHumans,
    ToolDecision,
    ToolKind,
    ToolPolicy,
    ToolRequest,
    may_allow,
)
from sdqctl.store.audit import complete_request, record_net_refusal, record_request
from sdqctl.store.ledger import Ledger

_LOG = logging.getLogger(__name__)
_MOST_OPEN = 64
_Key = tuple[object, ...]


def note_net_refusal(ledger: Ledger, run_id: str, event: NetRefused) -> None:
    """Record what the net refused to a program of the running step. Raises StoreError."""
    record_net_refusal(
        ledger,
        run_id,
        kind=ToolKind.READ if event.access == Access.READ else ToolKind.WRITE,
        target=event.path,
        by=event.by,
        reason=event.hint,
        tool_call_id=event.tool_call_id,
    )


def recorded(policy: ToolPolicy, ledger: Ledger, run_id: str) -> ToolPolicy:
    """The policy with each of its decisions recorded in a run; it asks humans if that one does."""
    if isinstance(policy, AsksHumans):
        return _RecordedAsking(policy, policy, ledger, run_id)
    return _Recorded(policy, ledger, run_id)


class _Recorded:
    """ToolPolicy, BoundsTools and KeepsRecord. What cannot be recorded is not allowed.

    A call may be judged twice: before the runtime asks, when its id is not known yet, and when it
    asks. That is one record.
    """

    def __init__(self, policy: ToolPolicy, ledger: Ledger, run_id: str) -> None:
        self._policy = policy
        self._ledger = ledger
        self._run_id = run_id
        self._open: OrderedDict[_Key, int] = OrderedDict()
        self._last: tuple[ToolRequest, ToolDecision] | None = None

    def may_allow(self, kind: ToolKind) -> bool:
        """Whether the policy could allow anything of a kind."""
        return may_allow(self._policy, kind)

    def decide(self, request: ToolRequest) -> ToolDecision:
        """What the policy says."""
        return self.record(request, self._policy.decide(request))

    def record(self, request: ToolRequest, decision: ToolDecision) -> ToolDecision:
        """Record a decision; it becomes a refusal where that fails."""
        if self._last == (request, decision):
            return decision  # the runtime asks twice about some calls
        try:
            self._write(request, decision)
        except StoreError as error:
            _LOG.warning("a tool request cannot be recorded: %s", error.message)
            if decision.allowed:
                reason = f"it cannot be recorded: {error.message}"
                return ToolDecision(False, reason, final=True, by="sdqctl", why=reason)
        else:
            self._last = (request, decision) if request.tool_call_id is not None else None
        return decision

    def _write(self, request: ToolRequest, decision: ToolDecision) -> None:
        key = _key(request, decision)
        number = self._open.pop(key, None)
        if number is not None and request.tool_call_id is not None:
            complete_request(self._ledger, number, request.tool_call_id)
            return
        number = record_request(self._ledger, self._run_id, request, decision)
        if request.source == Source.HOOK and decision.allowed:
            self._open[key] = number
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)


class _RecordedAsking(_Recorded):
    """The same for a policy that AsksHumans: what a human may lift is recorded with the answer."""

    def __init__(self, policy: ToolPolicy, asking: AsksHumans, ledger: Ledger, run_id: str) -> None:
        super().__init__(policy, ledger, run_id)
        self._asking = asking

    def decide(self, request: ToolRequest) -> ToolDecision:
        """What the policy says, or a human has said."""
        decision = self._policy.decide(request)
        settled = decision.allowed or decision.final
        return self.record(request, decision) if settled else decision

    async def ask(self, request: ToolRequest) -> ToolDecision:
        """What the policy or a human says."""
        return self.record(request, await self._asking.ask(request))


def _key(request: ToolRequest, decision: ToolDecision) -> _Key:
    """What is the same when a call is judged a second time; paths come shortened then."""
    of_files = request.kind in (ToolKind.READ, ToolKind.WRITE)
    paths = [os.path.normpath(p) if of_files else p for p in (request.target, *request.paths)]
    return (request.kind, tuple(paths), decision.allowed, decision.by)
