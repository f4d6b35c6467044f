"""Finding the runtime's program, and the environment it is started with."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sdqctl.adapters.copilot.settings import copilot_home, runtime_path
from sdqctl.adapters.programs import output_of
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import RuntimeMissingError
from sdqctl.model.sandbox import Sandbox

_LOADER = "npm-loader.js"
_VERSION_SECONDS = 20.0
_HINT = (
    "one of these:\n"
    "  npm install -g @github/copilot  installs it\n"
    "  COPILOT_CLI_PATH                names yours\n"
    "  -a mock                         needs none"
)


@dataclass(frozen=True)
class RuntimeProgram:
    """The program that will be run, and which setting led to it."""

    path: Path
    found_by: str


def find_runtime(settings: AdapterSettings) -> RuntimeProgram | None:
    """COPILOT_CLI_PATH, then PATH, then the SDK's own cache (None: the SDK would look itself).

    Raises RuntimeMissingError when COPILOT_CLI_PATH names no program.
    """
    path = runtime_path(settings)
    if path is not None:
        if not path.is_file() or not os.access(path, os.X_OK):
            raise RuntimeMissingError(f"COPILOT_CLI_PATH names no program: {path}", hint=_HINT)
        return RuntimeProgram(_native(path), "COPILOT_CLI_PATH")
    found = shutil.which("copilot", path=settings.environment.get("PATH"))
    if found is not None:
        return RuntimeProgram(_native(Path(found)), "PATH")
    cached = _cached_by_sdk(settings)
    return RuntimeProgram(cached, "the SDK's cache") if cached else None


def require_runtime(settings: AdapterSettings) -> RuntimeProgram:
    """The runtime. Raises RuntimeMissingError when there is none."""
    program = find_runtime(settings)
    if program is None:
        raise RuntimeMissingError("the GitHub Copilot runtime is not installed", hint=_HINT)
    return program


def runtime_version(
    program: RuntimeProgram, environment: Mapping[str, str], sandbox: Sandbox
) -> str:
    """What `--version` says in a net, its first line. Raises RuntimeMissingError if it cannot be
    run, SandboxError when the net cannot be had.
    """
    try:
        asking = [str(program.path), "--version"]
        said = output_of(asking, environment, sandbox, _VERSION_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        is_there = isinstance(error, subprocess.SubprocessError)
        raise RuntimeMissingError(
            f"{program.path} does not work as the Copilot runtime: {error}",
            hint="`--version` has to work; COPILOT_CLI_PATH names another" if is_there else _HINT,
        ) from error
    lines = said.strip().splitlines()
    return lines[0].removeprefix("GitHub Copilot CLI ").rstrip(".") if lines else ""


def runtime_environment(settings: AdapterSettings) -> dict[str, str]:
    """The environment of the runtime's process: ours, with its home and without updates.

    A login shell would give its tools what our environment leaves out. Contents in traces of its
    own would have the secrets in them that ours have not.
    """
    return {
        **settings.environment,
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "false",
        "COPILOT_HOME": str(copilot_home(settings)),
        "COPILOT_AUTO_UPDATE": "false",
        "COPILOT_DISABLE_LOGIN_SHELL_ENV": "1",
    }


def _native(path: Path) -> Path:
    """The platform's own binary behind npm's node loader, which would only add a process."""
    real = path.resolve()
    if real.name != _LOADER:
        return path
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    system = platform.system().lower()
    for name in (f"copilot-{system}-{machine}", f"copilot-{system}musl-{machine}"):
        for folder in (real.parent.parent / name, real.parent / "node_modules/@github" / name):
            if os.access(folder / "copilot", os.X_OK):
                return folder / "copilot"
    return path


def _cached_by_sdk(settings: AdapterSettings) -> Path | None:
    """The newest runtime that the SDK downloaded earlier (layout: its `_cli_download` module)."""
    home = settings.environment.get("HOME", "")
    root = Path(settings.environment.get("XDG_CACHE_HOME") or f"{home}/.cache")
    found = list((root / "github-copilot-sdk" / "cli").glob("*/prebuilds/*/copilot"))
    return max(found, key=lambda path: path.stat().st_mtime) if found else None
