"""Markdown of models and tools as HTML that holds nothing but text and its shape.

No HTML of theirs passes, nothing is fetched, nothing is a link that could say one address and lead
to another: the address stands beside its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from sdqctl.text.terminal import sanitize

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_BELOW = 2
"""The page's own headings have the first two levels."""


def as_prose(text: str) -> str:
    """Markdown as HTML; a single line break stays one."""
    rendered: str = _parser().render(sanitize(text))
    return rendered


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    parser.enable(["table", "strikethrough"]).disable("image")
    parser.core.ruler.push("plain", _make_plain)
    parser.add_render_rule("link_close", _address)
    return parser


def _make_plain(state: Any) -> None:  # noqa: ANN401 - the parser's own state
    """Lower the headings, take styles and addresses out of attributes."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + _BELOW)}"
        if "style" in token.attrs:
            aligned = str(token.attrs.pop("style")).rpartition(":")[2]
            token.attrs["class"] = aligned
        _make_links_plain(token.children or [])


def _make_links_plain(tokens: Sequence[Token]) -> None:
    addresses: list[str] = []
    for token in tokens:
        if token.type == "link_open":
            addresses.append(str(token.attrs.get("href", "")))
            token.tag, token.attrs = "span", {"class": "link"}
        elif token.type == "link_close":
            token.meta = {"address": addresses.pop()}


def _address(
    renderer: Any,  # noqa: ANN401 - the library's renderer
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ANN401
    env: Any,  # noqa: ANN401
) -> str:
    address = tokens[index].meta["address"]
    shown = tokens[index - 1].content if index else ""
    beside = "" if shown == address else f" <small>({escape(address)})</small>"
    return f"</span>{beside}"
