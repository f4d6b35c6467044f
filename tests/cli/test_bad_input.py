"""What a user gets wrong: a clear error with its exit code, before anything starts."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import SDQCTL, sdqctl

MOCK = "ADAPTER mock\nPROMPT hello [[reply: hi]]\n"


@pytest.fixture
def workflow(home: Path, project: Path) -> Path:
    path = project / "work.conv"
    path.write_text(MOCK)
    return path


def nothing_was_made(home: Path) -> bool:
    return not list(home.glob("sdqctl/mock/*")) and not list(home.glob("copilot/session-state/*"))


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (None, 2, "no workflow file"),
        (b"", 3, "is empty"),
        (b"\x7fELF\0\0\0", 3, "binary"),
        (b"PROMPT \xff\xfe\n", 3, "UTF-8"),
        (b"PROMPT x" + b"a" * (1 << 20), 3, "1 MiB"),
        (b"# only a comment\n", 3, "PROMPT"),
        (b"PROMT hello\n", 3, "did you mean PROMPT?"),
        (b"Please do this\n", 3, "file.conv:1:1"),
    ],
)
def test_a_file_that_is_no_workflow_is_refused(
    content: bytes | None, code: int, told: str, home: Path, project: Path
) -> None:
    if content is not None:
        (project / "file.conv").write_bytes(content)
    done = sdqctl("run", "file.conv", "-a", "mock")
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert "Traceback" not in done.err
    assert nothing_was_made(home)


def test_a_folder_is_no_workflow(home: Path, project: Path) -> None:
    done = sdqctl("run", ".")
    assert done.code == 3
    assert "is a folder" in done.err


def test_the_error_of_a_misspelt_file_name_names_its_neighbour(home: Path, workflow: Path) -> None:
    done = sdqctl("run", "wrok.conv")
    assert done.code == 2
    assert "did you mean work.conv?" in done.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "empty"),
        (" lead", "white space"),
        ("trail\t", "white space"),
        ('quo"te', "double quote"),
        ("line\nbreak", "control character"),
        ("bell\x07", "control character"),
        ("x" * 300, "300 characters"),
    ],
)
def test_a_bad_session_name_is_refused_before_anything_starts(
    name: str, told: str, home: Path, workflow: Path
) -> None:
    done = sdqctl("run", workflow, "--session-name", name)
    assert done.code == 2
    assert told in done.err
    assert nothing_was_made(home)


@pytest.mark.each(3)
@pytest.mark.parametrize(
    "name", ["a/b", "..", "with blanks", "it's", "ünïcødé 会話", "-dash", "x" * 100]
)
def test_a_strange_but_allowed_name_is_found_again(name: str, home: Path, workflow: Path) -> None:
    assert sdqctl("run", workflow, f"--session-name={name}").code == 0
    listed = sdqctl("sessions", "list", "--format", "json").json
    assert [entry["name"] for entry in listed] == [name]
    resumed = sdqctl("resume", "--prompt", "more [[reply: yes]]", "--", name)
    assert (resumed.code, resumed.out) == (0, "yes\n"), resumed.err
    shown = sdqctl("sessions", "show", "--format", "json", "--", name)
    assert [turn["response"] for turn in shown.json["turns"]] == ["hi", "yes"]
    assert sorted(path.name for path in home.iterdir()) == ["sdqctl"]


def test_a_bad_name_in_the_file_is_an_error_at_its_line(home: Path, project: Path) -> None:
    (project / "w.conv").write_text('ADAPTER mock\nSESSION-NAME a"b\nPROMPT x\n')
    done = sdqctl("run", "w.conv")
    assert done.code == 3
    assert "w.conv:2:1" in done.err


def test_the_error_of_an_unknown_adapter_names_the_known_ones(home: Path, workflow: Path) -> None:
    done = sdqctl("run", workflow, "-a", "mok")
    assert done.code == 2
    assert "did you mean mock?" in done.err
    assert sdqctl("sessions", "list", "-a", "zzz").code == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("adapter = \n", "sdqctl.toml"),
        ("adaptor = 'mock'\n", "did you mean adapter?"),
        ("step_timeout = 'soon'\n", "is not a duration"),
        ("step_timeout = 5\n", "duration"),
        ("resume_if_exists = 'yes'\n", "true or false"),
        ("allow_tools = 'write'\n", "a list of strings"),
    ],
)
def test_a_broken_configuration_file_is_named(
    text: str, told: str, home: Path, workflow: Path, project: Path
) -> None:
    (project / "sdqctl.toml").write_text(text)
    done = sdqctl("run", workflow)
    assert done.code == 2
    assert "sdqctl.toml" in done.err
    assert told in done.err


def test_a_configuration_that_is_named_must_be_there(home: Path, workflow: Path) -> None:
    done = sdqctl("run", workflow, SDQCTL_CONFIG="/nowhere/sdqctl.toml")
    assert done.code == 2
    assert "SDQCTL_CONFIG" in done.err


@pytest.mark.parametrize("program", ["/nowhere/copilot", "/etc/hostname", "/bin/false", "/bin/cat"])
def test_a_runtime_path_that_is_no_runtime_is_exit_5(
    program: str, home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "w.conv").write_text("PROMPT x\n")
    done = sdqctl("run", "w.conv", COPILOT_CLI_PATH=program)
    assert done.code == 5, done.err
    assert program in done.err
    assert "Traceback" not in done.err
    assert sdqctl("sessions", "list", "--format", "json").json == []


def test_no_runtime_at_all_says_how_to_install_one(home: Path, project: Path) -> None:
    (project / "w.conv").write_text("PROMPT x\n")
    done = sdqctl("run", "w.conv", COPILOT_CLI_PATH="", PATH="/usr/bin:/bin")
    assert done.code == 5
    assert "npm install -g @github/copilot" in done.err


def test_without_a_home_the_error_names_what_to_set(home: Path, workflow: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "SDQCTL_HOME")}
    done = subprocess.run(
        [*SDQCTL, "run", str(workflow)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "SDQCTL_HOME" in done.stderr
    environment |= {"SDQCTL_HOME": str(home / "sdqctl")}
    environment |= {"COPILOT_HOME": str(home / "copilot")}
    done = subprocess.run(
        [*SDQCTL, "run", str(workflow)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_that_cannot_be_written_is_exit_9(home: Path, workflow: Path) -> None:
    """A file in the place of the folder: a read-only mode would not stop the superuser."""
    (home / "sdqctl").write_text("in the way")
    done = sdqctl("run", workflow)
    assert done.code == 9
    assert str(home / "sdqctl") in done.err
    assert "Traceback" not in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_result_that_cannot_be_written_is_no_success(home: Path, workflow: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*SDQCTL, "run", str(workflow), "--session-name", "full"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode not in (0, None)
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    shown = sdqctl("sessions", "show", "full", "--format", "json").json
    assert shown["turns"][0]["response"] == "hi"


def test_a_reader_that_goes_away_ends_the_command_quietly(home: Path, workflow: Path) -> None:
    for number in range(3):
        assert sdqctl("run", workflow, "--session-name", f"s{number}").code == 0
    command = " ".join(SDQCTL)
    done = subprocess.run(
        ["bash", "-c", f"{command} sessions list | head -c 1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_errors_are_one_json_object_on_stderr_when_json_is_wanted(
    home: Path, workflow: Path
) -> None:
    for arguments in (["resume", "nobody", "--prompt", "x"], ["run", "none.conv"], ["run"]):
        done = sdqctl(*arguments, "--format", "json")
        error = json.loads(done.err)["error"]
        assert error["exit"] == done.code != 0
        assert set(error) == {"code", "exit", "message", "hint"}
        assert done.out == ""


def test_data_is_readable_by_its_owner_alone(home: Path, workflow: Path) -> None:
    assert sdqctl("run", workflow).code == 0
    for path in [home / "sdqctl", *(home / "sdqctl").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("amount", ["-1", "nan", "inf"])
def test_a_limit_that_is_no_amount_is_named_by_its_option(amount: str, home: Path) -> None:
    done = sdqctl("run", "-a", "mock", "-p", "hi", "--max-cost", amount)
    assert done.code == 2
    assert "Invalid value for '--max-cost': " in done.err
