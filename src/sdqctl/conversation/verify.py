"""VERIFY: references and links of the files in the working directory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from sdqctl.conversation.references import LARGEST_FILE, Roots
from sdqctl.model.workflow import VerifyStep

_MOST_PROBLEMS = 200
_SKIPPED = frozenset({".git", "node_modules", ".venv", "__pycache__"})
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_REFERENCE = re.compile(r"(?<![\w@/`])@((?:[\w.-]+/)*[\w-][\w.-]*\.\w+)(?:#[\w/-]+)?")


@dataclass(frozen=True)
class VerifyResult:
    """What a check found: `ok`, and a report for the user and the model."""

    ok: bool
    text: str


def verify(step: VerifyStep, roots: Roots) -> VerifyResult:
    """Check `links` (relative links in markdown) or `refs` (@path in markdown and workflows)."""
    patterns = ("*.md", "*.markdown") if step.check == "links" else ("*.md", "*.conv")
    check: Callable[[Path, str], Iterator[str]] = _links if step.check == "links" else _references
    problems: list[str] = []
    files = 0
    for path in _files(roots.cwd, patterns):
        files += 1
        for line, text in enumerate(_read(path).split("\n"), start=1):
            for problem in check(path, text):
                problems.append(f"{path.relative_to(roots.cwd)}:{line}: {problem}")
    head = f"VERIFY {step.check}: {files} files checked, {len(problems)} problems"
    shown = problems[:_MOST_PROBLEMS]
    text = "\n".join([head, *shown])
    if len(problems) > len(shown):
        text += f"\n[... {len(problems) - len(shown)} more ...]"
    if step.output_limit is not None and len(text) > step.output_limit:
        text = text[: step.output_limit] + "\n[... cut ...]"
    return VerifyResult(not problems, text)


def _files(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        for path in sorted(folder.rglob(pattern)):
            inside = not _SKIPPED & set(path.relative_to(folder).parts)
            if inside and path.is_file() and path.stat().st_size <= LARGEST_FILE:
                yield path


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _links(path: Path, line: str) -> Iterator[str]:
    for target in _LINK.findall(line):
        plain = unquote(target.partition("#")[0])
        if not plain or re.match(r"[a-z][a-z0-9+.-]*:", plain, re.IGNORECASE):
            continue
        if not (path.parent / plain).exists():
            yield f"the link {target} leads nowhere"


def _references(path: Path, line: str) -> Iterator[str]:
    for target in _REFERENCE.findall(line):
        if not (path.parent / target).exists() and not Path(target).exists():
            yield f"@{target} means no file"
