"""What a repository brings that would take effect beyond text: settings, hooks, servers, skills."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec


class RepositoryFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a repository that takes effect only when the user trusts it."""

    path: str
    """Below the repository's folder, with `/`."""
    kind: str
    """What it is, in a word: `hook`, `server`, `skill`, `configuration`."""
    summary: str
    """One line for the user: what it would do, such as the command that it runs."""
    digest: str
    """Of its content; empty when it was not read."""
    problem: str | None = None
    """Why it cannot be trusted: a link, unreadable, in a stranger's hand."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """How the files differ from those that were trusted: paths, sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.changed or self.gone)


def content_digest(data: bytes) -> str:
    """The digest of one file's content."""
    return hashlib.sha256(data).hexdigest()


def digests(files: Iterable[RepositoryFile]) -> dict[str, str]:
    """Path -> digest."""
    return {file.path: file.digest for file in files}


def total_digest(known: Mapping[str, str]) -> str:
    """One digest over sorted paths and contents: what trust binds to."""
    lines = "".join(f"{path}\0{digest}\n" for path, digest in sorted(known.items()))
    return content_digest(lines.encode("utf-8", "surrogatepass"))


def changes(trusted: Mapping[str, str], now: Mapping[str, str]) -> Changes:
    """What was added, changed and is gone since."""
    both = {*trusted} & {*now}
    return Changes(
        added=tuple(sorted({*now} - {*trusted})),
        changed=tuple(sorted(path for path in both if trusted[path] != now[path])),
        gone=tuple(sorted({*trusted} - {*now})),
    )
