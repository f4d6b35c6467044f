"""RUN commands inside, by the real command line on the mock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import sdqctl

SECRET = "TOP-SECRET"


@pytest.fixture
def secret(bench: Bench) -> Path:
    """A file that lies neither in the project nor in a place that the net lets through."""
    file = bench.home / ".ssh" / "id"
    file.parent.mkdir()
    file.write_text(SECRET)
    return file


def reads(secret: Path, *, mode: str = "audit") -> str:
    """A workflow whose commands read a secret, write outside and write inside."""
    return (
        f"MODE {mode}\nALLOW-SHELL true\nRUN-ON-ERROR continue\n"
        f"RUN cat {secret}; echo x > {secret.parent}/new; echo x > made; pwd > $TMPDIR/here\n"
        "PROMPT go [[reply: done]]\n"
    )


@pytest.mark.parametrize("mode", ["audit", "implement"])
def test_a_command_writes_in_the_working_directory_and_reads_no_secret(
    mode: str, bench: Bench, secret: Path
) -> None:
    told = bench.run(reads(secret, mode=mode))
    assert told.done.code == 0, told.done.err
    assert SECRET not in told.prompts[0]
    assert "Permission denied" in told.prompts[0]
    assert (bench.project / "made").read_text() == "x\n"
    assert [path.name for path in secret.parent.iterdir()] == ["id"]


def test_a_refusal_is_an_event_is_reported_once_and_counted_in_the_result(
    bench: Bench, secret: Path
) -> None:
    text = f"{reads(secret)}RUN cat {secret}\nPROMPT more [[reply: done]]\n"
    told = bench.run(text)
    events = told.of("net.refused")
    assert [event["path"] for event in events] == [
        str(secret),
        str(secret.parent / "new"),
        str(secret),
    ]
    assert [event["access"] for event in events] == ["read", "write", "read"]
    assert told.done.err.count("sandbox (landlock)") == 1
    assert "--allow-tool" in told.done.err
    result = json.loads(told.done.out.splitlines()[-1])["sandbox"]
    assert (result["kind"], result["refusals"], len(result["refused"])) == ("landlock", 3, 2)
    assert told.of("session.opened")[0]["sandbox"] == "landlock"
    audit = sdqctl("sessions", "show", "s", "--audit", "--format", "json").json["audit"]
    found = [(entry["target"], entry["by"]) for entry in audit if entry["source"] == "net"]
    assert found == [(event["path"], "landlock") for event in events]


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        (["--sandbox", "none"], ""),
        (["--mode", "full"], ""),
        ([], 'sandbox = "none"\n'),
        ([], "sandbox_run = false\n"),
        (["--allow-tool", "read(~/.ssh)"], ""),
        ([], 'allow_tools = ["read(~/.ssh/id)"]\n'),
    ],
)
def test_what_the_user_lets_through_is_read(
    flags: list[str], settings: str, bench: Bench, secret: Path
) -> None:
    (bench.home / "my.toml").write_text(settings)
    told = bench.run(reads(secret), *flags, SDQCTL_CONFIG=str(bench.home / "my.toml"))
    assert SECRET in told.prompts[0]


def test_mode_full_is_inside_when_that_is_asked_for(bench: Bench, secret: Path) -> None:
    told = bench.run(reads(secret, mode="full"), "--sandbox", "landlock")
    assert SECRET not in told.prompts[0]


def test_a_folder_more_may_be_written_by_a_setting(bench: Bench, secret: Path) -> None:
    (bench.home / "my.toml").write_text(f'sandbox_write = ["{secret.parent}"]\n')
    told = bench.run(reads(secret), SDQCTL_CONFIG=str(bench.home / "my.toml"))
    assert told.done.code == 0, told.done.err
    assert (secret.parent / "new").read_text() == "x\n"


def test_the_folder_of_run_cwd_is_open_to_its_command_alone(bench: Bench, secret: Path) -> None:
    text = (
        f"ALLOW-SHELL true\nRUN-ON-ERROR continue\nRUN-CWD {secret.parent}\nRUN echo x > new\n"
        f"RUN-CWD .\nRUN cat {secret}\nPROMPT go\n"
    )
    told = bench.run(text)
    assert (secret.parent / "new").exists()
    assert SECRET not in told.prompts[0]


@pytest.mark.parametrize(
    "left", ["ln -sf {secret} head", "ln -sfn {folder} stdout", "mkfifo x; mv x head"]
)
def test_what_a_command_leaves_among_its_own_records_opens_nothing(
    left: str, bench: Bench, secret: Path
) -> None:
    """The keeper works in the command's net, and sdqctl reads outside of it what it wrote."""
    (secret.parent / "head").write_text(SECRET)
    words = left.format(secret=secret, folder=secret.parent)
    told = bench.run(
        "ALLOW-SHELL true\n"
        f"RUN echo one; sleep 0.2; cd $SDQCTL_COMMAND; mv stdout old; {words}\n"
        "CAPTURE said AS lines\n"
        "PROMPT go {{said}} [[reply: done]]\n"
    )
    assert told.done.code == 0, told.done.err
    assert SECRET not in told.prompts[0]


def test_the_folder_of_run_cwd_is_not_opened_through_a_link_in_the_project(
    bench: Bench, secret: Path
) -> None:
    (bench.home / "other" / "web").mkdir(parents=True)
    (bench.project / "packages").symlink_to(bench.home / "other")
    told = bench.run(
        "ALLOW-SHELL true\nRUN-ON-ERROR continue\n"
        "RUN-CWD packages/web\nRUN echo x > new\nPROMPT go\n"
    )
    assert "ermission denied" in told.prompts[0]
    assert not (bench.home / "other" / "web" / "new").exists()


