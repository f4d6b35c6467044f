"""What a permission request of an agent means to the policy.

The agents' library is imported by the one test that uses it: that takes a second in each worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sdqctl.adapters.acp.requests import answer, permission_request
from sdqctl.model.tools import ToolKind

if TYPE_CHECKING:
    from acp.schema import PermissionOption


@pytest.mark.parametrize(
    ("call", "kind", "target", "paths"),
    [
        ({"kind": "execute", "rawInput": {"command": "ls -l"}}, ToolKind.SHELL, "ls -l", ()),
        (
            {"kind": "execute", "rawInput": {"command": ["bash", "-lc", "ls; id"]}},
            ToolKind.SHELL,
            "ls; id",
            (),
        ),
        (
            {"kind": "execute", "rawInput": {"command": ["touch", "a b"]}},
            ToolKind.SHELL,
            "touch 'a b'",
            (),
        ),
        ({"kind": "read", "rawInput": {"file_path": "/a"}}, ToolKind.READ, "/a", ()),
        ({"kind": "search", "rawInput": {"path": "src"}}, ToolKind.READ, "src", ()),
        (
            {"kind": "edit", "locations": [{"path": "/a"}, {"path": "/b"}], "rawInput": {}},
            ToolKind.WRITE,
            "/a",
            ("/b",),
        ),
        (
            {"kind": "move", "rawInput": {"path": "/a", "destination": "/b"}},
            ToolKind.WRITE,
            "/a",
            ("/b",),
        ),
        (
            {"kind": "edit", "content": [{"type": "diff", "path": "/c", "newText": "x"}]},
            ToolKind.WRITE,
            "/c",
            (),
        ),
        ({"kind": "fetch", "rawInput": {"url": "http://h/x"}}, ToolKind.URL, "http://h/x", ()),
        (
            {"kind": "execute", "title": "something", "rawInput": {}},
            ToolKind.OTHER,
            "something",
            (),
        ),
        ({"kind": "switch_mode", "title": "Free"}, ToolKind.OTHER, "Free", ()),
        ({"title": "no kind", "rawInput": {"command": "id"}}, ToolKind.OTHER, "no kind", ()),
        ({"kind": "new-kind", "title": "t", "rawInput": "text"}, ToolKind.OTHER, "t", ()),
        ({}, ToolKind.OTHER, "unknown", ()),
    ],
)
def test_a_request_is_read_by_its_kind_and_arguments(
    call: dict[str, Any], kind: ToolKind, target: str, paths: tuple[str, ...]
) -> None:
    asked = permission_request(call)
    assert (asked.kind, asked.target, asked.paths) == (kind, target, paths)


def test_a_write_has_its_diff() -> None:
    part = {"type": "diff", "path": "a", "oldText": "one\n", "newText": "two\n"}
    assert "-one\n+two\n" in permission_request({"kind": "edit", "content": [part]}).detail
    raw = {"filepath": "a", "diff": "the agent's own"}
    assert permission_request({"kind": "edit", "rawInput": raw}).detail == "the agent's own"


def _options(*kinds: Any) -> list[PermissionOption]:  # noqa: ANN401 - the library's literals
    from acp.schema import PermissionOption

    return [PermissionOption(option_id=f"id-{kind}", name=kind, kind=kind) for kind in kinds]


@pytest.mark.parametrize(
    ("kinds", "allowed", "chosen"),
    [
        (("allow_always", "allow_once", "reject_once"), True, "id-allow_once"),
        (("allow_always", "allow_once", "reject_once"), False, "id-reject_once"),
        (("allow_once", "reject_always"), False, "id-reject_always"),
        (("allow_always", "reject_once"), True, "id-reject_once"),
        (("allow_once",), False, None),
        (("allow_always",), True, None),
    ],
)
def test_a_yes_is_for_this_once_and_a_no_is_never_an_abort_where_it_can_be_said(
    kinds: tuple[str, ...], allowed: bool, chosen: str | None
) -> None:
    from acp.schema import AllowedOutcome, DeniedOutcome

    outcome = answer(_options(*kinds), allowed=allowed).outcome
    if chosen is None:
        assert isinstance(outcome, DeniedOutcome)
    else:
        assert isinstance(outcome, AllowedOutcome)
        assert outcome.option_id == chosen
