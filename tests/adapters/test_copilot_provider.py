"""The model provider of the environment, as the SDK takes it and as `status` tells it."""

from __future__ import annotations

import pytest

from sdqctl.adapters.copilot.provider import describe_provider, provider_from
from sdqctl.errors import AuthenticationError, UsageError

URL = "http://127.0.0.1:4711/v1"


def given(**variables: str) -> dict[str, str]:
    """Variables of a provider, by the ends of their names."""
    return {f"COPILOT_PROVIDER_{name}": value for name, value in variables.items()}


def test_without_an_address_there_is_none_and_offline_that_is_an_error() -> None:
    assert provider_from({"COPILOT_OFFLINE": "false"}) is None
    assert describe_provider({}) is None
    with pytest.raises(AuthenticationError, match="no model provider") as error:
        provider_from({"COPILOT_OFFLINE": "true"})
    assert "COPILOT_PROVIDER_BASE_URL" in str(error.value.hint)


def test_an_address_alone_is_of_openai_and_its_completions() -> None:
    found = provider_from(given(BASE_URL=URL))
    assert found == {"type": "openai", "base_url": URL, "wire_api": "completions"}


def test_all_variables_reach_the_sdk() -> None:
    found = provider_from(
        given(
            BASE_URL=URL,
            TYPE="azure",
            API_KEY="key",
            BEARER_TOKEN="token",
            WIRE_API="responses",
            MAX_PROMPT_TOKENS="30000",
            MAX_OUTPUT_TOKENS="2000",
            AZURE_API_VERSION="2024-10-21",
            HEADERS="X-One: 1\\nX-Two:  a: b ",
        )
    )
    assert found == {
        "type": "azure",
        "base_url": URL,
        "api_key": "key",
        "bearer_token": "token",
        "wire_api": "responses",
        "max_prompt_tokens": 30000,
        "max_output_tokens": 2000,
        "azure": {"api_version": "2024-10-21"},
        "headers": {"X-One": "1", "X-Two": "a: b"},
    }


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MAX_PROMPT_TOKENS": "many"}, "MAX_PROMPT_TOKENS is no number: 'many'"),
        ({"HEADERS": "X-One"}, "HEADERS: a line is no `Name: Value`"),
    ],
)
def test_what_cannot_be_read_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        provider_from(given(BASE_URL=URL, **variables))


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"BASE_URL": URL}, "openai at 127.0.0.1:4711, no key"),
        (
            {"BASE_URL": "https://me:secret@host/v1", "TYPE": "azure", "BEARER_TOKEN": "t"},
            "azure at host, key set",
        ),
        ({"BASE_URL": "nonsense", "API_KEY": "k"}, "openai at unknown host, key set"),
    ],
)
def test_it_is_told_without_its_key(variables: dict[str, str], told: str) -> None:
    assert describe_provider(given(**variables)) == told
