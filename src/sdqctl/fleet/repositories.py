"""The clones that a worker works in: given to it, or made by it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import WorkspaceError
from sdqctl.fleet.database import Database
from sdqctl.fleet.jobs import Origin
from sdqctl.fleet.queue import get_base
from sdqctl.fs import make_private_folder
from sdqctl.workspace.git import Git
from sdqctl.workspace.history import History
from sdqctl.workspace.repository import find_repository

_FOLDER = "clones"
_SECONDS = 1800.0
_REMOTE = "https:ssh"
"""Protocols that a job may have a worker fetch by."""
_GIVEN = f"{_REMOTE}:file:git:http"
"""Those of clones that the worker was given."""


@dataclass(frozen=True)
class Repositories:
    """Clones by the address of their repository."""

    home: Path
    given: Mapping[str, Path]

    def ready(self, origin: Origin, database: Database) -> Path:
        """A clone that has the commit of a run. Raises WorkspaceError when it cannot be had."""
        given = self.given.get(origin.url or "")
        top = given or self._made(origin.url or "")
        repository = find_repository(top)
        if repository is None:
            raise WorkspaceError(f"{top} is no git repository")
        history = History(repository.common)
        if not history.exists(origin.base):
            if origin.url is None:
                self._unbundle(history, origin, database)
            else:
                self._fetch(top, origin, _GIVEN if given else _REMOTE)
        if not history.exists(origin.base):
            raise WorkspaceError(
                f"{origin.url or 'the store'} does not have commit {origin.base[:12]}",
                hint="push it first",
            )
        return repository.top

    def _made(self, url: str) -> Path:
        folder = self.home / _FOLDER / hashlib.sha256(url.encode()).hexdigest()[:16]
        if not (folder / ".git").exists():
            make_private_folder(folder)
            Git(folder).run("init", "--quiet", ".")
        return folder

    def _fetch(self, top: Path, origin: Origin, protocols: str) -> None:
        assert origin.url is not None, "what has no address is not fetched"
        if origin.url.startswith("-"):
            raise WorkspaceError(f"{origin.url!r} is no address of a repository")
        git = Git(top, {"GIT_ALLOW_PROTOCOL": protocols})
        how = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        keep = f"refs/heads/sdqctl-base/{origin.base[:12]}"
        try:
            wanted = f"+{origin.base}:{keep}"
            git.run(*how, origin.url, wanted, seconds=_SECONDS)
        except WorkspaceError:  # a server need not give what no branch points at
            every = "+refs/heads/*:refs/remotes/sdqctl/*"
            try:
                git.run(*how, origin.url, every, seconds=_SECONDS)
            except WorkspaceError as error:
                raise WorkspaceError(
                    f"{origin.url} cannot be fetched: {error.message}",
                    hint="give the worker a clone: `--repository URL=PATH`",
                ) from error

    def _unbundle(self, history: History, origin: Origin, database: Database) -> None:
        bundle = get_base(database, origin.base)
        if bundle is None:
            return
        with tempfile.NamedTemporaryFile(prefix="sdqctl-") as file:
            file.write(bundle)
            file.flush()
            history.git.run("bundle", "unbundle", file.name, seconds=_SECONDS)
        history.git.run("update-ref", f"refs/heads/sdqctl-base/{origin.base[:12]}", origin.base)
