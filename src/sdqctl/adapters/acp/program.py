"""Finding an agent's program and its version."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sdqctl.adapters.acp.profiles import Profile
from sdqctl.adapters.programs import output_of
from sdqctl.errors import RuntimeFailure, RuntimeMissingError
from sdqctl.model.sandbox import Sandbox

_VERSION_SECONDS = 20.0
_FORGET_SECONDS = 60.0


def find_program(profile: Profile, environment: Mapping[str, str]) -> Path | None:
    """The program on PATH, or the one that the command names by its path."""
    found = shutil.which(profile.program, path=environment.get("PATH"))
    return None if found is None else Path(found)


def require_program(profile: Profile, environment: Mapping[str, str]) -> Path:
    """The program. Raises RuntimeMissingError that says how it is installed."""
    found = find_program(profile, environment)
    if found is None:
        raise RuntimeMissingError(
            f"{profile.title} is not installed: there is no program {profile.program!r} on PATH",
            hint=f"install it: {profile.install}" if profile.install else "see docs/agents.md",
        )
    return found


def program_version(
    program: Path, profile: Profile, environment: Mapping[str, str], sandbox: Sandbox
) -> tuple[str | None, str | None]:
    """What the program says in a net its version is, else the problem with it. Raises SandboxError
    when the net cannot be had.
    """
    variables = {**environment, **profile.environment}
    try:
        said = output_of([str(program), *profile.version], variables, sandbox, _VERSION_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"{program} does not tell its version: {error}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return (lines[0] if lines else None), None


def program_folders(profile: Profile, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """What has to be read to start it: its package, its interpreter, and files that it is given.

    A program of npm is a link into `node_modules`, where its packages lie beside one another; one
    of Python lies in the `bin` of an environment.
    """
    found = find_program(profile, environment)
    if found is None:
        return ()
    real = Path(os.path.realpath(found))
    packages = next((p for p in reversed(real.parents) if p.name == "node_modules"), None)
    node = shutil.which("node", path=environment.get("PATH"))
    interpreters = [] if node is None else [Path(os.path.realpath(node))]
    folders = [packages or _around(real), _around(found), *map(_around, interpreters)]
    given = [Path(word) for word in profile.command[1:] if word.startswith("/")]
    return tuple(dict.fromkeys((*folders, *(path for path in given if path.exists()))))


def _around(program: Path) -> Path:
    """The folder of a program; of one in a `bin`, all that lies around that."""
    return program.parent.parent if program.parent.name == "bin" else program.parent


def delete_by_program(
    name: str, profile: Profile, environment: Mapping[str, str], sandbox: Sandbox, agent_id: str
) -> None:
    """Have an agent's program delete a session of its own, in a net. Raises RuntimeFailure, and
    SandboxError when the net cannot be had.
    """
    environment = {**environment, **profile.environment}
    program = require_program(profile, environment)
    arguments = [part.replace("{id}", agent_id) for part in profile.forget]
    try:
        output_of([str(program), *arguments], environment, sandbox, _FORGET_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeFailure(f"{name} could not delete its own copy: {error}") from error
