"""Starting programs inside a profile: by Landlock, or by bubblewrap."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sdqctl.errors import SandboxError
from sdqctl.foreign import is_below, leads_out
from sdqctl.model.sandbox import Confined, Refusal, SandboxPaths
from sdqctl.sandbox import filters, landlock
from sdqctl.sandbox.places import SHARED_MEMORY
from sdqctl.sandbox.profile import Profile
from sdqctl.sandbox.refused import refused_paths

_AGENTS = ("SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO")
"""Variables that lead to programs which hold the user's keys."""
_DESKTOP = "DBUS_SESSION_BUS_ADDRESS"
_TEMPORARY = ("TMPDIR", "TMP", "TEMP")


@dataclass(frozen=True, kw_only=True)
class _Confining:
    """What all nets share. `temporary` is the run's own folder, `missing` is made when needed,
    `variables` are set where they are not.
    """

    profile: Profile
    cwd: str
    temporary: str
    missing: tuple[Path, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def paths(self) -> SandboxPaths:
        """What may be read and written inside."""
        found = self.profile.paths
        return SandboxPaths(found.reads, (*found.writes, self.temporary), found.hidden)

    @property
    def ports(self) -> tuple[int, ...] | None:
        """Every TCP port may be connected to."""
        return None

    def _environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        gone = _AGENTS if self.profile.sockets else (*_AGENTS, _DESKTOP)
        kept = {name: value for name, value in environment.items() if name not in gone}
        return {**dict(self.variables), **kept, **dict.fromkeys(_TEMPORARY, self.temporary)}

    def _opened(self, folder: Path | None) -> str | None:
        """A command's own folder, unless a link leads there that a tool may have put."""
        if folder is None or leads_out(str(folder), self.profile.writes):
            return None
        return os.path.realpath(folder)

    def _make_missing(self) -> None:
        for folder in self.missing:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError:
                continue  # what needs it says so itself


class LandlockSandbox(_Confining):
    """A net of the kernel's own, entered by the new process itself."""

    kind = "landlock"

    @property
    def ports(self) -> tuple[int, ...] | None:
        """The TCP ports that may be connected to; None: all, as on kernels before Landlock 4."""
        return self.profile.ports if landlock.version() >= landlock.HOLDS_PORTS else None

    @contextmanager
    def confine(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        marks: Path | None = None,
        folder: Path | None = None,
    ) -> Iterator[Confined]:
        """The program as it is, which enters the net between fork and exec."""
        self._make_missing()
        own = (os.path.realpath(marks) if marks is not None else None, self._opened(folder))
        more = [(path, landlock.WRITE) for path in own if path is not None]
        try:
            rules = [*self._rules(), *more]
            ruleset = landlock.make_ruleset(rules, self.profile.ports, landlock.version())
        except OSError as error:
            raise _refused_by_the_kernel(error) from error
        try:
            enter = landlock.entry(ruleset, filters.filtering(strict=not self.profile.sockets))
            yield Confined(
                arguments=tuple(arguments),
                environment=self._environment(environment),
                enter=enter,
            )
        finally:
            os.close(ruleset)

    def launcher(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Confined:
        """A small program that enters the net and becomes the wanted one."""
        self._make_missing()
        net = {
            "rules": [*self._rules()],
            "ports": self.profile.ports,
            "strict": not self.profile.sockets,
        }
        start = (sys.executable, "-I", "-S", landlock.__file__, json.dumps(net))
        return Confined(arguments=(*start, *arguments), environment=self._environment(environment))

    def refusals(self, text: str, folder: Path) -> tuple[Refusal, ...]:
        """The paths that a program's output says were refused, and that the net refuses."""
        return refused_paths(text, folder, self.profile, self.cwd, self.temporary)

    def _rules(self) -> Iterator[landlock.Rule]:
        hidden = self.profile.hidden
        for path in self.profile.reads:
            yield from _spread(path, landlock.READ, hidden)
        for path in (*self.profile.writes, self.temporary):
            yield from _spread(path, landlock.WRITE, hidden)
        for path in self.profile.devices:
            yield path, landlock.DEVICE


class BubblewrapSandbox(_Confining):
    """Another view of the file system, made by the program `bwrap`: what is not let through is not
    there. It bounds neither ports nor signals. Process ids stay as they are, since the runtime
    marks its sessions with its own; the user namespace keeps it out of others' /proc.
    """

    kind = "bubblewrap"

    @contextmanager
    def confine(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        marks: Path | None = None,
        folder: Path | None = None,
    ) -> Iterator[Confined]:
        """The program under `bwrap`; what writes the marks is outside of it."""
        yield self._wrapped(arguments, environment, folder)

    def launcher(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Confined:
        """The program under `bwrap`."""
        return self._wrapped(arguments, environment, None)

    def refusals(self, text: str, folder: Path) -> tuple[Refusal, ...]:
        """The paths that a program's output says were refused, or that are not there inside."""
        return refused_paths(
            text, folder, self.profile, self.cwd, self.temporary, missing_counts=True
        )

    def _wrapped(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None
    ) -> Confined:
        self._make_missing()
        binds = [(path, "--ro-bind-try") for path in self.profile.reads]
        binds += [(path, "--bind-try") for path in (*self.profile.writes, self.temporary)]
        opened = self._opened(folder)
        binds += [(opened, "--bind-try")] if opened is not None else []
        binds += [(path, "--tmpfs") for path in self.profile.hidden]
        view = ["--proc", "/proc", "--dev", "/dev"]
        for path, how in sorted(binds):
            if how == "--tmpfs" and not self._is_seen(path):
                continue
            is_given = is_below(path, "/proc") or is_below(path, "/dev")  # and memory of its own
            if not is_given or path.startswith(f"{SHARED_MEMORY}/"):
                view += [how, path] if how == "--tmpfs" else [how, path, path]
        for link in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
            if os.path.islink(link):
                view += ["--symlink", os.readlink(link), link]
        view += ["--remount-ro", "/", "--chdir", str(folder or self.cwd)]
        start = (_bwrap(environment), "--die-with-parent", "--unshare-user", "--unshare-ipc")
        return Confined(
            arguments=(*start, *view, "--", *arguments), environment=self._environment(environment)
        )

    def _is_seen(self, path: str) -> bool:
        granted = (*self.profile.reads, *self.profile.writes)
        return os.path.isdir(path) and any(is_below(path, folder) for folder in granted)


class RuntimeSandbox(_Confining):
    """The runtime's own sandbox: its adapter hands it the folders, and nothing is done here."""

    kind = "runtime"

    @contextmanager
    def confine(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        marks: Path | None = None,
        folder: Path | None = None,
    ) -> Iterator[Confined]:
        """The program as it is."""
        yield self.launcher(arguments, environment)

    def launcher(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Confined:
        """The program as it is, with a temporary folder of its own."""
        self._make_missing()
        return Confined(arguments=tuple(arguments), environment=self._environment(environment))

    def refusals(self, text: str, folder: Path) -> tuple[Refusal, ...]:
        """None: what the runtime really refuses is not known."""
        return ()


def _bwrap(environment: Mapping[str, str]) -> str:
    return shutil.which("bwrap", path=environment.get("PATH")) or "bwrap"


def _spread(path: str, access: int, hidden: Sequence[str]) -> Iterator[landlock.Rule]:
    """Rules for a tree without the hidden trees in it: Landlock only adds, so that what lies around
    them is named one by one. Nothing new can be made in such a folder itself.
    """
    if not any(is_below(place, path) and place != path for place in hidden):
        if path not in hidden:
            yield path, access
        return
    yield path, landlock.READ_DIR
    try:
        children = sorted(os.listdir(path))
    except OSError:
        return
    for child in children:
        yield from _spread(os.path.join(path, child), access, hidden)


def _refused_by_the_kernel(error: OSError) -> SandboxError:
    return SandboxError(
        f"the sandbox cannot be made: {error.strerror}",
        hint="`sdqctl status --adapters` says what this machine has; `--sandbox none` goes without",
    )
