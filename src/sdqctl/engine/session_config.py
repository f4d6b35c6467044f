"""How the session of a run is opened, at its beginning and again each time: policy and settings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sdqctl.adapters.base import AdapterConfig
from sdqctl.adapters.registry import steering
from sdqctl.engine.context import Gate, RunContext
from sdqctl.engine.prompt_settings import is_steered
from sdqctl.model.events import Warned
from sdqctl.model.options import OnInterrupted
from sdqctl.model.tools import ToolPolicy
from sdqctl.model.values import Kind, ValueType
from sdqctl.model.workflow import AskStep, FileRule, Span
from sdqctl.policy.ask import AskingPolicy
from sdqctl.policy.policy import build_policy
from sdqctl.policy.within import Within
from sdqctl.sandbox.nets import NetPair
from sdqctl.workflow.equipment import equip
from sdqctl.workspace.own import own_folder


def policy_of(context: RunContext, pair: NetPair | None = None) -> ToolPolicy:
    """What the run's tools may do in its nets. Raises UsageError for a rule that is none."""
    policy = _unasked(context, pair)
    return policy if context.question is None else AskingPolicy(policy, context.question)


def _unasked(context: RunContext, pair: NetPair | None) -> ToolPolicy:
    """The policy of a run by itself: that of a run that is called lies within its caller's."""
    settings, options, workflow = context.setup.settings, context.options, context.plan.workflow
    policy: ToolPolicy = build_policy(
        mode=options.mode or workflow.mode,
        cwd=context.cwd,
        workflow_file_rules=_file_rules(workflow.file_rules, pair or NetPair()),
        allow_tools=options.allow_tools,
        deny_tools=options.deny_tools,
        allow_all=options.allow_all_tools,
        protected=(settings.home, *context.setup.agent_folders()),
        own=own_folder(settings.home, context.cwd),
        steering=steering(),
    )
    caller = context.caller
    return policy if caller is None else Within(policy, _unasked(caller.run.context, pair))


def adapter_config(context: RunContext, policy: ToolPolicy) -> AdapterConfig:
    """How a run's session is opened, by the seam's own record."""
    settings = context.plan.workflow.context
    equipped = equip(context.workflow, context.roots, context.run_variables)
    for doubt in equipped.doubts:
        context.emit(Warned(message=f"SYSTEM: {doubt}"))
    return AdapterConfig(
        model=context.options.model,
        session_name=context.target.name,
        working_directory=context.cwd,
        policy=policy,
        keep_way_back=context.options.on_interrupted is OnInterrupted.REWIND,
        ask_user=None if context.gate is None else partial(_asked, context.gate),
        history_store=context.setup.settings.history_store,
        system_message=equipped.system,
        agents=equipped.agents,
        skills=equipped.skills,
        servers=equipped.servers,
        excluded_tools=context.workflow.equipment.excluded_tools,
        steered=is_steered(context.plan.workflow),
        trust_repository=context.setup.repository_is_trusted,
        infinite_sessions=settings.infinite_sessions,
        compaction_threshold=settings.compaction_threshold,
        compaction_maximum=settings.compaction_max,
    )


def _asked(gate: Gate, question: str, choices: tuple[str, ...]) -> str | None:
    """A question of the agent's as an ASK of no workflow."""
    kind = Kind.CHOICE if choices else Kind.TEXT
    asked = AskStep(
        span=Span("", 0), name="answer", question=question, type=ValueType(kind, choices)
    )
    return gate(asked, lambda: None)


def _file_rules(rules: Sequence[FileRule], pair: NetPair) -> tuple[FileRule, ...]:
    """The file rules of a run: its own temporary folder is as open to its tools as an ALLOW-DIR."""
    if pair.temporary is None:
        return tuple(rules)
    own = FileRule(allow=True, directory=True, pattern=pair.temporary, span=Span("", 0))
    return (*rules, own)
