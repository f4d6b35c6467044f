"""sdqctl's own git folder over a work tree: an index and a configuration that nobody else has.

It lies below the data folder and is kept, since the index remembers the state of each file on disk:
what did not change is not read again. In a repository the objects are the repository's; outside of
one they lie here. Everything in it is made again when it is gone, but for these objects.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import StoreError, WorkspaceError
from sdqctl.fs import FILE_MODE, make_private_folder, replacing, write_private
from sdqctl.workspace.git import Git, GitError, names
from sdqctl.workspace.repository import Configuration, Repository, current_commit

FOLDER = "workspaces"
_OWN = (
    ("core.bare", "false"),
    ("core.logallrefupdates", "false"),
    ("core.safecrlf", "false"),
    ("core.untrackedcache", "false"),
    ("core.loosecompression", "1"),
    ("core.fsync", "committed"),
    ("core.fsyncmethod", "batch"),
    ("core.fsyncobjectfiles", "true"),  # the same for git before 2.36
)


@dataclass(frozen=True)
class PrivateFolder:
    """The folder of one work tree. `excluded` are paths from its top that no snapshot takes in."""

    path: Path
    top: Path
    repository: Repository | None
    configuration: Configuration
    excluded: tuple[bytes, ...] = ()

    @classmethod
    def of(
        cls,
        home: Path,
        top: Path,
        repository: Repository | None,
        configuration: Configuration,
        outside: Sequence[Path],
    ) -> PrivateFolder:
        """The folder for a work tree; folders in `outside` never belong to it."""
        real = [Path(os.path.realpath(each)) for each in (home, *outside)]
        within = tuple(os.fsencode(each.relative_to(top)) for each in real if top in each.parents)
        return cls(folder_of(home, top), top, repository, configuration, within)

    @property
    def git_folder(self) -> Path:
        """What git takes for the repository of the work tree."""
        return self.path / "git"

    @property
    def index(self) -> Path:
        """The private index."""
        return self.git_folder / "index"

    @property
    def keeper(self) -> Path:
        """The git folder that has the objects and the refs of the snapshots."""
        return self.repository.common if self.repository else self.git_folder

    def git(self, held: Sequence[int] = ()) -> Git:
        """git on the work tree with the private index."""
        variables = {
            "GIT_DIR": str(self.git_folder),
            "GIT_WORK_TREE": str(self.top),
            "GIT_INDEX_FILE": str(self.index),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_OBJECT_DIRECTORY": str(self.keeper / "objects"),
        }
        return Git(self.top, variables, held=held)

    @contextmanager
    def locked(self) -> Iterator[Git]:
        """git, while nobody else works on this index; it is waited for.

        A git that outlives a killed sdqctl keeps the lock until it ends. Raises StoreError.
        """
        make_private_folder(self.path)
        try:
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            git = self.git((handle,))
            self._prepare(git)
            yield git
        finally:
            os.close(handle)

    def _prepare(self, git: Git) -> None:
        if not (self.git_folder / "HEAD").exists():
            self._make()
        self.index.with_name("index.lock").unlink(missing_ok=True)  # left by one that was killed
        self._configure()
        if not self.index.exists():
            self._seed(git)

    def _make(self) -> None:
        make_private_folder(self.git_folder)
        form = self.repository.object_format if self.repository else "sha1"
        options = (
            "--quiet",
            "--template=",
            "--shared=0600",
            f"--object-format={form}",
            "--initial-branch=none",
        )
        variables = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        Git(self.path, variables).run("init", "--bare", *options, self.git_folder)
        write_private(self.path / "place", os.fsencode(self.top))

    def _configure(self) -> None:
        """Write what git reads: the configuration, and the names that are ignored."""
        form = self.repository.object_format if self.repository else "sha1"
        settings = [*self.configuration.taken, *_OWN]
        settings.append(("core.repositoryformatversion", "0" if form == "sha1" else "1"))
        if form != "sha1":
            settings.append(("extensions.objectformat", form))
        if self.repository is None:
            settings.append(("core.sharedrepository", "0600"))  # for the owner alone
        else:
            settings.append(("lfs.storage", str(self.repository.common / "lfs")))
        text = b"".join(_setting(key, value) for key, value in settings)
        _write_if_new(self.git_folder / "config", text)
        make_private_folder(self.git_folder / "info")
        own = b"".join(b"/" + _pattern(path) + b"\n" for path in self.excluded)
        _write_if_new(self.git_folder / "info" / "exclude", self._info("exclude") + own)
        _write_if_new(self.git_folder / "info" / "attributes", self._info("attributes"))

    def _info(self, name: str) -> bytes:
        """A file of the repository that git looks at beside those in the work tree."""
        if self.repository is None:
            return b""
        path = self.repository.common / "info" / name
        try:
            data = path.read_bytes() if path.is_file() else b""  # a pipe would be waited for
        except OSError:
            return b""
        return data if data.endswith(b"\n") or not data else data + b"\n"

    def forced(self, git: Git) -> list[bytes]:
        """The files that the user's index tracks though they are ignored.

        Nothing when it is as it was when this was asked before.
        """
        user = self.repository.git_folder / "index" if self.repository else None
        known = self.path / "users-index"
        if user is None or not user.is_file():
            return []
        state = user.stat()
        mark = f"{state.st_ino} {state.st_size} {state.st_mtime_ns}".encode()
        if known.exists() and known.read_bytes() == mark:
            return []
        found = names(on_index(git, user).run("ls-files", "-z", "-c", "-i", "--exclude-standard"))
        write_private(known, mark, lasting=False)
        return found

    def make_index(self, git: Git) -> None:
        """Make the index anew, from the commit that is checked out alone."""
        commit = current_commit(self.repository) if self.repository else None
        git.run("read-tree", commit or "--empty")

    def _seed(self, git: Git) -> None:
        """Make the index from the user's: so that what is tracked though it is ignored belongs to
        the tree, and no file is read whose state is known.
        """
        new = self.index.with_name("index.new")
        user = self.repository.git_folder / "index" if self.repository else None
        if user is not None and user.is_file():
            _copy(user, new)
            try:
                _clear_marks(on_index(git, new))
                _copy(new, self.index)
                return
            except GitError:
                pass  # one that is split, or of a newer git
            finally:
                new.unlink(missing_ok=True)
        self.make_index(git)


def folder_of(home: Path, top: Path) -> Path:
    """Where the private folder of a work tree lies."""
    return home / FOLDER / hashlib.sha256(os.fsencode(top)).hexdigest()[:16]


def _copy(index: Path, to: Path) -> None:
    """Copy an index with its time, by which git knows what may have changed since."""
    with index.open("rb") as source, replacing(to, lasting=False) as stream:
        state = os.fstat(source.fileno())
        stream.write(source.read())
        stream.flush()
        os.utime(stream.fileno(), ns=(state.st_atime_ns, state.st_mtime_ns))


def on_index(git: Git, index: Path) -> Git:
    """git with another index."""
    return Git(git.folder, {**git.variables, "GIT_INDEX_FILE": str(index)}, held=git.held)


def _clear_marks(git: Git) -> None:
    """Take out of an index the marks that make git not look at a file."""
    entries = (line.partition(b" ") for line in names(git.run("ls-files", "-z", "-v")))
    hidden = listed(name for tag, _, name in entries if tag.islower() or tag == b"S")
    for mark in ("--no-assume-unchanged", "--no-skip-worktree") if hidden else ():
        git.run("update-index", mark, "-z", "--stdin", data=hidden)


def listed(paths: Iterable[bytes]) -> bytes:
    """Names as git reads a list of them."""
    return b"".join(path + b"\0" for path in paths)


def _setting(key: str, value: str) -> bytes:
    section, _, rest = key.partition(".")
    below, _, name = rest.rpartition(".")
    header = f'{section} "{_escaped(below)}"' if below else section
    return os.fsencode(f'[{header}]\n\t{name} = "{_escaped(value)}"\n')


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _pattern(path: bytes) -> bytes:
    """A path as a pattern that means it alone."""
    if b"\n" in path:
        raise WorkspaceError(f"the name of {os.fsdecode(path)!r} holds a line break")
    return b"".join(b"\\" + bytes([c]) if c in b"\\*?[ " else bytes([c]) for c in path)


def _write_if_new(path: Path, data: bytes) -> None:
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass
    write_private(path, data, lasting=False)
