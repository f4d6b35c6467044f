"""The net of an agent's program that is started beside any run: to say its version or its tools,
to rename, fork, rewind or delete a session. A tool of an earlier run may have changed the program.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.model.sandbox import Confined, Refusal, Sandbox, SandboxNeeds, SandboxPaths

if TYPE_CHECKING:
    from sdqctl.adapters.settings import AdapterSettings

_MODE = "audit"


class RestingSandbox:
    """A net that is worked out when the first process is started in it."""

    def __init__(self, make: Callable[[], Sandbox]) -> None:
        self._make = make

    @cached_property
    def _net(self) -> Sandbox:
        return self._make()

    @property
    def kind(self) -> str:
        """As that of the net."""
        return self._net.kind

    @property
    def paths(self) -> SandboxPaths:
        """As those of the net."""
        return self._net.paths

    @property
    def ports(self) -> tuple[int, ...] | None:
        """As those of the net."""
        return self._net.ports

    def confine(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        marks: Path | None = None,
        folder: Path | None = None,
    ) -> AbstractContextManager[Confined]:
        """As the net does it. Raises SandboxError when it cannot be had."""
        return self._net.confine(arguments, environment, marks=marks, folder=folder)

    def launcher(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Confined:
        """As the net does it. Raises SandboxError when it cannot be had."""
        return self._net.launcher(arguments, environment)

    def refusals(self, text: str, folder: Path) -> tuple[Refusal, ...]:
        """As the net tells them."""
        return self._net.refusals(text, folder)


def reading_net(adapter: str, settings: AdapterSettings, *, choice: str, cwd: Path) -> Sandbox:
    """The net of a reading mode for an agent's program, gone with this process. `choice` is what
    the setting `sandbox` says. Raises SandboxError for one that cannot be had.
    """
    from sdqctl.adapters.registry import entry
    from sdqctl.sandbox.choice import choose
    from sdqctl.sandbox.nets import Nets
    from sdqctl.sandbox.profile import Wanted

    wanted = Wanted(
        mode=_MODE,
        cwd=cwd,
        environment=settings.environment,
        needs=entry(adapter).sandbox_needs(settings) or SandboxNeeds(),
        hidden=(settings.data_dir,),
    )
    nets = Nets()
    atexit.register(nets.close)
    return nets.make(choose(choice, _MODE, settings.environment), wanted, None).runtime
