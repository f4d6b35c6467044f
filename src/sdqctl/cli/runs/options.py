"""The options that `run`, `resume` and `apply` share: one is a field of RunOptions or Display."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from sdqctl.cli.completion import complete_adapter, complete_folder, complete_mode
from sdqctl.cli.options import DURATION, AmountType, read_text_argument
from sdqctl.errors import UsageError
from sdqctl.fs import led_to
from sdqctl.model.sandbox import SANDBOX_CHOICES
from sdqctl.model.trust import RepositoryUse

if TYPE_CHECKING:
    from sdqctl.model.events import Event
    from sdqctl.model.options import RunOptions

_Function = TypeVar("_Function", bound=Callable[..., object])
_TEXTS = ("prologues", "epilogues")
"""The options that are a text, `@` and a file, or `-` for stdin."""


@dataclass(frozen=True, kw_only=True)
class Display:
    """What a command was asked for that is of the screen alone, and no option of the run."""

    output_format: str = "text"
    dry_run: bool = False
    ask: bool = False
    verbose: bool = False
    quiet: bool = False
    show_prompts: bool = False
    detach: bool = False
    log: Callable[[Event], None] | None = None
    """Takes the events of a run in the background, which has no screen."""


_OF_DISPLAY = frozenset(field.name for field in fields(Display))


def asked_for(flags: Mapping[str, object]) -> tuple[RunOptions, Display]:
    """What a command's flags ask for: of the run, and of the screen.

    A flag of a run has the name of its field in RunOptions. The texts of `T|@F` are read. Raises
    UsageError.
    """
    from sdqctl.model.options import options_of

    given = {name: value for name, value in flags.items() if name not in _OF_DISPLAY}
    for name in _TEXTS:
        given[name] = tuple(map(read_text_argument, cast("Sequence[str]", given.get(name, ()))))
    given["inputs"] = given_inputs(
        cast("Path | None", given.pop("inputs_file", None)),
        cast("Sequence[str]", given.pop("values", ())),
    )
    if isinstance(output := given.get("output_file"), Path):
        given["output_file"] = led_to(output)
    screen = {name: value for name, value in flags.items() if name in _OF_DISPLAY}
    return options_of(given), Display(**cast("dict[str, Any]", screen))


def given_inputs(file: Path | None, values: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """What `--inputs` and `--set` give, by name; a single value goes before the file.

    Raises UsageError.
    """
    found = {} if file is None else _of_file(file)
    for one in values:
        name, equals, text = one.partition("=")
        if not equals:
            raise UsageError(f"--set {one}: it is NAME=VALUE")
        found[name.strip()] = read_text_argument(text)
    return tuple(found.items())


def _of_file(file: Path) -> dict[str, str]:
    import msgspec

    try:
        decode = msgspec.json.decode if file.suffix == ".json" else msgspec.toml.decode
        values = decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise UsageError(f"--inputs {file}: {error}") from error
    return {name: as_input(value) for name, value in values.items()}


def as_input(value: object) -> str:
    """A value as `--set` gives it, in JSON; one that JSON has not is not taken for another."""
    import msgspec

    if isinstance(value, str):
        return value
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))


def _use_repository(ctx: click.Context, param: click.Parameter, given: bool) -> bool:
    """Tell the command what it is to do about what the repository brings."""
    if not given or ctx.resilient_parsing:
        return given
    use = RepositoryUse.ONCE if param.name == "trust_once" else RepositoryUse.NEVER
    if ctx.obj.repository_use not in (RepositoryUse.AS_TRUSTED, use):
        raise click.UsageError("--trust-once and --no-repository-config exclude each other.")
    ctx.obj.repository_use = use
    return given


_TALK_OPTIONS = [
    click.option("-m", "--model", metavar="MODEL", help="The model; default MODEL."),
    click.option(
        "--cwd",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The working directory.",
        shell_complete=complete_folder,
    ),
    click.option(
        "--mode",
        metavar="MODE",
        help="audit: reading only; implement: writing, shell.",
        shell_complete=complete_mode,
    ),
    click.option("--allow-tool", "allow_tools", multiple=True, metavar="P", help="Allow a tool."),
    click.option("--deny-tool", "deny_tools", multiple=True, metavar="P", help="Deny a tool."),
    click.option(
        "--allow-all-tools", is_flag=True, default=None, help="Allow every tool that is not denied."
    ),
    click.option(
        "--sandbox",
        type=click.Choice(SANDBOX_CHOICES),
        help="The operating system's net around tools and commands; default auto.",
    ),
    click.option(
        "--on-interrupted",
        type=click.Choice(["continue", "resend", "rewind", "fail"]),
        help="What to do about a step that was cut off after its tools ran.",
    ),
    click.option(
        "--discard-changes",
        is_flag=True,
        help="With rewind: also what you changed since then is taken back.",
    ),
    click.option(
        "--snapshots/--no-snapshots",
        default=None,
        help="Keep the work tree as it was after each step that changed it; default yes.",
    ),
    click.option("--step-timeout", type=DURATION, metavar="DUR", help="Per step; default 30m."),
    click.option(
        "--idle-timeout",
        type=DURATION,
        metavar="DUR",
        help="Silence, but for a tool at work; default 10m.",
    ),
    click.option("--retry-for", type=DURATION, metavar="DUR", help="Retries; default 10m, 0 none."),
    click.option(
        "--max-turn-tool-calls",
        type=click.IntRange(min=0),
        metavar="N",
        help="Stop a turn that uses more tools; default 0, no limit.",
    ),
    click.option(
        "--max-tokens",
        type=click.IntRange(min=0),
        metavar="N",
        help="Stop when the run has used so many tokens; default 0, no limit.",
    ),
    click.option(
        "--max-cost",
        type=AmountType(min=0),
        metavar="AMOUNT",
        help="Stop when the run cost so much, where the runtime tells; default 0, no limit.",
    ),
    click.option(
        "--max-time",
        type=DURATION,
        metavar="DUR",
        help="Stop when the run took so long, over all commands; default 0, no limit.",
    ),
    click.option(
        "--max-steps",
        type=click.IntRange(min=1),
        metavar="N",
        help="Stop when blocks and calls unfold to more steps; default 1000.",
    ),
    click.option(
        "--warn-at",
        type=click.IntRange(0, 100),
        metavar="PERCENT",
        help="Say when so much of a budget is used.",
    ),
    click.option(
        "--max-rounds", type=click.IntRange(min=1), metavar="N", help="Of each REPEAT, for its MAX."
    ),
    click.option(
        "--set", "values", multiple=True, metavar="NAME=VALUE", help="An INPUT: a value, @FILE, -."
    ),
    click.option(
        "--inputs",
        "inputs_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="INPUT values, TOML or JSON.",
    ),
    click.option(
        "--no-repository-config",
        is_flag=True,
        expose_value=False,
        callback=_use_repository,
        help="Nothing that the repository brings takes effect: sdqctl.toml, hooks, servers.",
    ),
    click.option(
        "--trust-once",
        is_flag=True,
        expose_value=False,
        callback=_use_repository,
        help="Trust what the repository brings now, for this run alone (CI).",
    ),
    click.option("--wait", type=DURATION, default=0.0, metavar="DUR", help="Wait for the session."),
    click.option("-v", "--verbose", is_flag=True, help="Narrate more: tools, tokens, retries."),
    click.option("-q", "--quiet", is_flag=True, help="Errors alone."),
]
"""Those that a conversation takes, too."""
_RUN_OPTIONS = [
    *_TALK_OPTIONS,
    click.option("--ask", is_flag=True, help="On a terminal, ask about tools not allowed."),
    click.option("--from", "from_step", metavar="STEP", help="Start at a step or checkpoint."),
    click.option("--dry-run", is_flag=True, help="Show the plan and what is done; run nothing."),
    click.option(
        "--output",
        "output_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write the answers to FILE; default OUTPUT-FILE.",
    ),
    click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json", "jsonl"]),
        default="text",
        help="json: one object at the end; jsonl: events as they come.",
    ),
    click.option("-P", "--show-prompts", is_flag=True, help="Show the prompts that are sent."),
]


_GROUPS: dict[str, tuple[str, ...]] = {
    "Session": (
        "session_name",
        "resume_if_exists",
        "last",
        "prompts",
        "prompt",
        "continue_with",
        "components",
        "only",
        "adapter",
        "model",
        "cwd",
        "worktree",
        "carry_changes",
        "cycles",
        "session_mode",
        "prologues",
        "epilogues",
        "values",
        "inputs_file",
        "answer",
        "comment",
        "from_step",
        "on_interrupted",
        "discard_changes",
        "snapshots",
        "wait",
        "detach",
    ),
    "What it may do": (
        "mode",
        "allow_tools",
        "deny_tools",
        "allow_all_tools",
        "ask",
        "sandbox",
        "no_repository_config",
        "trust_once",
    ),
    "Limits": (
        "step_timeout",
        "idle_timeout",
        "retry_for",
        "max_turn_tool_calls",
        "max_tokens",
        "max_cost",
        "max_time",
        "max_steps",
        "warn_at",
        "max_rounds",
        "parallel",
        "keep_going",
    ),
    "Many machines": ("queue", "tag", "priority", "batch_max_tokens", "batch_max_cost", "store"),
    "In CI": ("ci", "state", "state_recipients", "summary", "junit"),
    "Output": (
        "dry_run",
        "output_file",
        "output_dir",
        "output_format",
        "verbose",
        "quiet",
        "show_prompts",
    ),
}
_LAST = "Output"


class RunCommand(click.Command):
    """A command that runs something; its help has the options in groups."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; a workflow after `--worktree` is none of its branches."""
        for place, (option, value) in enumerate(pairwise([*args])):
            if option == "--worktree" and (value == "-" or Path(value).is_file()):
                args[place] = "--worktree="
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each group under its title; what has none stands in the last."""
        params = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        options = {param.name: param for param in params}
        for title, names in _GROUPS.items():
            found = [options.pop(name) for name in names if name in options]
            if title == _LAST:
                found += options.values()  # --help
            records = (param.get_help_record(ctx) for param in found)
            rows = [record for record in records if record is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def run_options(function: _Function) -> _Function:
    """Add all of the shared options to a command; it takes them as keywords."""
    for option in reversed(_RUN_OPTIONS):
        function = option(function)
    return function


def detach_option(function: _Function) -> _Function:
    """Add --detach."""
    return click.option(
        "--detach", is_flag=True, help="Run in the background; `sdqctl watch NAME` follows it."
    )(function)


def talk_options(function: _Function) -> _Function:
    """Add those of them that a conversation takes."""
    for option in reversed(_TALK_OPTIONS):
        function = option(function)
    return function


_WORKFLOW_OPTIONS = [
    click.option(
        "--worktree",
        is_flag=False,
        flag_value="",
        metavar="[BRANCH]",
        help="Work in a git worktree of the session's own; default branch sdqctl/NAME.",
    ),
    click.option(
        "--carry-changes", is_flag=True, help="With --worktree: uncommitted changes go along."
    ),
    click.option(
        "-a",
        "--adapter",
        metavar="ADAPTER",
        help="The adapter, one of `sdqctl status --adapters`.",
        shell_complete=complete_adapter,
    ),
    click.option(
        "-n", "--cycles", type=click.IntRange(1), metavar="CYCLES", help="How many cycles."
    ),
    click.option(
        "--session-mode",
        type=click.Choice(["accumulate", "compact", "fresh"]),
        help="What happens to the context between cycles.",
    ),
    click.option(
        "--prologue", "prologues", multiple=True, metavar="T|@F", help="Before each cycle."
    ),
    click.option(
        "--epilogue", "epilogues", multiple=True, metavar="T|@F", help="After each cycle."
    ),
]
_BATCH_OPTIONS = [
    click.option(
        "--parallel",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        metavar="N",
        help="So many at a time.",
    ),
    click.option("--keep-going", is_flag=True, help="Begin others after one failed."),
]


def workflow_options(function: _Function) -> _Function:
    """Add what `run` and `apply` take over a workflow's own settings."""
    for option in reversed(_WORKFLOW_OPTIONS):
        function = option(function)
    return function


def batch_options(function: _Function) -> _Function:
    """Add --parallel and --keep-going."""
    for option in reversed(_BATCH_OPTIONS):
        function = option(function)
    return function
