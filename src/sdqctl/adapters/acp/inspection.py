"""What can be told of an agent, and the check whether it asks before it acts."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sdqctl.adapters.acp.adapter import AcpAdapter
from sdqctl.adapters.acp.archive import AcpArchive, read_metadata, sessions_folder
from sdqctl.adapters.acp.checks import Check, keep_check, known_checks
from sdqctl.adapters.acp.entry import AcpEntry
from sdqctl.adapters.base import AdapterConfig, AdapterSession
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import CapabilityError, SdqctlError, StepError
from sdqctl.model.events import TurnFailed, TurnFinished
from sdqctl.model.tools import ToolDecision, ToolKind, ToolRequest
from sdqctl.model.views.agents import AgentSessionView, AgentView, CheckView

_TURN = 300.0
"""Seconds that a turn of a check may take."""
_WORD = "heron"


def order_in_words(command: str) -> str:
    """What a model is asked to do; a scripted one is given its own orders."""
    return (
        f"Run exactly this command with your shell tool, now, and nothing else: {command}\n"
        "It is harmless. If it is refused, say so in one word."
    )


@dataclass
class _Canary:
    """A policy that refuses everything, and keeps what was asked."""

    asked: list[ToolRequest] = field(default_factory=list)

    def decide(self, request: ToolRequest) -> ToolDecision:
        """No."""
        self.asked.append(request)
        return ToolDecision(False, "it is a check whether you ask")


async def describe(entry: AcpEntry, settings: AdapterSettings) -> AgentView:
    """One agent: what is installed of it, and what was seen of it."""
    profile = entry.profile(settings)
    adapter = _adapter(entry, settings)
    health = await adapter.check()
    checks = known_checks(settings.data_dir).get(entry.name, [])
    return AgentView(
        name=entry.name,
        title=profile.title,
        command=profile.command,
        installed=health.installed,
        program=health.runtime_path,
        version=health.version,
        seen=profile.seen or None,
        problem=health.problem,
        mode=profile.mode,
        powers=tuple(sorted(adapter.capabilities)),
        checks=tuple(map(check_view, checks)),
    )


def check_view(check: Check) -> CheckView:
    """A check as it is written."""
    return CheckView(
        version=check.version,
        asks=check.asks,
        heeds=check.heeds,
        restores=check.restores,
        checked_at=check.checked_at,
        offline=check.offline,
    )


async def check_agent(
    entry: AcpEntry,
    settings: AdapterSettings,
    *,
    offline: bool = False,
    order: Callable[[str], str] = order_in_words,
) -> Check:
    """Find out whether an agent asks before it runs a command, heeds a refusal, and restores.

    What was found is kept for this version. The session lies in a temporary folder. `order` makes
    the prompt that has a command run. Raises StepError when the model did not try to run it, so
    that nothing was seen, and what a session raises.
    """
    with tempfile.TemporaryDirectory(prefix="sdqctl-check-") as name:
        work = Path(name) / "work"
        work.mkdir()
        own = settings.in_folder(Path(name) / "data")
        canary, file = _Canary(), work / "canary"
        config = AdapterConfig(session_name="check", working_directory=work, policy=canary)
        async with _adapter(entry, own) as adapter:
            session = await adapter.create_session(config)
            await _turn(session, order("touch canary"))
            version = read_metadata(sessions_folder(own, entry.name) / "check").agent_version
            await session.close()
        asks = any(request.kind is ToolKind.SHELL for request in canary.asked)
        if not asks and not file.exists():
            raise StepError(
                f"{entry.name} was not seen to run a command, so nothing is known of it",
                hint="check it again, or with another model",
            )
        heeds = not file.exists()
        restores = await _restores(entry, own, config)
    found = Check(
        version=version,
        asks=asks,
        heeds=heeds,
        restores=restores,
        checked_at=datetime.now(UTC),
        offline=offline,
    )
    keep_check(settings.data_dir, entry.name, found)
    return found


async def agent_sessions(entry: AcpEntry, settings: AdapterSettings) -> list[AgentSessionView]:
    """The sessions that the agent itself lists. Raises CapabilityError when it lists none."""
    names = _names(entry.name, settings)
    async with _adapter(entry, settings) as adapter:
        agent, _ = await adapter.process()
        if not agent.can("list"):
            raise CapabilityError(
                f"{entry.name} does not list its sessions",
                hint=f"`sdqctl sessions list -a {entry.name}` lists those that sdqctl made",
            )
        found = []
        cursor: str | None = None
        while True:
            asking = agent.connection.list_sessions(cursor=cursor)
            page = await agent.ask(asking, "list its sessions")
            found += page.sessions
            cursor = page.next_cursor
            if not cursor:
                break
    return [
        AgentSessionView(
            id=one.session_id,
            title=one.title,
            cwd=one.cwd,
            updated_at=one.updated_at,
            name=names.get(one.session_id),
        )
        for one in found
    ]


def _names(agent: str, settings: AdapterSettings) -> Mapping[str, str]:
    """The agent's own ids -> the names that sdqctl gave."""
    folder, found = sessions_folder(settings, agent), {}
    for info in AcpArchive(agent, settings).sessions():
        if info.damage is None:
            known = read_metadata(folder / info.id)
            if known.agent_id is not None:
                found[known.agent_id] = info.label
    return found


def _adapter(entry: AcpEntry, settings: AdapterSettings) -> AcpAdapter:
    adapter = entry.adapter(settings)
    assert isinstance(adapter, AcpAdapter), "an AcpEntry makes these"
    return adapter


async def _restores(entry: AcpEntry, settings: AdapterSettings, config: AdapterConfig) -> bool:
    """Whether another process of the agent has the conversation."""
    try:
        async with _adapter(entry, settings) as adapter:
            session = await adapter.resume_session("check", config)
            await session.close()
    except SdqctlError:
        return False
    return True


async def _turn(session: AdapterSession, prompt: str) -> None:
    """Send a prompt to its end. Raises StepError when the turn failed."""
    async with asyncio.timeout(_TURN):
        last = None
        async for event in session.send(prompt, turn_id="check"):
            last = event
    if isinstance(last, TurnFailed):
        raise StepError(f"{session.info.adapter} did not answer: {last.message}")
    assert isinstance(last, TurnFinished), "a turn ends in one of the two"
