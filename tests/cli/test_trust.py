"""What a repository brings has no effect until the user trusts it, and only as long as it stays."""

from __future__ import annotations

import json
import os
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from sdqctl.config import load_settings
from sdqctl.engine.repository import look_at_repository
from tests.command import Done, sdqctl
from tests.terminal import ENTER, Terminal

HOOK = '{"version": 1, "hooks": {"sessionStart": [{"type": "command", "bash": "./greet.sh"}]}}'
WRITES = "PROMPT [[tool: write made.txt made]] [[reply: done]]\n"


@pytest.fixture
def repository(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a hook, a server, a skill, and a configuration that allows writing."""
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    subprocess.run(["git", "init", "-q", project], check=True)
    write(project, ".github/hooks/greet.json", HOOK)
    write(project, ".mcp.json", '{"mcpServers": {"lab": {"command": "./lab", "args": ["-x"]}}}')
    write(project, ".github/skills/look/SKILL.md", "---\ndescription: looks around\n---\n")
    write(project, "sdqctl.toml", 'allow_tools = ["write(made.txt)"]\n')
    write(project, "w.conv", f"MODE audit\n{WRITES}")
    return project


def write(root: Path, name: str, text: str) -> None:
    """A file with its folders."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def state(*arguments: str | Path) -> str:
    """The state that `trust --show` finds."""
    shown = sdqctl("trust", *arguments, "--show", "--format", "json")
    assert shown.code == 0, shown.err
    return str(shown.json["state"])


def run(*flags: str) -> tuple[Done, bool]:
    """A run that wants to write a file, and whether it could."""
    Path("made.txt").unlink(missing_ok=True)
    done = sdqctl("run", "w.conv", "--session-name", f"s{os.urandom(4).hex()}", *flags)
    return done, Path("made.txt").exists()


def test_what_is_not_trusted_has_no_effect_and_that_is_said_once(repository: Path) -> None:
    done, wrote = run()
    assert not wrote
    assert done.err.count("sdqctl trust") == 1
    assert "configuration, 1 hook, 1 MCP server, 1 skill" in done.err
    assert "sdqctl trust" not in run("-q")[0].err


def test_trust_shows_everything_first_and_asks_nobody_without_a_terminal(repository: Path) -> None:
    refused = sdqctl("trust")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert refused.out.splitlines() == [
        "configuration\tsdqctl.toml\tsets allow_tools = write(made.txt)",
        "hook\t.github/hooks/greet.json\truns ./greet.sh",
        "MCP server\t.mcp.json\truns ./lab -x",
        "skill\t.github/skills/look/SKILL.md\tdescription: looks around",
    ]
    assert state() == "untrusted"
    assert sdqctl("trust", "--yes").code == 0
    assert state() == "trusted"
    done, wrote = run()
    assert wrote
    assert "trust" not in done.err


@pytest.mark.parametrize(("answer", "after"), [("y", "trusted"), ("n", "untrusted")])
def test_on_a_terminal_it_asks(answer: str, after: str, repository: Path) -> None:
    with Terminal(["trust"]) as terminal:
        terminal.wait_for("[y/N]")
        terminal.type(answer + ENTER)
        terminal.wait_for_end()
    assert state() == after


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        (".github/hooks/greet.json", HOOK + " ", "changed"),
        (".mcp.json", "{}", "changed"),
        (".github/skills/look/run.sh", "#!/bin/sh\n", "added"),
        (".github/lsp.json", "{}", "added"),
        (".github/copilot/settings.local.json", "{}", "added"),
        (".claude/settings.json", "{}", "added"),
        (".github/agents/x.agent.md", "x", "added"),
        (".github/extensions/x/extension.mjs", "x", "added"),
        ("sdqctl.toml", 'allow_tools = ["write(made.txt)"]\nmodel = "x"\n', "changed"),
        (".github/skills/look/SKILL.md", None, "gone"),
    ],
)
def test_any_change_ends_the_trust_in_all_of_it_and_says_what_changed(
    name: str, text: str | None, kind: str, repository: Path
) -> None:
    assert sdqctl("trust", "--yes").code == 0
    if text is None:
        (repository / name).unlink()
    else:
        write(repository, name, text)
    shown = sdqctl("trust", "--show", "--format", "json").json
    assert shown["state"] == "changed"
    assert shown["changes"] == {"added": [], "changed": [], "gone": [], kind: [name]}
    done, wrote = run()
    assert not wrote
    assert "has changed since it was trusted" in done.err
    assert f"{kind} since it was trusted: {name}" in sdqctl("trust", "--show").err


def test_the_digest_is_over_sorted_paths_and_contents(repository: Path) -> None:
    shown = sdqctl("trust", "--show", "--format", "json").json
    names = [
        ".github/hooks/greet.json",
        ".github/skills/look/SKILL.md",
        ".mcp.json",
        "sdqctl.toml",
    ]
    lines = b"".join(
        name.encode()
        + b"\0"
        + sha256((repository / name).read_bytes()).hexdigest().encode()
        + b"\n"
        for name in names
    )
    assert shown["digest"] == sha256(lines).hexdigest()


