"""`sdqctl completion SHELL --install`: a script of its own, and a block in the shell's start-up."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from sdqctl.cli.shells import SCRIPTS
from sdqctl.errors import OutputError
from sdqctl.fs import replacing

_BEGIN, _END = "# >>> sdqctl completion >>>", "# <<< sdqctl completion <<<"
_BLOCK = re.compile(rf"{_BEGIN}\n.*?{_END}\n", re.DOTALL)
_BASH = "[ -r {script} ] && . {script}"
_ZSH = """(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
[[ -r {script} ]] && source {script}"""


def install_completion(shell: str, environment: Mapping[str, str]) -> list[Path]:
    """Put the script where `shell` finds it when it starts; a second time changes nothing.

    Returns the files that were changed. Raises OutputError for one that cannot be written.
    """
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    if shell == "fish":
        config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        script = config / "fish" / "completions" / "sdqctl.fish"
        return _changed(script, SCRIPTS["fish"])
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    script = data / "sdqctl" / f"completion.{shell}"
    startup = home / ".bashrc"
    if shell == "zsh":
        startup = Path(environment.get("ZDOTDIR") or home) / ".zshrc"
    line = (_BASH if shell == "bash" else _ZSH).replace("{script}", shlex.quote(str(script)))
    return [*_changed(script, SCRIPTS[shell]), *_changed(startup, _with_block(startup, line))]


def _with_block(path: Path, line: str) -> str:
    """The text of a start-up file with our block in it, once."""
    try:
        text = path.read_text("utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{path} cannot be read: {error}") from error
    block = f"{_BEGIN}\n{line}\n{_END}\n"
    if _BLOCK.search(text):
        return _BLOCK.sub(lambda _: block, text, count=1)
    return text + ("" if not text or text.endswith("\n") else "\n") + block


def _changed(path: Path, text: str) -> list[Path]:
    """Write a file whole, with the mode that it has and through a link; nothing where it is so."""
    target = path.resolve()
    try:
        if target.exists() and target.read_bytes() == text.encode():
            return []
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644
        with replacing(target, mode=mode) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}",
            hint="the help of the command says how to install the script by hand",
        ) from error
    return [path]
