"""What commands are handed: functions that make settings, archives, adapters and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdqctl.adapters.base import Adapter, SessionArchive
    from sdqctl.adapters.settings import AdapterSettings
    from sdqctl.config import Settings
    from sdqctl.store.ledger import Ledger


class App:
    """One command's way to the rooms below; nothing is loaded before it is asked for."""

    def __init__(self, *, environment: Mapping[str, str], debug: bool = False) -> None:
        self.environment = environment
        self.debug = debug
        self._archives: dict[str, SessionArchive] = {}

    @cached_property
    def directory(self) -> Path:
        """The folder the command was started in. Raises UsageError if it is gone."""
        try:
            return Path.cwd()
        except FileNotFoundError as error:
            from sdqctl.errors import UsageError

            raise UsageError(
                "the working directory does not exist any more", hint="cd to another folder"
            ) from error

    @cached_property
    def settings(self) -> Settings:
        """The merged settings. Raises UsageError for a broken configuration file."""
        from sdqctl.config import load_settings

        return load_settings(self.environment, self.directory)

    @property
    def adapter_settings(self) -> AdapterSettings:
        """The settings in the form that adapters take."""
        from sdqctl.adapters.settings import AdapterSettings
        from sdqctl.config import given_environment

        settings = self.settings
        return AdapterSettings(
            data_dir=settings.home,
            copilot_home=settings.copilot_home,
            runtime_path=settings.runtime_path,
            environment=given_environment(settings, runtime=True),
        )

    @property
    def command_environment(self) -> Mapping[str, str]:
        """What RUN commands are given."""
        from sdqctl.config import given_environment

        return given_environment(self.settings, runtime=False)

    def adapter(self, name: str | None = None) -> Adapter:
        """A new adapter, not started; the configured one by default."""
        from sdqctl.adapters.registry import get_adapter

        return get_adapter(name or self.settings.adapter, self.adapter_settings)

    def archive(self, name: str) -> SessionArchive:
        """The reader of one adapter's sessions on disk."""
        if name not in self._archives:
            from sdqctl.adapters.registry import get_archive

            self._archives[name] = get_archive(name, self.adapter_settings)
        return self._archives[name]

    def archives(self, name: str | None = None) -> dict[str, SessionArchive]:
        """All archives, or the one named."""
        from sdqctl.adapters.registry import adapter_names

        return {key: self.archive(key) for key in ([name] if name else adapter_names())}

    def ledger(self, *, read_only: bool = False) -> Ledger:
        """The ledger, with secrets kept out of it."""
        from sdqctl.store.ledger import Ledger

        if read_only:
            return Ledger.open(self.settings.home, read_only=True)
        from sdqctl.store.redact import Redactor

        return Ledger.open(self.settings.home, redact=Redactor(self.environment))
