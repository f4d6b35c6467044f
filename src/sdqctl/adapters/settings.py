"""Where an adapter and its archive find things: all that reading from disk has to load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdqctl.model.sandbox import Sandbox


class AdapterSettings:
    """Where an adapter finds its runtime and keeps its data. Plain values, made by `config`.

    `data_dir` is sdqctl's own data folder; an adapter may keep data in a folder of its name below
    it. `environment` is what the runtime's own variables are read from. The runtime's processes
    are started in the net `sandbox`, or in the one that it makes when it is first asked for. Every
    other keyword is a setting that the adapter's entry declares, and stands in `own`; None is one
    that is not set.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        environment: Mapping[str, str] | None = None,
        sandbox: Sandbox | Callable[[], Sandbox] | None = None,
        **own: object,
    ) -> None:
        self.data_dir = data_dir
        self.environment: Mapping[str, str] = environment if environment is not None else {}
        self._sandbox = sandbox
        self.own = {name: value for name, value in own.items() if value is not None}

    @property
    def sandbox(self) -> Sandbox:
        """The net that the runtime's processes are started in."""
        from sdqctl.model.sandbox import NoSandbox  # what only reads starts none

        if self._sandbox is None:
            return NoSandbox()
        return self._sandbox() if callable(self._sandbox) else self._sandbox

    def within(self, sandbox: Sandbox | Callable[[], Sandbox]) -> AdapterSettings:
        """The same with another net."""
        return self._but(sandbox=sandbox)

    def with_environment(self, environment: Mapping[str, str]) -> AdapterSettings:
        """The same with other variables."""
        return self._but(environment=environment)

    def in_folder(self, data_dir: Path) -> AdapterSettings:
        """The same with another data folder."""
        return self._but(data_dir=data_dir)

    def _but(
        self,
        *,
        data_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        sandbox: Sandbox | Callable[[], Sandbox] | None = None,
    ) -> AdapterSettings:
        return AdapterSettings(
            data_dir=data_dir or self.data_dir,
            environment=self.environment if environment is None else environment,
            sandbox=sandbox or self._sandbox,
            **self.own,
        )
