"""`make release-check`: whether what would be published can be, and is the same each time.

Builds the source archive and the wheel, and both once more from the source archive in another
folder: all to the byte alike. Then what they say of themselves, and the licences of all that comes
along with an installation. Ends with 1 at the first thing that is not as it must be; else they lie
in `dist/`, with their digests and the Homebrew formula (REPOSITORY: whose releases it names).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.formula import formula

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("acp", "age", "fleet", "mcp", "telemetry", "ui")
FREE = ("MIT", "BSD", "Apache", "PSF", "ISC", "MPL", "Mozilla Public License", "LGPL")
"""Licences under which all of it may be used beside code of any licence."""
BY_THEIR_FILES = {"agent-client-protocol": "Apache-2.0", "pyrage": "MIT"}
"""What a package's licence file says where its metadata says nothing."""


class NotReadyError(Exception):
    """What is not as it must be."""


def build(source: Path, target: Path, *kinds: str) -> dict[str, str]:
    """Build from a folder; returns the archives' names and digests. Raises NotReadyError."""
    names = [part for kind in kinds for part in ("-t", kind)]
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    variables.pop("SOURCE_DATE_EPOCH", None)
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target), *names]
    done = subprocess.run(command, cwd=source, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise NotReadyError(f"it cannot be built: {done.stderr}")
    return {path.name: _digest(path) for path in sorted(target.iterdir())}


def check_builds(folder: Path) -> tuple[Path, Path]:
    """The source archive and the wheel, after all builds were compared. Raises NotReadyError."""
    once, again = folder / "once", folder / "again"
    first = build(ROOT, once, "sdist", "wheel")
    with tarfile.open(next(once.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    (inside,) = folder.glob("sdqctl-*")
    second = build(inside, again, "sdist", "wheel")
    if first != second:
        raise NotReadyError(f"two builds differ: {first} and {second}")
    return next(once.glob("*.tar.gz")), next(once.glob("*.whl"))


def check_metadata(wheel: Path) -> str:
    """The version, after what the wheel says of itself was read. Raises NotReadyError."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (place,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        about = Metadata.from_email(archive.read(place), validate=True)
    version = str(about.version)
    if not any(name.startswith("sdqctl/") and name.endswith(".conv") for name in names):
        raise NotReadyError("the wheel has no templates for `sdqctl init`")
    if not any(name.endswith("/licenses/LICENSE") for name in names):
        raise NotReadyError("the wheel has no licence file")
    section = rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$"
    if not re.search(section, (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE):
        raise NotReadyError(f"CHANGELOG.md has no section `## {version} (DATE)`")
    if about.license_expression is None or about.description is None:
        raise NotReadyError("the metadata lacks a licence or a description")
    return version


def check_licences() -> list[str]:
    """A line for each package that an installation with all extras brings. Raises NotReadyError."""
    lines = []
    for distribution in dependencies("sdqctl", EXTRAS):
        name, licence = distribution.metadata["Name"], licence_of(distribution)
        if not any(free in licence for free in FREE):
            raise NotReadyError(f"the licence of {name} is {licence or 'not told'}")
        lines.append(f"{name} {distribution.version}: {licence}")
    return sorted(lines, key=str.lower)


def dependencies(name: str, extras: tuple[str, ...]) -> Iterator[metadata.Distribution]:
    """What a package needs, and what that needs. Raises NotReadyError where some is missing."""
    seen: set[tuple[str, str]] = set()
    left = [(name, extra) for extra in ("", *extras)]
    while left:
        package, extra = left.pop()
        if (package, extra) in seen:
            continue
        seen.add((package, extra))
        try:
            distribution = metadata.distribution(package)
        except metadata.PackageNotFoundError:
            raise NotReadyError(f"{package} is not installed: `make setup`") from None
        if package != name and not extra:
            yield distribution
        for needs in map(Requirement, distribution.requires or ()):
            if needs.marker is None or needs.marker.evaluate({"extra": extra}):
                called = canonicalize_name(needs.name)
                left += [(called, extra) for extra in ("", *needs.extras)]


def licence_of(distribution: metadata.Distribution) -> str:
    """What a package says of its licence, in one of the three ways there are."""
    told = distribution.metadata
    classes = [line for line in told.get_all("Classifier") or () if line.startswith("License ::")]
    found = [
        *(told.get_all("License-Expression") or ()),
        ", ".join(line.rpartition(" :: ")[2] for line in classes),
        *(line.split("\n")[0] for line in told.get_all("License") or ()),
        BY_THEIR_FILES.get(told["Name"], ""),
    ]
    return next(filter(None, found), "")


def keep(archives: Sequence[Path], version: str, repository: str, folder: Path) -> None:
    """Lay archives into a folder of their own, with their digests and the formula of the first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    digests = {archive.name: _digest(archive) for archive in archives}
    for archive in archives:
        shutil.copy(archive, folder)
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    (folder / "SHA256SUMS").write_text(lines, "utf-8")
    source = next(iter(digests.values()))
    (folder / "sdqctl.rb").write_text(formula(version, source, repository), "utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    """Check everything, and say what was found."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        try:
            source, wheel = check_builds(Path(name))
            version = check_metadata(wheel)
            licences = check_licences()
            repository = os.environ.get("REPOSITORY") or "OWNER/sdqctl"
            keep((source, wheel), version, repository, ROOT / "dist")
        except NotReadyError as error:
            print(f"not ready: {error}", file=sys.stderr)
            return 1
        for archive in (source, wheel):
            print(f"{_digest(archive)}  {archive.name}, {archive.stat().st_size:,} bytes")
    print(*licences, sep="\n")
    print(f"sdqctl {version} can be published ({time.monotonic() - begun:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
