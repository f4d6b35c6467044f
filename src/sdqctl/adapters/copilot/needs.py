"""What the Copilot runtime's process needs in a sandbox: folders, ports, the keyring.

Facts from runtime 1.0.102: it writes its home and unpacks itself into the cache folder; what Node
compiled is kept in the temporary folder, and a start without it takes 0.2 s of work more; its
account may lie in a keyring, which is reached over D-Bus, or with `gh`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sdqctl.adapters.copilot.runtime import find_runtime
from sdqctl.adapters.copilot.settings import copilot_home
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import RuntimeMissingError
from sdqctl.model.sandbox import Sandbox, SandboxNeeds

if TYPE_CHECKING:
    from copilot.generated.rpc import SandboxConfig

_BASE_URL = "COPILOT_PROVIDER_BASE_URL"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_COLLECTORS = tuple(
    f"OTEL_EXPORTER_OTLP_{of}ENDPOINT" for of in ("", "TRACES_", "METRICS_", "LOGS_")
)
"""Where the runtime sends traces of its own."""
_TOKENS = ("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def sandbox_needs(settings: AdapterSettings) -> SandboxNeeds:
    """The folders and ports of the runtime that would be started."""
    environment = settings.environment
    own_provider = bool(environment.get(_BASE_URL))
    stored_account = not own_provider and not any(environment.get(name) for name in _TOKENS)
    home = Path(environment.get("HOME") or Path.home())
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "copilot"
    reads = [*_program(settings)]
    if stored_account:
        reads.append(home / ".config" / "gh")
    return SandboxNeeds(
        reads=tuple(reads),
        writes=(copilot_home(settings), cache),
        variables=(("NODE_COMPILE_CACHE", str(cache / "node-compile-cache")),),
        ports=tuple(sorted(set(_ports(environment)))),
        sockets=stored_account,
    )


def session_sandbox(sandbox: Sandbox) -> SandboxConfig:
    """The runtime's own sandbox for its shell, MCP and LSP, with the folders of a net.

    From the SDK's records (1.0.27), tried on Linux alone.
    """
    from copilot.generated import rpc

    files = rpc.SandboxConfigUserPolicyFilesystem(
        readonly_paths=list(sandbox.paths.reads),
        readwrite_paths=list(sandbox.paths.writes),
        denied_paths=list(sandbox.paths.hidden),
    )
    return rpc.SandboxConfig(
        enabled=True,
        add_current_working_directory=False,
        allow_bypass=False,
        user_policy=rpc.SandboxConfigUserPolicy(filesystem=files),
    )


def _program(settings: AdapterSettings) -> Iterator[Path]:
    """The folder of the runtime's program; of a package's, all that belongs to it."""
    try:
        program = find_runtime(settings)
    except RuntimeMissingError:
        return  # starting it says so
    if program is not None:
        real = Path(os.path.realpath(program.path))
        scope = next((p for p in real.parents if p.name == "@github"), None)
        yield scope or real.parent


def _ports(environment: Mapping[str, str]) -> Iterator[int]:
    """Of the provider, of GitHub where that is asked, of a proxy before them, of a collector."""
    addresses = [environment.get(_BASE_URL) or "https://api.githubcopilot.com"]
    addresses += [environment.get(name) or environment.get(name.lower(), "") for name in _PROXIES]
    addresses += [environment.get(name, "") for name in _COLLECTORS]
    for address in filter(None, addresses):
        parts = urlsplit(address if "://" in address else f"http://{address}")
        try:
            yield parts.port or _PORTS.get(parts.scheme, 443)
        except ValueError:
            continue  # who connects to it says so
