"""An agent's permission request in the words of the policy, and the policy's answer in its own.

What a tool would do is read from its kind and its raw input; what cannot be read is of the kind
`other`, which only a rule for it allows.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdqctl.model.tools import ToolKind, ToolRequest

if TYPE_CHECKING:
    from acp.schema import PermissionOption, RequestPermissionResponse

_KINDS = {
    "execute": ToolKind.SHELL,
    "read": ToolKind.READ,
    "search": ToolKind.READ,
    "edit": ToolKind.WRITE,
    "delete": ToolKind.WRITE,
    "move": ToolKind.WRITE,
    "fetch": ToolKind.URL,
}
_COMMANDS = ("command", "cmd", "script")
_PATHS = ("file_path", "filePath", "filepath", "fileName", "path", "abs_path", "notebook_path")
_TARGETS = ("new_path", "newPath", "destination", "target", "to")
_ADDRESSES = ("url", "uri")
_LONGEST_DETAIL = 20_000


def permission_request(call: Mapping[str, Any]) -> ToolRequest:
    """What a tool call asks for. `call` has the protocol's fields of a tool call, as JSON."""
    kind = _KINDS.get(str(call.get("kind") or ""), ToolKind.OTHER)
    given = call.get("rawInput")
    raw: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    targets = list(_targets(kind, call, raw))
    if not targets:
        kind, targets = ToolKind.OTHER, [str(call.get("title") or call.get("kind") or "unknown")]
    return ToolRequest(
        kind=kind,
        target=targets[0],
        paths=tuple(targets[1:]),
        intention=str(call.get("title") or ""),
        detail=_detail(call, raw)[:_LONGEST_DETAIL],
        tool_call_id=call.get("toolCallId"),
        tool=str(call.get("kind") or ""),
    )


def summary_of(call: Mapping[str, Any]) -> str:
    """What a tool call is about, in a line."""
    asked = permission_request(call)
    return asked.target if asked.kind is not ToolKind.OTHER else str(call.get("title") or "")


def _targets(kind: ToolKind, call: Mapping[str, Any], raw: Mapping[str, Any]) -> Iterator[str]:
    """The command, the address, or each path that is named, the tool's own argument first."""
    if kind is ToolKind.SHELL:
        yield from (_command(raw[name]) for name in _COMMANDS if raw.get(name))
    elif kind is ToolKind.URL:
        yield from (str(raw[name]) for name in _ADDRESSES if raw.get(name))
    elif kind in (ToolKind.READ, ToolKind.WRITE):
        named = [str(raw[name]) for name in (*_PATHS, *_TARGETS) if raw.get(name)]
        places = [str(place["path"]) for place in call.get("locations") or () if place.get("path")]
        diffs = [str(part["path"]) for part in call.get("content") or () if part.get("path")]
        yield from dict.fromkeys((*named, *places, *diffs))


def _command(value: object) -> str:
    """A command as a line; a list is one word each, but for a shell with its script."""
    if isinstance(value, str):
        return value
    words = [str(word) for word in value] if isinstance(value, Sequence) else [str(value)]
    if len(words) == 3 and words[1] in ("-c", "-lc") and words[0].endswith("sh"):
        return words[2]
    return shlex.join(words)


def _detail(call: Mapping[str, Any], raw: Mapping[str, Any]) -> str:
    """The diff of a write: the agent's own, else made of what it says was there and will be."""
    if isinstance(raw.get("diff"), str):
        return str(raw["diff"])
    import difflib

    lines: list[str] = []
    for part in call.get("content") or ():
        if part.get("type") == "diff":
            before = str(part.get("oldText") or "").splitlines(keepends=True)
            after = str(part.get("newText") or "").splitlines(keepends=True)
            lines += difflib.unified_diff(before, after, part.get("path", ""), part.get("path", ""))
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def answer(options: Sequence[PermissionOption], *, allowed: bool) -> RequestPermissionResponse:
    """The answer, by the kind of the options: for this once, never for always.

    Where the agent does not let us allow once, nothing is allowed. `cancelled` would end the turn
    of some agents, and is left to those that cannot be refused in another way.
    """
    from acp.schema import AllowedOutcome, DeniedOutcome, RequestPermissionResponse

    wanted = ("allow_once",) if allowed else ("reject_once", "reject_always")
    for kind in (*wanted, *(("reject_once", "reject_always") if allowed else ())):
        for option in options:
            if option.kind == kind:
                chosen = AllowedOutcome(outcome="selected", option_id=option.option_id)
                return RequestPermissionResponse(outcome=chosen)
    return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))


def can_allow_once(options: Sequence[PermissionOption]) -> bool:
    """Whether a yes can be said for this once."""
    return any(option.kind == "allow_once" for option in options)
