"""A real git beside the code under test: it makes repositories, and is the second reader."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sdqctl.workspace.snapshots import Limits, Workspace

WHO = ("-c", "user.name=Test", "-c", "user.email=test@localhost")


def git(folder: Path, *arguments: str, data: bytes = b"") -> str:
    """What git writes, as a user runs it there."""
    done = subprocess.run(
        ["git", *WHO, *arguments], cwd=folder, input=data, capture_output=True, check=True
    )
    return os.fsdecode(done.stdout)


def repository(folder: Path, files: dict[str, str] | None = None) -> Path:
    """A repository with a commit of these files."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    write(folder, files or {"a.txt": "one\n", "sub/b.txt": "two\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files, with the folders above them."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def opened(folder: Path, home: Path, limits: Limits | None = None) -> Workspace:
    """The workspace of a folder."""
    return Workspace.open(folder, home / "sdqctl", limits=limits)


def on_disk(top: Path) -> dict[bytes, tuple[str, bytes]]:
    """All files below a folder but those of git: their kind and content, read without git."""
    found = {}
    root = os.fsencode(top)
    for folder, folders, files in os.walk(root):
        if b".git" in folders:
            folders.remove(b".git")
        for name in (name for name in (*files, *folders) if name != b".git"):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                found[os.path.relpath(path, root)] = ("link", os.readlink(path))
            elif os.path.isfile(path):
                kind = "program" if os.access(path, os.X_OK) else "file"
                with open(path, "rb") as stream:
                    found[os.path.relpath(path, root)] = (kind, stream.read())
    return found


def of_user(top: Path) -> tuple[str, ...]:
    """What a user's git says of a repository: nothing of it may change by snapshots."""
    asked = (
        ("status", "--porcelain=v2", "--branch", "--untracked-files=all"),
        ("stash", "list"),
        ("fsck", "--full", "--no-dangling"),
        ("ls-files", "-s", "-v"),
        ("for-each-ref", "refs/heads", "refs/tags", "refs/remotes", "refs/stash"),
        ("reflog", "--all"),
        ("worktree", "list"),
    )
    return tuple(git(top, *arguments) for arguments in asked)
