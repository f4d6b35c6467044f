"""A runtime without account, token and provider: exit 6 at once, with the ways to sign in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.command import sdqctl

pytestmark = pytest.mark.runtime


@pytest.fixture(params=["offline", "online"])
def nobody(
    request: pytest.FixtureRequest, home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Nobody is signed in, and no network is there but a proxy that nobody answers."""
    if request.param == "online":
        monkeypatch.delenv("COPILOT_OFFLINE")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (project / "w.conv").write_text("SESSION-NAME s\nPROMPT hello\n")
    return str(request.param)


def test_a_run_ends_at_once_and_says_how_to_sign_in(nobody: str) -> None:
    began = time.monotonic()
    done = sdqctl("run", "w.conv")
    assert done.code == 6, done.err
    assert time.monotonic() - began < 60
    assert "-a mock" in done.err
    assert "COPILOT_PROVIDER_BASE_URL" in done.err
    if nobody == "online":
        assert "/login" in done.err
        assert "COPILOT_GITHUB_TOKEN" in done.err
    assert sdqctl("sessions", "list", "--format", "json").json == []


def test_no_models_can_be_told_and_no_account_is_claimed(nobody: str) -> None:
    assert sdqctl("status", "--models").code == 6
    for flags in ([], ["--auth"]):
        told = sdqctl("status", *flags)
        assert told.code == 0
        assert "signed-in" not in told.out
        assert "no token" in told.out


def test_a_classic_token_is_refused_at_once(nobody: str) -> None:
    done = sdqctl("run", "w.conv", GH_TOKEN="ghp_" + "x" * 36)
    assert done.code == 6, done.err
    if nobody == "online":
        assert "GH_TOKEN" in done.err


def test_a_token_that_cannot_be_checked_may_be_the_networks_fault(nobody: str) -> None:
    token = "github_pat_" + "x" * 40
    done = sdqctl("run", "w.conv", "--retry-for", "1s", COPILOT_GITHUB_TOKEN=token)
    assert done.code == (75 if nobody == "online" else 6), done.err


def test_a_stored_login_is_named(nobody: str, home: Path) -> None:
    folder = home / "copilot"
    folder.mkdir(exist_ok=True)
    text = '// managed\n{"loggedInUsers": [{"host": "https://github.com", "login": "octo"}]}'
    (folder / "config.json").write_text(text)
    assert "octo" in sdqctl("status").out
    assert "octo" in sdqctl("status", "--auth").out
