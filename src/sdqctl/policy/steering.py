"""Files that steer other programs: who writes them decides what runs later, without being asked.

A build file or a test runs when someone builds or tests. These run by being there: at the next
commit, on entering the folder or opening it in an editor, or when an agent starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

from sdqctl.policy.globs import denying, folded, literal_part

GENERAL = (
    ".git",  # its hooks and its configuration run programs
    "*.git",  # a bare repository
    "git~1",  # .git on vfat and NTFS
    ".githooks",
    ".husky",
    ".envrc",  # direnv
    ".mise.toml",
    "mise.toml",
    ".npmrc",  # can name another registry, shell and node options
    ".yarnrc",
    ".yarnrc.yml",  # yarnPath
    ".pnpmfile.cjs",
    ".cargo/config",  # runner, rustc-wrapper
    ".cargo/config.toml",
    ".devcontainer",  # initializeCommand runs on the host
    ".devcontainer.json",
    ".vscode/mcp.json",
    ".vscode/settings.json",
    ".vscode/tasks.json",  # runOn: folderOpen
    ".mcp.json",
    ".agents",
    ".claude",
    ".codex",
    ".cursor",
    ".gemini",
    ".github/**/*.json",  # settings, hooks, servers of whatever agent reads them there
    ".github/hooks",
    ".github/extensions",
    "sdqctl.toml",
    "*.conv",  # RUN runs programs
)
"""As globs over the names below a folder, at any depth; each means what lies below it, too."""


class Steering:
    """Finds files that steer. `more` has globs besides the general ones: an adapter's own."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._globs = (*GENERAL, *more)

    def found(self, names: str) -> str | None:
        """The glob that a path (below the working directory, say) is meant by."""
        path = "/" + folded(names).strip("/")
        return next((text for text, one in self._patterns if one.match(path)), None)

    def named(self, pattern: str) -> bool:
        """Whether a rule's pattern is one of the globs, or leads into one by its own words."""
        return pattern.removeprefix("**/") in self._globs or bool(self.found(literal_part(pattern)))

    @cached_property
    def _patterns(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        return tuple((text, one) for text in self._globs for one in denying(f"**/{text}", "/"))
