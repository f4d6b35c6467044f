"""Option types and options that several commands share."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import click

from sdqctl.cli.completion import complete_adapter
from sdqctl.errors import UsageError
from sdqctl.text.duration import parse_duration
from sdqctl.text.undecoded import is_decoded

_Function = TypeVar("_Function", bound=Callable[..., object])


class DurationType(click.ParamType[float]):
    """A duration such as 30m, 24h, 7d, 2w or 1h30m, as seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds; an unreadable duration is a usage error."""
        if isinstance(value, int | float):
            return float(value)
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = DurationType()
MOST = 10**9
"""Of what is counted in a store."""
_LONGEST_TAG = 40
"""Bytes: a channel of Postgres is called after it."""


class TagType(click.ParamType[str]):
    """A tag of runs in a queue, as `worker --tags` can name it."""

    name = "tag"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The tag; a text that is none is a usage error."""
        text = str(value)
        if not text or text != text.strip() or "," in text or not is_decoded(text):
            self.fail(f"{text!r} is no tag: it has no comma, and no spaces around it", param, ctx)
        if len(text.encode()) > _LONGEST_TAG:
            self.fail(f"{text!r} is longer than {_LONGEST_TAG} bytes", param, ctx)
        return text


TAG = TagType()


class AmountType(click.FloatRange):
    """A number of 0 or more that is one: `nan` and `inf` bound nothing."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number; another one is a usage error."""
        amount = float(super().convert(cast("float", value), param, ctx))
        if not math.isfinite(amount):
            self.fail(f"{value} is not an amount such as 0.5", param, ctx)
        return amount


def examples(*lines: str) -> str:
    """The end of a command's help: lines as they are typed."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def adapter_option(function: _Function) -> _Function:
    """-a ADAPTER: only its sessions."""
    return click.option(
        "-a",
        "--adapter",
        metavar="ADAPTER",
        help="Only the sessions of this adapter.",
        shell_complete=complete_adapter,
    )(function)


def store_option(doc: str) -> Callable[[_Function], _Function]:
    """--store [URL]; without URL the store of the configuration."""
    return click.option("--store", is_flag=False, flag_value="", metavar="[URL]", help=doc)


_QUEUE_OPTIONS = [
    click.option(
        "--queue",
        is_flag=False,
        flag_value="",
        metavar="[URL]",
        help="Have workers do it; --wait DUR waits for the end.",
    ),
    click.option(
        "--tag",
        type=TAG,
        default="default",
        show_default=True,
        metavar="T",
        help="Which workers take it.",
    ),
    click.option(
        "--priority",
        type=click.IntRange(-MOST, MOST),
        default=0,
        metavar="N",
        help="Higher ones begin first; default 0.",
    ),
]


def queue_options(function: _Function) -> _Function:
    """Add --queue, --tag and --priority."""
    for option in reversed(_QUEUE_OPTIONS):
        function = option(function)
    return function


def format_option(*formats: str) -> Callable[[_Function], _Function]:
    """--format, with the first one as default."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How the result is written.",
    )


def filter_options(function: _Function) -> _Function:
    """--filter, --older-than, --newer-than."""
    for option in (
        click.option("--newer-than", type=DURATION, metavar="DUR", help="Changed since then."),
        click.option("--older-than", type=DURATION, metavar="DUR", help="Not changed since then."),
        click.option("--filter", "pattern", metavar="GLOB", help="Only these names or ids."),
    ):
        function = option(function)
    return function


def read_text_argument(argument: str) -> str:
    """The text of a `T|@F|-` argument: itself, a file's content, or stdin.

    Raises UsageError for a file that cannot be read.
    """
    if argument == "-":
        return _standard_input()
    if not argument.startswith("@"):
        return argument
    try:
        return Path(argument[1:]).expanduser().read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{argument[1:]} cannot be read: {error}") from error


def _standard_input() -> str:
    """All of stdin. Raises UsageError for what is no text."""
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError(f"stdin cannot be read: {error}", hint="pipe UTF-8 in") from error
    if not is_decoded(text):  # as the locale C leaves it
        raise UsageError("stdin cannot be read: it is not UTF-8", hint="pipe UTF-8 in")
    return text