def test_trust_is_listed_and_taken_back(repository: Path) -> None:
    assert sdqctl("trust", "--list").out == ""
    sdqctl("trust", "--yes")
    assert sdqctl("trust", "--list").out == f"{repository}\n"
    assert sdqctl("trust", "--list", "--format", "json").json[0]["folder"] == str(repository)
    removed = sdqctl("trust", "--remove")
    assert removed.code == 0
    assert "no longer trusted" in removed.err
    assert not run()[1]
    assert sdqctl("trust", "--remove").err == f"{repository} is not trusted\n"


def test_trust_once_is_for_one_run(repository: Path) -> None:
    done, wrote = run("--trust-once")
    assert wrote
    assert "trust" not in done.err
    assert not run()[1]
    assert state() == "untrusted"


def test_no_repository_config_leaves_out_even_what_is_trusted(repository: Path) -> None:
    sdqctl("trust", "--yes")
    done, wrote = run("--no-repository-config")
    assert not wrote
    assert "trust" not in done.err
    write(repository, "sdqctl.toml", "this is broken")
    assert run("--no-repository-config")[0].code == 0
    assert run()[0].code == 2
    both = run("--no-repository-config", "--trust-once")[0]
    assert both.code == 2


@pytest.mark.each(2)
@pytest.mark.parametrize("name", ["sdqctl.toml", ".mcp.json", ".github/hooks", ".github"])
def test_a_link_is_not_trusted(name: str, repository: Path, tmp_path: Path) -> None:
    path = repository / name
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    refused = sdqctl("trust", "--yes")
    assert refused.code == 2
    assert "a link" in refused.err
    assert not run("--trust-once")[1]


def test_the_trust_in_another_folder_is_not_borrowed(repository: Path, tmp_path: Path) -> None:
    sdqctl("trust", "--yes")
    other = tmp_path / "other"
    other.mkdir()
    (other / ".git").mkdir()
    write(other, "sdqctl.toml", (repository / "sdqctl.toml").read_text())
    assert state(other) == "untrusted"


@pytest.mark.each(3)
@pytest.mark.parametrize("name", ["sdqctl.toml", ".github/hooks/greet.json", ".github/hooks"])
def test_what_everyone_can_write_is_not_trusted(name: str, repository: Path) -> None:
    sdqctl("trust", "--yes")
    path = repository / name
    path.chmod(path.stat().st_mode | 0o002)
    assert state() == "refused"
    refused = sdqctl("trust", "--yes")
    assert refused.code == 2
    assert "can be written by everyone" in refused.err
    done, wrote = run()
    assert not wrote
    assert "can be written by everyone" in done.err


def test_what_version_0_1_was_told_to_trust_counts_for_the_configuration(
    home: Path, repository: Path
) -> None:
    config = repository / "sdqctl.toml"
    record = home / "sdqctl" / "trusted.json"
    record.parent.mkdir()
    record.write_text(json.dumps({str(config): sha256(config.read_bytes()).hexdigest()}))
    done, wrote = run()
    assert wrote
    assert "1 hook, 1 MCP server, 1 skill)" in done.err
    assert "configuration" not in done.err
    assert sdqctl("trust", "--list").out == f"{config}\n"
    config.write_text('allow_tools = ["write"]\n')
    assert not run()[1]
    assert sdqctl("trust", "--remove").code == 0
    assert sdqctl("trust", "--list").out == ""


