"""A model provider of the user's own, from the runtime's own variables.

`COPILOT_PROVIDER_*` reach the native program only; an SDK session is given them at create and at
every resume (docs/copilot-findings.md, Resume). Names are those of `copilot help environment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sdqctl.errors import AuthenticationError, UsageError

_PREFIX = "COPILOT_PROVIDER_"
_PLAIN = {
    "TYPE": "type",
    "WIRE_API": "wire_api",
    "TRANSPORT": "transport",
    "API_KEY": "api_key",
    "API_KEY_COMMAND": "api_key_command",
    "BEARER_TOKEN": "bearer_token",
    "MODEL_ID": "model_id",
    "WIRE_MODEL": "wire_model",
}
_NUMBERS = {"MAX_PROMPT_TOKENS": "max_prompt_tokens", "MAX_OUTPUT_TOKENS": "max_output_tokens"}
_TRUE = {"1", "true", "yes", "on"}


def provider_from(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """The SDK's `provider`, or None when COPILOT_PROVIDER_BASE_URL is not set.

    Raises UsageError for a number or header that cannot be read, AuthenticationError when the
    runtime is offline and no provider is given.
    """
    base_url = environment.get(f"{_PREFIX}BASE_URL")
    if not base_url:
        if environment.get("COPILOT_OFFLINE", "").lower() in _TRUE:
            raise AuthenticationError(
                "COPILOT_OFFLINE is set, but no model provider",
                hint="one of these:\n"
                "  COPILOT_PROVIDER_BASE_URL  a model of your own\n"
                "  unset COPILOT_OFFLINE      then `sdqctl login`\n"
                "  -a mock                    scripted, no account",
            )
        return None
    provider: dict[str, Any] = {"type": "openai", "base_url": base_url}
    for name, key in _PLAIN.items():
        if value := environment.get(_PREFIX + name):
            provider[key] = value
    if provider["type"] == "openai":
        provider.setdefault("wire_api", "completions")
    for name, key in _NUMBERS.items():
        if value := environment.get(_PREFIX + name):
            provider[key] = _number(_PREFIX + name, value)
    if version := environment.get(f"{_PREFIX}AZURE_API_VERSION"):
        provider["azure"] = {"api_version": version}
    if headers := environment.get(f"{_PREFIX}HEADERS"):
        provider["headers"] = _headers(headers)
    return provider


def describe_provider(environment: Mapping[str, str]) -> str | None:
    """Type and host of the provider, and whether a key is set; never the key."""
    base_url = environment.get(f"{_PREFIX}BASE_URL")
    if not base_url:
        return None
    secrets = ("API_KEY", "API_KEY_COMMAND", "BEARER_TOKEN")
    with_key = any(environment.get(_PREFIX + name) for name in secrets)
    kind = environment.get(f"{_PREFIX}TYPE") or "openai"
    address = urlsplit(base_url)
    host = address.hostname or "unknown host"
    port = f":{address.port}" if address.port else ""
    return f"{kind} at {host}{port}, {'key set' if with_key else 'no key'}"


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise UsageError(f"{name} is no number: {value!r}") from error


def _headers(text: str) -> dict[str, str]:
    headers = {}
    for line in text.replace("\\n", "\n").splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            raise UsageError(f"{_PREFIX}HEADERS: a line is no `Name: Value`")
        headers[name.strip()] = value.strip()
    return headers
