"""The folders that the tables of tool requests are about: a project, what lies outside, a home."""

from __future__ import annotations

import os
from pathlib import Path


def build_folders(base: Path) -> Path:
    """Make them below `base`; returns the project, which is the working directory."""
    project, outside, home = base / "project", base / "outside", base / "home"
    inside = ("src/deep", "docs", "1", ".git/hooks", "tests")
    for folder in (*(project / name for name in inside), outside / "dir", home / ".ssh"):
        folder.mkdir(parents=True)
    texts = {
        project / "src/app.py": "print(1)\n",
        project / "docs/a.md": "a\n",
        project / "README.md": "r\n",
        project / ".env": "TOKEN=abc\n",
        project / ".git/config": "[core]\n",
        project / "package.json": "{}\n",
        project / "sdqctl.toml": "",
        outside / "secret.txt": "S3CRET\n",
        outside / "dir/x": "x\n",
        home / ".ssh/id_rsa": "KEY\n",
    }
    for path, text in texts.items():
        path.write_text(text)
    links: dict[str, str | Path] = {
        "link": outside,
        "link.txt": outside / "secret.txt",
        "deeplink": outside / "dir",
        "docs/loop": "loop",
        "inner": project / "src",
        "docs/up": "..",
        "procroot": "/proc/self/root",
        "proccwd": "/proc/self/cwd",
    }
    for name, target in links.items():
        (project / name).symlink_to(target)
    os.link(outside / "secret.txt", project / "hard.txt")
    return project
