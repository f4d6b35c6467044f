"""Help: two examples for each command that are what can be typed, options in groups, examples."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

import sdqctl as package
from sdqctl.cli.app import COMMANDS, root
from sdqctl.cli.context import App
from sdqctl.config import SETTINGS
from tests.command import sdqctl
from tests.conftest import ROOT


def commands() -> list[tuple[str, ...]]:
    """The words of every command that does something."""
    context = click.Context(root, info_name="sdqctl")
    found: list[tuple[str, ...]] = []

    def walk(words: tuple[str, ...], command: click.Command | None) -> None:
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                walk((*words, name), command.get_command(context, name))
        else:
            found.append(words)

    for name in COMMANDS:
        walk((name,), root.get_command(context, name))
    return found


def typed(words: tuple[str, ...]) -> list[list[str]]:
    """The words of each example line of a command's help, without what stands around it."""
    help_text = sdqctl(*words, "--help").out
    block = re.findall(r"^ +(.*\bsdqctl .*)$", help_text.partition("Examples:\n")[2], re.MULTILINE)
    found = []
    for line in block:
        parts = shlex.split(line)
        rest = parts[parts.index("sdqctl") + 1 :]
        end = next((n for n, part in enumerate(rest) if part in ("|", "||")), len(rest))
        found.append(rest[:end])
    return found


@pytest.mark.each(2)
@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_has_two_examples_that_can_be_typed(
    words: tuple[str, ...], home: Path
) -> None:
    if words[0] == "completion":
        assert "sdqctl completion" in sdqctl(*words, "--help").out, "its help has the lines to type"
        return
    examples = typed(words)
    assert len(examples) >= 2
    for example in examples:
        names = ("run",) if words == ("iterate",) else words
        assert tuple(example[: len(names)]) == names
        parse(example)


def parse(arguments: list[str]) -> None:
    """Have click take the arguments, without doing anything. Raises ClickException."""
    context = click.Context(root, info_name="sdqctl", obj=App(environment={}))
    command: click.Command = root
    rest = list(arguments)
    while isinstance(command, click.Group):
        found = command.get_command(context, rest.pop(0))
        assert found is not None
        command = found
    command.make_context("", rest, parent=context)


@pytest.mark.parametrize("name", ["run", "apply", "resume", "chat"])
def test_each_option_of_a_run_stands_in_a_group_of_its_own_kind(name: str, home: Path) -> None:
    text = sdqctl(name, "--help").out
    titles = re.findall(r"^([A-Z][a-z ]+):$", text, re.MULTILINE)
    machines = [] if name == "chat" else ["Many machines"]
    assert titles == ["Session", "What it may do", "Limits", *machines, "Output"]
    last = text.partition("\nOutput:\n")[2].partition("\n\n")[0]
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", last, re.MULTILINE)
    output = {"--dry-run", "--output", "--output-dir", "--format", "--verbose", "--quiet"}
    assert {*options} <= {*output, "--show-prompts", "--help"}
    context = click.Context(root, info_name="sdqctl")
    command = root.get_command(context, name)
    assert command is not None
    known = {o for p in command.params if isinstance(p, click.Option) for o in p.opts[-1:]}
    assert known <= {*re.findall(r"--[\w-]+", text)}


def test_help_shows_every_command_once_under_what_it_is_for(home: Path) -> None:
    text = sdqctl("--help").out
    assert sorted(re.findall(r"^  ([a-z]+)  +[A-Z]", text, re.MULTILINE)) == sorted(COMMANDS)
    titles = re.findall(r"^([A-Z][a-z ]+):$", text, re.MULTILINE)
    assert len(titles) == 7


def test_help_examples_lists_what_the_package_carries(home: Path) -> None:
    out = sdqctl("help", "examples").out
    folder = Path(package.__file__).parent / "examples"
    files = sorted(folder.glob("*.conv"), key=lambda path: path.stem)
    assert len(files) == 13
    assert str(folder) in out
    assert [line.split()[0] for line in out.splitlines()[2:]] == [path.name for path in files]
    assert (ROOT / "examples").resolve() == folder.resolve()
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert wheel["targets"]["wheel"] == {"packages": ["src/sdqctl"]}, "with all that lies in it"


def test_every_topic_is_a_page_that_fits_a_terminal(home: Path) -> None:
    listed = [line.split()[0] for line in sdqctl("help").out.splitlines()]
    assert {"config", "permissions", "templates", "ci", "exit-codes", "sessions"} < {*listed}
    for topic in listed:
        done = sdqctl("help", topic)
        assert done.code == 0
        if topic not in ("directives", "exit-codes", "examples"):
            assert max(map(len, done.out.splitlines())) < 80, topic


def test_the_configuration_topic_has_every_setting(home: Path) -> None:
    lines = sdqctl("help", "config").out.splitlines()
    named = {line.split()[0] for line in lines if line and not line.startswith(" ")}
    assert {*SETTINGS} <= named


def test_commands_that_a_topic_shows_exist(home: Path) -> None:
    shown = re.findall(r"sdqctl ((?:sessions )?[a-z]+)", sdqctl("help", "sessions").out)
    assert len(shown) > 5
    for command in {*shown}:
        assert sdqctl(*command.split(), "--help").code == 0


def test_a_misspelt_topic_is_an_error_with_the_nearest_one(home: Path) -> None:
    done = sdqctl("help", "permisions")
    assert (done.code, done.out) == (2, "")
    assert "did you mean permissions?" in done.err


def test_the_name_of_a_command_is_no_topic_but_leads_to_its_help(home: Path) -> None:
    done = sdqctl("help", "run")
    assert done.code == 2
    assert "`sdqctl run --help`" in done.err
