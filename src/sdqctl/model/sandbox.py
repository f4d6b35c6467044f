"""What the rooms say to one another about the operating system's net around started processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

SANDBOX_CHOICES = ("auto", "landlock", "bubblewrap", "runtime", "none")
"""What `sandbox` and --sandbox may be set to."""


class Access(StrEnum):
    """What a process wanted to do with a path."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, kw_only=True)
class Held:
    """Which net holds in which modes, and what is not held."""

    reading: str
    writing: str
    full: str
    landlock: int
    """The kernel's version of it; 0: none."""
    lacks: tuple[str, ...]
    problem: str | None = None
    """Why what was asked for cannot be had."""


@dataclass(frozen=True)
class Refusal:
    """A path that the net kept a process from, and which setting would let it through."""

    path: str
    access: Access
    hint: str


@dataclass(frozen=True, kw_only=True)
class SandboxNeeds:
    """What a runtime's own process cannot do without; its adapter knows."""

    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    """Folders; those that are missing are made, for the owner alone."""
    ports: tuple[int, ...] = ()
    """TCP ports that it connects to."""
    variables: tuple[tuple[str, str], ...] = ()
    """Set in its environment, unless they are there; for what it would keep in a new TMPDIR."""
    sockets: bool = False
    """Whether it talks to a local service, such as a keyring, over a Unix socket."""


@dataclass(frozen=True, kw_only=True)
class Confined:
    """How to start one process inside. It holds while the context that gave it is open."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    enter: Callable[[], None] | None = None
    """Called in the new process before it becomes its program (`preexec_fn`)."""


class Sandbox(Protocol):
    """A net that processes are started in; also none."""

    @property
    def kind(self) -> str:
        """`landlock`, `bubblewrap`, `runtime` or `none`."""
        ...

    @property
    def paths(self) -> SandboxPaths:
        """What may be read and written inside."""
        ...

    @property
    def ports(self) -> tuple[int, ...] | None:
        """The TCP ports that may be connected to inside; None: all."""
        ...

    def confine(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        marks: Path | None = None,
        folder: Path | None = None,
    ) -> AbstractContextManager[Confined]:
        """How to start a program inside, as a context that is open until it was started.

        `marks`: one folder more that sdqctl's own wrapper writes. `folder`: one folder more that
        the program works in. Raises SandboxError when the kernel refuses.
        """
        ...

    def launcher(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Confined:
        """The same for a process that somebody else starts: nothing to be called in it."""
        ...

    def refusals(self, text: str, folder: Path) -> tuple[Refusal, ...]:
        """The paths that a program's output says were refused, and that the net does refuse.

        `folder` is where it worked.
        """
        ...


@dataclass(frozen=True)
class SandboxPaths:
    """The folders and files of a net; whole trees."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


class NoSandbox:
    """The net of a run without one: everything is as it would be."""

    kind = "none"
    paths = SandboxPaths()
    ports = None

    def confine(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        marks: Path | None = None,
        folder: Path | None = None,
    ) -> AbstractContextManager[Confined]:
        """The program as it is."""
        return nullcontext(self.launcher(arguments, environment))

    def launcher(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Confined:
        """The program as it is."""
        return Confined(arguments=tuple(arguments), environment=environment)

    def refusals(self, text: str, folder: Path) -> tuple[Refusal, ...]:
        """None."""
        return ()
