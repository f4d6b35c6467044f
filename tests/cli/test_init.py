"""`sdqctl init`, and what the program says when it is called alone."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sdqctl.cli.init import EXAMPLES
from tests.command import sdqctl
from tests.conftest import ROOT
from tests.terminal import Terminal
from tests.workspace.gits import git, repository

TEMPLATES = sorted(path.stem for path in (ROOT / "examples").glob("*.conv"))


def test_without_a_name_every_template_is_listed_with_a_line(home: Path) -> None:
    done = sdqctl("init")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == TEMPLATES
    assert all(len(line.split()) > 3 for line in done.out.splitlines())


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_written_as_it_is(name: str, home: Path, tmp_path: Path) -> None:
    done = sdqctl("init", name, cwd=tmp_path)
    assert done.code == 0
    assert (tmp_path / f"{name}.conv").read_bytes() == (EXAMPLES / f"{name}.conv").read_bytes()
    assert f"sdqctl run {name}.conv -a mock" in done.err


@pytest.mark.each(3)
@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_said_of_a_template_works(name: str, home: Path, project: Path) -> None:
    """The command that tries it, where there is what it needs: for most an empty folder."""
    told = sdqctl("init", name).err
    if "it needs" in told:
        a_shop(project)
    command = re.search("`sdqctl (run .*)`", told)
    assert command is not None
    done = sdqctl(*shlex.split(command.group(1)))
    assert done.code in (0, 8), done.err


def test_a_migration_without_its_rules_ends_before_a_session_is_made(
    home: Path, project: Path
) -> None:
    told = sdqctl("init", "migration").err
    assert "it needs MIGRATION.md" in told
    done = sdqctl("run", "migration.conv", "-a", "mock")
    assert done.code == 3
    assert "MIGRATION.md" in done.err
    assert sdqctl("sessions", "list", "-a", "mock", "--format", "json").json == []


@pytest.mark.thorough
def test_every_command_of_the_recipes_works(
    home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    a_shop(project)
    (project / "migrate-one.conv").write_text(
        "MODE implement\nPROMPT Move it. [[tool: write {{COMPONENT_NAME}}.new moved]]\n"
        "RUN grep -q new {{COMPONENT_PATH}}\n"
    )
    listed = []
    page = (ROOT / "docs" / "recipes.md").read_text()
    for line in re.findall("^sdqctl (.*)$", page, re.MULTILINE):
        done = sdqctl(*shlex.split(line, comments=True))
        one_fails = line.startswith("apply ")
        assert done.code in ((4,) if one_fails else (0, 8)), (line, done.err)
        listed += done.out.splitlines() if line.startswith("sessions list") else []
    assert [row.split("\t")[0] for row in listed] == ["migrate-one/src/list.py"]
    assert "cart.new" in git(project, "show", "--stat", "migrate-cart")


def a_shop(folder: Path) -> None:
    """A repository that has what the templates need."""
    files = {
        "README.md": "# Shop\n",
        "MIGRATION.md": "# Rules\n\n- one\n- two\n",
        "Makefile": "test:\n\t@echo all 3 tests pass\n",
        "src/cart.py": "new\n",
        "src/list.py": "old\n",
    }
    repository(folder, files)
    git(folder, "tag", "v1")
    for setting in ("name", "email"):
        git(folder, "config", f"user.{setting}", "dev@localhost")
    (folder / "README.md").write_text("# The shop\n")
    git(folder, "commit", "-qam", "second")


def test_a_file_that_exists_is_kept_unless_force_is_given(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.conv"
    mine.write_text("PROMPT mine\n")
    refused = sdqctl("init", "migration", "-o", "mine.conv", cwd=tmp_path)
    assert refused.code == 2
    assert mine.read_text() == "PROMPT mine\n"
    assert "--force" in refused.err
    assert sdqctl("init", "migration", "-o", "mine.conv", "--force", cwd=tmp_path).code == 0
    assert mine.read_bytes() == (EXAMPLES / "migration.conv").read_bytes()


def test_what_a_template_calls_is_written_beside_it(home: Path, tmp_path: Path) -> None:
    done = sdqctl("init", "review-each", "-o", "mine.conv", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "wrote review-file.conv, which it calls" in done.err
    assert sdqctl("validate", "mine.conv", cwd=tmp_path).code == 0
    assert sdqctl("init", "review-each", cwd=tmp_path).code == 0
    (tmp_path / "release-notes.conv").write_text("PROMPT my own\n")
    refused = sdqctl("init", "release", cwd=tmp_path)
    assert refused.code == 2
    assert "release-notes.conv, which it calls, exists already" in refused.err
    assert not (tmp_path / "release.conv").exists()
    assert sdqctl("init", "release", "--force", cwd=tmp_path).code == 0
    assert "my own" not in (tmp_path / "release-notes.conv").read_text()


def test_a_link_in_the_way_is_not_written_through(home: Path, tmp_path: Path) -> None:
    (tmp_path / "migration.conv").symlink_to(tmp_path / "elsewhere")
    assert sdqctl("init", "migration", cwd=tmp_path).code == 2
    assert not (tmp_path / "elsewhere").exists()


def test_a_dash_writes_to_stdout_and_runs_from_there(home: Path, tmp_path: Path) -> None:
    done = sdqctl("init", "security-audit", "-o", "-", cwd=tmp_path)
    assert done.out == (EXAMPLES / "security-audit.conv").read_text()
    assert not list(tmp_path.glob("*.conv"))
    ran = sdqctl("run", "-", "-a", "mock", "--session-name", "a", stdin=done.out, cwd=tmp_path)
    assert ran.code == 0


def test_a_misspelt_template_is_an_error_with_the_nearest_name(home: Path) -> None:
    done = sdqctl("init", "securty-audit")
    assert (done.code, done.out) == (2, "")
    assert re.search("did you mean security-audit", done.err)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40), (50, 15)])
def test_alone_on_a_terminal_it_says_what_to_do_and_what_is_unfinished_here(
    columns: int, rows: int, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = tmp_path / "w.conv"
    workflow.write_text("PROMPT a\nPAUSE look\nPROMPT b\n")
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        arguments = ("run", workflow, "-a", "mock", "--session-name", name)
        assert sdqctl(*arguments, cwd=tmp_path / name).code == 8
    monkeypatch.chdir(tmp_path / "here")
    with Terminal([], columns=columns, rows=rows) as terminal:
        assert terminal.wait_for_end() == 0
    assert all(len(line) < columns for line in terminal.text.splitlines())
    for command in ("sdqctl chat", "sdqctl init", "sdqctl resume  "):
        assert command in terminal.text
    assert "sdqctl resume here --continue" in terminal.text
    assert "sdqctl resume there" not in terminal.text


def test_alone_in_a_pipe_it_is_a_usage_error_with_the_whole_help(home: Path) -> None:
    done = sdqctl()
    assert (done.code, done.out) == (2, "")
    assert "Begin and go on:" in done.err
