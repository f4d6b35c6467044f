"""A runtime without account, token and provider: exit 6 at once, with the ways to sign in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cli.screens import SIZES, compare
from tests.command import sdqctl
from tests.sampling import each, some
from tests.terminal import Terminal

pytestmark = pytest.mark.runtime


@pytest.fixture(params=some(1, ["online", "offline"]))
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
        assert "sdqctl login" in done.err
        assert "COPILOT_GITHUB_TOKEN" in done.err
    assert sdqctl("sessions", "list", "--format", "json").json == []


@pytest.mark.thorough
def test_no_models_can_be_told_and_no_account_is_claimed(nobody: str) -> None:
    assert sdqctl("status", "--models").code == 6
    for flags in ([], ["--auth"]):
        told = sdqctl("status", *flags)
        assert told.code == 0
        assert "signed-in" not in told.out
        assert "no token" in told.out
        if nobody == "online":
            assert "sdqctl login" in told.out


@pytest.mark.each(3)
@pytest.mark.parametrize(
    ("what", "columns", "rows"),
    each(4, [(what, *size) for what in ("nobody", "offline", "not-installed") for size in SIZES]),
)
def test_the_ways_on_are_one_screen(
    what: str,
    columns: int,
    rows: int,
    home: Path,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    if what != "offline":
        monkeypatch.delenv("COPILOT_OFFLINE")
    if what == "not-installed":
        monkeypatch.delenv("COPILOT_CLI_PATH")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
    arguments = ["status"] if what == "nobody" else ["run", "-p", "Hello"]
    with Terminal(arguments, columns=columns, rows=rows) as terminal:
        code = terminal.wait_for_end()
        shown = terminal.golden.replace(str(tmp_path), "/tmp/t")
    assert code == {"status": 0, "run": 5 if what == "not-installed" else 6}[arguments[0]]
    if what == "nobody":  # the rest is of this machine
        shown = shown[shown.index("\nmissing:") + 1 :]
    compare(what, columns, rows, shown)


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 1", 6), ("kill -INT $$", 130), ("exit 130", 130)]
)
def test_signing_in_is_handed_over_to_the_runtime(
    script: str, code: int, home: Path, project: Path
) -> None:
    runtime = project / "copilot"
    heard = '[ "$1" = --version ] && echo 9.9 && exit; echo "$@" >> heard; env >> heard'
    runtime.write_text(f"#!/bin/bash\n{heard}; {script}\n")
    runtime.chmod(0o700)
    done = sdqctl("login", "--", "--device-code", COPILOT_CLI_PATH=str(runtime))
    assert done.code == code, done.err
    text = (project / "heard").read_text()
    assert text.startswith("login --device-code\n")
    assert f"COPILOT_HOME={home / 'copilot'}" in text
    if code == 6:
        assert "COPILOT_GITHUB_TOKEN" in done.err


def test_the_runtime_itself_refuses_to_sign_in_offline(home: Path, project: Path) -> None:
    done = sdqctl("login")
    assert done.code == 6
    assert "offline" in done.err


def test_an_agent_without_a_sign_in_says_so(home: Path, project: Path) -> None:
    done = sdqctl("login", "-a", "mock")
    assert done.code == 5
    assert "mock" in done.err


def test_status_says_which_configuration_would_be_read(home: Path, project: Path) -> None:
    places = [home / ".config" / "sdqctl" / "sdqctl.toml", project / "sdqctl.toml"]
    for number, place in enumerate(places):
        view = sdqctl("status", "--format", "json").json
        assert view["configuration_places"] == [str(each) for each in places[number:]]
        assert view["configuration"] == [str(each) for each in places[:number]]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
    assert sdqctl("status", "--format", "json").json["configuration_places"] == []


@pytest.mark.thorough
def test_a_classic_token_is_refused_at_once(nobody: str) -> None:
    done = sdqctl("run", "w.conv", GH_TOKEN="ghp_" + "x" * 36)
    assert done.code == 6, done.err
    if nobody == "online":
        assert "GH_TOKEN" in done.err


@pytest.mark.thorough
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
