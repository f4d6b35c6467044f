"""The entry of the Copilot runtime (`sdqctl.adapters`): what the house knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdqctl.adapters.copilot.protected import STEERING
from sdqctl.adapters.entry import AdapterEntry, Outlook

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field
    from pathlib import Path
    from typing import Any

    from sdqctl.adapters.base import Adapter, Health, SessionArchive
    from sdqctl.adapters.settings import AdapterSettings
    from sdqctl.model.repository import RepositoryFile
    from sdqctl.model.sandbox import SandboxNeeds


class CopilotEntry(AdapterEntry):
    """The GitHub Copilot runtime, through its official SDK."""

    name = "copilot"
    reading_tools = frozenset(
        {
            "view",
            "read",
            "grep",
            "rg",
            "glob",
            "read_bash",
            "list_bash",
            "list_agents",
            "read_agent",
        }
    )
    steering = STEERING
    variables = ("COPILOT_*", "GH_TOKEN", "GITHUB_TOKEN", "XDG_*", "*_PROXY", "*_proxy", "NODE_*")
    model_variable = "COPILOT_MODEL"
    help_environment = (
        ("COPILOT_HOME", "the Copilot runtime's folder; default ~/.copilot"),
        ("COPILOT_CLI_PATH", "the runtime's program; else from PATH, or the SDK's"),
        ("COPILOT_PROVIDER_BASE_URL", "your own model provider; with _TYPE, _API_KEY, ..."),
        ("COPILOT_MODEL", "the model, when neither -m nor MODEL says one"),
        ("COPILOT_OFFLINE", "the runtime uses no network but the provider"),
    )

    def adapter(self, settings: AdapterSettings) -> Adapter:
        """The adapter; the SDK is imported when it is entered."""
        from sdqctl.adapters.copilot.adapter import CopilotAdapter

        return CopilotAdapter(settings)

    def archive(self, settings: AdapterSettings) -> SessionArchive:
        """The sessions in `session-state/` of the runtime's folder."""
        from sdqctl.adapters.copilot.disk import CopilotArchive

        return CopilotArchive(settings)

    def settings(self) -> Mapping[str, Field[Any]]:
        """The runtime's folder and program."""
        from sdqctl.adapters.copilot.settings import SETTINGS

        return SETTINGS

    def folders(self, settings: AdapterSettings) -> tuple[Path, ...]:
        """The runtime's folder: its sessions, settings and login."""
        from sdqctl.adapters.copilot.settings import copilot_home

        return (copilot_home(settings),)

    def sandbox_needs(self, settings: AdapterSettings) -> SandboxNeeds:
        """Folders, ports and the keyring."""
        from sdqctl.adapters.copilot.needs import sandbox_needs

        return sandbox_needs(settings)

    def repository_files(self, root: Path, folder: Path) -> list[RepositoryFile]:
        """Hooks, settings, servers, agents, skills and what they name."""
        from sdqctl.adapters.copilot.repository_files import PLACES
        from sdqctl.adapters.repository_files import files_at

        return files_at(PLACES, root, folder)

    def outlook(self, settings: AdapterSettings) -> Outlook:
        """The runtime that would be used, and the model behind it."""
        from sdqctl.adapters.copilot.account import describe_account, lacks
        from sdqctl.adapters.copilot.provider import describe_provider
        from sdqctl.adapters.copilot.runtime import require_runtime
        from sdqctl.errors import RuntimeMissingError

        model = describe_provider(settings.environment) or describe_account(settings)
        missing = lacks(settings)
        try:
            program = require_runtime(settings)
        except RuntimeMissingError as error:
            return Outlook(error.message, model, (f"the runtime; {error.hint}", *missing))
        return Outlook(f"{program.path} (found by {program.found_by})", model, tuple(missing))

    def account(self, settings: AdapterSettings, health: Health) -> list[str]:
        """The provider of one's own, else the account as far as it is known."""
        from sdqctl.adapters.copilot.account import WAYS_IN, describe_account, stored_login
        from sdqctl.adapters.copilot.settings import copilot_home

        if health.provider is not None:
            return [f"copilot: a provider of your own, {health.provider}"]
        lines = [f"copilot: {describe_account(settings)}"]
        if stored_login(copilot_home(settings)) is None and not health.signed_in:
            lines.append(f"  a login in a keychain is seen by the runtime alone; else {WAYS_IN}")
        return lines

    def what_stays(self, *, purged: bool) -> str:
        """The text of turns in the runtime's own database."""
        if purged:
            return "the Copilot runtime's own session-store.db does not hold their text any more"
        return (
            "the Copilot runtime keeps the text of their turns in its own session-store.db; "
            "--purge removes it there, too; `history_store = false` in your sdqctl.toml keeps "
            "new sessions out of it"
        )


COPILOT = CopilotEntry()