@pytest.mark.parametrize("before", [True, False])
def test_no_link_in_place_of_an_allowed_folder_brings_a_secret_into_a_prompt(
    before: bool, bench: Bench, secret: Path
) -> None:
    """It is read outside of the net."""
    docs = bench.project / "docs"
    if before:
        docs.symlink_to(secret.parent)
    else:
        docs.mkdir()
        (docs / secret.name).write_text("harmless")
    told = bench.run(
        f"ALLOW-SHELL true\nALLOW-DIR docs\nRUN rm -rf docs; ln -s {secret.parent} docs\n"
        f"PROMPT go\nCONTEXT @docs/{secret.name}\n"
    )
    assert "leads outside the allowed folders" in told.done.err
    assert not told.of("prompt.begun")


def test_a_background_command_is_inside(bench: Bench, secret: Path) -> None:
    told = bench.run(f"RUN-ASYNC cat {secret}\nRUN-WAIT 1s\nPROMPT go\n")
    assert "Permission denied" in told.prompts[0]


def test_a_command_reaches_neither_the_ledger_nor_sdqctl_itself(bench: Bench) -> None:
    home = bench.home / "sdqctl"
    told = bench.run(
        f"ALLOW-SHELL true\nRUN-ON-ERROR continue\nRUN ls {home}; cat {home}/ledger.db; "
        f"rm {home}/ledger.db; echo x > {home}/commands/x; ls {bench.home}/copilot\n"
        "RUN read -r _ _ _ up _ < /proc/$PPID/stat; kill -9 $up; kill -9 $PPID; exit 3\nPROMPT go\n"
    )
    assert told.done.code == 0, told.done.err
    assert "SQLite" not in told.prompts[0]
    assert (home / "ledger.db").exists()
    assert not (home / "commands" / "x").exists()


def test_the_temporary_folder_is_private_shared_by_the_commands_and_gone_afterwards(
    bench: Bench,
) -> None:
    told = bench.run(
        "ALLOW-SHELL true\nRUN echo kept > $TMPDIR/note; echo $TMPDIR\nRUN cat $TMPDIR/note\n"
        "PROMPT go\n"
    )
    lines = told.prompts[0].splitlines()
    folder = next(line for line in lines if line.startswith("/"))
    assert "kept" in lines
    assert not Path(folder).exists()


def test_a_link_in_a_project_that_holds_our_data_opens_nothing(
    bench: Bench, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies around the data is opened name by name, and a repository may hold any link."""
    data = bench.project / "state"
    monkeypatch.setenv("SDQCTL_HOME", str(data))
    (bench.project / "keys").symlink_to(secret.parent)
    (bench.project / "data").symlink_to("state")
    bench.write("kept.txt", "kept")
    text = (
        "MODE audit\nALLOW-SHELL true\nRUN-ON-ERROR continue\n"
        "RUN cat kept.txt keys/id data/ledger.db; echo x > keys/new; echo x > data/new\n"
        "PROMPT go [[reply: done]]\n"
    )
    told = bench.run(text)
    assert told.done.code == 0, told.done.err
    assert "kept" in told.prompts[0]
    assert SECRET not in told.prompts[0]
    assert "SQLite" not in told.prompts[0]
    assert [path.name for path in secret.parent.iterdir()] == ["id"]
    assert not (data / "new").exists()


def test_what_a_run_was_started_with_holds_when_it_goes_on(bench: Bench, secret: Path) -> None:
    text = f"PAUSE wait\n{reads(secret)}"
    assert bench.run(text, "--sandbox", "none").done.code == 8
    assert SECRET in bench.resume("--continue").prompts[0]


@pytest.mark.parametrize(
    "line", ['sandbox = "none"', "sandbox_run = false", 'sandbox_write = ["/"]']
)
def test_a_project_file_loosens_nothing_before_it_is_trusted(
    line: str, bench: Bench, secret: Path
) -> None:
    bench.write("sdqctl.toml", f"{line}\n")
    told = bench.run(reads(secret))
    assert told.done.code == 0, told.done.err
    assert SECRET not in told.prompts[0]
    assert not (secret.parent / "new").exists()
    assert "sdqctl trust" in told.done.err
    assert sdqctl("trust", "--yes").code == 0
    assert bench.run(reads(secret), "--session-name", "t").done.code == 0
    assert (secret.parent / "new").exists()


def test_a_workflow_that_requires_a_sandbox_runs_in_one_and_not_without(bench: Bench) -> None:
    text = "REQUIRE sandbox\nRUN touch ran\nPROMPT go\n"
    refused = bench.run(text, "--sandbox", "none")
    assert refused.done.code == 5
    assert "REQUIRE sandbox" in refused.done.err
    assert not (bench.project / "ran").exists()
    assert sdqctl("sessions", "list", "--format", "json").json == []
    assert bench.run(text).done.code == 0


def test_a_sandbox_that_cannot_be_had_is_exit_5_before_anything_runs(bench: Bench) -> None:
    refused = bench.run("RUN touch ran\nPROMPT go\n", "--sandbox", "bubblewrap", PATH="/nowhere")
    assert refused.done.code == 5
    assert not (bench.project / "ran").exists()


def test_status_says_which_net_holds(bench: Bench) -> None:
    told = sdqctl("status", "--adapters").out
    assert "sandbox: landlock" in told
    assert "none in mode full" in told
    found = sdqctl("status", "--adapters", "--format", "json").json["sandbox"]
    assert (found["reading"], found["writing"], found["full"]) == ("landlock", "landlock", "none")
    (bench.home / "my.toml").write_text('sandbox = "none"\n')
    off = sdqctl("status", SDQCTL_CONFIG=str(bench.home / "my.toml")).out
    assert "none in every mode" in off
