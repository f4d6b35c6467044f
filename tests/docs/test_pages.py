"""The pages for users are true: their fields, their commands, their examples; no link leads out."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.cli.test_help import parse
from tests.command import SDQCTL, sdqctl
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md"])
STORY = """\
SESSION-NAME s
PROMPT go [[tool: shell rm a]] [[reply: one]]
RUN true
PAUSE "look"
"""


def commands_of(page: Path) -> list[list[str]]:
    """The arguments of each `sdqctl` command that stands in the page's shell blocks."""
    found = []
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\|| \| |;", line.partition("  #")[0].removeprefix("$ ")):
                words = part.strip()
                words = re.sub(r"^(?:\w+=\S+ )+", "", words)
                if words.startswith("sdqctl "):
                    command = re.split(r" > ", words)[0]
                    found.append(shlex.split(command)[1:])
    return found


@pytest.mark.parametrize("page", [p for p in PAGES if commands_of(p)], ids=lambda page: page.name)
def test_the_commands_on_a_page_can_be_typed(page: Path, home: Path) -> None:
    for arguments in commands_of(page):
        parse(arguments)


def test_the_first_run_of_the_readme_runs(bench: Bench) -> None:
    text = (ROOT / "README.md").read_text()
    script = re.search(r"printf .*?> first\.conv", text, re.DOTALL)
    assert script is not None
    subprocess.run(["bash", "-c", script.group()], check=True, timeout=120)
    assert sdqctl("run", "first.conv").code == 8
    assert sdqctl("resume", "first", "--continue").code == 0


def test_the_script_on_the_page_of_the_mock_does_what_it_says(bench: Bench) -> None:
    block = re.search(r"```json\n(.*?)```", (DOCS / "mock.md").read_text(), re.DOTALL)
    assert block is not None
    bench.write("src/app.py", "x = 1\n")
    script = bench.write("script.json", block.group(1))
    workflow = "PROMPT Which inputs reach a shell?\nPROMPT Write the report\n"
    told = bench.run(workflow, SDQCTL_MOCK_SCRIPT=str(script))
    assert told.done.code == 0, told.done.err
    answers = [event["response"] for event in told.of("step.finished")]
    assert answers == ["Two inputs reach the shell.", "# Report"]
    assert [call["call"]["ok"] for call in told.of("tool.finished")] == [True]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def python(bench: Bench, code: str) -> subprocess.CompletedProcess[str]:
    program = bench.write("program.py", code)
    return subprocess.run(
        [SDQCTL[0], program], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_run_on_the_page_of_python_prints_what_stands_there(bench: Bench) -> None:
    bench.write("audit.conv", blocks("python.md", "dockerfile")[0])
    program, told = blocks("python.md", "python")[0], blocks("python.md", "text")[0]
    done = python(bench, program)
    assert (done.returncode, done.stdout) == (0, told), done.stderr
    run = sdqctl("sessions", "show", "audit-1", "--format", "json").json["runs"][-1]
    assert (run["status"], run["steps_done"]) == ("completed", 2)


def test_the_sink_on_the_page_of_python_is_given_the_events(bench: Bench) -> None:
    bench.write("audit.conv", blocks("python.md", "dockerfile")[0])
    program, sink = blocks("python.md", "python")
    assert "launch(context)" in program
    done = python(bench, sink + program.replace("launch(context)", "launch(context, emit=tell)"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:3] == ["1 prompt done", "2 prompt done"]


@pytest.mark.each(2)
@pytest.mark.parametrize(
    ("order", "code"),
    [
        ("[[fail: server x2]]", 0),
        ("[[fail: request]]", 4),
        ("[[fail: authentication]]", 6),
        ("[[fail: rate-limit]]", 75),
        ("[[empty]]", 4),
        ("[[die: x1]]", 0),
        ("[[delay: 0.01]]", 0),
        ("[[stall]]", 4),
    ],
)
def test_the_mock_fails_as_its_page_says(order: str, code: int, bench: Bench) -> None:
    assert re.split(r"[:\]]", order)[0] in (DOCS / "mock.md").read_text()
    flags = ["--retry-for", "0s"] if "x2" not in order else []
    told = bench.run(f"PROMPT go {order}", *flags, "--idle-timeout", "1s")
    assert told.done.code == code, told.done.err


def test_the_exit_codes_of_the_page_for_ci_are_those_that_there_are() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", (DOCS / "ci.md").read_text(), re.MULTILINE)
    on_page = {int(code) for row in rows for code in row.split(",")}
    known = sdqctl("help", "exit-codes").out
    codes = {int(code) for code in re.findall(r"^ {0,2}(\d+)  ", known, re.MULTILINE)}
    assert codes - on_page == {1, 9}, "a bug and a damaged ledger are no pipeline's matter"
    assert on_page <= codes


def test_each_event_that_is_written_stands_on_its_page(bench: Bench) -> None:
    page = (DOCS / "events.md").read_text()
    told = bench.run(STORY)
    assert len(told.events) > 10
    for event in told.events[:-1]:
        table = page.partition(f"## `{event['type']}`\n")[2].partition("\n## ")[0]
        assert {*event} == {"type", *re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"\w+:", target):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
            assert heading in slugs, target


def test_the_code_refers_to_documents_that_there_are() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.toml", "*.md"], cwd=ROOT, capture_output=True, text=True
    )
    assert listed.returncode == 0
    outside = re.compile(r"\bnotes, items? \d|\bDESIGN\b|\bLANGUAGE\.md|\bSTYLE\.md|\(item \d")
    for name in listed.stdout.split():
        path = ROOT / name
        text = path.read_text() if path.is_file() and path != Path(__file__) else ""
        assert not outside.search(text), name
        for page, heading in re.findall(r"\b(docs/[\w/-]+\.md)(?:, ([A-Z][a-z ]+)\))?", text):
            if not name.startswith("src/"):
                continue  # examples of names
            assert (ROOT / page).exists(), f"{name}: {page}"
            if heading:
                assert f"\n## {heading}\n" in (ROOT / page).read_text(), f"{name}: {heading}"


def test_a_pipeline_may_do_as_the_page_says(bench: Bench) -> None:
    """The second script of docs/ci.md, with the mock."""
    scripts = re.findall(r"```sh\n(.*?)```", (DOCS / "ci.md").read_text(), re.DOTALL)
    script = scripts[1].replace("sdqctl run", f"{shlex.join(SDQCTL)} run")
    bench.write("review.conv", "PROMPT a\nPAUSE\nPROMPT b\n")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "waits for a human" in done.stdout
    assert json.loads(Path("result.json").read_text())["status"] == "paused"
