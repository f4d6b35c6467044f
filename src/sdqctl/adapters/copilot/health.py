"""What is installed of the runtime, and which model would answer."""

from __future__ import annotations

import asyncio

from sdqctl.adapters.base import Health
from sdqctl.adapters.copilot.account import token_variable
from sdqctl.adapters.copilot.provider import describe_provider, provider_from
from sdqctl.adapters.copilot.runtime import (
    find_runtime,
    require_runtime,
    runtime_environment,
    runtime_version,
)
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.errors import RuntimeMissingError, SdqctlError


async def check_health(settings: AdapterSettings) -> Health:
    """How the runtime stands; starts nothing but `--version`, and never raises for what is not."""
    environment = settings.environment
    provider = describe_provider(environment)
    try:
        program = find_runtime(settings)
        if program is None:
            require_runtime(settings)
        assert program is not None, "require_runtime raises"
        own, net = runtime_environment(settings), settings.sandbox
        version = await asyncio.to_thread(runtime_version, program, own, net)
        provider_from(environment)
    except RuntimeMissingError as error:
        return _ill(error, installed=False, provider=provider)
    except SdqctlError as error:
        return _ill(error, installed=True, provider=provider)
    return Health(
        adapter="copilot",
        installed=True,
        version=version,
        runtime_path=str(program.path),
        found_by=program.found_by,
        provider=provider,
        signed_in=True if token_variable(environment) else None,
    )


def _ill(error: SdqctlError, *, installed: bool, provider: str | None) -> Health:
    return Health(
        adapter="copilot",
        installed=installed,
        provider=provider,
        problem=error.message,
        hint=error.hint,
    )
