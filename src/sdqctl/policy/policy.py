"""The policy: what an agent's tools may do, decided by the user beforehand.

Reading inside the working directory is allowed. Writing, shell, network, MCP and custom tools are
denied unless the mode or a rule allows them; a deny always wins. See docs/security.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sdqctl.errors import UsageError
from sdqctl.model.events import PermissionDecided
from sdqctl.model.modes import WRITING_MODE, may_write
from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.model.workflow import FileRule
from sdqctl.policy.command_line.evaluate import ShellRules
from sdqctl.policy.paths import ALLOW_ALL, PathRules
from sdqctl.policy.rules import ToolRule, parse_rule, rule_for
from sdqctl.text.terminal import between_words, one_line

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


@dataclass(frozen=True)
class _Verdict:
    """What is decided on `target`, and by what. `rules` would allow it."""

    allowed: bool
    why: str
    by: str
    target: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Decides on tool requests (ToolPolicy); `build_policy` makes it."""

    cwd: Path
    writing: bool
    """Whether the mode allows writing in the working directory, and the shell."""
    mode: str | None = None
    """The mode as it was named."""
    allow: tuple[ToolRule, ...] = ()
    deny: tuple[ToolRule, ...] = ()
    allow_all: bool = False
    file_rules: tuple[FileRule, ...] = ()
    protected: tuple[Path, ...] = ()
    """Folders that no tool may write: sdqctl's data and the runtime's."""
    own: Path | None = None
    """A folder within a protected one that is not: the session's own work tree."""
    steering: tuple[str, ...] = ()
    """Globs of files that the runtime obeys; only a rule that names one opens it for writing."""

    def decide(self, request: ToolRequest) -> ToolDecision:
        """Allow or deny, with a reason for the model and the rules that would allow it."""
        try:
            verdict = self._judge(request)
            if verdict.allowed:
                return ToolDecision(True, verdict.why, by=verdict.by, why=verdict.why)
            lifts = self._lifts(verdict.rules, request)
            mode = self._mode_for(request)
        except (OSError, ValueError, RecursionError):
            verdict = _Verdict(False, "it cannot be judged", self.by_mode, request.target)
            lifts, mode = False, ""
        return self._refusal(request.kind, verdict, verdict.rules if lifts else (), mode)

    def may_allow(self, kind: ToolKind) -> bool:
        """Whether anything of a kind can be allowed in this run (BoundsTools)."""
        if any(rule.kind is kind and rule.pattern is None for rule in self.deny):
            return False
        always = (ToolKind.READ, ToolKind.OTHER)
        by_mode = (ToolKind.SHELL, ToolKind.WRITE) if self.writing else ()
        allowed = {rule.kind for rule in self.allow}
        return self.allow_all or kind in {*always, *by_mode, *allowed}

    def _judge(self, request: ToolRequest) -> _Verdict:
        match request.kind:
            case ToolKind.SHELL:
                return self._shell(request.target)
            case ToolKind.READ | ToolKind.WRITE:
                return self._every_path(request.kind, (request.target, *request.paths))
        return self._named(request.kind, request.target)

    def _shell(self, line: str) -> _Verdict:
        found = self._shell_rules.evaluate(line)
        by = found.by or (self._by_shell if found.allowed else self.by_mode)
        rules = () if found.rule is None else (found.rule,)
        return _Verdict(found.allowed, found.why, by, line, rules)

    @property
    def _by_shell(self) -> str:
        """What allows a command line that no rule is named for."""
        if self.allow_all or self.writing:
            return ALLOW_ALL if self.allow_all else self.by_mode
        rules = [rule.text for rule in self.allow if rule.kind is ToolKind.SHELL]
        return "shell" if "shell" in rules else rules[0] if len(rules) == 1 else self.by_mode

    def _every_path(self, kind: ToolKind, paths: Sequence[str]) -> _Verdict:
        judged = [(path, self._paths.evaluate(kind, path)) for path in paths]
        refused = [(path, found) for path, found in judged if not found.allowed]
        path, first = (refused or judged)[0]
        rules = tuple(dict.fromkeys(rule for _, found in refused for rule in found.rules))
        liftable = all(found.rules for _, found in refused)
        return _Verdict(not refused, first.why, first.by, path, rules if liftable else ())

    def _named(self, kind: ToolKind, name: str) -> _Verdict:
        for rule in self.deny:
            if rule.kind is kind and _covers(rule, name, denies=True):
                return _Verdict(False, f"the rule {rule.text} denies it", rule.text, name)
        if self.allow_all:
            return _Verdict(True, "all tools are allowed", ALLOW_ALL, name)
        for rule in self.allow:
            if rule.kind is kind and _covers(rule, name, denies=False):
                return _Verdict(True, "allowed by a rule", rule.text, name)
        rules = () if (rule_text := rule_for(kind, name)) is None else (rule_text,)
        return _Verdict(False, "no rule allows it", self.by_mode, name, rules)

    def _lifts(self, rules: Sequence[str], request: ToolRequest) -> bool:
        """Whether these rules are such, and would allow a request that was refused."""
        try:
            more = tuple(map(parse_rule, rules))
        except UsageError:
            return False
        if not more or request.kind is ToolKind.SHELL:
            return bool(more)
        return replace(self, allow=(*self.allow, *more))._judge(request).allowed

    def _mode_for(self, request: ToolRequest) -> str:
        """The mode that would allow a request that was refused; nothing where none would."""
        if self.writing or request.kind not in (ToolKind.SHELL, ToolKind.WRITE):
            return ""
        return WRITING_MODE if replace(self, writing=True)._judge(request).allowed else ""

    def _refusal(
        self, kind: ToolKind, verdict: _Verdict, rules: tuple[str, ...], mode: str
    ) -> ToolDecision:
        doing = _DOING.get(kind, "The tool")
        text = f"{doing} {one_line(verdict.target, _SHOWN_WIDTH)} is not allowed: {verdict.why}. "
        text += f"Allowed in this run: {self.summary}. Go on without it."
        if rules:
            flags = " ".join(f"--allow-tool {_quoted(rule)}" for rule in rules)
            text += f" (The user could allow it with {flags}.)"
        return ToolDecision(
            False, text, final=not rules, by=verdict.by, why=verdict.why, rules=rules, mode=mode
        )

    @property
    def by_mode(self) -> str:
        """What decides where no rule does."""
        return f"mode {self.mode.strip()}" if self.mode else "the default"

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
            own=self.own,
            steering=self.steering,
            by_mode=self.by_mode,
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
    own: Path | None = None,
    steering: Sequence[str] = (),
) -> Policy:
    """The policy of one run. Raises UsageError for a rule that cannot be read.

    `protected` folders are never written, but for what lies in `own`. Files that match a glob of
    `steering` are written when a rule names them; an adapter knows which its runtime obeys.
    """
    return Policy(
        cwd=cwd,
        mode=mode,
        writing=may_write(mode),
        allow=tuple(map(parse_rule, allow_tools)),
        deny=tuple(map(parse_rule, deny_tools)),
        allow_all=allow_all,
        file_rules=tuple(workflow_file_rules),
        protected=tuple(Path(os.path.realpath(path)) for path in protected),
        own=own,
        steering=tuple(steering),
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
        ways = " ".join(f"--allow-tool {_quoted(rule)}" for rule in event.rules)
        return (
            f"the same tool request was denied {self._count} times in a row: {event.kind} "
            f"{between_words(event.target, _SHOWN_WIDTH)}: {event.why or event.reason}"
            + (f" (to allow it: {ways})" if ways else "")
        )


def _covers(rule: ToolRule, name: str, *, denies: bool) -> bool:
    if rule.kind is ToolKind.URL:
        return rule.covers_address(name, denies=denies)
    return rule.covers_name(name, denies=denies)


def _quoted(rule: str) -> str:
    """The rule as it is typed in a shell."""
    shown = one_line(rule)
    return shown if shown.isalpha() else "'" + shown.replace("'", "'\\''") + "'"
