"""The settings and the trust of a folder, and what they make: adapters, archives, the ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sdqctl.errors import AdapterBrokenError
from sdqctl.model.trust import RepositoryUse

if TYPE_CHECKING:
    from sdqctl.adapters.base import Adapter, SessionArchive
    from sdqctl.adapters.entry import AdapterEntry
    from sdqctl.adapters.settings import AdapterSettings
    from sdqctl.config import Settings
    from sdqctl.engine.repository import Repository
    from sdqctl.model.sandbox import Sandbox
    from sdqctl.model.workflow import Workflow
    from sdqctl.project import ProjectFile
    from sdqctl.store.ledger import Ledger

_GIT = {"GIT_NO_LAZY_FETCH": "1"}
"""A runtime asks git for the commit before it asks anybody; one that is not there would be fetched,
by a program that the repository names (git 2.39.4, git(1)). The user's own value is kept.
"""


class Setup:
    """What holds in one folder, as it was when it was first asked for; nothing is loaded before.

    `environment` defaults to the process's.
    """

    def __init__(self, *, environment: Mapping[str, str] | None = None) -> None:
        self.environment = os.environ if environment is None else environment
        self.repository_use = RepositoryUse.AS_TRUSTED
        """Whether what a repository brings takes effect at all; set it before anything else."""
        self.reported: set[object] = set()
        """What was said already and is not said again."""
        self.own_files: dict[str, Path] = {}
        """What the command itself writes, by its flags: no snapshot of a work tree takes it in."""
        self._others: dict[Path, Self] = {}
        self._looked_at: Repository | None = None
        self._archives: dict[str, SessionArchive] = {}
        self._resting: dict[str, Sandbox] = {}

    @cached_property
    def directory(self) -> Path:
        """The folder it is about: the process's own. Raises UsageError if it is gone."""
        try:
            return Path.cwd()
        except FileNotFoundError as error:
            from sdqctl.errors import UsageError

            raise UsageError(
                "the working directory does not exist any more", hint="cd to another folder"
            ) from error

    @property
    def home(self) -> Path:
        """The folder of sdqctl's own data."""
        return self.settings.home

    @cached_property
    def settings(self) -> Settings:
        """The merged settings. Raises UsageError for a broken configuration file."""
        import logging

        from sdqctl.adapters.registry import declare, own_settings
        from sdqctl.config import load_settings

        settings = load_settings(
            self.environment,
            self.directory,
            trusts=self._trusts,
            with_project=self.repository_use is not RepositoryUse.NEVER,
            own=own_settings(),
        )
        declare(settings.own)
        read, ignored = [*map(str, settings.files)], [*settings.ignored]
        logging.getLogger(__name__).debug("settings of %s; without effect: %s", read, ignored)
        return settings

    def working_in(self, folder: Path) -> Self:
        """The same for an agent that works in `folder`: the repository there counts.

        Where sessions and the runtime lie is the choice of the folder of this setup.
        """
        from dataclasses import replace

        if folder.resolve() == self.directory.resolve():
            return self
        if folder not in self._others:
            other = type(self)(environment=self.environment)
            other.repository_use = self.repository_use
            other.directory = folder
            other.reported = self.reported
            other.own_files = self.own_files
            other.settings = replace(
                other.settings,
                home=self.settings.home,
                own=self.settings.own,
            )
            self._others[folder] = other
        return self._others[folder]

    @property
    def repository(self) -> Repository:
        """What the repository around the folder brings, as it was at the start."""
        settings = self.settings
        if self._looked_at is None:
            self._looked_at = self._look(settings.project, settings.ignored)
        return self._looked_at

    @property
    def repository_is_trusted(self) -> bool:
        """Whether what the repository brings takes effect."""
        return self.repository_use.lets(self.repository.state)

    def repository_is_unchanged(self) -> bool:
        """Whether what the repository brings is still as it was at the start."""
        from sdqctl.engine.repository import look_at_repository
        from sdqctl.errors import UsageError
        from sdqctl.project import project_file

        before = self.repository
        try:
            project = project_file(self.directory) if before.has_configuration else None
            now = look_at_repository(self.trust_home, self.directory, project, ignored=())
        except UsageError:
            return False
        return now.digest == before.digest and not now.problems

    def _trusts(self, project: ProjectFile, ignored: tuple[str, ...]) -> bool:
        self._looked_at = found = self._look(project, ignored)
        return self.repository_use.lets(found.state) or found.configuration_trusted_first

    def _look(self, project: ProjectFile | None, ignored: tuple[str, ...]) -> Repository:
        from sdqctl.engine.repository import look_at_repository

        return look_at_repository(self.trust_home, self.directory, project, ignored=ignored)

    @property
    def trust_home(self) -> Path:
        """Where trust is recorded: no configuration file has a say in that."""
        from sdqctl.config import data_folder

        return data_folder(self.environment)

    def entries(self) -> list[AdapterEntry]:
        """What is known of all adapters, also of those that the configuration declares; one that
        cannot be loaded is reported once.
        """
        from sdqctl.adapters.registry import declare, entries

        declare(self.settings.own)
        return list(entries(self.report_broken))

    def report_broken(self, error: AdapterBrokenError) -> None:
        """Say once that an adapter cannot be loaded, in the log; the others go on."""
        import logging

        if error.message not in self.reported:
            self.reported.add(error.message)
            logging.getLogger(__name__).warning("%s", error.message)

    def adapter_settings(self, name: str) -> AdapterSettings:
        """The settings in the form that an adapter takes. Raises what `registry.entry` raises."""
        from sdqctl.adapters.registry import entry
        from sdqctl.adapters.settings import AdapterSettings
        from sdqctl.config import given_environment

        settings, known = self.settings, entry(name)
        given = given_environment(settings, lambda: known.variables)
        return AdapterSettings(
            data_dir=settings.home,
            environment={**_GIT, **given},
            sandbox=None,
            **{key: settings.own.get(key) for key in known.settings()},
        )

    def agent_folders(self) -> tuple[Path, ...]:
        """The folders of all agents, which no tool writes."""
        found = (one.folders(self.adapter_settings(one.name)) for one in self.entries())
        return tuple(folder for folders in found for folder in folders)

    @property
    def command_environment(self) -> Mapping[str, str]:
        """What RUN commands are given."""
        from sdqctl.config import given_environment

        return given_environment(self.settings)

    def adapter(self, name: str | None = None, sandbox: Sandbox | None = None) -> Adapter:
        """A new adapter, not started, whose runtime will be in a net, without one in that of what
        is started beside runs; the configured adapter by default.
        """
        from sdqctl.adapters.registry import get_adapter

        name = name or self.settings.adapter
        net = partial(self._resting_net, name) if sandbox is None else sandbox
        return get_adapter(name, self.adapter_settings(name).within(net))

    def _resting_net(self, adapter: str) -> Sandbox:
        from sdqctl.engine.resting import reading_net

        if adapter not in self._resting:
            own, choice = self.adapter_settings(adapter), self.settings.sandbox
            self._resting[adapter] = reading_net(adapter, own, choice=choice, cwd=self.directory)
        return self._resting[adapter]

    def archive(self, name: str) -> SessionArchive:
        """The reader of one adapter's sessions on disk."""
        if name not in self._archives:
            from sdqctl.adapters.registry import get_archive

            self._archives[name] = get_archive(name, self.adapter_settings(name))
        return self._archives[name]

    def archives(self, name: str | None = None) -> dict[str, SessionArchive]:
        """All archives of adapters that work, or the one named."""
        if name:
            return {name: self.archive(name)}
        found = {}
        for one in self.entries():
            try:
                found[one.name] = self.archive(one.name)
            except AdapterBrokenError as error:
                self.report_broken(error)
        return found

    def ledger(self, *, read_only: bool = False) -> Ledger:
        """The ledger, with secrets kept out of it."""
        from sdqctl.store.ledger import Ledger

        if read_only:
            return Ledger.open(self.settings.home, read_only=True)
        from sdqctl.store.redact import Redactor

        return Ledger.open(self.settings.home, redact=Redactor(self.environment))


def working_directory(setup: Setup, wanted: Path | None, workflow: Workflow) -> Path:
    """Where the agent works: --cwd, else CWD (from the workflow's folder), else here.

    Raises UsageError or WorkflowError when it is no folder.
    """
    from sdqctl.errors import UsageError, WorkflowError

    if wanted is not None:
        if not wanted.is_dir():
            raise UsageError(f"--cwd {wanted}: there is no such folder")
        return wanted.resolve()
    if workflow.cwd is None:
        return setup.directory
    folder = (Path(workflow.path).parent / Path(workflow.cwd).expanduser()).resolve()
    if not folder.is_dir():
        raise WorkflowError(f"{workflow.path}: CWD {workflow.cwd}: there is no folder {folder}")
    return folder