def test_the_repository_is_that_of_the_working_directory(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdqctl("trust", "--yes")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    workflow = repository / "w.conv"
    done = sdqctl("run", workflow, "--cwd", repository, "--session-name", "flag")
    assert done.code == 0, done.err
    assert (repository / "made.txt").exists()
    (repository / "made.txt").unlink()
    done = sdqctl("resume", "flag", "--prompt", WRITES.removeprefix("PROMPT "))
    assert (repository / "made.txt").exists(), done.err
    (repository / "made.txt").unlink()
    write(elsewhere, "x.conv", f"CWD {repository}\n{WRITES}")
    sdqctl("run", "x.conv", "--session-name", "directive")
    assert (repository / "made.txt").exists()


def test_a_folder_that_brings_files_of_its_own_is_trusted_by_itself(repository: Path) -> None:
    inner, plain = repository / "inner", repository / "plain"
    plain.mkdir()
    write(inner, ".github/hooks/more.json", HOOK)
    sdqctl("trust", "--yes")
    assert (state(), state(plain), state(inner)) == ("trusted", "trusted", "untrusted")
    sdqctl("trust", inner, "--yes")
    assert (state(), state(plain), state(inner)) == ("trusted", "trusted", "trusted")
    write(repository, ".github/hooks/greet.json", "{}")
    assert (state(), state(plain), state(inner)) == ("changed", "changed", "changed")


def test_apply_and_several_workflows_say_it_once(repository: Path) -> None:
    write(repository, "a.txt", "a")
    write(repository, "b.txt", "b")
    write(repository, "v.conv", WRITES)
    applied = sdqctl("apply", "w.conv", "--components", "*.txt")
    assert applied.err.count("sdqctl trust") == 1
    both = sdqctl("run", "w.conv", "v.conv")
    assert both.err.count("sdqctl trust") == 1
    Path("made.txt").unlink(missing_ok=True)
    assert sdqctl("apply", "v.conv", "--components", "*.txt", "--trust-once").code == 0
    assert Path("made.txt").exists()


def test_a_repository_that_brings_nothing_needs_no_trust(repository: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    write(plain, "AGENTS.md", "be kind")
    write(plain, "sdqctl.toml", 'deny_tools = ["url"]\nmax_tokens = 5\n')
    assert state(plain) == "empty"
    done = sdqctl("trust", plain)
    assert done.code == 0
    assert "nothing that needs trust" in done.err


def test_settings_that_do_not_count_are_no_error_and_budgets_hold(repository: Path) -> None:
    write(repository, "sdqctl.toml", 'adapter = "copilot"\ndeny_tools = []\nmax_tokens = 1\n')
    write(repository, "w.conv", "PROMPT a [[reply: a]]\nPROMPT b [[reply: b]]\n")
    done, _ = run()
    assert done.code == 4
    assert "--max-tokens" in done.err


def test_a_later_denial_of_the_user_holds_when_a_run_goes_on(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    write(repository, "p.conv", f"MODE implement\nPROMPT a [[reply: a]]\nPAUSE\n{WRITES}")
    assert sdqctl("run", "p.conv", "--session-name", "p").code == 8
    mine = tmp_path / "mine.toml"
    mine.write_text('deny_tools = ["write"]\n')
    sdqctl("resume", "p", "--continue", SDQCTL_CONFIG=str(mine))
    assert not (repository / "made.txt").exists()


def test_what_a_repository_allowed_ends_with_the_trust_also_for_a_run_that_goes_on(
    repository: Path,
) -> None:
    write(repository, "p.conv", f"PROMPT a [[reply: a]]\nPAUSE\n{WRITES}")
    sdqctl("trust", "--yes")
    for name in ("left-out", "untrusted", "trusted"):
        assert sdqctl("run", "p.conv", "--session-name", name).code == 8
    made = repository / "made.txt"
    sdqctl("resume", "left-out", "--continue", "--no-repository-config")
    assert not made.exists()
    sdqctl("trust", "--remove")
    sdqctl("resume", "untrusted", "--continue")
    assert not made.exists()
    sdqctl("trust", "--yes")
    sdqctl("resume", "trusted", "--continue")
    assert made.exists()


def test_a_command_that_shows_is_shown_whole(repository: Path) -> None:
    hidden = " " * 300 + "; touch evil"
    text = json.dumps({"hooks": {"sessionStart": [{"type": "command", "bash": f"true{hidden}"}]}})
    write(repository, ".github/hooks/greet.json", text)
    assert "runs true ; touch evil" in sdqctl("trust", "--show").out
    escapes = json.dumps({"hooks": {"sessionStart": [{"bash": "\x1b[2K true"}]}})
    write(repository, ".github/hooks/greet.json", escapes)
    assert "\x1b" not in sdqctl("trust", "--show").out


def test_what_a_file_names_is_bound_as_well(repository: Path) -> None:
    write(repository, "greet.sh", "echo hello")
    write(repository, "more/hooks.json", HOOK)
    write(repository, ".github/copilot/settings.json", '{"hookDirectories": ["more"]}')
    assert sdqctl("trust", "--yes").code == 0
    for name in ("greet.sh", "more/hooks.json", "more/second.json"):
        before = (repository / name).read_text() if (repository / name).exists() else None
        write(repository, name, "{}")
        assert state() == "changed", name
        (repository / name).unlink()
        if before is not None:
            write(repository, name, before)
    assert state() == "trusted"


def test_settings_that_cannot_be_read_are_not_trusted(repository: Path) -> None:
    write(repository, ".github/copilot/settings.json", "{ // hooks elsewhere\n}")
    assert state() == "refused"


def test_what_is_recorded_is_what_was_read_first(repository: Path, home: Path) -> None:
    environment = {"HOME": str(home), "SDQCTL_HOME": str(home / "sdqctl")}
    settings = load_settings(environment, repository)
    (repository / "sdqctl.toml").write_text('allow_tools = ["shell"]')
    assert settings.project is not None
    found = look_at_repository(
        home / "sdqctl", repository, settings.project, ignored=settings.ignored
    )
    digest = sha256(b'allow_tools = ["write(made.txt)"]\n').hexdigest()
    assert found.files[0].digest == digest
