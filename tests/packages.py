"""Packages made and installed offline: the test environment has an installer, but no builder."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path


def build_wheel(project: Path, target: Path) -> Path:
    """The wheel of a project whose modules lie beside its pyproject.toml (PEP 427)."""
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    name = about["name"].replace("-", "_")
    metadata = f"{name}-{about['version']}.dist-info"
    points = [
        line
        for group, rows in about["entry-points"].items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in rows.items()))
    ]
    files = {path.name: path.read_text() for path in project.glob("*.py")}
    files[f"{metadata}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    )
    files[f"{metadata}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files[f"{metadata}/entry_points.txt"] = "\n".join([*points, ""])
    rows = "".join(f"{path},,\n" for path in (*files, f"{metadata}/RECORD"))
    wheel = target / f"{name}-{about['version']}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{metadata}/RECORD": rows}.items():
            archive.writestr(path, text)
    return wheel


def install(project: Path, folder: Path) -> None:
    """Install a project into a folder of its own, which then belongs on PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    install_wheel(build_wheel(project, folder.parent), folder)


def install_wheel(wheel: Path, folder: Path) -> None:
    """Install a wheel into a folder of its own, without what it needs."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps", "--no-compile", "--target", str(folder), str(wheel)]
    subprocess.run([*pip, *offline], check=True, capture_output=True, text=True)
