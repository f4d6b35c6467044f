"""The entries of the agents (`sdqctl.adapters`). Making one reads no profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sdqctl.adapters.entry import AdapterEntry, Outlook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from dataclasses import Field
    from pathlib import Path
    from typing import Any

    from sdqctl.adapters.acp.profiles import Profile
    from sdqctl.adapters.base import Adapter, SessionArchive
    from sdqctl.adapters.settings import AdapterSettings
    from sdqctl.model.health import Health
    from sdqctl.model.repository import RepositoryFile
    from sdqctl.model.sandbox import SandboxNeeds

AGENTS = ("opencode", "codex", "claude", "vibe", "qwen", "gemini", "cline", "copilot-acp")
"""The agents of profiles.toml."""


class AcpEntry(AdapterEntry):
    """An agent that speaks the Agent Client Protocol."""

    reading_tools = frozenset({"read", "search", "think"})
    """Kinds of tools: the protocol has no names."""
    steering = (
        ".cline",
        ".codex",
        ".gemini",
        ".opencode",
        ".qwen",
        ".vibe",
        "opencode.json",
        "opencode.jsonc",
    )

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def variables(self) -> tuple[str, ...]:  # type: ignore[override]  # an agent's own, read late
        """Globs of the variables of a known agent."""
        from sdqctl.adapters.acp.profiles import shipped

        known = shipped().get(self.name)
        return known.variables if known is not None else ()

    def adapter(self, settings: AdapterSettings) -> Adapter:
        """The adapter; the protocol's library is imported when it is entered."""
        from sdqctl.adapters.acp.powers import adapter_for

        return adapter_for(self.name, self.profile(settings), settings)

    def archive(self, settings: AdapterSettings) -> SessionArchive:
        """What sdqctl keeps of its sessions."""
        from sdqctl.adapters.acp.archive import AcpArchive

        return AcpArchive(self.name, settings, lambda: self.profile(settings))

    def profile(self, settings: AdapterSettings) -> Profile:
        """The agent's profile, with the user's changes. Raises UsageError."""
        from sdqctl.adapters.acp.profiles import profile_of

        agents = cast("Mapping[str, Mapping[str, Any]]", settings.own.get("agents") or {})
        return profile_of(self.name, agents.get(self.name, {}))

    def settings(self) -> Mapping[str, Field[Any]]:
        """The table `[agents.NAME]`."""
        from sdqctl.adapters.acp.settings import SETTINGS

        return SETTINGS

    def is_here(self, settings: AdapterSettings) -> bool:
        """Whether its program is on PATH."""
        from sdqctl.adapters.acp.program import find_program

        return find_program(self.profile(settings), settings.environment) is not None

    def declared(self, own: Mapping[str, object]) -> Iterator[AdapterEntry]:
        """The agents that the user's configuration adds."""
        for name in cast("Mapping[str, object]", own.get("agents") or {}):
            if name not in AGENTS:
                yield AcpEntry(name)

    def folders(self, settings: AdapterSettings) -> tuple[Path, ...]:
        """The agent's own folders, once sdqctl keeps sessions of it."""
        from sdqctl.adapters.acp.archive import sessions_folder
        from sdqctl.adapters.acp.profiles import expanded

        if not sessions_folder(settings, self.name).is_dir():
            return ()
        return expanded(self.profile(settings).folders, settings.environment)

    def sandbox_needs(self, settings: AdapterSettings) -> SandboxNeeds:
        """Its program, its folders, the port of its provider, and its own."""
        from sdqctl.adapters.acp.ports import own_ports
        from sdqctl.adapters.acp.profiles import expanded
        from sdqctl.adapters.acp.program import program_folders
        from sdqctl.adapters.acp.provider import ports_of
        from sdqctl.model.sandbox import SandboxNeeds

        profile, environment = self.profile(settings), settings.environment
        own = own_ports() if profile.serves_itself else ()
        return SandboxNeeds(
            reads=program_folders(profile, environment),
            writes=expanded((*profile.folders, *profile.caches), environment),
            ports=tuple(sorted({*profile.ports, *own, *ports_of(profile, environment)})),
        )

    def repository_files(self, root: Path, folder: Path) -> list[RepositoryFile]:
        """Settings, hooks, servers, agents and skills that it would obey."""
        from sdqctl.adapters.acp.repository import places_of
        from sdqctl.adapters.repository_files import files_at

        return files_at(places_of(self.name), root, folder)

    def outlook(self, settings: AdapterSettings) -> Outlook:
        """The program that would be started."""
        from sdqctl.adapters.acp.program import find_program

        profile = self.profile(settings)
        found = find_program(profile, settings.environment)
        runtime = f"{profile.title} is not installed" if found is None else str(found)
        return Outlook(runtime, "the agent's choice")

    def account(self, settings: AdapterSettings, health: Health) -> list[str]:
        """Accounts are the agent's own."""
        return [f"{self.name}: the agent's own account"] if health.installed else []

    def what_stays(self, *, purged: bool) -> str:
        """The agent's own session."""
        if purged:
            return f"{self.name} was told to delete its own copy of the conversation"
        return f"{self.name} keeps its own copy of the conversation; --purge deletes it there, too"


OPENCODE, CODEX, CLAUDE, VIBE, QWEN, GEMINI, CLINE, COPILOT_ACP = map(AcpEntry, AGENTS)
