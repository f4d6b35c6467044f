"""The policy: what an agent's tools may do, decided by the user beforehand.

Reading inside the working directory is allowed. Writing, shell, network, MCP and custom tools are
denied unless the mode or a rule allows them; a deny always wins. See docs/security.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sdqctl.model.events import PermissionDecided
from sdqctl.model.modes import may_write
from sdqctl.model.terminal import one_line
from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.model.workflow import FileRule
from sdqctl.policy.paths import PathRules
from sdqctl.policy.rules import ToolRule, parse_rule
from sdqctl.policy.shell.evaluate import ShellRules

SAME_DENIALS = 5
"""So many denials of the same request in a row stop a step."""
_SHOWN_RULES = 8
_SHOWN_WIDTH = 200
_DOING = {
    ToolKind.SHELL: "Running",
    ToolKind.READ: "Reading",
    ToolKind.WRITE: "Writing",
    ToolKind.URL: "Fetching",
    ToolKind.MCP: "The MCP tool",
    ToolKind.CUSTOM: "The tool",
}


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Decides on tool requests (ToolPolicy); `build_policy` makes it."""

    cwd: Path
    writing: bool
    """Whether the mode allows writing in the working directory, and the shell."""
    allow: tuple[ToolRule, ...] = ()
    deny: tuple[ToolRule, ...] = ()
    allow_all: bool = False
    file_rules: tuple[FileRule, ...] = ()
    protected: tuple[Path, ...] = ()
    """Folders that no tool may write: sdqctl's data and the runtime's."""

    def decide(self, request: ToolRequest) -> ToolDecision:
        """Allow or deny, with a reason for the model and the rule that would allow it."""
        try:
            match request.kind:
                case ToolKind.SHELL:
                    return self._shell(request.target)
                case ToolKind.READ | ToolKind.WRITE:
                    return self._every_path(request.kind, (request.target, *request.paths))
            return self._named(request.kind, request.target)
        except (OSError, ValueError, RecursionError):
            return self._denied(request.kind, request.target, "it cannot be judged")

    def _shell(self, line: str) -> ToolDecision:
        refusal = self._shell_rules.refusal(line)
        if refusal is None:
            return ToolDecision(True, "allowed")
        return self._denied(ToolKind.SHELL, line, refusal.why, refusal.rule)

    def _every_path(self, kind: ToolKind, paths: Sequence[str]) -> ToolDecision:
        for path in paths:
            refusal = self._paths.refusal(kind, path)
            if refusal is not None:
                return self._denied(kind, path, refusal.why, refusal.rule)
        return ToolDecision(True, "allowed")

    def _named(self, kind: ToolKind, name: str) -> ToolDecision:
        for rule in self.deny:
            if rule.kind is kind and _covers(rule, name, denies=True):
                return self._denied(kind, name, f"the rule {rule.text} denies it")
        if self.allow_all:
            return ToolDecision(True, "all tools are allowed")
        if any(rule.kind is kind and _covers(rule, name, denies=False) for rule in self.allow):
            return ToolDecision(True, "allowed by a rule")
        rule_text = f"{kind}({name})" if kind in _DOING else None
        return self._denied(kind, name, "no rule allows it", rule_text)

    def _denied(
        self, kind: ToolKind, target: str, why: str, rule: str | None = None
    ) -> ToolDecision:
        doing = _DOING.get(kind, "The tool")
        text = f"{doing} {one_line(target, _SHOWN_WIDTH)} is not allowed: {why}. "
        text += f"Allowed in this run: {self.summary}. Go on without it."
        if rule is not None:
            text += f" (The user could allow it with --allow-tool {_quoted(rule)}.)"
        return ToolDecision(False, text, final=rule is None)

    @cached_property
    def summary(self) -> str:
        """What is allowed, for the model and the user."""
        if self.allow_all:
            return "all that is not denied"
        where = f"inside {self._paths.root}"
        parts = [f"reading and writing {where}", "the shell"]
        if not self.writing:
            parts = [f"reading {where}"]
        parts += [rule.text for rule in self.allow[:_SHOWN_RULES]]
        more = len(self.allow) - _SHOWN_RULES
        return ", ".join([*parts, f"{more} more rules"] if more > 0 else parts)

    @cached_property
    def _paths(self) -> PathRules:
        return PathRules(
            cwd=self.cwd,
            writing=self.writing,
            anywhere=self.allow_all,
            allow=self.allow,
            deny=self.deny,
            file_rules=self.file_rules,
            protected=self.protected,
        )

    @cached_property
    def _shell_rules(self) -> ShellRules:
        allow = tuple(rule for rule in self.allow if rule.kind is ToolKind.SHELL)
        everything = any(rule.pattern is None for rule in allow)
        return ShellRules(
            whole=self.allow_all or self.writing or everything,
            allow=allow,
            deny=tuple(rule for rule in self.deny if rule.kind is ToolKind.SHELL),
            paths=self._paths,
        )


def build_policy(
    *,
    mode: str | None,
    cwd: Path,
    workflow_file_rules: Sequence[FileRule] = (),
    allow_tools: Sequence[str] = (),
    deny_tools: Sequence[str] = (),
    allow_all: bool = False,
    protected: Sequence[Path] = (),
) -> Policy:
    """The policy of one run. Raises UsageError for a rule that cannot be read."""
    return Policy(
        cwd=cwd,
        writing=may_write(mode),
        allow=tuple(map(parse_rule, allow_tools)),
        deny=tuple(map(parse_rule, deny_tools)),
        allow_all=allow_all,
        file_rules=tuple(workflow_file_rules),
        protected=tuple(Path(os.path.realpath(path)) for path in protected),
    )


class DenialCounter:
    """Tells when the same request was denied `limit` times in a row."""

    def __init__(self, limit: int = SAME_DENIALS) -> None:
        self._limit = limit
        self._last: tuple[str, str] | None = None
        self._count = 0

    def note(self, event: PermissionDecided) -> bool:
        """Count one decision; True: it was the same denial for the last time that is borne."""
        request = None if event.allowed else (str(event.kind), " ".join(event.target.split()))
        self._count = self._count + 1 if request is not None and request == self._last else 1
        self._last = request
        return request is not None and self._count >= self._limit

    def describe(self, event: PermissionDecided) -> str:
        """Why the step is stopped."""
        return f"the same tool request was denied {self._count} times in a row: {event.reason}"


def _covers(rule: ToolRule, name: str, *, denies: bool) -> bool:
    if rule.kind is ToolKind.URL:
        return rule.covers_address(name, denies=denies)
    return rule.covers_name(name)


def _quoted(rule: str) -> str:
    """The rule as it is typed in a shell."""
    shown = one_line(rule)
    return shown if shown.isalpha() else "'" + shown.replace("'", "'\\''") + "'"
