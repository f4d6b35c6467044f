"""`sdqctl validate` and `sdqctl render`: workflows, without running them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdqctl.cli.arguments import FILE
from sdqctl.cli.completion import complete_folder, complete_workflow
from sdqctl.cli.options import examples, format_option
from sdqctl.cli.output import counted, note, write_json, write_line
from sdqctl.cli.runs.options import asked_for

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.engine.inspection import Finding

_INVALID = 3


@click.command(
    epilog=examples("sdqctl validate *.conv", "sdqctl validate --strict --format json audit.conv")
)
@click.argument(
    "files",
    metavar="WORKFLOW...",
    nargs=-1,
    required=True,
    type=FILE,
    shell_complete=complete_workflow,
)
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@format_option("text", "json")
@click.pass_obj
def validate(app: App, /, files: tuple[str, ...], strict: bool, output_format: str) -> int:
    """Check workflow files, or - for stdin; all findings of all files come at once.

    With --format json their INPUTs are listed, too. Exit 3 when there is an error.
    """
    from sdqctl.engine.inspection import inspect

    found: list[Finding] = []
    code = 0
    for file in files:
        findings, failure = inspect(app, Path(file))
        found += findings
        code = code or failure
    problems = [finding for finding in found if finding.input is None]
    if output_format == "json":
        write_json([finding.view() for finding in found])
    else:
        for finding in problems:
            write_line(finding.line)
        errors = sum(finding.is_error for finding in problems)
        warnings = counted(len(problems) - errors, "warning")
        note(f"{len(files)} checked: {counted(errors, 'error')}, {warnings}")
    bad = any(strict or finding.is_error for finding in problems)
    return code or (_INVALID if bad else 0)


@click.command(
    epilog=examples("sdqctl render audit.conv -n 2", "sdqctl render each.conv --component src/a.py")
)
@click.argument("file", metavar="WORKFLOW", type=FILE, shell_complete=complete_workflow)
@click.option("-n", "--cycles", type=click.IntRange(1), metavar="CYCLES", help="How many cycles.")
@click.option(
    "--session-mode",
    type=click.Choice(["accumulate", "compact", "fresh"]),
    help="What happens to the context between cycles.",
)
@click.option("--session-name", metavar="NAME", help="What {{SESSION_NAME}} stands for.")
@click.option("--prologue", "prologues", multiple=True, metavar="T|@F", help="Before each cycle.")
@click.option("--epilogue", "epilogues", multiple=True, metavar="T|@F", help="After each cycle.")
@click.option(
    "--set", "values", multiple=True, metavar="NAME=VALUE", help="An INPUT: a value, @FILE, -."
)
@click.option(
    "--inputs",
    "inputs_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="INPUT values, TOML or JSON.",
)
@click.option(
    "--cwd",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Working directory.",
    shell_complete=complete_folder,
)
@click.option(
    "--component", metavar="PATH", help="As `apply` would for this component, were it the only one."
)
@format_option("text", "json")
@click.pass_obj
def render(
    app: App,
    /,
    file: str,
    component: str | None,
    output_format: str,
    **flags: object,
) -> None:
    """Show the exact prompts that WORKFLOW would send, step by step, without sending.

    The output of commands is not known before they run; a line in its place says so.
    """
    from sdqctl.cli.runs.components import previews_of

    options, _ = asked_for(flags)
    shown = []
    for preview in previews_of(app, Path(file), options, component):
        step = preview.step
        for warning in preview.warnings:
            note(f"warning: step {step.path}: {warning}")
        if output_format == "json":
            shown.append(preview.view())
            continue
        file = f"{preview.file}: " if preview.file else ""
        write_line(f"--- {file}step {step.path}/{preview.total} {step.kind}: {step.title}")
        if preview.prompt is not None:
            write_line(f"{preview.prompt}\n")
    if output_format == "json":
        write_json(shown)
