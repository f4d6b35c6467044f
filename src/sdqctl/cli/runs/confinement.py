"""What bounds a run, from its options and settings: the policy, and the nets behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sdqctl.adapters.base import AdapterConfig
from sdqctl.adapters.registry import entry, steering
from sdqctl.model.modes import may_write
from sdqctl.model.sandbox import SandboxNeeds
from sdqctl.model.tools import ToolKind
from sdqctl.model.workflow import FileRule, Span
from sdqctl.policy.policy import build_policy
from sdqctl.policy.rules import ToolRule, parse_rule
from sdqctl.sandbox.choice import choose, require_net
from sdqctl.sandbox.nets import NetPair
from sdqctl.sandbox.profile import Wanted
from sdqctl.workflow.render import requires_sandbox

ASKING_MODE = "implement"
"""Whose net a run has that asks a human about its tools: the answer may allow so much."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sdqctl.cli.context import App
    from sdqctl.cli.runs.launch import Start
    from sdqctl.model.tools import ToolPolicy


def nets_of(app: App, begin: Start) -> NetPair:
    """The nets that a run's runtime and commands are started in.

    Raises SandboxError for one that was asked for, by an option or REQUIRE, and cannot be had;
    StoreError when there is no place for temporary files.
    """
    settings, workflow, options = app.settings, begin.workflow, begin.options
    mode = options.mode or workflow.mode
    kind = choose(options.sandbox or settings.sandbox, mode, app.environment)
    if requires_sandbox(workflow):
        require_net(kind, mode)
    if begin.nets is None:
        raise RuntimeError("who begins a run keeps its nets")
    if begin.question is not None and not may_write(mode):
        mode = ASKING_MODE
    rules = [parse_rule(text) for text in options.allow_tools]
    folders = [r.pattern for r in workflow.file_rules if r.allow and r.directory]

    def wanted(*, for_runtime: bool) -> Wanted:
        known = entry(begin.target.ref.adapter)
        adapter = app.adapter_settings(known.name)
        needs = known.sandbox_needs(adapter) if for_runtime else None
        hidden = (settings.home, *(() if for_runtime else app.agent_folders()))
        return Wanted(
            mode=mode,
            cwd=begin.cwd,
            environment=adapter.environment if for_runtime else app.command_environment,
            folders=folders,
            reads=_patterns(rules, ToolKind.READ),
            writes=_patterns(rules, ToolKind.WRITE),
            caches=settings.sandbox_write,
            ports=_ports(rules),
            needs=needs or SandboxNeeds(),
            hidden=hidden,
        )

    commands = wanted(for_runtime=False) if settings.sandbox_run else None
    return begin.nets.make(kind, wanted(for_runtime=True), commands)


def adapter_config(app: App, begin: Start, pair: NetPair) -> AdapterConfig:
    """How a run's session is opened. Raises UsageError for a rule that cannot be read."""

    workflow, options = begin.workflow, begin.options
    policy: ToolPolicy = build_policy(
        mode=options.mode or workflow.mode,
        cwd=begin.cwd,
        workflow_file_rules=_file_rules(workflow.file_rules, pair),
        allow_tools=options.allow_tools,
        deny_tools=options.deny_tools,
        allow_all=options.allow_all_tools,
        protected=(app.settings.home, *app.agent_folders()),
        steering=steering(),
    )
    if begin.question is not None:
        from sdqctl.policy.ask import AskingPolicy

        policy = AskingPolicy(policy, begin.question)
    return AdapterConfig(
        model=begin.model,
        session_name=begin.target.name,
        working_directory=begin.cwd,
        policy=policy,
        history_store=app.settings.history_store,
        trust_repository=app.repository_is_trusted,
        infinite_sessions=workflow.context.infinite_sessions,
        compaction_threshold=workflow.context.compaction_threshold,
        compaction_maximum=workflow.context.compaction_max,
    )


def _file_rules(rules: Sequence[FileRule], pair: NetPair) -> tuple[FileRule, ...]:
    """The file rules of a run: its own temporary folder is as open to its tools as an ALLOW-DIR."""
    if pair.temporary is None:
        return tuple(rules)
    own = FileRule(allow=True, directory=True, pattern=pair.temporary, span=Span("", 0))
    return (*rules, own)


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
