"""The exported page, in a real browser and by its text: it shows hostile text and runs none."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command import forked

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCRIPT = "<script>document.title='owned'</script>"
IMAGE = "<img src=x onerror=document.title='owned'>"
HOSTILE = f"""\
PROMPT <<END
{SCRIPT} & "quotes" [[reply: {IMAGE}]]
```html
<b>code</b>
```
END
PROMPT second [[tool: shell rm <b>x</b>]] [[reply: </section></main>{SCRIPT}]]
"""


@pytest.fixture
def page(bench: Bench, tmp_path: Path) -> Path:
    assert bench.run(HOSTILE).done.code == 0
    file = tmp_path / "page.html"
    assert forked("sessions", "export", "s", "--format", "html", "-o", file).code == 0
    return file


def test_no_text_becomes_markup_and_nothing_is_fetched(page: Path) -> None:
    text = page.read_text()
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert "&lt;script&gt;document.title" in text
    assert "<pre>&lt;b&gt;code&lt;/b&gt;\n</pre>" in text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)
    assert "default-src 'none'" in text
    assert text.count("<section") == text.count("</section>") == 2


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_browser_shows_it_and_runs_only_its_own_script(page: Path, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "<title>s</title>" in done.stdout
    assert "<h2>2. Prompt</h2>" in done.stdout
    assert "Refused to" not in done.stderr
