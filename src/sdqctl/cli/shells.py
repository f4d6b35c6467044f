"""What each shell needs to complete: its script, how its words come in, how answers go out.

No text of a name is ever evaluated: bash gets names that are quoted already, zsh and fish quote
what they insert. A name that could drive a terminal is not offered at all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdqctl.text.terminal import one_line, sanitize

if TYPE_CHECKING:
    from click import Command
    from click.shell_completion import CompletionItem

VARIABLE = "_SDQCTL_COMPLETE"
"""Names the shell that asks; set by the scripts alone."""

_BASH = r"""_sdqctl_completion() {
    local line kind=
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then kind=$line; else COMPREPLY+=("$line"); fi
    done < <(_SDQCTL_COMPLETE=bash "${1/#\~/$HOME}" "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    case $kind in
        open) compopt -o nospace ;;
        file) compopt -o default ;;
        dir) compopt -o dirnames ;;
    esac
}
complete -F _sdqctl_completion sdqctl
"""
_ZSH = r"""#compdef sdqctl
_sdqctl() {
    local kind value help tab=$'\t'
    local -a answer values shown
    answer=("${(@f)$(_SDQCTL_COMPLETE=zsh "${(Q)words[1]/#\~/$HOME}" \
        "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    kind=${answer[1]}
    for value in "${(@)answer[2,-1]}"; do
        help=${value#*$tab}
        value=${value%%$tab*}
        values+=("$value")
        shown+=("$value${help:+  -- $help}")
    done
    case $kind in
        file) compset -P '--*='; _files ;;
        dir) compset -P '--*='; _files -/ ;;
        workflow) _files -g '*.conv(-.)' ;;
        open) compadd -S '' -- "${(@)values}" ;;
        *) compadd -l -M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}' -d shown -- "${(@)values}" ;;
    esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _sdqctl "$@"
else
    compdef _sdqctl sdqctl
fi
"""
_FISH = r"""function __sdqctl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l plain (string unescape -- $current 2>/dev/null)
    or set plain (string trim --left --chars "\"'" -- $current)
    set -l answer (env _SDQCTL_COMPLETE=fish $words "$plain" 2>/dev/null)
    switch "$answer[1]"
        case file
            __fish_complete_path (string replace -r -- '^--[^=]*=' '' $current)
        case dir
            __fish_complete_directories (string replace -r -- '^--[^=]*=' '' $current)
        case '*'
            string join \n -- $answer[2..-1]
    end
end
complete -c sdqctl -f -a '(__sdqctl_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@dataclass(frozen=True)
class Line:
    """A command line up to the cursor, as bash would split it."""

    words: list[str]
    """The words before the one at the cursor, without their quotes."""
    current: str
    """The word at the cursor, without its quotes."""
    quote: str
    """The quote that is open at the cursor, or nothing."""


def answer(command: Command, shell: str, arguments: Sequence[str]) -> int:
    """Write what may stand at the cursor; what went wrong is nothing to complete."""
    from click import ClickException
    from click.shell_completion import ShellComplete

    from sdqctl.errors import SdqctlError

    if shell not in SCRIPTS or not arguments:
        return 0
    if shell == "bash":
        line, replaced = split(arguments[0]), arguments[-1]
    else:
        line, replaced = Line([sys.argv[0], *arguments[:-1]], arguments[-1], ""), ""
    completer = ShellComplete(command, {}, "sdqctl", VARIABLE)
    try:
        items = completer.get_completions(line.words[1:], line.current)
    except (SdqctlError, ClickException, OSError):
        return 0
    if not line.current.startswith("-") and "--" not in line.words:
        items = [item for item in items if not item.value.startswith("-")]  # names, no options
    lines = "".join(f"{each}\n" for each in _lines(shell, items, line, replaced))
    sys.stdout.buffer.write(lines.encode("utf-8", "replace"))
    return 0


def _lines(
    shell: str, items: Sequence[CompletionItem[str]], line: Line, replaced: str
) -> list[str]:
    option, equals, _ = line.current.partition("=")
    head = option + equals if equals and option.startswith("--") else ""
    kinds = {item.type for item in items}
    for kind in ("file", "dir"):
        if kind in kinds:
            return [kind]
    if shell == "zsh" and "workflow" in kinds:
        return ["workflow"]
    safe = [item for item in items if sanitize(item.value) == item.value]
    safe = [item for item in safe if not set(item.value) & set("\n\t")]
    alone = len(safe) == 1 and safe[0].value.endswith("/")
    lines = ["open" if alone else "plain"]
    for item in safe:
        value = head + item.value
        if shell == "bash":
            lines += _for_bash(value, line, replaced)
        else:
            lines.append(f"{value}\t{one_line(item.help or '')}")
    return lines


def _for_bash(value: str, line: Line, replaced: str) -> list[str]:
    """What bash puts in the place of `replaced`: what was typed, and the rest quoted.

    Bash replaces what follows the last of its word breaks, so a name with a colon in parts.
    """
    typed = replaced
    if not line.quote and len(typed) - len(typed.rstrip("\\")) & 1:
        typed = typed[:-1]  # left by bash, which completes what several answers have in common
    if value.startswith(line.current):
        return [typed + quoted(value[len(line.current) :], line.quote)]
    if line.current and not value.casefold().startswith(line.current.casefold()):
        return []
    whole = split(f"x {line.quote}{replaced}").current == line.current
    return [quoted(value, line.quote)] if whole else []


def quoted(text: str, quote: str) -> str:
    """Text that bash reads back as it is: inside an open quote, or with backslashes."""
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        special = {"!": "\"'!'\""} | {char: f"\\{char}" for char in '\\"$`'}
        return "".join(special.get(char, char) for char in text)
    plain = "_-./,+@%:=^"
    return "".join(c if c.isalnum() or c in plain or c > "\x7f" else f"\\{c}" for c in text)


def split(line: str) -> Line:
    """Split a command line up to the cursor. Never fails: what is open is open at the cursor."""
    words: list[str] = []
    current, quote, begun = "", "", False
    position = 0
    while position < len(line):
        char = line[position]
        position += 1
        following = line[position : position + 1]
        if quote == "'" or (quote == '"' and char != "\\"):
            quote, current = ("", current) if char == quote else (quote, current + char)
        elif char == "\\":
            keeps = quote == '"' and following not in ('"', "$", "`", "\\")
            current, begun = current + (f"\\{following}" if keeps else following), True
            position += 1
        elif char in "'\"":
            quote, begun = char, True
        elif char in " \t\n":
            if begun or current:
                words.append(current)
            current, begun = "", False
        else:
            current, begun = current + char, True
    return Line(words, current, quote)
