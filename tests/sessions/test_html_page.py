"""The exported page, in a real browser and by its text: it shows hostile text and runs none."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sdqctl.sessions.export.prose import as_prose
from tests.bench import Bench
from tests.command import sdqctl

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
    assert sdqctl("sessions", "export", "s", "--format", "html", "-o", file).code == 0
    return file


def test_no_text_becomes_markup_and_nothing_is_fetched(page: Path) -> None:
    text = page.read_text()
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert "&lt;script&gt;document.title" in text
    assert '<pre><code class="language-html">&lt;b&gt;code&lt;/b&gt;\n</code></pre>' in text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)
    assert "default-src 'none'" in text
    assert text.count("<section") == text.count("</section>") == 2


def test_a_tool_shows_its_command_and_how_it_ended_and_a_turn_its_time(page: Path) -> None:
    text = page.read_text()
    tool = "<code>rm &lt;b&gt;x&lt;/b&gt;</code> <small>denied</small></summary>"
    assert tool in text
    told = re.findall(r'<p class="told"><small>(.*?)</small></p>', text)
    assert len(told) == 2
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC · mock-1", each) for each in told)


MARKDOWN = """\
# Title
| a | b |
|---|--:|
| 1 | **2** |

one
two ~~three~~ [text](https://one.example/x) <https://two.example>
![picture](https://three.example/p.png) [run](javascript:alert(1))
- item

  ```py
  code
  ```
"""


def test_markdown_of_an_answer_is_rendered_and_leads_nowhere() -> None:
    html = as_prose(MARKDOWN)
    for piece in (
        "<h3>Title</h3>",
        '<td class="right"><strong>2</strong></td>',
        "one<br />",
        "<s>three</s>",
        '<span class="link">text</span> <small>(https://one.example/x)</small>',
        '<span class="link">https://two.example</span>',
        '<li>\n<p>item</p>\n<pre><code class="language-py">code\n</code></pre>',
    ):
        assert piece in html
    for piece in ("href", "src", "style", "<img", "<a ", "<script"):
        assert piece not in html


@pytest.mark.each(4)
@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("p.html", "<!doctype html>"),
        ("p.HTM", "<!doctype html>"),
        ("p.md", "# s"),
        ("p.txt", "# s"),
        ("p", "# s"),
        ("p.json", "{"),
        ("p.jsonl", '{"type":"session"'),
        ("p.sdqctl", "PK"),
    ],
)
def test_the_suffix_says_the_format(name: str, begins: str, page: Path, tmp_path: Path) -> None:
    file = tmp_path / name
    assert sdqctl("sessions", "export", "s", "-o", file).code == 0
    assert file.read_bytes()[: len(begins)].decode() == begins


def test_a_format_that_is_given_wins_and_an_unknown_suffix_is_refused(
    page: Path, tmp_path: Path
) -> None:
    file = tmp_path / "p.html"
    assert sdqctl("sessions", "export", "s", "--format", "md", "-o", file).code == 0
    assert file.read_text().startswith("# s")
    done = sdqctl("sessions", "export", "s", "-o", tmp_path / "p.docx")
    assert (done.code, (tmp_path / "p.docx").exists()) == (2, False)
    assert "--format" in done.err


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
