"""CONTEXT, REFCAT and INCLUDE never leave the folders they may read, and are bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdqctl.errors import WorkflowError
from sdqctl.model.workflow import NOWHERE, Reference
from sdqctl.workflow.references import Roots, expand, read_excerpt
from tests.bench import Bench


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "outside" / "secret.txt"
    path.parent.mkdir()
    path.write_text("TOP-SECRET\n")
    return path


@pytest.mark.parametrize(
    "line",
    [
        "CONTEXT @../outside/secret.txt",
        "CONTEXT @{secret}",
        "CONTEXT @link.txt",
        "CONTEXT @folder/secret.txt",
        "CONTEXT @*.txt",
        "CONTEXT @folder/**",
        "REFCAT @../outside/secret.txt#L1",
        "REFCAT @link.txt",
        "INCLUDE ../outside/secret.txt",
        "INCLUDE link.txt",
        "PROLOGUE @../outside/secret.txt",
        "PROLOGUE @link.txt",
    ],
)
def test_nothing_outside_is_read_also_not_through_a_link(
    line: str, secret: Path, bench: Bench
) -> None:
    (bench.project / "link.txt").symlink_to(secret)
    (bench.project / "folder").symlink_to(secret.parent)
    told = bench.run(line.replace("{secret}", str(secret)) + "\nPROMPT look\n")
    assert "TOP-SECRET" not in told.done.out + told.done.err
    assert told.done.code == 3, told.done.err


def test_what_became_a_link_since_it_was_found_is_not_read(secret: Path, tmp_path: Path) -> None:
    """A command beside the run may change it at any moment."""
    (project := tmp_path / "project").mkdir()
    (project / "a.txt").write_text("harmless")
    roots, reference = Roots(project, None), Reference(pattern="*.txt", span=NOWHERE)
    (found,) = expand(reference, roots, ())
    assert read_excerpt(found, reference, roots) == "harmless"
    found.unlink()
    found.symlink_to(secret)
    with pytest.raises(WorkflowError, match="leads outside"):
        read_excerpt(found, reference, roots)


def test_denied_files_are_left_out_of_the_context(bench: Bench) -> None:
    bench.write("a.txt", "fine\n")
    bench.write("b.key", "TOP-SECRET\n")
    told = bench.run("DENY-FILES *.key\nCONTEXT @a.txt\nCONTEXT-OPTIONAL @*.key\nPROMPT look\n")
    assert "fine" in told.prompts[0]
    assert "TOP-SECRET" not in told.prompts[0]


def test_a_binary_file_is_not_sent(bench: Bench) -> None:
    (bench.project / "x.bin").write_bytes(b"\0\1\2" * 100)
    bench.write("x.txt", "words\n")
    told = bench.run("CONTEXT @x.bin\nPROMPT look\n")
    assert told.done.code == 3
    assert "binary" in told.done.err
    told = bench.run("CONTEXT @x.*\nPROMPT look\n", "--session-name", "t")
    assert "words" in told.prompts[0]
    assert "x.bin" not in told.prompts[0]
    assert any("x.bin" in event["message"] for event in told.of("warning"))


def test_context_is_bounded(bench: Bench) -> None:
    for number in range(6):
        bench.write(f"big-{number}.txt", "x" * 1_000_000)
    told = bench.run("CONTEXT @big-*.txt\nPROMPT look\n")
    assert told.done.code == 3
    assert "4 MiB" in told.done.err


def test_context_is_read_from_the_workflows_folder_too(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    bench.write("near.txt", "beside the workflow\n")
    told = bench.run("CONTEXT @near.txt\nPROMPT look\n", "--cwd", str(other))
    assert "beside the workflow" in told.prompts[0]


@pytest.mark.parametrize("directive", ["CONTEXT", "CONTEXT-OPTIONAL", "REFCAT"])
@pytest.mark.parametrize("glob", ["a**b/*.py", "/etc/a**b", "***"])
def test_a_glob_that_is_none_is_a_mistake_wherever_it_begins(
    bench: Bench, directive: str, glob: str
) -> None:
    told = bench.run(f"{directive} @{glob}\nPROMPT look\n")
    assert told.done.code == 3
    assert f":1:{len(directive) + 2}: {glob} cannot be looked for" in told.done.err
    assert told.prompts == []
