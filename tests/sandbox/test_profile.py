"""Which folders, ports and sockets each mode lets through."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sdqctl.errors import SandboxError
from sdqctl.foreign import is_below, leads_out
from sdqctl.model.sandbox import Access, SandboxNeeds
from sdqctl.sandbox.profile import (
    Profile,
    Wanted,
    _resolved,
    command_profile,
    runtime_profile,
)
from sdqctl.sandbox.repository import git_folders
from tests.sandbox.confined import Place, place

READING = ["audit", "analysis", "read-only", "verification", "", "no such mode", None]
WRITING = ["implement", "write", "full"]


def may(profile: Profile, path: Path) -> str:
    """`rw`, `r` or nothing."""
    real = os.path.realpath(path)
    letters = {Access.READ: "r", Access.WRITE: "w"}
    return "".join(letter for access, letter in letters.items() if profile.allows(real, access))


@pytest.mark.parametrize("mode", READING)
def test_a_reading_mode_reads_the_working_directory_and_writes_what_the_runtime_needs(
    mode: str | None, at: Place
) -> None:
    needs = SandboxNeeds(writes=(at.home / "copilot",), ports=(4711,))
    profile = runtime_profile(replace(at.wanted("audit", needs=needs), mode=mode))
    assert may(profile, at.project / "inside.txt") == "r"
    assert may(profile, at.home / "copilot" / "session-state") == "rw"
    assert may(profile, at.home / ".cache") == ""
    assert may(profile, Path("/usr/bin/env")) == "r"
    assert profile.ports == (4711,)
    assert not profile.sockets


@pytest.mark.parametrize("mode", WRITING)
def test_a_writing_mode_writes_the_working_directory_and_the_caches_of_builds(
    mode: str, at: Place
) -> None:
    profile = runtime_profile(at.wanted(mode, caches=("/srv/more",)))
    assert may(profile, at.project / "new.txt") == "rw"
    for name in (".cache/pip", ".npm/_cacache", ".cargo/registry/x", ".m2/repository", "go/pkg"):
        assert may(profile, at.home / name) == "rw", name
    assert may(profile, Path("/srv/more/x")) == "rw"
    assert profile.ports is None
    assert profile.sockets


@pytest.mark.parametrize("mode", ["audit", "implement"])
def test_what_holds_keys_is_not_read_in_any_mode(mode: str, at: Place) -> None:
    profile = runtime_profile(at.wanted(mode))
    for name in (
        "",
        ".ssh/id_ed25519",
        ".aws/credentials",
        ".npmrc",
        ".netrc",
        ".pypirc",
        ".git-credentials",
        ".config/git/credentials",
        ".config/gh/hosts.yml",
        ".cargo/credentials.toml",
        ".docker/config.json",
        ".gnupg/secring.gpg",
        ".kube/config",
        ".m2/settings.xml",
        ".gradle/gradle.properties",
        ".local/share/keyrings/login.keyring",
        ".bash_history",
        "sdqctl/ledger.db",
    ):
        assert may(profile, at.home / name) == "", name
    assert may(profile, at.home / ".gitconfig") == "r"
    assert may(profile, at.home / ".config/git/ignore") == "r"
    assert may(profile, Path("/tmp/x")) == ""
    assert may(profile, Path("/run/user/1000/bus")) == ""
    assert may(profile, Path("/dev/pts/0")) == ""
    assert may(profile, Path("/dev/null")) == "rw"


def test_commands_of_the_workflow_write_the_working_directory_in_every_mode(at: Place) -> None:
    profile = command_profile(at.wanted("audit"))
    assert may(profile, at.project / "new.txt") == "rw"
    assert may(profile, at.secret) == ""
    assert may(profile, at.home / "sdqctl" / "ledger.db") == ""
    assert profile.ports is None


@pytest.mark.parametrize(
    ("rules", "path", "wanted"),
    [
        ({"reads": ["{outside}"]}, "{outside}/secret.txt", "r"),
        ({"reads": ["{outside}/*.txt"]}, "{outside}/secret.txt", "r"),
        ({"reads": ["../outside/secret.txt"]}, "{outside}/secret.txt", "r"),
        ({"writes": ["docs/**"]}, "{project}/docs/a.md", "rw"),
        ({"writes": ["docs/**"]}, "{project}/src/a.py", "r"),
        ({"writes": ["docs/a.md"]}, "{project}/docs/a.md", "rw"),
        ({"writes": ["notes.md"]}, "{project}/deep/notes.md", "rw"),
        ({"writes": ["."]}, "{project}/new", "rw"),
        ({"writes": ["{outside}/new.txt"]}, "{outside}/new.txt", "rw"),
        ({"folders": ["../outside"]}, "{outside}/secret.txt", "r"),
        ({"folders": ["~/shared"]}, "{home}/shared/x", "r"),
        ({"reads": ["~/.npmrc"]}, "{home}/.npmrc", "r"),
        ({"reads": ["~/*.txt"]}, "{home}/seen.txt", "r"),
        ({"reads": ["~/*.txt"]}, "{home}/.ssh/id", ""),
        ({"writes": ["~/new.md"]}, "{home}/.ssh/id", ""),
        ({"reads": ["leads-out/secret.txt"]}, "{outside}/secret.txt", ""),
        ({"writes": ["leads-out/**"]}, "{outside}/secret.txt", ""),
        ({"folders": ["leads-out"]}, "{outside}/secret.txt", ""),
    ],
)
def test_a_rule_opens_what_it_names_and_no_link_of_a_repository_opens_more(
    rules: dict[str, list[str]], path: str, wanted: str, at: Place
) -> None:
    for folder in ("docs", "src", "deep"):
        (at.project / folder).mkdir()
    (at.home / "seen.txt").touch()
    (at.project / "leads-out").symlink_to(at.outside)
    names = {"project": at.project, "outside": at.outside, "home": at.home}
    given = {key: [text.format(**names) for text in texts] for key, texts in rules.items()}
    profile = runtime_profile(at.wanted("audit", **given))
    assert may(profile, Path(path.format(**names))) == wanted


def test_a_folder_that_may_be_used_may_be_written_in_a_writing_mode(at: Place) -> None:
    profile = runtime_profile(at.wanted("implement", folders=["../outside"]))
    assert may(profile, at.secret) == "rw"


def test_the_home_folder_as_the_place_of_a_program_is_not_opened(at: Place) -> None:
    path = f"{at.home}/bin:{at.home}/.local/bin:{at.home}/tool/bin:/usr/bin"
    environment = {"HOME": str(at.home), "PATH": path}
    profile = runtime_profile(replace(at.wanted("audit"), environment=environment))
    assert may(profile, at.home / "bin/x") == "r"
    assert may(profile, at.home / ".local/bin/x") == "r"
    assert may(profile, at.home / "tool/lib/x") == "r"
    assert may(profile, at.home / "notes") == ""
    assert may(profile, at.home / ".local/share/keyrings") == ""


def test_a_subfolder_of_a_repository_reads_all_of_it_for_builds_and_only_itself_otherwise(
    at: Place,
) -> None:
    (at.project / ".git").mkdir()
    part = at.project / "part"
    part.mkdir()

    def profile(mode: str) -> Profile:
        return runtime_profile(replace(at.wanted(mode), cwd=part))

    assert may(profile("implement"), at.project / "inside.txt") == "r"
    assert may(profile("implement"), at.project / ".git" / "HEAD") == "rw"
    assert may(profile("audit"), at.project / "inside.txt") == ""
    assert may(profile("audit"), at.project / ".git" / "HEAD") == "r"


def test_a_git_file_that_was_put_there_to_lead_elsewhere_opens_nothing(at: Place) -> None:
    for folder in (at.outside, at.outside / "objects", at.outside / "refs"):
        folder.mkdir(exist_ok=True)
    (at.outside / "HEAD").write_text("ref: refs/heads/main\n")
    (at.project / ".git").write_text(f"gitdir: {at.outside}\n")
    assert git_folders(str(at.project)) == ()
    assert may(runtime_profile(at.wanted("implement")), at.secret) == ""


def test_a_folder_named_worktrees_around_a_project_is_no_git_folder(tmp_path: Path) -> None:
    project = tmp_path / "worktrees" / "project"
    project.mkdir(parents=True)
    for name, text in (
        (".git", "gitdir: ."),
        ("HEAD", "ref: refs/heads/main"),
        ("gitdir", ".git"),
        ("commondir", "../.."),
    ):
        (project / name).write_text(f"{text}\n")
    assert git_folders(str(project)) == ()


def test_a_git_link_opens_nothing(at: Place) -> None:
    (at.project / ".git").symlink_to(at.outside)
    assert git_folders(str(at.project)) == ()


def test_ports_of_rules_and_needs_are_added_in_a_reading_mode(at: Place) -> None:
    wanted = at.wanted("audit", ports=(8080,), needs=SandboxNeeds(ports=(443,)))
    assert runtime_profile(wanted).ports == (443, 8080)


def test_equal_wishes_make_one_net_and_others_another(at: Place) -> None:
    def net(wanted: Wanted) -> object:
        return at.nets.make("landlock", wanted, None)

    assert net(at.wanted("audit")) is net(at.wanted("analysis"))
    assert net(at.wanted("audit")) is not net(at.wanted("implement"))


def test_links_are_resolved_and_what_lies_in_a_folder_that_is_granted_is_left_out(
    tmp_path: Path,
) -> None:
    top = Path(os.path.realpath(tmp_path))
    (top / "a" / "b").mkdir(parents=True)
    (top / "a-b" / "c").mkdir(parents=True)
    for name, leads in (
        ("l", "a"),
        ("a/up", ".."),
        ("c", "c"),
        ("a-b/l", f"{top}/l/b"),
        ("n", "x"),
    ):
        (top / name).symlink_to(leads)
    names = ["a", "b", "a-b", "c", "l", "n", "up", "..", ".", "x"]
    numbers = random.Random(1)
    for _ in range(2_000):
        paths = [
            "/".join([str(top), *numbers.choices(names, k=numbers.randrange(5))])
            for _ in range(numbers.randrange(1, 8))
        ]
        real = {os.path.realpath(path) for path in paths}
        outermost = [p for p in real if not any(q != p and is_below(p, q) for q in real)]
        assert _resolved(paths, (), {}) == tuple(sorted(outermost)), paths


NEEDED = {
    "the runtime's cache": "home/.cache/copilot",
    "the runtime's home in the project": "project/state",
}
PLANTED = NEEDED | {
    "a folder of PATH in the project": "project/node_modules/.bin",
    "what sandbox_write names in the project": "project/build",
    "what lies in a folder of ALLOW-DIR": "beside/build",
    "what sandbox_write names behind a link of the user": "alias/build",
}


@pytest.mark.parametrize("mode", ["audit", "implement"])
@pytest.mark.parametrize("where", PLANTED.values(), ids=PLANTED)
def test_a_link_that_a_repository_or_a_tool_left_opens_nothing(
    where: str, mode: str, at: Place
) -> None:
    top = at.project.parent
    (top / "beside").mkdir()
    (top / "alias").symlink_to("project")
    path = top / where
    needs = SandboxNeeds(
        reads=(at.project / "state",), writes=(at.home / ".cache/copilot", at.project / "state")
    )
    caches = [str(top / name / "build") for name in ("project", "beside", "alias")]
    wanted = at.wanted(mode, needs=needs, caches=caches, folders=[str(top / "beside")])
    programs = f"{at.project}/node_modules/.bin:{os.environ['PATH']}"
    wanted = replace(wanted, environment={**wanted.environment, "PATH": programs})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir()
    is_open = may(runtime_profile(wanted), path)
    path.rmdir()
    path.symlink_to(at.outside)
    assert is_open or (mode == "audit" and "build" in where), "a folder is opened there"
    assert may(command_profile(wanted), at.secret) == ""
    if where in NEEDED.values():
        with pytest.raises(SandboxError, match=f"needs {path}, which leads to {at.outside} by a"):
            runtime_profile(wanted)
    else:
        assert may(runtime_profile(wanted), at.secret) == ""


def test_what_home_keeps_elsewhere_is_opened_unless_a_tool_could_have_left_the_link(
    at: Place,
) -> None:
    (at.home / ".nvm").symlink_to(at.outside)
    assert may(runtime_profile(at.wanted("audit")), at.secret) == "r"
    in_home = replace(at.wanted("audit"), cwd=at.home)
    assert may(runtime_profile(in_home), at.secret) == ""


def test_an_environment_that_was_activated_is_opened_behind_a_link(at: Place) -> None:
    (at.project / ".venv").symlink_to(at.outside)
    environment = {**at.wanted("audit").environment, "VIRTUAL_ENV": f"{at.project}/.venv"}
    wanted = replace(at.wanted("audit"), environment=environment)
    assert may(runtime_profile(wanted), at.secret) == "r"


def test_a_way_by_links_ends_where_the_kernel_ends_and_leads_out_of_what_it_leaves(
    tmp_path: Path,
) -> None:
    top = os.path.realpath(tmp_path)
    folders = (f"{top}/in", f"{top}/in/deep")
    os.makedirs(f"{top}/in/deep")
    os.makedirs(f"{top}/out")
    for name, target in (
        ("in/out", "../out"),
        ("in/same", "deep"),
        ("in/deep/up", ".."),
        ("in/absolute", f"{top}/out"),
        ("out/in", "../in"),
        ("back", "in/out"),
        ("in/round", "round"),
    ):
        os.symlink(target, f"{top}/{name}")
    leads = {
        name: leads_out(f"{top}/{name}/x", folders)
        for name in (
            "in",
            "in/out",
            "in/same",
            "in/deep/up",
            "in/absolute",
            "out/in",
            "back",
            "in/round",
        )
    }
    assert leads == {
        "in": False,
        "in/out": True,
        "in/same": False,
        "in/deep/up": True,  # out of `deep`
        "in/absolute": True,
        "out/in": False,
        "back": True,
        "in/round": True,
    }
    assert not leads_out(f"{top}/in/out/in/x", folders), "and back again"


def test_a_project_in_shared_memory_opens_itself_there_and_nothing_else(in_memory: Path) -> None:
    at = place(in_memory)
    profile = runtime_profile(at.wanted("implement"))
    assert may(profile, at.project / "new.txt") == "rw"
    assert may(profile, at.secret) == ""


def test_a_project_elsewhere_may_use_shared_memory(at: Place) -> None:
    profile = runtime_profile(replace(at.wanted("implement"), cwd=Path("/srv/project")))
    assert may(profile, Path("/dev/shm/of-a-program")) == "rw"


@pytest.mark.parametrize("profile_of", [runtime_profile, command_profile])
@pytest.mark.parametrize("cache", [".local/share/uv", ".cache"])
def test_no_tool_writes_the_program_of_sdqctl_that_lies_in_a_cache(
    cache: str,
    profile_of: Callable[[Wanted], Profile],
    at: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It works outside of the net. So it is where `uv tool install` puts it."""
    top = at.home / cache
    own, other, python = top / "tools/sdqctl", top / "tools/other", top / "python/3.13"
    for folder in (own, other, python):
        folder.mkdir(parents=True)
    monkeypatch.setattr("sys.prefix", str(own))
    monkeypatch.setattr("sys.base_prefix", str(python))
    profile = profile_of(at.wanted("implement"))
    assert may(profile, own / "lib/site-packages/sdqctl/__init__.py") == "r"
    assert may(profile, python / "bin/python") == "r"
    assert may(profile, other / "lib/x") == "rw"
