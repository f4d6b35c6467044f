"""VERIFY: references and links of the files in the working directory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from sdqctl.model.workflow import VerifyStep
from sdqctl.text.fences import Fence
from sdqctl.workflow.references import LARGEST_FILE, Roots

_MOST_PROBLEMS = 200
_SKIPPED = frozenset({".git", "node_modules", ".venv", "__pycache__"})
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_REFERENCE = re.compile(r"(?<![\w@/`])@((?:[\w.-]+/)*[\w-][\w.-]*\.\w+)(?:#[\w/-]+)?")
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


@dataclass(frozen=True)
class VerifyResult:
    """What a check found: `ok`, and a report for the user and the model."""

    ok: bool
    text: str


def verify(step: VerifyStep, roots: Roots) -> VerifyResult:
    """Check `links` (relative links in markdown) or `refs` (@path in markdown and workflows).

    Code in markdown is no text: what looks like a link or a reference there is none.
    """
    endings = (".md", ".markdown") if step.check == "links" else (".md", ".markdown", ".conv")
    check = _links if step.check == "links" else _references
    problems: list[str] = []
    files = 0
    for path in _files(roots, endings):
        files += 1
        place = path.relative_to(roots.cwd)
        problems += [
            f"{place}:{line}: {problem}" for line, problem in _problems(path, check, roots)
        ]
    head = f"VERIFY {step.check}: {files} files checked, {len(problems)} problems"
    shown = problems[:_MOST_PROBLEMS]
    text = "\n".join([head, *shown])
    if len(problems) > len(shown):
        text += f"\n[... {len(problems) - len(shown)} more ...]"
    if step.output_limit is not None and len(text) > step.output_limit:
        text = text[: step.output_limit] + "\n[... cut ...]"
    return VerifyResult(not problems, text)


def _files(roots: Roots, endings: tuple[str, ...]) -> Iterator[Path]:
    for folder, inner, names in os.walk(roots.cwd):
        inner[:] = sorted(set(inner) - _SKIPPED)
        for name in sorted(names):
            path = Path(folder, name)
            if name.endswith(endings) and os.path.isfile(path) and roots.allows(path):
                yield path


def _problems(
    path: Path, check: Callable[[Path, str, Roots], Iterator[str]], roots: Roots
) -> Iterator[tuple[int, str]]:
    fence = Fence()
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if path.suffix == ".conv":
            text = "" if line.startswith("CONTEXT-OPTIONAL") else line
        else:
            text = "" if fence.take(line, number) else _CODE.sub("", line)
        for problem in check(path, text, roots):
            yield number, problem


def _read(path: Path) -> str:
    """The text of a file; none of one that is too large or cannot be read."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError:
        return ""
    return data.decode("utf-8", "replace") if len(data) <= LARGEST_FILE else ""


def _links(path: Path, line: str, roots: Roots) -> Iterator[str]:
    for target in _LINK.findall(line):
        plain = unquote(re.split(r"[#?]", target, maxsplit=1)[0])
        if not plain or _SCHEME.match(plain):
            continue
        base = roots.cwd if plain.startswith("/") else path.parent
        if not os.path.exists(base / plain.lstrip("/")):
            yield f"the link {target} leads nowhere"


def _references(path: Path, line: str, roots: Roots) -> Iterator[str]:
    for target in _REFERENCE.findall(line):
        if not any(os.path.exists(base / target) for base in (path.parent, roots.cwd)):
            yield f"@{target} means no file"
