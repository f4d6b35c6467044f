"""What is taken out of texts before they are kept, and what is left."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdqctl.store.redact import MARK, Redactor
from sdqctl.store.secret_names import is_secret_member

VALUE = "some-long-value-1"
SECRET_NAMES = [
    "API_KEY", "OPENAI_API_KEY", "APIKEY", "aws_secret_access_key", "GH_TOKEN", "DB_PASSWORD",
    "SIGNING_KEYS", "NPM_AUTH", "HTTP_AUTHORIZATION", "KEY_ID", "MY_CREDENTIALS", "TOKEN2",
]  # fmt: skip
OTHER_NAMES = [
    "GIT_AUTHOR_NAME", "TOKENIZERS_PARALLELISM", "KEYBOARD_LAYOUT", "SSH_AUTH_SOCK", "GOPRIVATE",
    "KEY_FILE", "SECRETS_DIR", "PATH", "USER",
]  # fmt: skip
SHAPES = [
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 9,
    "sk-" + "a1B2" * 9,
    "AKIA" + "A1B2" * 4,
    "xoxb-1234567890-abcdef",
    "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_the_value_of_a_key_like_variable_is_taken_out(name: str) -> None:
    assert Redactor({name: VALUE})(f"a {VALUE}, b{VALUE}") == "a [redacted], b[redacted]"


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_the_value_of_another_variable_stays(name: str) -> None:
    assert Redactor({name: VALUE})(f"a {VALUE}") == f"a {VALUE}"


@pytest.mark.parametrize("value", ["short", "disabled", "1234567890"])
def test_a_value_that_is_no_secret_stays(value: str) -> None:
    assert Redactor({"USE_TOKEN": value})(f"a {value}") == f"a {value}"


@pytest.mark.parametrize("text", SHAPES)
def test_a_known_token_shape_is_taken_out(text: str) -> None:
    redact = Redactor({})
    assert redact(f"a {text} b") == "a [redacted] b"
    assert redact(redact(f"a {text} b")) == "a [redacted] b"


def test_the_password_of_an_address_and_a_bearer_are_taken_out() -> None:
    redact = Redactor({})
    assert redact("https://jo:pw@example.org/x") == "https://[redacted]@example.org/x"
    assert redact("Authorization: Bearer abcdefghijklmnop1") == "Authorization: Bearer [redacted]"


@pytest.mark.parametrize("of", ["", "TRACES_"])
def test_what_a_collector_is_signed_in_with_is_taken_out(of: str) -> None:
    value = "x-team=abcdefgh1234,authorization=Basic%20Zm9vOmJhcmJheg=="
    redact = Redactor({f"OTEL_EXPORTER_OTLP_{of}HEADERS": value})
    assert redact("abcdefgh1234 Zm9vOmJhcmJheg==") == "[redacted] [redacted]"
    assert redact(f"={value}") == "=x-team=[redacted],authorization=[redacted]"
    assert redact("x-team authorization Basic") == "x-team authorization Basic"


def test_a_value_is_taken_out_of_json_too() -> None:
    value = 'pa"ss\\word\nin two lines é'
    text = json.dumps({"said": f"it is {value}."}, ensure_ascii=False)
    assert json.loads(Redactor({"A_PASSWORD": value})(text)) == {"said": "it is [redacted]."}


def test_of_two_values_the_longer_is_taken_out_whole() -> None:
    redact = Redactor({"A_KEY": "abcdefgh", "B_KEY": "abcdefgh-and-more"})
    assert redact("x abcdefgh-and-more y abcdefgh") == "x [redacted] y [redacted]"


_TEXTS = st.sampled_from(
    [*SHAPES, "", "a", "password", "password=", "hunter2x", "token: abcdef123456", "login me",
     "password pw1", "--token", "q7w8e9r0t1y2", "Private-Lines: 2", "x" * 20, "see https://", "..."]
)  # fmt: skip
_NAMES = st.sampled_from(["id", "password", "api_key", "text", "q7w8e9r0t1y2"])


@given(
    st.recursive(
        _TEXTS | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4),
        max_leaves=12,
    )
)
def test_a_json_value_is_cleaned_as_each_of_its_texts_is(value: object) -> None:
    """However many of them are looked through at once."""
    redact = Redactor({"A_KEY": "hunter2x"})

    def cleaned(value: object) -> object:
        if isinstance(value, str):
            return redact(value)
        if isinstance(value, list):
            return [cleaned(each) for each in value]
        if isinstance(value, dict):
            return {
                redact(name): MARK
                if isinstance(each, str) and is_secret_member(name, each)
                else cleaned(each)
                for name, each in value.items()
            }
        return value

    assert redact.data(value) == cleaned(value)
