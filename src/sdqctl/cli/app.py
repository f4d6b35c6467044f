"""The root command, loaded lazily, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import click

from sdqctl import __version__
from sdqctl.cli.context import App
from sdqctl.cli.group import CommandTable, LazyGroup
from sdqctl.cli.output import print_error
from sdqctl.cli.streams import lost_output
from sdqctl.errors import InterruptedRunError, OutputError, PausedError, SdqctlError

COMMANDS: CommandTable = {
    "init": ("init:init", "Write a workflow to start from."),
    "chat": ("chat.command:chat", "Talk to an agent, in a new session or on in one."),
    "run": ("run:run", "Run a workflow in a named session."),
    "iterate": ("run:run", "The same as run."),
    "apply": ("apply:apply", "Run a workflow for each of many components."),
    "worker": ("worker:worker", "Do the runs of a queue that machines share."),
    "queue": ("queue:queue", "See and change the runs of a queue."),
    "resume": ("resume:resume", "Go on in a session: a prompt, the remaining steps, or a talk."),
    "watch": ("watch:watch", "Follow a run that goes on in the background."),
    "mcp": ("mcp.command:mcp", "Serve other agents: sessions and runs over MCP."),
    "ui": ("ui.command:ui", "See all sessions on one screen, what needs you first."),
    "sessions": (
        "sessions:sessions",
        "List, show, search, fork, export and clean up sessions.",
    ),
    "status": ("status:status", "Show what is installed, signed in, and kept."),
    "doctor": ("doctor:doctor", "Say what is missing for runs, and what to do about it."),
    "login": ("login:login", "Sign in with the runtime's own command."),
    "validate": ("workflow:validate", "Check workflow files."),
    "render": ("workflow:render", "Show the prompts that a workflow would send."),
    "agents": ("agents:agents", "See which other agents can be used, and what holds on them."),
    "trust": ("trust:trust", "Let what a repository brings take effect: settings, hooks, servers."),
    "worktrees": ("worktrees:worktrees", "List and remove the work trees of sessions."),
    "store": ("store:store", "Check and back up the ledger."),
    "completion": ("completion:completion", "Print the completion script of a shell."),
    "demo": ("demo:demo", "See the main job end to end, in a temporary home."),
    "help": (
        "help:help_command",
        "Read about a topic: directives, examples, exit codes, ...",
    ),
}
_SECTIONS = {
    "Begin and go on": ("chat", "run", "resume", "watch", "apply", "iterate"),
    "Workflow files": ("init", "validate", "render"),
    "Many machines": ("worker", "queue"),
    "What is kept": ("ui", "sessions", "worktrees", "store"),
    "This machine": ("status", "doctor", "login", "agents", "mcp", "trust", "completion"),
    "To learn": ("help", "demo"),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    sections=_SECTIONS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", prog_name="sdqctl", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show what goes on inside, with a traceback.")
@click.pass_context
def root(ctx: click.Context, debug: bool) -> None:
    """Run scripted workflows in named, persistent coding-agent sessions.

    A workflow is a .conv file. What was done is recorded step by step, so a run that is killed
    goes on where it was: no step is lost and none is repeated.
    """
    if debug:
        from sdqctl.cli.debugging import show_debug_lines

        show_debug_lines()
        ctx.ensure_object(_Boundary).debug = True
    ctx.obj = App(environment=os.environ)
    if ctx.invoked_subcommand is None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise click.exceptions.NoArgsIsHelpError(ctx)
        from sdqctl.cli.welcome import welcome

        welcome(ctx.obj)


@dataclass
class _Boundary:
    """What the one boundary has to know when a command has ended with an error."""

    as_json: bool = False
    debug: bool = False


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code (see `errors`)."""
    _look_for_programs_elsewhere()
    if "_SDQCTL_COMPLETE" in os.environ:
        from sdqctl.cli.shells import VARIABLE, answer

        return answer(root, os.environ[VARIABLE], arguments)
    boundary = _Boundary(as_json=_wants_json(arguments))
    try:
        result = root.main(list(arguments), prog_name="sdqctl", standalone_mode=False, obj=boundary)
        sys.stdout.flush()
    except PausedError as error:
        code = _report(error, boundary)
        return _note_shown(error, boundary) or code
    except SdqctlError as error:
        return _report(error, boundary)
    except click.ClickException as error:
        return _report_usage(error, boundary)
    except (KeyboardInterrupt, click.Abort):
        return _report(InterruptedRunError("interrupted"), boundary)
    except Exception as error:  # noqa: BLE001 - the one boundary
        return _report_bug(error, boundary)
    if reason := lost_output():
        return _report(OutputError(f"stdout cannot be written: {reason}"), boundary)
    return result if isinstance(result, int) else 0


def _look_for_programs_elsewhere() -> None:
    """Leave out of PATH what begins in the working directory: a stranger's `git` may lie there."""
    path = os.environ.get("PATH", os.defpath)
    entries = path.split(os.pathsep)
    kept = [entry for entry in entries if os.path.isabs(entry)]
    if len(kept) < len(entries):
        os.environ["PATH"] = os.pathsep.join(kept) or os.defpath


def _wants_json(arguments: Sequence[str]) -> bool:
    pairs = pairwise([*arguments, ""])
    formats = {
        value if flag == "--format" else flag.removeprefix("--format=")
        for flag, value in pairs
        if flag.startswith("--format")
    }
    return bool(formats & {"json", "jsonl"})


def _report(error: SdqctlError, boundary: _Boundary) -> int:
    if boundary.debug:
        from sdqctl.cli.debugging import print_traceback

        print_traceback(error)
    print_error(
        error.message,
        code=error.code,
        exit_code=error.exit_code,
        hint=error.hint,
        as_json=boundary.as_json,
    )
    return error.exit_code


def _note_shown(error: PausedError, boundary: _Boundary) -> int:
    """The message stands before the human now; 0, or the exit code of what went wrong."""
    try:
        error.shown()
    except SdqctlError as failure:
        return _report(failure, boundary)
    return 0


def _report_usage(error: click.ClickException, boundary: _Boundary) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        sys.stderr.write(f"{error.format_message()}\n")
        return 2
    context = getattr(error, "ctx", None)
    hint = f"see `{context.command_path} --help`" if context is not None else None
    if isinstance(error, click.NoSuchOption) and not error.possibilities:
        hint = f"{hint}; a name that begins with a dash stands at the end, after `--`"
    print_error(
        error.format_message(), code="usage", exit_code=2, hint=hint, as_json=boundary.as_json
    )
    return 2


def _report_bug(error: Exception, boundary: _Boundary) -> int:
    hint = "this is a bug in sdqctl; run again as `sdqctl --debug ...` for the traceback"
    if boundary.debug:
        from sdqctl.cli.debugging import print_traceback

        print_traceback(error)
        hint = "this is a bug in sdqctl; please report the traceback"
    message = f"{type(error).__name__}: {error}"
    print_error(message, code="bug", exit_code=1, hint=hint, as_json=boundary.as_json)
    return 1
