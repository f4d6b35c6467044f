"""Tool rules in the runtime's own form: `shell(git:*)`, `write(docs/**)`, `mcp(server:tool)`.

An allow rule means exactly what it says. A deny rule means that and what could come to the same:
it errs towards denying.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from sdqctl.errors import UsageError
from sdqctl.model.tools import ToolKind
from sdqctl.policy.shell.grammar import parse_command_line
from sdqctl.policy.shell.words import UnclearCommandError, Word

FORMS = (
    "shell, shell(git:*), shell(git status), read(PATH), write, write(docs/**), url(HOST), "
    "mcp(SERVER), mcp(SERVER:TOOL), custom-tool(NAME)"
)
_FORM = re.compile(r"\s*([a-z-]+)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)
_KINDS = {
    kind.value: kind
    for kind in (
        ToolKind.SHELL,
        ToolKind.READ,
        ToolKind.WRITE,
        ToolKind.URL,
        ToolKind.MCP,
        ToolKind.CUSTOM,
    )
}
_UNSAFE_ADDRESS = re.compile(r"[\\\s\x00-\x1f\x7f]")


@dataclass(frozen=True)
class ToolRule:
    """One rule. `pattern` None: all of its kind. `words` are those of a shell rule."""

    kind: ToolKind
    pattern: str | None
    words: tuple[str, ...] = ()
    open_ended: bool = False
    """Whether more words may follow (`:*`)."""

    @property
    def text(self) -> str:
        """The rule as it is written."""
        return self.kind if self.pattern is None else f"{self.kind}({self.pattern})"

    def allows_command(self, words: Sequence[Word]) -> bool:
        """Whether an allow rule means this simple command."""
        if self.pattern is None:
            return True
        texts = tuple(word.text if not word.tilde else None for word in words)
        if self.open_ended:
            return texts[: len(self.words)] == self.words
        return texts == self.words

    def denies_command(self, words: Sequence[Word]) -> bool:
        """Whether a deny rule means this command: its program, and its words in this order.

        What is known only when the shell runs counts as anything.
        """
        if self.pattern is None:
            return True
        if words and words[0].text is None:
            return True
        name = words[0].text or "" if words else ""
        wanted = self.words[0].rpartition("/")[2] if "/" not in name else self.words[0]
        if wanted not in (name, name.rpartition("/")[2]):
            return False
        return _in_order(self.words[1:], words[1:])

    def covers_name(self, name: str) -> bool:
        """Whether an MCP tool (`server:tool`) or a custom tool is meant."""
        if self.pattern is None or name == self.pattern:
            return True
        server, _, tool = name.partition(":")
        if self.kind is not ToolKind.MCP:
            return False
        return self.pattern in (server, f"{server}:{tool.removeprefix(f'{server}-')}")

    def covers_address(self, address: str, *, denies: bool) -> bool:
        """Whether an address is meant. A rule without a scheme allows https alone."""
        if self.pattern is None:
            return True
        rule, wanted = _address(self.pattern), _address(address)
        if rule is None or wanted is None:
            return denies
        any_scheme = denies and "://" not in self.pattern
        return (
            (any_scheme or wanted.scheme == rule.scheme)
            and fnmatchcase(wanted.host, rule.host)
            and rule.port in (None, wanted.port)
            and _below(rule.path, wanted.path, denies=denies)
        )


def parse_rule(text: str) -> ToolRule:
    """A rule from its text. Raises UsageError that shows the forms."""
    match = _FORM.match(text)
    if match is None or match.group(1) not in _KINDS:
        raise _malformed(text, "it begins with none of the kinds")
    kind, pattern = _KINDS[match.group(1)], match.group(2)
    if pattern is not None:
        pattern = pattern.strip()
        if not pattern or "\0" in pattern:
            raise _malformed(text, "nothing stands in its parentheses")
    if kind is not ToolKind.SHELL or pattern is None:
        if kind is ToolKind.URL and pattern is not None and _address(pattern) is None:
            raise _malformed(text, "it names no host")
        return ToolRule(kind, pattern)
    open_ended = pattern.endswith(":*")
    return ToolRule(kind, pattern, _rule_words(text, pattern.removesuffix(":*")), open_ended)


def _rule_words(text: str, command: str) -> tuple[str, ...]:
    """The words of a shell rule: one simple command without anything that the shell expands."""
    try:
        commands = parse_command_line(command).commands
    except UnclearCommandError as error:
        raise _malformed(text, str(error)) from error
    words = commands[0].words if len(commands) == 1 else ()
    texts = tuple(word.text for word in words if word.text is not None and not word.tilde)
    if not texts or len(texts) != len(words) or commands[0].assignments or commands[0].redirections:
        raise _malformed(text, "its command is not one program with plain words")
    return texts


def _malformed(text: str, why: str) -> UsageError:
    return UsageError(f"{text!r} is not a tool rule: {why}", hint=f"the forms are: {FORMS}")


def _in_order(wanted: Sequence[str], words: Sequence[Word]) -> bool:
    """Whether the wanted words occur in this order, others between them."""
    rest = iter(words)
    return all(any(word.text in (None, text) for word in rest) for text in wanted)


@dataclass(frozen=True)
class _Address:
    scheme: str
    host: str
    port: int | None
    path: str


def _address(text: str) -> _Address | None:
    """An address in its parts, None when programs may read it differently."""
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc or _UNSAFE_ADDRESS.search(text):
        return None
    return _Address(parts.scheme, parts.hostname.rstrip("."), port, parts.path)


def _below(folder: str, path: str, *, denies: bool) -> bool:
    """Whether a path lies in a rule's folder; one that may be read differently counts as denied."""
    wanted = folder.rstrip("/*")
    if not wanted:
        return True
    if ".." in path or "%" in path:
        return denies
    return path == wanted or path.startswith(f"{wanted}/")
