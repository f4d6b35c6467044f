"""`sdqctl sessions interrupt` and `answer`: what is said to a run that another process does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sdqctl.cli.completion import complete_session
from sdqctl.cli.options import DURATION, adapter_option, examples, format_option
from sdqctl.cli.output import note, write_json, write_line
from sdqctl.model.run import RunStatus
from sdqctl.text.commands import on_session
from sdqctl.text.terminal import one_line

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.tools import PermissionQuestion
    from sdqctl.model.views.session import PermissionView
    from sdqctl.sessions.query import Entry


_ENDING = 10.0
"""Seconds that a run which has stopped may take to let its session go."""


@click.command(
    epilog=examples(
        "sdqctl sessions interrupt audit-1", "sdqctl sessions interrupt audit-1 --wait 10m"
    )
)
@click.argument("session", shell_complete=complete_session)
@click.option(
    "--wait",
    type=DURATION,
    default=30.0,
    metavar="DUR",
    help="How long to wait for its end; default 30s.",
)
@adapter_option
@click.pass_obj
def interrupt(app: App, /, session: str, wait: float, adapter: str | None) -> None:
    """End the run that another process does in SESSION, as Ctrl-C would: what was done is recorded,
    and `resume SESSION --continue` goes on.

    Exit 75: it was asked, but has not ended yet.
    """
    from sdqctl.sessions.under_way import interrupt_run

    entry, run = interrupt_run(app, session, adapter, wait=wait)
    label = one_line(entry.info.label)
    note(f"{label} is {run.status}: {run.steps_done} of {run.steps_total} steps are done")
    if run.status.unfinished:
        note(f"`{on_session('resume', label, '--continue')}` goes on with it")


@click.command(
    epilog=examples(
        "sdqctl sessions answer audit-1",
        "sdqctl sessions answer audit-1 y",
        "sdqctl sessions answer audit-1 'e use the copy in build/'",
    )
)
@click.argument("session", shell_complete=complete_session)
@click.argument("value", required=False)
@click.option("--comment", metavar="TEXT", help="Why; kept with the answer at an ASK.")
@adapter_option
@format_option("text", "json")
@click.pass_obj
def answer(
    app: App,
    /,
    session: str,
    value: str | None,
    comment: str | None,
    adapter: str | None,
    output_format: str,
) -> int:
    """Answer what the run of SESSION waits for; without VALUE, show that.

    A permission question of a run that another process does (`run --ask`) takes y, a, n, N, or
    'e TEXT' with what the agent is to do instead; the first answer counts. A run that stopped at an
    ASK goes on in the background with the answer.
    """
    from sdqctl.sessions.resolve import find_session
    from sdqctl.sessions.under_way import question_of, reply_to

    entry = find_session(app, session, adapter)
    with app.ledger(read_only=value is None) as ledger:
        question = question_of(entry, ledger)
        if question is not None and value is not None:
            reply_to(ledger, question, value)
            note(f"answered: {one_line(question.request.target, 100)}")
    if question is not None and value is not None and output_format == "text":
        return 0
    if value is None or question is not None:
        return _show(app, entry, question, output_format)
    return _at_gate(app, entry, value, comment, output_format)


def _at_gate(app: App, entry: Entry, value: str, comment: str | None, output_format: str) -> int:
    """Answer the ASK of a run: one that stopped there goes on in the background, one whose terminal
    asks it goes on there.
    """
    from sdqctl.cli.runs.continuation import continuation
    from sdqctl.cli.runs.options import Display
    from sdqctl.cli.runs.resume import ResumeRequest, resume_session
    from sdqctl.model.options import RunOptions

    request = ResumeRequest(
        session=entry.info.id,
        options=RunOptions(adapter=entry.info.adapter, wait=_ENDING),
        display=Display(output_format=output_format, detach=True),
        continues=True,
        answer=value,
        comment=comment,
    )
    if entry.holder is None or (entry.run is not None and entry.run.status is RunStatus.PAUSED):
        return resume_session(app, request)
    with app.ledger() as ledger:
        continuation(app, request, entry.info, ledger, None)
    note(f"answered: {one_line(value, 100)}")
    return 0


def _permission(question: PermissionQuestion) -> PermissionView:
    from sdqctl.model.views.session import PermissionView

    request = question.request
    return PermissionView(
        kind=request.kind,
        target=request.target,
        intention=request.intention,
        detail=request.detail,
        why=question.why,
        asked_at=question.asked_at,
    )


def _show(app: App, entry: Entry, question: PermissionQuestion | None, output_format: str) -> int:
    from sdqctl.model.views.session import WaitingView
    from sdqctl.sessions.under_way import gate_of

    with app.ledger(read_only=True) as ledger:
        gate = None if question is not None else gate_of(entry, ledger)
    if output_format == "json":
        asked = None if question is None else _permission(question)
        info = entry.info
        write_json(WaitingView(id=info.id, name=info.name, permission=asked, gate=gate))
    elif question is not None:
        request = question.request
        write_line(f"{request.kind}: {one_line(request.target)}")
        note(f"asked because: {one_line(question.why)}")
    elif gate is not None:
        choices = f" [{'|'.join(gate.choices)}]" if gate.choices else ""
        write_line(one_line(f"{gate.question}{choices}"))
    else:
        note(f"{one_line(entry.info.label)} waits for no answer")
    return 0
