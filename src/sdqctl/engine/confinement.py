"""What bounds a run, from its options and settings: the policy, and the nets behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sdqctl.adapters.registry import entry
from sdqctl.model.modes import may_write
from sdqctl.model.sandbox import SandboxNeeds
from sdqctl.model.tools import ToolKind
from sdqctl.model.workflow import Workflow
from sdqctl.policy.ask import Question
from sdqctl.policy.rules import ToolRule, parse_rule
from sdqctl.sandbox.choice import choose, require_net
from sdqctl.sandbox.profile import Wanted
from sdqctl.workflow.equipment import needed_reads
from sdqctl.workflow.references import Roots
from sdqctl.workflow.render import requires_sandbox

if TYPE_CHECKING:
    from sdqctl.engine.setup import Setup
    from sdqctl.model.options import RunOptions

ASKING_MODE = "implement"
"""Whose net a run has that asks a human about its tools: the answer may allow so much."""


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """The nets that a run is to have. `commands` None: RUN commands have none of their own."""

    kind: str
    runtime: Wanted
    commands: Wanted | None


def confinement_of(
    setup: Setup,
    workflow: Workflow,
    options: RunOptions,
    *,
    adapter: str,
    cwd: Path,
    question: Question | None = None,
) -> Confinement:
    """The nets that a run's runtime and commands are to be started in.

    Raises SandboxError for one that was asked for, by an option or REQUIRE, and cannot be had;
    UsageError for a rule that cannot be read.
    """
    settings, mode = setup.settings, options.mode or workflow.mode
    kind = choose(options.sandbox or settings.sandbox, mode, setup.environment)
    if requires_sandbox(workflow):
        require_net(kind, mode)
    if question is not None and not may_write(mode):
        mode = ASKING_MODE
    rules = [parse_rule(text) for text in options.allow_tools]
    folders = [r.pattern for r in workflow.file_rules if r.allow and r.directory]

    own_reads = needed_reads(workflow, Roots.of(workflow, cwd))
    known = entry(adapter)
    own = setup.adapter_settings(adapter)

    def wanted(*, for_runtime: bool) -> Wanted:
        needs = known.sandbox_needs(own) if for_runtime else None
        return Wanted(
            mode=mode,
            cwd=cwd,
            environment=own.environment if for_runtime else setup.command_environment,
            folders=folders,
            reads=(*_patterns(rules, ToolKind.READ), *(own_reads if for_runtime else ())),
            writes=_patterns(rules, ToolKind.WRITE),
            caches=settings.sandbox_write,
            ports=_ports(rules),
            needs=needs or SandboxNeeds(),
            hidden=(settings.home, *(() if for_runtime else setup.agent_folders())),
        )

    commands = wanted(for_runtime=False) if settings.sandbox_run else None
    return Confinement(kind=kind, runtime=wanted(for_runtime=True), commands=commands)


def _patterns(rules: Iterable[ToolRule], kind: ToolKind) -> tuple[str, ...]:
    """The patterns of the rules of a kind; one without means the working directory."""
    return tuple(rule.pattern or "." for rule in rules if rule.kind is kind)


def _ports(rules: Iterable[ToolRule]) -> tuple[int, ...]:
    """The ports that the rules for addresses name, or mean by their scheme."""
    found: set[int] = set()
    for rule in rules:
        if rule.kind is not ToolKind.URL:
            continue
        text = rule.pattern or "https://any"
        address = urlsplit(text if "://" in text else f"https://{text}")
        found.add(address.port or (80 if address.scheme == "http" else 443))
    return tuple(found)
