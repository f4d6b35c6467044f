"""Tool rules in the runtime's own form: `shell(git:*)`, `write(docs/**)`, `mcp(server:tool)`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sdqctl.errors import UsageError
from sdqctl.model.tools import ToolKind

_FORM = re.compile(r"\s*([a-z-]+)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)
_KINDS = {
    "shell": ToolKind.SHELL,
    "read": ToolKind.READ,
    "write": ToolKind.WRITE,
    "url": ToolKind.URL,
    "mcp": ToolKind.MCP,
    "custom-tool": ToolKind.CUSTOM,
}
FORMS = (
    "shell, shell(git:*), shell(git status), write, write(docs/**), read(path), "
    "mcp(server:tool), url(host)"
)


@dataclass(frozen=True)
class ToolRule:
    """One rule. `pattern` None: all of its kind."""

    kind: ToolKind
    pattern: str | None

    def covers_command(self, words: tuple[str, ...]) -> bool:
        """Whether a simple command is meant: `git:*` a program, `git status` words in front."""
        if self.kind is not ToolKind.SHELL:
            return False
        if self.pattern is None or self.pattern == "*":
            return True
        prefix = self.pattern.removesuffix(":*").split()
        if self.pattern.endswith(":*"):
            return list(words[: len(prefix)]) == prefix
        return list(words) == prefix

    def covers_name(self, kind: ToolKind, name: str) -> bool:
        """Whether a url's host, an MCP tool or a custom tool is meant."""
        if self.kind is not kind:
            return False
        if self.pattern is None or fnmatchcase(name, self.pattern):
            return True
        return kind is ToolKind.MCP and name.partition(":")[0] == self.pattern


def parse_rule(text: str) -> ToolRule:
    """A rule from its text. Raises UsageError that shows the forms."""
    match = _FORM.match(text)
    if match is None or match.group(1) not in _KINDS or match.group(2) == "":
        raise UsageError(f"{text!r} is not a tool rule", hint=f"the forms are: {FORMS}")
    return ToolRule(_KINDS[match.group(1)], match.group(2))
