"""Settings from many files: what an untrusted project may change, and where its paths start."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sdqctl.adapters.registry import own_settings
from sdqctl.config import SETTINGS, Rule, Settings, load_settings
from sdqctl.errors import UsageError
from sdqctl.project import ProjectFile, project_file, project_folder
from tests.conftest import ROOT
from tests.workspace.gits import git, repository


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home with a user's file that is set by `user`."""
    return {"HOME": str(tmp_path)}


def load(
    environment: dict[str, str], tmp_path: Path, *, user: str = "", project: str, trusted: bool
) -> Settings:
    """The settings for a user's file and a project's file."""
    mine, repository = tmp_path / "mine.toml", tmp_path / "repository"
    mine.write_text(user)
    (repository / ".git").mkdir(parents=True, exist_ok=True)
    (repository / "sdqctl.toml").write_text(project)
    return load_settings(
        {**environment, "SDQCTL_CONFIG": str(mine)},
        repository,
        trusts=lambda _file, _ignored: trusted,
        own=own_settings(),
    )


def value(settings: Settings, name: str) -> object:
    """A setting, also one that an adapter declares."""
    return getattr(settings, name) if name in SETTINGS else settings.own.get(name)


def test_denials_add_up_whether_the_project_is_trusted_or_not(
    environment: dict[str, str], tmp_path: Path
) -> None:
    for trusted in (True, False):
        for theirs, all_of_them in (("[]", ("url",)), ('["shell"]', ("url", "shell"))):
            found = load(
                environment,
                tmp_path,
                user='deny_tools = ["url"]',
                project=f"deny_tools = {theirs}",
                trusted=trusted,
            )
            assert found.deny_tools == all_of_them


@pytest.mark.parametrize("name", ["max_tokens", "max_turn_tool_calls"])
@pytest.mark.parametrize(
    ("mine", "theirs", "counts"), [(50, 0, 50), (50, 100, 50), (50, 10, 10), (0, 10, 10), (0, 0, 0)]
)
def test_the_smaller_budget_wins_and_none_is_the_largest(
    name: str, mine: int, theirs: int, counts: int, environment: dict[str, str], tmp_path: Path
) -> None:
    user, project = f"{name} = {mine}", f"{name} = {theirs}"
    found = load(environment, tmp_path, user=user, project=project, trusted=False)
    assert getattr(found, name) == counts
    assert found.ignored == (() if theirs == counts else (name,))
    trusted = load(environment, tmp_path, user=user, project=project, trusted=True)
    assert getattr(trusted, name) == theirs


@pytest.mark.parametrize(
    ("name", "mine", "theirs", "counts"),
    [
        ("step_timeout", "1h", "2h", 3600),
        ("step_timeout", "1h", "0s", 3600),
        ("step_timeout", "1h", "1m", 60),
        ("idle_timeout", "0", "1m", 60),
        ("max_time", "1h", "0", 3600),
        ("max_time", "0", "5m", 300),
        ("retry_for", "1m", "0", 0),
        ("retry_for", "0", "1m", 0),
    ],
)
def test_the_smaller_time_out_wins(
    name: str, mine: str, theirs: str, counts: float, environment: dict[str, str], tmp_path: Path
) -> None:
    found = load(
        environment,
        tmp_path,
        user=f'{name} = "{mine}"',
        project=f'{name} = "{theirs}"',
        trusted=False,
    )
    assert getattr(found, name) == counts


