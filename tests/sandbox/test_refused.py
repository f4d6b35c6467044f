"""What is recognised as a refusal of the net, and that nothing else is."""

from __future__ import annotations

import pytest

from sdqctl.sandbox.profile import runtime_profile
from sdqctl.sandbox.refused import refused_paths
from tests.sandbox.confined import Place

SAID = [
    "cat: {path}: Permission denied",
    "bash: line 1: {path}: Permission denied",
    "touch: cannot touch '{path}': Permission denied",
    "open {path}: permission denied",
    "Error: EACCES: permission denied, open '{path}'",
    "PermissionError: [Errno 13] Permission denied: '{path}'",
    "fatal: could not open '{path}' for reading: Permission denied",
    "error: failed to open file `{path}`: Permission denied (os error 13)",
]


def refused(text: str, at: Place, mode: str = "audit") -> list[tuple[str, str]]:
    """Path and access of each refusal."""
    profile = runtime_profile(at.wanted(mode))
    found = refused_paths(text, at.project, profile, str(at.project), "/tmp/own")
    return [(refusal.path, refusal.access) for refusal in found]


@pytest.mark.parametrize("said", SAID)
def test_programs_say_it_in_many_ways(said: str, at: Place) -> None:
    assert refused(said.format(path=at.secret), at)[0][0] == str(at.secret)
    assert refused(said.format(path=at.outside / "new"), at) == [(str(at.outside / "new"), "write")]


@pytest.mark.parametrize(
    "said",
    [
        "cat: {project}/inside.txt: Permission denied",
        "cat: /nowhere/at/all: Permission denied",
        "cat: {secret}: No such file or directory",
        "Permission denied",
        "ssh: git@host: Permission denied (publickey)",
        "{secret} is fine",
        "cat: /tmp/own/x: Permission denied",
        "",
    ],
)
def test_what_the_net_lets_through_or_could_not_be_is_not_its_refusal(said: str, at: Place) -> None:
    text = said.format(project=at.project, secret=at.secret)
    assert refused(text, at, mode="implement") == []


def test_a_path_in_the_working_directory_is_named_as_a_write_in_a_reading_mode(at: Place) -> None:
    text = (
        "bash: inside.txt: Permission denied\nmkdir: cannot create directory 'd': Permission denied"
    )
    assert refused(text, at) == [
        (str(at.project / "inside.txt"), "write"),
        (str(at.project / "d"), "write"),
    ]


@pytest.mark.parametrize(
    ("mode", "path", "hint"),
    [
        ("audit", "{project}/x", "`--mode implement`"),
        ("audit", "{outside}/x", "--allow-tool 'write({outside}/x)'"),
        ("implement", "{outside}/x", 'sandbox_write = ["{outside}"]'),
        ("audit", "{outside}/secret.txt", "--allow-tool 'read({outside}/secret.txt)'"),
        ("implement", "{home}/sdqctl", "it belongs to sdqctl"),
    ],
)
def test_the_hint_names_the_setting_that_would_allow_it(
    mode: str, path: str, hint: str, at: Place
) -> None:
    names = {"project": at.project, "outside": at.outside, "home": at.home}
    profile = runtime_profile(at.wanted(mode))
    text = f"cat: {path.format(**names)}: Permission denied"
    found = refused_paths(text, at.project, profile, str(at.project), "/tmp/own")
    assert hint.format(**names) in found[0].hint


def test_a_flood_of_output_is_judged_by_its_end_and_few_are_reported(at: Place) -> None:
    lines = [f"cat: {at.outside}/f{n}: Permission denied" for n in range(100_000)]
    assert len(refused("\n".join(lines), at)) == 8
