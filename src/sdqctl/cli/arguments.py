"""Types of what a command is given: texts, and files by their names."""

from __future__ import annotations

import click

from sdqctl.text.undecoded import is_decoded, readable


class TextType(click.types.StringParamType):
    """A text that may be recorded, sent or searched for: it has to be UTF-8, except where it may
    name a file (`@FILE`, `NAME=@FILE`).
    """

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The text; one that is no UTF-8 is a usage error."""
        text = str(super().convert(value, param, ctx))
        if not is_decoded(text) and not text.startswith("@") and "=@" not in text:
            self.fail(f"{readable(text)} is not UTF-8; write it in UTF-8", param, ctx)
        return text


TEXT = TextType()
FILE = click.Path(readable=False)
"""A file by its name, whatever bytes that has."""
