"""Commands as they stand in hints: to be given to a shell as they are."""

from __future__ import annotations

import shlex


def on_session(command: str, name: str, options: str = "", *, more: str = "") -> str:
    """`sdqctl COMMAND NAME MORE OPTIONS`, with the name quoted. One that begins with a dash would
    be read as an option, unless it stands after `--`.
    """
    word = shlex.quote(name)
    parts = (word, more, options) if not name.startswith("-") else (options, "--", word, more)
    return " ".join(filter(None, ("sdqctl", command, *parts)))
