"""Other readers of the shell's language: what all of them refuse and we allow is worth a look.

They come with the extra `fuzz`; without it there is nothing to look at.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_NUMBER = re.compile(r"^(?:.*/)?(\d+)\.sh:\d+:\d+:", re.MULTILINE)


def refused_by_all(lines: Sequence[str]) -> list[str]:
    """The lines that neither shfmt nor tree-sitter can parse."""
    program = shutil.which("shfmt", path=str(Path(sys.executable).parent))
    if program is None or find_spec("tree_sitter_bash") is None:
        return []
    wrong = _refused_by_shfmt(program, lines)
    return [line for index, line in enumerate(lines) if index in wrong and _has_error(line)]


def _refused_by_shfmt(program: str, lines: Sequence[str]) -> set[int]:
    with tempfile.TemporaryDirectory() as folder:
        for index, line in enumerate(lines):
            Path(folder, f"{index}.sh").write_text(line)
        done = subprocess.run(
            [program, "-ln", "bash", "-l", folder], capture_output=True, text=True, check=False
        )
    return {int(number) for number in _NUMBER.findall(done.stderr)}


def _has_error(line: str) -> bool:
    tree_sitter, language = import_module("tree_sitter"), import_module("tree_sitter_bash")
    parser = tree_sitter.Parser(tree_sitter.Language(language.language()))
    return bool(parser.parse(line.encode()).root_node.has_error)
