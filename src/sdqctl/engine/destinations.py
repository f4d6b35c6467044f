"""Where a workflow's own files may be written: OUTPUT-FILE, OUTPUT-DIR and EVENT-LOG.

Inside the working directory, the workflow's folder and what ALLOW-DIR names, after links are
resolved, and never a file that steers other programs. What the user types (`--output`) is free.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import OutputConflictError, WorkflowError
from sdqctl.fs import identity
from sdqctl.model.workflow import Diagnostic, Severity, Span, Workflow
from sdqctl.policy.steering import Steering
from sdqctl.workflow.references import Roots
from sdqctl.workflow.template import fill

LOG = "EVENT-LOG"
_VARIABLE = re.compile(r"\{\{[^{}]*\}\}")
_ANY_NAME = "a-name-that-is-not-known-yet"
"""What stands for a variable whose value is not known yet."""
_HINT = "write inside the working directory or the workflow's folder, or name a folder by ALLOW-DIR"


@dataclass(frozen=True)
class Destination:
    """A place that a directive names, with its variables filled in."""

    directive: str
    text: str
    path: Path
    span: Span


class Destinations:
    """The places that a workflow writes to, for one working directory."""

    def __init__(
        self,
        workflow: Workflow,
        cwd: Path,
        *,
        steering: Sequence[str] = (),
        protected: Sequence[Path] = (),
        own: Path | None = None,
    ) -> None:
        """`steering`: globs of files that steer, an adapter's own; `protected`: folders that no
        workflow writes to, sdqctl's own; `own`: one within them that it may.
        """
        self._workflow = workflow
        self._cwd = cwd
        self._roots = Roots.of(workflow, cwd).folders()
        self._steering = Steering(steering)
        self._own = own
        self._protected = [Path(os.path.realpath(folder)) for folder in protected]

    def output(self, variables: Mapping[str, str] | None) -> Destination | None:
        """The file of OUTPUT-FILE in OUTPUT-DIR; None when there is none.

        `variables` None: not known yet, each stands for some name.
        """
        output = self._workflow.output
        if output.file is None:
            return None
        folder = _filled(output.directory or "", variables)
        text = _filled(output.file, variables)
        path = self._cwd / folder / text
        return Destination("OUTPUT-FILE", text, path, output.file_span or self._somewhere)

    def event_log(self, variables: Mapping[str, str] | None) -> Destination | None:
        """The file of EVENT-LOG; None when there is none."""
        if self._workflow.event_log is None:
            return None
        text = _filled(self._workflow.event_log, variables)
        span = self._workflow.event_log_span or self._somewhere
        return Destination(LOG, text, self._cwd / text, span)

    def checked(self, place: Destination) -> Path:
        """The path to write to, without links. Raises WorkflowError when it may not be written.

        It is resolved once: a command beside the run may change what it leads to.
        """
        real = _real(place.path)
        if problem := self._problem(place, real):
            raise _refusal(place, problem)
        assert real is not None, "else there is a problem"
        return real

    def check(self, variables: Mapping[str, str], *, output: bool = True) -> None:
        """Raise WorkflowError for a file that may not be written; `output`: OUTPUT-FILE counts."""
        seen: set[object] = set()
        for place in (self.output(variables) if output else None, self.event_log(variables)):
            if place is not None:
                file = identity(self.checked(place))
                if file is not None and file in seen:
                    raise _refusal(place, "is the file of OUTPUT-FILE as well")
                seen.add(file)

    def findings(self) -> list[Diagnostic]:
        """What is wrong with these directives, as far as it can be known before a run."""
        return sorted(self._findings(), key=lambda finding: finding.span)

    def _findings(self) -> Iterator[Diagnostic]:
        output = self._workflow.output
        places = [self.output(None), self.event_log(None)]
        if output.directory is not None:
            text = _filled(output.directory, None)
            span = output.directory_span or self._somewhere
            places.append(Destination("OUTPUT-DIR", text, self._cwd / text, span))
        for place in places:
            if place is not None and (problem := self._problem(place, _real(place.path))):
                yield Diagnostic(
                    severity=Severity.ERROR,
                    message=f"{place.directive} {problem}",
                    span=place.span,
                    hint=_HINT,
                    source_line=self._line(place.span),
                )

    def _line(self, span: Span) -> str:
        lines = self._workflow.source.splitlines()
        known = span.file == self._workflow.path and span.line <= len(lines)
        return lines[span.line - 1] if known else ""

    @property
    def _somewhere(self) -> Span:
        return Span(self._workflow.path, 1)

    def _problem(self, place: Destination, real: Path | None) -> str | None:
        if real is None:
            return "is no path"
        roots = [Path(os.path.realpath(root)) for root in self._roots]
        around = [root for root in roots if real.is_relative_to(root)]
        if not around:
            return f"leads outside the working directory {self._cwd}"
        is_own = self._own is not None and real.is_relative_to(self._own)
        if not is_own and any(real.is_relative_to(folder) for folder in self._protected):
            return "leads into sdqctl's own data"
        own = {Path(os.path.realpath(self._cwd)), *roots[1:2]}  # an ALLOW-DIR may steer as a whole
        for root in around:
            names = real.relative_to(root) if root in own else real
            if found := self._steering.found(names.as_posix()):
                return f"leads to a file that steers other programs ({found})"
        if identity(real) in {identity(Path(self._workflow.path))} - {None}:
            return "is the workflow's own file"
        if place.directive == "OUTPUT-FILE" and real.exists() and not real.is_file():
            return "is there already, and is no file"
        return None


def refuse_conflicts(
    outputs: Iterable[tuple[str, Path]], workflows: Iterable[str | Path] = ()
) -> None:
    """Raise OutputConflictError where an output, each with what names it, is the file of a
    workflow, or two outputs are one file.
    """
    own, seen = {identity(Path(workflow)) for workflow in workflows}, dict[object, str]()
    for name, path in outputs:
        if (file := identity(path)) is None:
            continue
        if file in own:
            raise OutputConflictError(
                f"{name} {path} is the workflow's own file, which would be overwritten",
                hint="name another file",
            )
        if (other := seen.setdefault(file, name)) != name:
            raise OutputConflictError(
                f"{other} and {name} write to one file: {path}", hint="name a file for each"
            )


def _refusal(place: Destination, problem: str) -> WorkflowError:
    span = place.span
    return WorkflowError(
        f"{span.file}:{span.line}:{span.column}: {place.directive} {place.text} {problem}",
        hint=_HINT,
    )


def _real(path: Path) -> Path | None:
    """A path without links; None for what is none, or changes while it is looked at."""
    try:
        return Path(os.path.realpath(path))
    except (ValueError, OSError):
        return None


def _filled(text: str, variables: Mapping[str, str] | None) -> str:
    if variables is None:
        return os.path.expanduser(_VARIABLE.sub(_ANY_NAME, text))
    return os.path.expanduser(fill(text, variables)[0])
