"""Tool rules in the runtime's own form: `shell(git:*)`, `write(docs/**)`, `mcp(server:tool)`.

An allow rule means exactly what it says. A deny rule means that and what could come to the same:
it errs towards denying.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sdqctl.errors import UsageError
from sdqctl.model.tools import ToolKind
from sdqctl.policy.addresses import allows_address, denies_address, is_web, parse_address
from sdqctl.policy.shell.facts import UnclearCommandError
from sdqctl.policy.shell.grammar import parse_command_line
from sdqctl.policy.shell.tree import SimpleCommand
from sdqctl.policy.shell.word import Word

FORMS = (
    "shell, shell(git:*), shell(git status), read(PATH), write, write(docs/**), url(HOST), "
    "mcp(SERVER), mcp(SERVER:TOOL), custom-tool(NAME)"
)
_FORM = re.compile(r"\s*([a-z-]+)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)
_KIND = re.compile(r"\s*([a-z-]+)")
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
        wanted = self.words
        further = len(words) - len(wanted)
        if further < 0 or (further and not self.open_ended):
            return False
        for word, text in zip(words, wanted, strict=False):
            if word.text != text or word.tilde:
                return False
        return True

    def denies_command(self, words: Sequence[Word]) -> bool:
        """Whether a deny rule means this command: its program, and its words in this order.

        What is known only when the shell runs counts as anything.
        """
        if self.pattern is None:
            return True
        if words and words[0].text is None:
            return True
        called = (words[0].text or "" if words else "").casefold()
        wanted = self.words[0].casefold()
        rest = [word.text for word in words[1:]]
        if wanted == "git":
            called, rest = _git_words(called, rest)
        if "/" not in called:
            wanted = wanted.rpartition("/")[2]
        if wanted not in (called, called.rpartition("/")[2]):
            return False
        return _in_order(self.words[1:], rest)

    def covers_name(self, name: str, *, denies: bool) -> bool:
        """Whether an MCP tool (`server:tool`) or a custom tool is meant.

        Where a colon in the name leaves open which part is the server, an allow rule means the
        whole name, and a deny rule each way to read it.
        """
        if self.pattern is None:
            return True
        if denies:
            names = {part.strip() for part in _names_of(self.kind, name.casefold())}
            return self.pattern.casefold() in names
        certain = name.count(":") < 2
        return name == self.pattern or (certain and self.pattern in _names_of(self.kind, name))

    def covers_address(self, address: str, *, denies: bool) -> bool:
        """Whether an address is meant. A rule without a scheme allows https alone.

        One without any pattern allows http and https.
        """
        if self.pattern is None:
            return denies or is_web(address)
        rule, wanted = parse_address(self.pattern), parse_address(address)
        if rule is None or wanted is None:
            return denies
        if denies:
            return denies_address(rule, wanted, any_scheme="://" not in self.pattern)
        return allows_address(rule, wanted)


def parse_rule(text: str) -> ToolRule:
    """A rule from its text. Raises UsageError that shows the forms."""
    match, first = _FORM.match(text), _KIND.match(text)
    if first is None or first.group(1) not in _KINDS:
        raise _malformed(text, "it begins with none of the kinds")
    if match is None:
        raise _malformed(text, f"after {first.group(1)} stands `(`, and `)` at the end, or nothing")
    kind, pattern = _KINDS[match.group(1)], match.group(2)
    if pattern is not None:
        pattern = pattern.strip()
        if not pattern or "\0" in pattern:
            raise _malformed(text, "nothing stands in its parentheses")
    if kind is not ToolKind.SHELL or pattern is None:
        if kind is ToolKind.URL and pattern is not None and parse_address(pattern) is None:
            raise _malformed(text, "it names no host")
        return ToolRule(kind, pattern)
    open_ended = pattern.endswith(":*")
    return ToolRule(kind, pattern, _rule_words(text, pattern.removesuffix(":*")), open_ended)


def rule_for(kind: ToolKind, name: str) -> str | None:
    """The rule that allows one address, MCP tool or custom tool, None for other kinds."""
    if kind is ToolKind.URL:
        found = parse_address(name)
        return None if found is None else f"url({found.origin})"
    return f"{kind}({name})" if kind in (ToolKind.MCP, ToolKind.CUSTOM) else None


def _rule_words(text: str, command: str) -> tuple[str, ...]:
    """The words of a shell rule: one simple command without anything that the shell expands."""
    try:
        steps = parse_command_line(command).steps
    except UnclearCommandError as error:
        raise _malformed(text, str(error)) from error
    found = steps[0].commands[0] if len(steps) == 1 and len(steps[0].commands) == 1 else None
    if not isinstance(found, SimpleCommand) or found.has_more or found.keyword or steps[0].negated:
        raise _malformed(text, "its command is not one program with plain words")
    texts = tuple(word.text for word in found.words if word.text is not None and not word.tilde)
    if not texts or len(texts) != len(found.words):
        raise _malformed(text, "its command is not one program with plain words")
    return texts


def _malformed(text: str, why: str) -> UsageError:
    return UsageError(f"{text!r} is not a tool rule: {why}", hint=f"the forms are: {FORMS}")


def _in_order(wanted: Sequence[str], words: Sequence[str | None]) -> bool:
    """Whether the wanted words occur in this order, others between them."""
    rest = iter(words)
    return all(any(word in (None, text) for word in rest) for text in wanted)


_GIT_VALUED = frozenset(
    {"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"}
)


def _git_words(called: str, rest: list[str | None]) -> tuple[str, list[str | None]]:
    """The name and the words of git: after a known subcommand, unknown words are none.

    `git-push` is `git push`.
    """
    folder, _, name = called.rpartition("/")
    if name.startswith("git-"):
        return f"{folder}/git".lstrip("/"), [name.removeprefix("git-"), *rest]
    if name != "git":
        return called, rest
    index = 0
    while index < len(rest):
        text = rest[index]
        if text is None:
            return called, rest
        if not text.startswith("-"):
            break
        index += 2 if text in _GIT_VALUED else 1
    known = [text for text in rest[index + 1 :] if text is not None]
    return called, [*rest[: index + 1], *known]


def _names_of(kind: ToolKind, name: str) -> set[str]:
    """What a rule may call a tool: of an MCP server that server, or the tool without its prefix."""
    found = {name}
    if kind is ToolKind.MCP:
        parts = name.split(":")
        for place in range(1, len(parts)):
            server, tool = ":".join(parts[:place]), ":".join(parts[place:])
            found |= {server, f"{server}:{tool.removeprefix(f'{server}-')}"}
    return found
