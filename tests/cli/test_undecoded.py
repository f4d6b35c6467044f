"""Bytes that are no UTF-8, in what is typed and in names: refused with a word about what and where,
or taken; never half done.
"""

from __future__ import annotations

import json

import pytest

from tests.bench import Bench
from tests.command import sdqctl
from tests.terminal import ENTER, Terminal
from tests.workspace.gits import git

BAD = "caf\udce9"
SEEN = "caf\\xe9"
TEXT = "PROMPT a [[reply: A]]\n"


@pytest.fixture
def named(bench: Bench) -> Bench:
    """A project with files and a folder of such a name."""
    for name in (f"{BAD}.conv", f"{BAD}/in.conv", "ok.conv"):
        bench.write(name, TEXT)
    bench.write("input.conv", "INPUT who\nPROMPT {{who}} [[reply: A]]\n")
    bench.write("each.conv", "PROMPT {{COMPONENT_PATH}} [[reply: A]]\n")
    for name in ("1", BAD, "z"):
        bench.write(f"parts/{name}", "")
    return bench


def nothing_was_begun(bench: Bench) -> bool:
    return not list(bench.home.glob("sdqctl/mock/*")) and not sdqctl("sessions", "list").out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("run", "-p", BAD), "'--prompt'"),
        (("run", "input.conv", "--set", f"who={BAD}"), "'--set'"),
        (("run", "ok.conv", "--prologue", BAD), "'--prologue'"),
        (("run", "ok.conv", "--session-name", BAD), "'--session-name'"),
        (("sessions", "search", BAD), "'TEXT...'"),
        (("resume", BAD, "--continue"), "SESSION"),
        (("run", f"{BAD}.conv"), "the workflow file"),
        (("run", "ok.conv", "--cwd", BAD), "the working directory"),
        (("run", "ok.conv", "--output", f"{BAD}.md"), "the file of answers"),
        (("apply", "each.conv", "--components", "parts/*"), "the component"),
        (("apply", "each.conv", "--components", "parts/1", "--output-dir", BAD), "the file"),
    ],
)
def test_what_can_be_neither_recorded_nor_sent_is_refused_before_anything_starts(
    arguments: tuple[str, ...], what: str, named: Bench
) -> None:
    done = sdqctl(*arguments)
    assert (done.code, done.out) == (2, "")
    assert what in done.err
    assert SEEN in done.err
    assert "UTF-8" in done.err
    assert nothing_was_begun(named)


@pytest.mark.each(2)
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_pipe_that_is_no_text_is_refused(errors: str, bench: Bench) -> None:
    for arguments in (("run", "-p", "-"), ("run", "-")):
        done = sdqctl(*arguments, stdin=BAD, PYTHONIOENCODING=f"utf-8:{errors}")
        assert done.code in (2, 3)
        assert "UTF-8" in done.err
        assert "bug" not in done.err
    assert nothing_was_begun(bench)


def test_a_run_from_such_a_folder_is_refused_and_what_only_reads_is_not(named: Bench) -> None:
    folder = named.project / BAD
    for arguments in (("run", "in.conv"), ("run", "-p", "hello"), ("run", "../input.conv")):
        done = sdqctl(*arguments, cwd=folder)
        assert done.code == 2, done.err
    assert f"/{SEEN}" in sdqctl("run", "in.conv", cwd=folder).err
    for arguments in (("validate", "in.conv"), ("render", "in.conv"), ("sessions", "list")):
        assert sdqctl(*arguments, cwd=folder).code == 0
    assert nothing_was_begun(named)


def test_a_file_that_no_run_takes_for_its_name_is_no_valid_one(named: Bench) -> None:
    done = sdqctl("validate", "ok.conv", f"{BAD}.conv")
    assert (done.code, done.err) == (3, "2 checked: 1 error, 0 warnings\n")
    assert f"has a name that is not UTF-8: {SEEN}.conv" in done.out


def test_a_folder_that_a_called_workflow_is_led_to_is_found_beforehand(named: Bench) -> None:
    (named.project / "link").symlink_to(BAD)
    named.write("inner.conv", f"CWD link\n{TEXT}")
    done = sdqctl("run", named.write("w.conv", f"{TEXT}CALL inner.conv\n"))
    assert done.code == 2
    assert "the working directory" in done.err
    assert nothing_was_begun(named)


def test_files_are_taken_whatever_their_names(bench: Bench) -> None:
    bench.write(f"{BAD}.txt", "told")
    bench.write("w.conv", f"CONTEXT @caf*.txt\nPROLOGUE before\n{TEXT}")
    told = bench.run((bench.project / "w.conv").read_text(), "--epilogue", f"@{BAD}.txt")
    assert told.done.code == 0, told.done.err
    assert f"{SEEN}.txt" in told.prompts[0]
    assert told.prompts[0].endswith("told")
    bundle = f"{BAD}.sdqctl"
    assert sdqctl("sessions", "export", "s", "--format", "bundle", "-o", bundle).code == 0
    done = sdqctl("sessions", "import", bundle, "--name", "t")
    assert done.code == 0, done.err
    bench.write(f"{BAD}/x", "")
    assert sdqctl("sessions", "import", bundle, "--name", "u", "--cwd", BAD).code == 2


def test_nothing_is_trusted_by_such_a_name(bench: Bench) -> None:
    bench.write(f".github/hooks/{BAD}.json", "{}")
    done = sdqctl("trust", "--yes")
    assert done.code == 2
    assert f"{SEEN}.json is not UTF-8" in done.err


def test_json_has_such_a_name_written_out(bench: Bench) -> None:
    bench.write(f"{BAD}.conv", f"NONSENSE x\n{TEXT}")
    done = sdqctl("validate", f"{BAD}.conv", "--format", "json")
    assert done.code == 3, done.err
    assert [one["file"] for one in done.json] == [f"{SEEN}.conv"]
    refused = sdqctl("run", "-p", BAD, "--format", "json")
    assert SEEN in json.loads(refused.err)["error"]["message"]


def test_an_answer_that_is_no_text_is_asked_for_again(bench: Bench) -> None:
    path = bench.write("w.conv", 'SESSION-NAME s\nASK v "Which one?"\nPROMPT {{v}} [[reply: A]]\n')
    with Terminal(["run", path]) as terminal:
        terminal.wait_for("Which one?\nWhich one?")
        terminal.type(f"{BAD}{ENTER}")
        terminal.wait_for("not UTF-8")
        terminal.type(f"this{ENTER}")
        assert terminal.wait_for_end() == 0


def test_a_branch_of_such_a_name_stands_written_out(bench: Bench) -> None:
    git(bench.project, "init", "-q")
    git(bench.project, "commit", "-q", "--allow-empty", "-m", "first")
    git(bench.project, "checkout", "-q", "-b", BAD)
    assert bench.run("PROMPT on {{GIT_BRANCH}}.\n").prompts == [f"on {SEEN}."]
