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
from sdqctl.workspace.repository import Repository, find_repository

_FOLDER = "clones"
_SECONDS = 1800.0
_KEPT = "refs/heads/sdqctl-base"
_HOW = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
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
                self._fetch(repository, origin, _GIVEN if given else _REMOTE)
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

    def _fetch(self, repository: Repository, origin: Origin, protocols: str) -> None:
        """Fetch a commit into a clone. Agents' tools may have written the clone's configuration,
        and git starts programs by it, so another folder's is read, which takes the user's own.
        """
        assert origin.url is not None, "what has no address is not fetched"
        if origin.url.startswith("-"):
            raise WorkspaceError(f"{origin.url!r} is no address of a repository")
        history, base = History(repository.common), origin.base
        with tempfile.TemporaryDirectory(prefix="sdqctl-") as folder:
            git = _beside(repository, Path(folder), protocols)
            try:
                git.run(*_HOW, origin.url, f"+{base}:refs/heads/base", seconds=_SECONDS)
            except WorkspaceError:  # a server need not give what no branch points at
                every = "+refs/heads/*:refs/remotes/sdqctl/*"
                try:
                    git.run(*_HOW, origin.url, every, seconds=_SECONDS)
                except WorkspaceError as error:
                    raise WorkspaceError(
                        f"{origin.url} cannot be fetched: {error.message}",
                        hint="give the worker a clone: `--repository URL=PATH`",
                    ) from error
            if history.exists(base):
                history.git.run("update-ref", f"{_KEPT}/{base[:12]}", base)

    def _unbundle(self, history: History, origin: Origin, database: Database) -> None:
        bundle = get_base(database, origin.base)
        if bundle is None:
            return
        with tempfile.NamedTemporaryFile(prefix="sdqctl-") as file:
            file.write(bundle)
            file.flush()
            history.git.run("bundle", "unbundle", file.name, seconds=_SECONDS)
        history.git.run("update-ref", f"{_KEPT}/{origin.base[:12]}", origin.base)


def _beside(repository: Repository, folder: Path, protocols: str) -> Git:
    """git in a new folder that has a clone's commits and branches, and brings others into it."""
    options = ("--quiet", "--bare", "--template=", f"--object-format={repository.object_format}")
    Git(folder).run("init", *options, folder)
    known = ("for-each-ref", "--format=%(objectname) %(refname)")
    (folder / "packed-refs").write_bytes(History(repository.common).git.run(*known))
    variables = {
        "GIT_DIR": str(folder),
        "GIT_OBJECT_DIRECTORY": str(repository.common / "objects"),
        "GIT_SHALLOW_FILE": str(repository.common / "shallow"),
        "GIT_ALLOW_PROTOCOL": protocols,
    }
    return Git(folder, variables)
