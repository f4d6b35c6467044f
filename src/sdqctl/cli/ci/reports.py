"""What a job leaves: annotations, a summary, tests, however it ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sdqctl.cli.ci.findings import findings_of
from sdqctl.cli.ci.junit import Case, junit_xml
from sdqctl.cli.ci.log import annotate, tell_end
from sdqctl.cli.ci.options import Job
from sdqctl.cli.ci.outcome import Outcome, cases_of, outcome_of
from sdqctl.cli.ci.summary import batch_summary, summary
from sdqctl.cli.output import note
from sdqctl.engine.results import write_whole
from sdqctl.errors import InterruptedRunError, OutputConflictError, SdqctlError
from sdqctl.model.run import BatchOutcome
from sdqctl.store.redact import Redactor

if TYPE_CHECKING:
    from sdqctl.cli.runs.batch_report import Item
    from sdqctl.engine.context import RunContext

_STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
_TESTS = {
    BatchOutcome.COMPLETED: "passed",
    BatchOutcome.SKIPPED: "passed",  # it was done before
    BatchOutcome.FAILED: "failed",
    BatchOutcome.INTERRUPTED: "error",
    BatchOutcome.PAUSED: "skipped",
    BatchOutcome.NOT_STARTED: "skipped",
}


@dataclass
class Report:
    """What the reports are made of, once it is known."""

    context: RunContext | None = None


@contextmanager
def reported(title: str, job: Job) -> Iterator[Report]:
    """Write the reports of one run when the block ends, however it does, but where one would take
    the place of another file. What cannot be written is raised where nothing else is.
    """
    report = Report()
    try:
        yield report
    except OutputConflictError:
        raise
    except SdqctlError as error:
        outcome = outcome_of(title, report.context, error)
        _safely(lambda: _write(outcome, job))
        raise
    except KeyboardInterrupt:
        outcome = outcome_of(title, report.context, InterruptedRunError("interrupted"))
        _safely(lambda: _write(outcome, job))
        raise
    _write(outcome_of(title, report.context, None), job)


def report_batch(title: str, items: Sequence[Item], job: Job) -> None:
    """Write the reports of several runs. Raises StoreError."""
    redact, cases = Redactor(os.environ), []
    for item in items:
        message = item.error.message if item.error is not None else item.outcome.value
        cases.append(Case(item.label, _TESTS[item.outcome], item.seconds, message))
        if job.ci and item.error is not None:
            status = "paused" if item.outcome is BatchOutcome.PAUSED else item.outcome.value
            tell_end(status, f"{item.label}: {message}", os.environ)
    _write_files(job, redact, batch_summary(title, items), title, cases)


def _safely(work: Callable[[], None]) -> None:
    """Where something went wrong already, that is what is to be told."""
    try:
        work()
    except SdqctlError as error:
        note(f"warning: {error.message}")


def _write(outcome: Outcome, job: Job) -> None:
    completed = outcome.status == "completed"
    findings = findings_of(outcome.value, outcome.output, outcome.folder) if completed else []
    if job.ci:
        annotate(findings, os.environ)
        tell_end(outcome.status, outcome.message, os.environ)
    begun = outcome.run.started_at if outcome.run is not None else None
    text, cases = summary(outcome, findings), cases_of(outcome)
    _write_files(job, Redactor(os.environ), text, outcome.title, cases, begun)


def _write_files(
    job: Job,
    redact: Redactor,
    text: str,
    title: str,
    cases: Sequence[Case],
    begun: datetime | None = None,
) -> None:
    if job.summary is not None:
        write_whole(job.summary, redact(text))
    elif job.ci and (file := os.environ.get(_STEP_SUMMARY)):
        _append(file, redact(text))
    if job.junit is not None:
        clean = [_clean(case, redact) for case in cases]
        write_whole(job.junit, junit_xml(title, clean, begun))


def _append(file: str, text: str) -> None:
    try:
        with open(file, "a", encoding="utf-8", errors="replace") as stream:
            stream.write(text)
    except OSError as error:
        note(f"warning: the summary {file} cannot be written: {error.strerror}")


def _clean(case: Case, redact: Redactor) -> Case:
    name, message, output = map(redact, (case.name, case.message, case.output))
    return replace(case, name=name, message=message, output=output)
