"""The policy: what an agent's tools may do, decided by the user beforehand.

Reading inside the working directory is allowed. Writing, shell, network, MCP and custom tools are
denied unless the mode or a rule allows them; a deny always wins. See docs/security.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sdqctl.conversation.modes import may_write
from sdqctl.engine.rules import ToolRule, parse_rule
from sdqctl.engine.shell_grammar import SimpleCommand, UnclearCommandError, parse_command_line
from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.model.workflow import FileRule


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Decides on tool requests (ToolPolicy). Paths are judged after links are resolved."""

    cwd: Path
    writing: bool
    allow: tuple[ToolRule, ...]
    deny: tuple[ToolRule, ...]
    allow_all: bool = False
    file_rules: tuple[FileRule, ...] = ()
    protected: tuple[Path, ...] = ()
    """Folders that no tool may write: sdqctl's data and the runtime's."""

    def decide(self, request: ToolRequest) -> ToolDecision:
        """Allow or deny, with the reason."""
        match request.kind:
            case ToolKind.SHELL:
                return self._shell(request.target)
            case ToolKind.READ | ToolKind.WRITE:
                return self._path(request.kind, request.target)
        return self._named(request.kind, request.target)

    def _named(self, kind: ToolKind, name: str) -> ToolDecision:
        if any(rule.covers_name(kind, name) for rule in self.deny):
            return ToolDecision(False, f"{kind} {name} is denied by a rule")
        if self.allow_all or any(rule.covers_name(kind, name) for rule in self.allow):
            return ToolDecision(True, "allowed by a rule")
        return _denied(f"{kind} {name} is not allowed in this run", f"{kind}({name})")

    def _path(self, kind: ToolKind, text: str) -> ToolDecision:
        path = self._resolve(text)
        if self._is_denied(kind, path, text):
            return ToolDecision(False, f"{kind} {text} is denied by a rule")
        if kind is ToolKind.WRITE and any(path.is_relative_to(p) for p in self.protected):
            return ToolDecision(False, f"{text} belongs to sdqctl or the runtime")
        if self.allow_all or self._is_allowed(kind, path, text):
            return ToolDecision(True, "allowed")
        where = "outside the working directory" if not self._inside(path) else "not allowed"
        return _denied(f"{kind} {text}: {where}; work in {self.cwd}", f"{kind}({text})")

    def _is_denied(self, kind: ToolKind, path: Path, text: str) -> bool:
        if any(r.kind is kind and self._covers(r.pattern, path, text) for r in self.deny):
            return True
        if any(not r.allow and self._file_rule(r, path, text) for r in self.file_rules):
            return True
        only = [r for r in self.file_rules if r.allow and not r.directory]
        return bool(only) and not any(self._file_rule(r, path, text) for r in only)

    def _is_allowed(self, kind: ToolKind, path: Path, text: str) -> bool:
        if any(r.kind is kind and self._covers(r.pattern, path, text) for r in self.allow):
            return True
        folders = any(
            r.allow and r.directory and self._file_rule(r, path, text) for r in self.file_rules
        )
        return (self._inside(path) or folders) and (kind is ToolKind.READ or self.writing)

    def _shell(self, line: str) -> ToolDecision:
        try:
            commands = parse_command_line(line)
        except UnclearCommandError as error:
            return self._unclear(str(error))
        for command in commands:
            refusal = self._command(command)
            if refusal is not None:
                return refusal
        return ToolDecision(True, "allowed")

    def _unclear(self, why: str) -> ToolDecision:
        """What cannot be taken apart could be a denied command, so any deny rule forbids it."""
        shell_denied = any(rule.kind in (ToolKind.SHELL, ToolKind.WRITE) for rule in self.deny)
        everything = self.allow_all or self.writing or ToolRule(ToolKind.SHELL, None) in self.allow
        if everything and not shell_denied and not self.file_rules:
            return ToolDecision(True, "allowed")
        return ToolDecision(False, f"the command cannot be judged: {why}; use plain commands")

    def _command(self, command: SimpleCommand) -> ToolDecision | None:
        words = command.words
        shown = " ".join(words[:3])
        if words and any(rule.covers_command(words) for rule in self.deny):
            return ToolDecision(False, f"shell {shown} is denied by a rule")
        allowed = self.allow_all or self.writing
        if words and not allowed and not any(rule.covers_command(words) for rule in self.allow):
            return _denied(f"shell {shown} is not allowed in this run", f"shell({words[0]}:*)")
        for path in command.writes:
            decision = self._path(ToolKind.WRITE, path)
            if not decision.allowed and path != os.devnull:
                return decision
        for path in command.reads:
            decision = self._path(ToolKind.READ, path)
            if not decision.allowed and path != os.devnull:
                return decision
        return None

    def _resolve(self, text: str) -> Path:
        return Path(os.path.realpath(self.cwd / os.path.expanduser(text)))

    def _inside(self, path: Path) -> bool:
        return path.is_relative_to(os.path.realpath(self.cwd))

    def _covers(self, pattern: str | None, path: Path, text: str) -> bool:
        """Whether a path pattern, relative to the working directory, means this path."""
        if pattern is None:
            return True
        if pattern.startswith(("/", "~")):
            return _matches(str(path), os.path.realpath(os.path.expanduser(pattern)))
        if not self._inside(path):
            return False
        return _matches(str(path.relative_to(os.path.realpath(self.cwd))), pattern)

    def _file_rule(self, rule: FileRule, path: Path, text: str) -> bool:
        if rule.directory:
            return path.is_relative_to(self._resolve(rule.pattern))
        return self._covers(rule.pattern, path, text)


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


def _matches(path: str, pattern: str) -> bool:
    """Glob matching in which `dir/**` also means everything below `dir`."""
    return fnmatchcase(path, pattern) or fnmatchcase(path, pattern.rstrip("/") + "/*")


def _denied(what: str, rule: str) -> ToolDecision:
    return ToolDecision(False, f"{what} (the user could allow it with --allow-tool '{rule}')")
