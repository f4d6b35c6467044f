"""What a run was refused, in words for a person; the agent is given another text."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdqctl.cli.output import counted
from sdqctl.model.events import Event, NetRefused, PermissionDecided
from sdqctl.model.session import ToolCall
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import between_words, one_line

if TYPE_CHECKING:
    from sdqctl.model.views.run import DeniedView

_TARGET = 160
"""Columns of a target; longer ones are cut between words."""
_MOST_RULES = 4


class ReportedRefusals:
    """The refusals that were reported, so that the ends of the refused calls are not."""

    def __init__(self) -> None:
        self._calls: set[str] = set()
        self._unnamed = 0
        """Refusals of calls whose id was not known yet; their ends come next."""

    def note(self, event: PermissionDecided) -> None:
        """Take in a refusal."""
        if event.tool_call_id is None:
            self._unnamed += 1
        else:
            self._calls.add(event.tool_call_id)

    def covers(self, call: ToolCall) -> bool:
        """Whether the refusal of a call that ended was reported."""
        if not call.denied:
            return False
        if call.id in self._calls:
            return True
        told, self._unnamed = self._unnamed > 0, max(0, self._unnamed - 1)
        return told


class Denials:
    """Collects the tool requests that were refused, for the result and for the last line."""

    def __init__(self) -> None:
        self._refused: list[PermissionDecided] = []
        self._net = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, PermissionDecided) and not event.allowed:
            self._refused.append(event)
        elif isinstance(event, NetRefused):
            self._net += 1

    @property
    def entries(self) -> list[DeniedView]:
        """The part of the result's object, in the order in which they were refused."""
        from sdqctl.model.views.run import DeniedView

        return [
            DeniedView(
                kind=event.kind,
                target=event.target,
                reason=event.reason,
                why=event.why,
                by=event.by,
                rules=event.rules,
            )
            for event in self._refused
        ]

    def counts(self) -> list[str]:
        """`3 refused (--mode implement allows 2)`, `1 refused by the sandbox`."""
        found = []
        if self._refused:
            found.append(f"{len(self._refused)} refused{self._mode()}")
        if self._net:
            found.append(f"{self._net} refused by the sandbox")
        return found

    def _mode(self) -> str:
        """The mode that would have allowed them, or some of them."""
        mode = next((event.mode for event in self._refused if event.mode), None)
        if mode is None:
            return ""
        allowed = sum(event.mode == mode for event in self._refused)
        which = "" if allowed == len(self._refused) else f" {allowed}"
        return f" (--mode {mode} allows{which})"

    def ways(self, session: str | None) -> list[str]:
        """What would have allowed them, and where they are listed: a line each."""
        if not self._refused:
            return []
        rules = dict.fromkeys(rule for event in self._refused for rule in event.rules)
        lines = []
        if rules:
            allowed = sum(bool(event.rules) for event in self._refused)
            which = "them" if allowed == len(self._refused) else f"{allowed} of them"
            lines.append(f"  to allow {which}: {_flags(list(rules))}")
        if session is not None:
            lines.append(f"  `{on_session('sessions show', session, '--audit')}` lists them")
        return lines


def refused_line(event: PermissionDecided) -> str:
    """What was refused, and why, on one line; what would allow it is said once, at the end."""
    why = f": {one_line(event.why)}" if event.why else ""
    return f"{event.kind} {between_words(event.target, _TARGET)}{why}"


def net_line(event: NetRefused) -> str:
    """What a net refused, and what would allow it."""
    what = "read" if event.access == "read" else "written"
    return f"sandbox ({event.by}): {event.path} may not be {what}; {event.hint}"


def _flags(rules: Sequence[str]) -> str:
    """The rules as flags; the first few, because each is a decision to make."""
    flags = " ".join(f"--allow-tool {shlex.quote(one_line(rule))}" for rule in rules[:_MOST_RULES])
    more = len(rules) - _MOST_RULES
    return f"{flags} and {counted(more, 'more rule')}" if more > 0 else flags
