"""ATTACH: which files go with a prompt. The bounds are those of what providers take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sdqctl.errors import WorkflowError
from sdqctl.model.workflow import Reference
from sdqctl.text.suggest import did_you_mean
from sdqctl.workflow.references import Roots, expand

LARGEST = 10 * 1024 * 1024
"""The most bytes of one file."""
MOST = 20


def attached_files(references: Sequence[Reference], roots: Roots) -> list[Path]:
    """The files of ATTACH entries, in order.

    Raises WorkflowError for one that is missing, too large or outside the allowed folders, and for
    too many.
    """
    found: list[Path] = []
    for reference in references:
        place = f"{reference.span.file}:{reference.span.line}:{reference.span.column}: ATTACH"
        files = expand(reference, roots, ())
        if not files:
            near = _near(reference, roots)
            raise WorkflowError(f"{place} @{reference.pattern} means no file{near}")
        for path in files:
            if (size := path.stat().st_size) > LARGEST:
                raise WorkflowError(
                    f"{place} {path.name} has {size:,} bytes; a file may have {LARGEST:,}"
                )
        found += [path for path in files if path not in found]
        if len(found) > MOST:
            raise WorkflowError(f"{place} a prompt goes with at most {MOST} files")
    return found


def _near(reference: Reference, roots: Roots) -> str:
    """The file that was probably meant."""
    wanted = roots.cwd / reference.pattern
    try:
        names = [entry.name for entry in wanted.parent.iterdir()]
    except (OSError, ValueError):
        return ""
    return did_you_mean(wanted.name, names)
