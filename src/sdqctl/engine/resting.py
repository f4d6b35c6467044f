"""The net of an agent's program that is started beside any run: to say its version or its tools,
to rename, fork, rewind or delete a session. A tool of an earlier run may have changed the program.
"""

from __future__ import annotations

import atexit
from pathlib import Path

from sdqctl.adapters.registry import entry
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.model.sandbox import Sandbox, SandboxNeeds
from sdqctl.sandbox.choice import choose
from sdqctl.sandbox.nets import Nets
from sdqctl.sandbox.profile import Wanted

_MODE = "audit"


def reading_net(adapter: str, settings: AdapterSettings, *, choice: str, cwd: Path) -> Sandbox:
    """The net of a reading mode for an agent's program, gone with this process. `choice` is what
    the setting `sandbox` says. Raises SandboxError for one that cannot be had.
    """
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
