"""The site of the pages: each page is in its navigation, and a link that leads nowhere is found."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from tests.conftest import ROOT

sys.path.append(str(ROOT / "docs"))
from build_site import broken  # type: ignore[import-not-found]


def pages_of(entry: object) -> list[str]:
    """The files that an entry of the navigation names."""
    if isinstance(entry, str):
        return [entry]
    within = entry.values() if isinstance(entry, dict) else entry
    assert not isinstance(within, str)
    return [name for one in within for name in pages_of(one)]  # type: ignore[attr-defined]


def test_each_page_is_in_the_navigation() -> None:
    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    assert sorted(pages_of(project["nav"])) == sorted(p.name for p in (ROOT / "docs").glob("*.md"))


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "one.html").write_text('<h1 id="here">One</h1>')
    (tmp_path / "sub" / "two.html").write_text(
        '<a href="../one.html#here">a</a><a href="../one.html#there">b</a><img src="no.png">'
        '<a href="https://localhost/x">c</a><a href="#top">d</a>'
    )
    assert broken(tmp_path) == [
        "sub/two.html: ../one.html#there",
        "sub/two.html: no.png",
        "sub/two.html: #top",
    ]
