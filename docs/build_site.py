"""`make site`: the pages as a site in `site/`, and whether each link of it leads somewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "site"
_NO_PAGES = ("*.py", "__pycache__")


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one element."""
        found = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := found.get(name))}
        if target := found.get("href" if tag in ("a", "link") else "src"):
            self.links.append(target)


def broken(site: Path) -> list[str]:
    """A line for each link that leads to no file of the site, or to no place in it."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    lines = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            place = unquote(parts.fragment)
            known = pages[target].anchors if target in pages else {place}
            if not target.exists() or (place and place not in known):
                lines.append(f"{path.relative_to(site)}: {link}")
    return lines


def main() -> int:
    """Build, and say what leads nowhere."""
    shutil.rmtree(SITE, ignore_errors=True)
    done = subprocess.run([Path(sys.executable).parent / "zensical", "build", "-s"], cwd=ROOT)
    if done.returncode:
        return done.returncode
    for pattern in _NO_PAGES:
        for path in [*SITE.rglob(pattern)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    lines = broken(SITE)
    print(*lines, sep="\n", end="\n" if lines else "")
    print(f"{SITE.name}/: {len([*SITE.rglob('*.html')])} pages, {len(lines)} links lead nowhere")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