HARMFUL = {
    "home": '"elsewhere"',
    "copilot_home": '"elsewhere"',
    "runtime_path": '"./evil"',
    "adapter": '"mock"',
    "resume_if_exists": "true",
    "history_store": "false",
    "env": '["*"]',
    "allow_tools": '["shell"]',
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_setting_of_the_user_counts_in_a_projects_file_only_with_trust(
    name: str, environment: dict[str, str], tmp_path: Path
) -> None:
    project = f"{name} = {HARMFUL[name]}"
    alone = load(environment, tmp_path, project="", trusted=False)
    found = load(environment, tmp_path, project=project, trusted=False)
    assert value(found, name) == value(alone, name)
    assert found.ignored == (name,)
    trusted = load(environment, tmp_path, project=project, trusted=True)
    assert value(trusted, name) != value(alone, name)
    assert trusted.ignored == ()


def test_a_setting_that_says_nothing_else_is_the_users_alone() -> None:
    free = {name for name, known in SETTINGS.items() if known.metadata["rule"] is not Rule.USER}
    assert free == {
        "deny_tools",
        "model",
        "step_timeout",
        "idle_timeout",
        "retry_for",
        "max_turn_tool_calls",
        "max_tokens",
        "max_cost",
        "max_time",
        "warn_at",
    }


def test_a_projects_model_counts_where_the_user_has_none(
    environment: dict[str, str], tmp_path: Path
) -> None:
    project = 'model = "theirs"'
    assert load(environment, tmp_path, project=project, trusted=False).model == "theirs"
    mine = load(environment, tmp_path, user='model = "mine"', project=project, trusted=False)
    assert mine.model == "mine"


def test_relative_paths_start_from_the_folder_of_the_file(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = load(
        environment,
        tmp_path,
        user='copilot_home = "copilot"',
        project='runtime_path = "bin/run"',
        trusted=True,
    )
    assert found.own["copilot_home"] == tmp_path / "copilot"
    assert found.own["runtime_path"] == tmp_path / "repository" / "bin" / "run"


def test_a_project_file_that_is_a_link_or_lies_behind_one_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    elsewhere = tmp_path / "trusted.toml"
    elsewhere.write_text('allow_tools = ["shell"]')
    (root / "sdqctl.toml").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="a link"):
        project_file(root)


def test_a_pipe_in_place_of_a_project_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    os.mkfifo(tmp_path / "sdqctl.toml")
    with pytest.raises(UsageError, match="no file"):
        project_file(tmp_path)


def test_the_project_is_the_repository_around_a_folder(tmp_path: Path) -> None:
    inner = tmp_path / "repository" / "a" / "b"
    inner.mkdir(parents=True)
    assert project_folder(inner) == inner
    (tmp_path / "repository" / "a" / "sdqctl.toml").write_text("")
    assert project_folder(inner) == inner.parent
    (tmp_path / "repository" / ".git").write_text("gitdir: elsewhere")
    assert project_folder(inner) == tmp_path / "repository"
    found = project_file(inner)
    assert found is not None
    assert found.name == "a/sdqctl.toml"


@pytest.mark.parametrize("kind", ["a folder", "a link", "no head", "no objects", "another's"])
def test_what_git_takes_for_no_repository_ends_no_project(kind: str, tmp_path: Path) -> None:
    """Else what an agent obeys would lie above what was shown when trust was asked for."""
    top, inner = repository(tmp_path / "repository"), tmp_path / "repository" / "sub"
    mark = inner / ".git"
    if kind == "a link":
        mark.symlink_to("nowhere")
    elif kind == "a folder":
        mark.mkdir()
    else:
        shutil.copytree(top / ".git", mark)
    if kind == "no head":
        (mark / "HEAD").write_text("something")
    elif kind == "no objects":
        shutil.rmtree(mark / "objects")
    elif kind == "another's":
        (mark / "commondir").write_text("nowhere")
    assert git(inner, "rev-parse", "--show-toplevel").strip() == str(top)
    assert project_folder(inner) == top


def test_a_repository_within_another_is_a_project_of_its_own(tmp_path: Path) -> None:
    top = repository(tmp_path / "repository")
    inner = repository(top / "inner")
    assert project_folder(inner / "sub") == inner
    git(top, "worktree", "add", "-q", str(top / "tree"))
    assert project_folder(top / "tree" / "sub") == top / "tree"


def test_what_trust_is_asked_about_is_what_is_used(
    environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "sdqctl.toml"
    file.write_text('adapter = "mock"')

    def swap_and_trust(project: ProjectFile, ignored: tuple[str, ...]) -> bool:
        assert ignored == ("adapter",)
        file.write_text('adapter = "copilot"\nallow_tools = ["shell"]')
        return project.data == b'adapter = "mock"'

    found = load_settings(environment, tmp_path, trusts=swap_and_trust)
    assert (found.adapter, found.allow_tools) == ("mock", ())


def test_the_example_of_the_page_is_a_configuration_file(
    environment: dict[str, str], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]
    found = load(environment, tmp_path, user=example, project="", trusted=False)
    assert found.step_timeout == 45 * 60
    assert found.deny_tools == ("read(.env)", "url")
