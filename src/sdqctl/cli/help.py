"""`sdqctl help TOPIC`: what is too long for an option's line, made from the code itself."""

from __future__ import annotations

import itertools
from pathlib import Path

import click

from sdqctl.cli import topics
from sdqctl.cli.completion import complete_words
from sdqctl.cli.options import examples
from sdqctl.cli.output import write_line
from sdqctl.errors import UsageError
from sdqctl.text.suggest import meant

_ENVIRONMENT = (
    ("SDQCTL_HOME", "where sdqctl keeps its ledger and locks"),
    ("SDQCTL_CONFIG", "the user's configuration file"),
    ("SDQCTL_ADAPTER", "the adapter to use, as in `status --adapters`"),
    ("NO_COLOR", "no colours"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "where traces go, with `sdqctl[telemetry]`"),
)


_NAMES = (
    *("directives", "templates", "examples", "permissions", "sessions"),
    *("config", "ci", "environment", "exit-codes"),
)


@click.command("help", epilog=examples("sdqctl help exit-codes", "sdqctl help directives | less"))
@click.argument("topic", required=False, shell_complete=complete_words(*_NAMES))
@click.pass_context
def help_command(ctx: click.Context, topic: str | None) -> None:
    """Read about a TOPIC, or about a workflow FILE; without one, see which topics there are."""
    if topic is None:
        for name in _NAMES:
            write_line(f"{name:<14}{_TOPICS[name][0]}")
        return
    if topic not in _TOPICS and topic.endswith(".conv"):
        write_line(of_workflow(Path(topic)))
        return
    if topic not in _TOPICS:
        root = ctx.find_root().command
        is_command = isinstance(root, click.Group) and topic in root.list_commands(ctx)
        raise UsageError(
            f"there is no topic {topic!r}",
            hint=f"it is a command: `sdqctl {topic} --help`"
            if is_command
            else meant(topic, _NAMES, "topics"),
        )
    write_line(_TOPICS[topic][1]())


def of_workflow(path: Path) -> str:
    """A workflow as if it were a command: what it is and is given. Raises WorkflowError."""
    from sdqctl.engine.inputs import flags_wanted
    from sdqctl.workflow import check_workflow

    workflow = check_workflow(path)
    about = itertools.takewhile(lambda line: line.startswith("#"), workflow.source.splitlines())
    lines = [f"Usage: sdqctl run {path}{flags_wanted(path)}", ""]
    lines += [f"  {line.lstrip('# ')}" for line in about]
    if workflow.inputs:
        lines += ["", "Inputs:"]
    for one in workflow.inputs:
        default = "" if one.default is None else f"  [default: {one.default}]"
        lines.append(f"  {f'{one.name} {one.type}':<27}{one.doc}{default}".rstrip())
    return "\n".join(lines)


def exit_codes() -> str:
    """The table of exit codes, from the error tree."""
    from sdqctl.errors import SdqctlError

    found: dict[int, list[str]] = {}
    pending: list[type[SdqctlError]] = [SdqctlError]
    while pending:
        kind = pending.pop(0)
        pending += kind.__subclasses__()
        if kind is not SdqctlError:
            line = (kind.__doc__ or "").strip().split("\n")[0]
            found.setdefault(kind.exit_code, []).append(f"{kind.code}: {line}")
    lines = ["  0  done (an empty result is done)", "  1  a bug in sdqctl"]
    for code in sorted(found):
        for number, line in enumerate(found[code]):
            lines.append(f"{code if number == 0 else '':>3}  {line}")
    return "\n".join(lines)


def directives() -> str:
    """All directives with what they do, in their groups."""
    from sdqctl.workflow.directives import GROUPS

    lines: list[str] = []
    for group, rows in GROUPS.items():
        lines += ["", f"{group}:"] if lines else [f"{group}:"]
        for row in rows:
            lines.append(f"  {row.name} {row.usage}".rstrip())
            lines.append(f"      {row.doc}")
    return "\n".join(lines)


def workflow_examples() -> str:
    """The workflows that come with the program, with what each is for, and their folder."""
    from sdqctl.cli.init import EXAMPLES, templates

    lines = [f"`sdqctl init NAME` copies one here. They lie in {EXAMPLES}:", ""]
    lines += [f"{f'{name}.conv':<27}{purpose}" for name, purpose in templates().items()]
    return "\n".join(lines)


def environment() -> str:
    """The variables that matter, to sdqctl and to the agents."""
    from sdqctl.adapters.registry import entries

    agents = (row for one in entries() for row in one.help_environment)
    return "\n".join(f"{name:<27}{line}" for name, line in (*_ENVIRONMENT, *agents))


_TOPICS = {
    "directives": ("what stands in a workflow file", directives),
    "templates": ("what {{NAME}} stands for in it", topics.template_variables),
    "examples": ("workflows to start from, and where they lie", workflow_examples),
    "permissions": ("what the agent's tools may do, and how to say so", topics.permissions),
    "sessions": ("what can be done with them", topics.sessions),
    "config": ("every setting", topics.config),
    "ci": ("runs that nobody watches", topics.ci),
    "environment": ("the variables that are read", environment),
    "exit-codes": ("what a command's exit code means", exit_codes),
}
