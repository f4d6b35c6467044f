"""The nets of one command: for the runtime and for RUN commands, with a temporary folder."""

from __future__ import annotations

from dataclasses import dataclass, field

from sdqctl.closing import Closing
from sdqctl.model.sandbox import NoSandbox, Sandbox
from sdqctl.sandbox.confining import BubblewrapSandbox, LandlockSandbox, RuntimeSandbox
from sdqctl.sandbox.places import missing_caches
from sdqctl.sandbox.profile import Known, Profile, Wanted, command_profile, runtime_profile
from sdqctl.sandbox.temporary import make_temporary, remove_temporary

_Net = type[LandlockSandbox] | type[BubblewrapSandbox] | type[RuntimeSandbox]
_KINDS: dict[str, _Net] = {
    "landlock": LandlockSandbox,
    "bubblewrap": BubblewrapSandbox,
    "runtime": RuntimeSandbox,
}


@dataclass(frozen=True, eq=False)
class NetPair:
    """The nets of a run. `temporary` is the folder that only it uses."""

    runtime: Sandbox = field(default_factory=NoSandbox)
    commands: Sandbox = field(default_factory=NoSandbox)
    temporary: str | None = None


class Nets(Closing):
    """Makes nets; equal ones are one. Leaving it removes their temporary folders."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, Profile, Profile | None], NetPair] = {}

    def close(self) -> None:
        """Remove their temporary folders."""
        for pair in self._made.values():
            if pair.temporary is not None:
                remove_temporary(pair.temporary)
        self._made.clear()

    def make(self, kind: str, runtime: Wanted, commands: Wanted | None) -> NetPair:
        """The nets of a run; `commands` None: RUN commands have none.

        Raises StoreError when there is no place for temporary files, SandboxError when a link
        shuts the runtime out of what it needs.
        """
        if kind not in _KINDS:
            return NetPair()
        known: Known = {}
        inside = runtime_profile(runtime, known)
        if kind == RuntimeSandbox.kind:
            commands = None  # it holds for the runtime's own tools
        around_commands = command_profile(commands, known) if commands is not None else None
        key = (kind, inside, around_commands)
        if key not in self._made:
            self._made[key] = _pair(kind, runtime, inside, around_commands)
        return self._made[key]


def _pair(kind: str, runtime: Wanted, inside: Profile, commands: Profile | None) -> NetPair:
    net = _KINDS[kind]
    temporary = make_temporary()
    cwd = str(runtime.cwd)
    caches = tuple(missing_caches(runtime.environment, runtime.cwd))
    needed = (*runtime.needs.writes, *(caches if inside.ports is None else ()))
    around_runtime = net(
        profile=inside,
        cwd=cwd,
        temporary=temporary,
        missing=needed,
        variables=runtime.needs.variables,
    )
    if commands is None:
        return NetPair(around_runtime, temporary=temporary)
    around_commands = net(profile=commands, cwd=cwd, temporary=temporary, missing=caches)
    return NetPair(around_runtime, around_commands, temporary)
