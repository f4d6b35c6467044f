"""Adapters of installed packages: found, named in errors, and no harm when they are broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sdqctl.adapters import registry
from sdqctl.errors import UsageError
from tests.command import sdqctl

GOOD = """\
from sdqctl.adapters import AdapterEntry
from sdqctl.adapters.mock.entry import MockEntry


class Other(MockEntry):
    name = "other"


OTHER = Other()
"""


def install(folder: Path, package: str, module: str, *lines: str) -> None:
    """What an installer leaves of a package that has one module and adapters."""
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    points = "\n".join(["[console_scripts]", "x = y:z", "", "[sdqctl.adapters]", *lines, ""])
    (metadata / "entry_points.txt").write_text(points)
    (folder / f"{package}.py").write_text(module)


@pytest.fixture
def packages(tmp_path: Path, home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that Python looks into."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def test_an_installed_adapter_is_listed_beside_ours(packages: Path) -> None:
    install(packages, "other_adapter", GOOD, "other = other_adapter:OTHER")
    adapters = sdqctl("status", "--adapters", "--format", "json").json["adapters"]
    assert {found["adapter"] for found in adapters} >= {"copilot", "mock"}
    assert sdqctl("sessions", "list", "-a", "other").code == 0


def test_the_error_of_an_unknown_adapter_names_the_known_ones(packages: Path) -> None:
    install(packages, "other_adapter", GOOD, "other = other_adapter:OTHER")
    near = sdqctl("sessions", "list", "-a", "othre")
    assert near.code == 2
    assert "did you mean other?" in near.err
    far = sdqctl("sessions", "list", "-a", "xyz")
    assert far.code == 2
    assert "copilot, mock, opencode" in far.err
    assert "other" in far.err


@pytest.mark.each(4)
@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("import not_there", "not_there"),
        ("BROKEN = 1", "no AdapterEntry"),
        ("", "no attribute 'BROKEN'"),
        (GOOD + "BROKEN = OTHER", "no AdapterEntry of the name 'broken'"),
    ],
)
def test_a_broken_adapter_is_named_with_its_package_and_harms_no_other(
    module: str, why: str, packages: Path
) -> None:
    install(packages, "bad_package", module, "broken = bad_package:BROKEN")
    asked = sdqctl("sessions", "list", "-a", "broken")
    assert asked.code == 5
    assert "bad_package" in asked.err
    assert why in asked.err
    listed = sdqctl("sessions", "list", "--format", "json")
    assert (listed.code, listed.json) == (0, [])
    assert listed.err.count("warning: ") == 1
    assert "bad_package" in listed.err


def test_an_adapter_whose_archive_cannot_be_made_is_a_broken_one(packages: Path) -> None:
    archive = "    def archive(self, settings):\n        import not_there\n"
    module = GOOD.replace('    name = "other"\n', f'    name = "other"\n\n{archive}')
    install(packages, "bad_package", module, "other = bad_package:OTHER")
    listed = sdqctl("sessions", "list", "--format", "json")
    assert (listed.code, listed.json) == (0, [])
    assert "bad_package" in listed.err
    assert sdqctl("sessions", "list", "-a", "other").code == 5


def test_nobody_takes_the_name_of_one_of_ours(packages: Path) -> None:
    install(packages, "thief", "raise SystemExit(99)", "mock = thief:MOCK")
    done = sdqctl("sessions", "list")
    assert (done.code, done.err) == (0, "")


def test_what_lies_in_the_working_directory_is_not_installed(home: Path, project: Path) -> None:
    install(project, "evil", "raise SystemExit(99)", "evil = evil:EVIL")
    done = sdqctl("sessions", "list", "--format", "json")
    assert (done.code, done.json, done.err) == (0, [], "")
    assert sdqctl("sessions", "list", "-a", "evil").code == 2


def test_finding_adapters_loads_neither_them_nor_the_metadata_reader(packages: Path) -> None:
    install(packages, "other_adapter", GOOD, "other = other_adapter:OTHER")
    program = (
        "import sys; from sdqctl.adapters.registry import adapter_names; print(adapter_names());"
        "print({'other_adapter', 'importlib.metadata'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [str((*registry.OWN, "other")), "set()"]


def test_an_unknown_name_is_an_error_of_use() -> None:
    with pytest.raises(UsageError, match="unknown adapter"):
        registry.entry("nobody")
