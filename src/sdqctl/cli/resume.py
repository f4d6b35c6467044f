"""`sdqctl resume`: go on in a session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.arguments import FILE
from sdqctl.cli.completion import complete_adapter, complete_session, complete_workflow
from sdqctl.cli.options import examples, store_option
from sdqctl.cli.runs.options import RunCommand, asked_for, detach_option, run_options

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.command(
    cls=RunCommand,
    epilog=examples(
        "sdqctl resume audit-1 --continue",
        'sdqctl resume audit-1 --prompt "Which finding is the worst?"',
        "sdqctl resume",
        "sdqctl resume --last",
        "sdqctl resume audit-1 --store --continue",
    ),
)
@click.argument("session", required=False, shell_complete=complete_session)
@click.option("--last", is_flag=True, help="The last changed session of this project.")
@click.option("-p", "--prompt", metavar="T|@F|-", help="Send one prompt: text, a file, or stdin.")
@click.option(
    "--continue",
    "continue_with",
    is_flag=False,
    flag_value="",
    type=FILE,
    metavar="[WORKFLOW]",
    help="Do the remaining steps of the last run that has some, or of WORKFLOW; or the last prompt "
    "anew that was cut off.",
    shell_complete=complete_workflow,
)
@click.option("--answer", metavar="VALUE", help="The answer at an ASK; goes on.")
@click.option("--comment", metavar="TEXT", help="Why; kept with the answer.")
@store_option("Go on as the shared store has it, and publish each step.")
@click.option(
    "-a",
    "--adapter",
    metavar="ADAPTER",
    help="Look only among its sessions.",
    shell_complete=complete_adapter,
)
@run_options
@detach_option
@click.pass_obj
def resume(
    app: App,
    /,
    session: str | None,
    last: bool,
    prompt: str | None,
    continue_with: str | None,
    answer: str | None,
    comment: str | None,
    store: str | None,
    **flags: object,
) -> int:
    """Go on in SESSION: an id, a name, or a unique prefix of one. Without it you choose one.

    With --prompt one prompt is sent; with --continue the workflow's remaining steps are done; with
    neither you talk.
    """
    from sdqctl.cli.runs.resume import ResumeRequest, resume_session

    if session is None and continue_with and not last:
        session, continue_with = continue_with, ""
    if session is None and store and "://" not in store:
        session, store = store, ""
    if prompt is not None and continue_with is not None:
        raise click.UsageError("--prompt and --continue cannot be used together.")
    if session is not None and last:
        raise click.UsageError("SESSION and --last cannot be used together.")
    if comment is not None and answer is None:
        raise click.UsageError("--comment belongs to --answer.")
    if prompt is not None and answer is not None:
        raise click.UsageError("--prompt and --answer cannot be used together.")
    options, display = asked_for(flags)
    request = ResumeRequest(
        session=session,
        last=last,
        options=options,
        display=display,
        prompt=prompt,
        continues=continue_with is not None or answer is not None,
        answer=answer,
        comment=comment,
        store=store,
        workflow=Path(continue_with) if continue_with else None,
    )
    return resume_session(app, request)
