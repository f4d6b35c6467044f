"""A workflow writes its own files inside the working directory, or where ALLOW-DIR says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sdqctl.engine.results import write_whole
from sdqctl.errors import StoreError
from tests.command import Done, sdqctl

PROMPT = "PROMPT hi [[reply: done]]\n"


@pytest.fixture
def repository(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository that is the working directory; runs are the mock's."""
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    subprocess.run(["git", "init", "-q", project], check=True)
    return project


def files(folder: Path) -> set[Path]:
    """All files below a folder."""
    return {path for path in folder.rglob("*") if path.is_file() and "home" not in path.parts}


def run(text: str, *flags: str) -> Done:
    """A workflow with some directives, and a prompt."""
    Path("w.conv").write_text(f"{text}\n{PROMPT}")
    return sdqctl("run", "w.conv", *flags)


REFUSED = [
    "OUTPUT-FILE ../out.md",
    "OUTPUT-FILE /tmp/sdqctl-out.md",
    "OUTPUT-FILE ~/out.md",
    "OUTPUT-FILE .git/hooks/pre-commit",
    "OUTPUT-FILE .github/hooks/x.json",
    "OUTPUT-FILE .github/skills/x/SKILL.md",
    "OUTPUT-FILE sdqctl.toml",
    "OUTPUT-FILE next.conv",
    "OUTPUT-FILE sub/.git/config",
    "OUTPUT-FILE linked/out.md",
    "OUTPUT-FILE linked/../out.md",
    "OUTPUT-FILE leads-out.md",
    "OUTPUT-DIR ..\nOUTPUT-FILE out.md",
    "OUTPUT-DIR .git/hooks\nOUTPUT-FILE pre-commit",
    "EVENT-LOG ../events.jsonl",
    "EVENT-LOG .git/hooks/post-commit",
    "EVENT-LOG linked/events.jsonl",
    "EVENT-LOG leads-out.md",
    "ALLOW-DIR .git\nOUTPUT-FILE .git/hooks/pre-commit",
]


@pytest.mark.each(2)
@pytest.mark.parametrize("text", REFUSED)
def test_a_file_outside_or_one_that_steers_is_refused_before_anything_runs(
    text: str, repository: Path, tmp_path: Path
) -> None:
    (repository / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (repository / "leads-out.md").symlink_to(tmp_path / "elsewhere" / "victim")
    before = files(tmp_path) | {repository / "w.conv"}
    done = run(text)
    assert done.code == 3, done.err
    line = text.count("\n") + 1
    assert f"w.conv:{line}:" in done.err
    assert files(tmp_path) == before
    assert sdqctl("sessions", "list", "--format", "json").json == []


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("OUTPUT-FILE out.md", "out.md"),
        ("OUTPUT-FILE deep/er/out.md", "deep/er/out.md"),
        ("OUTPUT-DIR reports\nOUTPUT-FILE out.md", "reports/out.md"),
        ("OUTPUT-FILE {{WORKFLOW_NAME}}.md", "w.md"),
        ("OUTPUT-FILE .github/notes.md", ".github/notes.md"),
        ("ALLOW-DIR ../shared\nOUTPUT-FILE ../shared/out.md", "../shared/out.md"),
        ("EVENT-LOG logs/{{WORKFLOW_NAME}}.jsonl", "logs/w.jsonl"),
        ("OUTPUT-FILE inside/out.md", "real/out.md"),
    ],
)
def test_a_file_inside_or_where_allow_dir_says_is_written(
    text: str, written: str, repository: Path
) -> None:
    (repository / "real").mkdir()
    (repository / "inside").symlink_to("real")
    done = run(text)
    assert done.code == 0, done.err
    assert (repository / written).exists()


def test_the_workflows_own_folder_is_a_place_as_well(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (repository / "w.conv").write_text(f"OUTPUT-FILE {repository}/out.md\n{PROMPT}")
    monkeypatch.chdir(work)
    assert sdqctl("run", repository / "w.conv").code == 0
    assert (repository / "out.md").exists()


@pytest.mark.parametrize("name", ["../../escaped", ".git/hooks/pre-commit"])
def test_a_session_name_does_not_lead_out(name: str, repository: Path, tmp_path: Path) -> None:
    done = run("OUTPUT-FILE {{SESSION_NAME}}\nEVENT-LOG {{SESSION_NAME}}", "--session-name", name)
    assert done.code == 3, done.err
    assert not (tmp_path.parent / "escaped").exists()
    assert not (repository / ".git/hooks/pre-commit").exists()


def test_a_component_does_not_lead_out(repository: Path, tmp_path: Path) -> None:
    (repository / "list.txt").write_text("../escaped\n")
    (repository / "w.conv").write_text(f"OUTPUT-FILE {{{{COMPONENT_PATH}}}}.md\n{PROMPT}")
    assert sdqctl("apply", "w.conv", "--components", "@list.txt").code == 4
    assert not (tmp_path / "escaped.md").exists()


def test_a_link_that_appears_during_the_run_is_not_followed(
    repository: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (repository / "w.conv").write_text(
        f"OUTPUT-FILE out/answer.md\nRUN ln -s {outside} out\n{PROMPT}"
    )
    done = sdqctl("run", "w.conv")
    assert done.code == 3, done.err
    assert list(outside.iterdir()) == []


def test_what_the_user_types_is_free(repository: Path, tmp_path: Path) -> None:
    done = run("OUTPUT-FILE .git/hooks/pre-commit", "--output", str(tmp_path / "typed.md"))
    assert done.code == 0, done.err
    assert (tmp_path / "typed.md").read_text() == "done\n"
    assert not (repository / ".git/hooks/pre-commit").exists()


def test_validate_finds_them_with_line_and_column(repository: Path) -> None:
    Path("w.conv").write_text(
        "MODE audit\nOUTPUT-DIR ../reports\nOUTPUT-FILE {{DATE}}.md\n"
        f"EVENT-LOG .git/events.jsonl\n{PROMPT}"
    )
    found = sdqctl("validate", "w.conv", "--format", "json")
    assert found.code == 3
    places = [(one["line"], one["column"], one["message"].split()[0]) for one in found.json]
    assert places == [(2, 12, "OUTPUT-DIR"), (3, 13, "OUTPUT-FILE"), (4, 11, "EVENT-LOG")]
    assert f"{os.sep}project" in found.json[0]["message"]
    Path("w.conv").write_text(f"OUTPUT-FILE reports/{{{{SESSION_NAME}}}}.md\n{PROMPT}")
    assert sdqctl("validate", "w.conv").code == 0


def test_a_folder_that_becomes_a_link_in_the_last_moment_takes_nothing_out(
    tmp_path: Path,
) -> None:
    """A command beside the run may change it at any moment."""
    outside, folder = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    folder.mkdir()
    place = folder / "answer.md"
    write_whole(place, "first", links=False)
    assert place.read_text() == "first"
    folder.rename(tmp_path / "other")
    folder.symlink_to(outside)
    with pytest.raises(StoreError, match="cannot be written"):
        write_whole(place, "second", links=False)
    assert [*outside.iterdir()] == []
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["answer.md"]
