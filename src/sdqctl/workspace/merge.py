"""Bringing the changes between two trees elsewhere, by git's own three-way merge."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import UsageError, WorkspaceError, WorkspaceRefusedError
from sdqctl.workspace.git import AUTHOR, Git, as_text
from sdqctl.workspace.repository import (
    Repository,
    current_commit,
    find_repository,
    read_configuration,
    refuse_programs,
)

_TREE = re.compile(r"[0-9a-f]{40,64}")
_NEWEST_WITHOUT = "git 2.38 or later is needed for --branch, and for --commit in the same work tree"

FIRST_COMMIT = "make the first commit of the repository yourself: `git add` and `git commit`"


@dataclass(frozen=True)
class Change:
    """What is brought: the trees (or commits) before and after, and what a commit of it says."""

    before: str
    after: str
    message: str


class Target:
    """The repository of a user's work tree, whose index and branches may be changed here."""

    def __init__(self, folder: Path) -> None:
        """Raises WorkspaceRefusedError where there is none, or where it would run programs."""
        found = find_repository(folder)
        if found is None:
            raise WorkspaceRefusedError(f"{folder} is in no git repository")
        refuse_programs(read_configuration(found.top), merging=True)
        self.repository: Repository = found
        variables = {"GIT_DIR": str(found.git_folder), "GIT_WORK_TREE": str(found.top)}
        self._git = Git(found.top, variables)

    def has(self, change: Change) -> bool:
        """Whether the commit that is checked out has a change already: merged, it stays the same.

        Raises WorkspaceError when the two conflict, or cannot be merged.
        """
        head = self._head()
        return self._merged(change, head) == self._tree(head)

    def merge(self, change: Change) -> None:
        """Bring a change into the work tree and the index, as `git merge --no-commit` does.

        Raises WorkspaceError: with git's words for conflicts, which are left to be resolved; and
        when local changes are in the way: nothing is changed then.
        """
        head = self._head()
        before, after = self._tree(change.before), self._tree(change.after)
        self._git.run("update-index", "-q", "--refresh", ok=(0, 1))
        done = self._git.finished("merge-recursive", before, "--", head, after, ok=range(256))
        said = f"{as_text(done.stdout)}{as_text(done.stderr)}".strip()
        if done.returncode == 1 and "CONFLICT" in said:
            raise WorkspaceError(
                f"conflicts in {self.repository.top}:\n{_told(said)}",
                hint="resolve them, `git add` the files and `git commit`; "
                "or take it back with `git reset --merge`",
            )
        if done.returncode:
            raise WorkspaceError(
                f"git does not merge into {self.repository.top}:\n{_told(said)}",
                hint="commit or stash what is in the way; nothing was changed",
            )

    def merge_and_commit(self, change: Change) -> str:
        """The same, and commit it on the branch that is checked out; returns the commit.

        Raises WorkspaceError as `merge` does, and when something else is staged.
        """
        head = self._head()
        self._refuse_staged()
        self.merge(change)
        commit = self._commit(self._git.line("write-tree"), head, change.message)
        self._git.run("update-ref", "-m", "sdqctl sessions apply", "HEAD", commit, head)
        return commit

    def commit_in_place(self, change: Change) -> str:
        """Commit a change that the work tree has already, and it alone; returns the commit.

        Raises WorkspaceError when it does not fit the commit that is checked out, or something
        else is staged; nothing is changed then.
        """
        head = self._head()
        self._refuse_staged()
        commit = self._commit(self._merged(change, head), head, change.message)
        self._git.run("read-tree", "-i", "-m", head, commit)
        self._git.run("update-ref", "-m", "sdqctl sessions apply", "HEAD", commit, head)
        return commit

    def commit_on(self, branch: str, change: Change, start: str | None) -> str:
        """Commit a change on a branch that is not checked out; a new one begins at `start`.

        Raises UsageError for a branch that is none or is checked out, WorkspaceError for conflicts;
        nothing is changed then.
        """
        if self._git.finished("check-ref-format", "--branch", branch, ok=range(256)).returncode:
            raise UsageError(f"--branch {branch}: that is no name of a branch")
        ref = f"refs/heads/{branch}"
        listed = as_text(self._git.run("worktree", "list", "--porcelain")).splitlines()
        if f"branch {ref}" in listed:
            raise UsageError(
                f"--branch {branch}: it is checked out", hint="`--commit` commits where you are"
            )
        known = self._git.line("rev-parse", "--verify", "--quiet", ref, ok=(0, 1))
        parent = known or start or self._head()
        commit = self._commit(self._merged(change, parent), parent, change.message)
        self._git.run("update-ref", "-m", "sdqctl sessions apply", ref, commit, known or "0" * 40)
        return commit

    def _merged(self, change: Change, onto: str) -> str:
        """The tree of a commit with a change merged into it, made without any work tree."""
        tree = self._git.line("rev-parse", f"{onto}^{{tree}}")
        before, after = self._tree(change.before), self._tree(change.after)
        scratch = Git(self._git.folder, {**self._git.variables, **AUTHOR})
        base = scratch.line("commit-tree", before, "-m", "before")
        ours, theirs = (
            scratch.line("commit-tree", each, "-p", base, "-m", "after") for each in (tree, after)
        )
        done = self._git.finished("merge-tree", "--write-tree", ours, theirs, ok=range(256))
        said = as_text(done.stdout)
        first = said.partition("\n")[0]
        if done.returncode == 0 and _TREE.fullmatch(first):
            return first
        if done.returncode == 1 and _TREE.fullmatch(first):
            raise WorkspaceError(
                f"conflicts with {onto[:12]}:\n{_told(said.partition(chr(10) * 2)[2])}",
                hint="nothing was changed; `sdqctl sessions apply NAME` in your work tree leaves "
                "them to be resolved",
            )
        raise WorkspaceError(f"git cannot merge: {as_text(done.stderr)}", hint=_NEWEST_WITHOUT)

    def _tree(self, commit: str) -> str:
        return self._git.line("rev-parse", "--verify", f"{commit}^{{tree}}")

    def _head(self) -> str:
        head = current_commit(self.repository)
        if head is None:
            raise WorkspaceError(
                f"{self.repository.top} has no commit to merge into",
                hint=FIRST_COMMIT,
            )
        return head

    def _commit(self, tree: str, parent: str, message: str) -> str:
        """A commit by the user, as git knows them."""
        return self._git.line("commit-tree", tree, "-m", message, "-p", parent)

    def _refuse_staged(self) -> None:
        done = self._git.finished("diff-index", "--cached", "--quiet", "HEAD", "--", ok=(0, 1))
        if done.returncode:
            raise WorkspaceError(
                f"other changes are staged in {self.repository.top}",
                hint="commit or unstage them first (`git status`)",
            )


def _told(text: str) -> str:
    lines = [line for line in text.splitlines() if line and not line.startswith("Auto-merging")]
    return "\n".join(f"  {line}" for line in lines)
