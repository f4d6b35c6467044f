"""The recipes of CONTRIBUTING.md, each followed in a copy of the source tree."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from sdqctl.model.plan import Action
from sdqctl.model.workflow import Step
from sdqctl.workflow.parser import parse_workflow
from sdqctl.workflow.plan import build_plan
from tests.architecture.sources import nodes_of
from tests.command import Done, sdqctl
from tests.conftest import ROOT
from tests.packages import install


class Copy:
    """A copy of the sources, what was changed in it, and the program that it makes."""

    def __init__(self, folder: Path) -> None:
        self._root = folder
        self._changed: set[str] = set()
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))

    def insert(self, path: str, text: str, *, before: str = "", after: str = "") -> None:
        """Put a text before or after one that stands once in a file."""
        file, anchor = self._root / path, before or after
        old = file.read_text() if file.exists() else ""
        assert old.count(anchor) == 1 or not anchor, f"{anchor!r} stands once in {path}"
        file.write_text(old.replace(anchor, f"{after}{text}{before}") if anchor else text)
        self._changed.add(path)

    def follows(self, recipe: str) -> None:
        """Check that the recipe names what was changed, a test, and nothing else."""
        named = recipe_files(recipe)
        tests = {path for path in named if path.startswith("tests/")}
        assert len(tests) == 1, "each recipe ends with a test"
        for path in named - tests:
            assert any(changed.startswith(path) for changed in self._changed), path
        for changed in self._changed:
            assert any(changed.startswith(path) for path in named), changed

    def sdqctl(self, *arguments: str | Path, **environment: str) -> Done:
        """Run the program of the copy."""
        return sdqctl(*arguments, PYTHONPATH=str(self._root / "src"), **environment)

    def evaluate(self, expression: str, setup: str) -> Any:  # noqa: ANN401 - any JSON
        """The value of an expression in the copy."""
        done = subprocess.run(
            [sys.executable, "-c", f"import json\n{setup}\nprint(json.dumps({expression}))"],
            env={"PYTHONPATH": str(self._root / "src")},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)


def recipe_files(recipe: str) -> set[str]:
    """The files and folders that the row of a recipe names."""
    page = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## Recipes\n")[2]
    rows = [line for line in page.splitlines() if line.startswith(f"| {recipe} |")]
    assert len(rows) == 1, f"one row is about {recipe}"
    return set(re.findall(r"`((?:src|tests|pyproject|docs)[\w./]*)`", rows[0]))


def patterns(choice: ast.Match) -> list[ast.expr]:
    """The classes that a match tells apart."""
    nodes = (node for case in choice.cases for node in ast.walk(case.pattern))
    return [node.cls for node in nodes if isinstance(node, ast.MatchClass)]


@pytest.fixture
def copy(tmp_path: Path, home: Path, project: Path) -> Copy:
    """The sources, to be changed."""
    return Copy(tmp_path / "copy")


def events(done: Done) -> list[dict[str, Any]]:
    """The events of a run that ended well."""
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


DIRECTIVES = "src/sdqctl/workflow/directives.py"
MODEL = "src/sdqctl/model/workflow.py"
STEPS = "src/sdqctl/engine/steps.py"
EVENTS = "src/sdqctl/model/events.py"
SINKS = "src/sdqctl/cli/runs/sinks.py"
PARSE = (
    "from sdqctl.workflow.parser import parse_workflow\n"
    "from sdqctl.workflow.plan import build_plan\n"
    "from sdqctl.workflow.format import format_workflow\n"
    "def parse(text): return parse_workflow(text, 'w.conv').workflow\n"
    "def digest(text): return build_plan(parse(text)).steps[0].digest\n"
)


@pytest.mark.thorough
def test_a_directive_for_the_file_is_a_row_a_field_and_a_test(copy: Copy, project: Path) -> None:
    copy.insert(
        MODEL, "    owner: str | None = None\n", after="    max_cycles: int | None = None\n"
    )
    copy.insert(
        DIRECTIVES,
        '        Directive("OWNER", _ONE, "NAME", "Who answers for it.",\n'
        '                  forms.QUOTED, Field("owner")),\n',
        after='    "Metadata": (\n',
    )
    copy.follows("a directive")
    (project / "work.conv").write_text('OWNER "A B"\nPROMPT a\n')
    assert copy.sdqctl("run", "work.conv", "-a", "mock").code == 0
    assert "OWNER NAME\n      Who answers for it." in copy.sdqctl("help", "directives").out
    (project / "work.conv").write_text("OWNR x\nOWNER\nPROMPT a\n")
    wrong = copy.sdqctl("validate", "work.conv").out
    assert "did you mean OWNER?" in wrong
    assert "work.conv:2:1: OWNER: the value is missing: write OWNER NAME" in wrong
    written = copy.evaluate("format_workflow(parse('OWNER A B\\nPROMPT a\\n'))", PARSE)
    assert written.startswith('OWNER "A B"\n')


@pytest.mark.thorough
def test_a_directive_for_steps_leaves_those_that_do_not_use_it_what_they_were(copy: Copy) -> None:
    copy.insert(
        MODEL,
        "    note: str | None = None\n",
        after='    """Whether it may run again when its end was not seen."""\n',
    )
    copy.insert(
        DIRECTIVES,
        '        Directive("RUN-NOTE", _ONE, "TEXT", "What a RUN is for.",\n'
        '                  forms.TEXT, Setting(RunStep, "note")),\n',
        after='    "Commands": (\n',
    )
    copy.follows("a directive")
    workflow = parse_workflow("RUN ls\n", "w.conv").workflow
    assert workflow is not None
    before = build_plan(workflow).steps[0].digest
    assert copy.evaluate("digest('RUN ls\\n')", PARSE) == before
    assert copy.evaluate("digest('RUN-NOTE why\\nRUN ls\\n')", PARSE) != before
    written = copy.evaluate("format_workflow(parse('RUN-NOTE why\\nRUN ls\\n'))", PARSE)
    assert "RUN-NOTE why\n" in written


@pytest.mark.thorough
def test_a_step_kind_is_a_record_a_row_what_it_does_and_a_test(copy: Copy, project: Path) -> None:
    copy.insert(
        MODEL,
        'class NoteStep(_Step, frozen=True, kw_only=True, tag="note"):\n'
        '    """NOTE: a line for the reader."""\n\n'
        "    text: str\n\n\n",
        before="class NewConversationStep(",
    )
    copy.insert(MODEL, "NoteStep | ", after="\nSingle = ")
    copy.insert(DIRECTIVES, "    NoteStep,\n", after="    NewConversationStep,\n")
    copy.insert(
        DIRECTIVES,
        '        Directive("NOTE", _ONE, "TEXT", "A line for the reader.",\n'
        '                  forms.QUOTED, Makes(NoteStep, "text")),\n',
        after='    "Stops": (\n',
    )
    copy.insert(STEPS, "    NoteStep,\n", after="    NewConversationStep,\n")
    copy.insert(
        STEPS,
        "        case NoteStep():\n"
        "            run.begin(step)\n"
        "            return run.finish(step, StepStatus.DONE, response=step.action.text)\n",
        before="        case NewConversationStep():\n",
    )
    copy.follows("a step kind")
    (project / "work.conv").write_text('PROMPT a\nNOTE "read this"\nPROMPT b\n')
    seen = events(copy.sdqctl("run", "work.conv", "-a", "mock", "--format", "jsonl"))
    ended = [event for event in seen if event["type"] == "step.finished"]
    assert [event["kind"] for event in ended] == ["prompt", "note", "prompt"]
    assert (ended[1]["title"], ended[1]["response"]) == ("note", "read this")


STEP_RECORDS = {kind.__name__ for kind in {*get_args(Step), *get_args(Action)}}


def test_a_step_kind_that_is_forgotten_somewhere_is_a_type_error() -> None:
    choices = [
        (path.name, node)
        for path in sorted((ROOT / "src").rglob("*.py"))
        for node in nodes_of(path)
        if isinstance(node, ast.Match) and STEP_RECORDS & set(map(ast.unparse, patterns(node)))
    ]
    assert len(choices) > 1
    for name, choice in choices:
        last = choice.cases[-1]
        assert ast.unparse(last.pattern) == "_", name
        assert ast.unparse(last.body[0]).startswith("assert_never("), name


@pytest.mark.thorough
def test_an_event_is_a_record_who_emits_it_who_shows_it_and_a_test(
    copy: Copy, project: Path
) -> None:
    copy.insert(
        EVENTS,
        'class PlaceReached(_Event, frozen=True, kw_only=True, tag="place.reached"):\n'
        '    """A CHECKPOINT was reached."""\n\n'
        "    name: str\n\n\n",
        before="class PromptAccepted(",
    )
    copy.insert(EVENTS, "    | PlaceReached\n", after="    | SessionOpened\n")
    copy.insert(STEPS, "PlaceReached, ", before="Warned\nfrom sdqctl.model.paths")
    copy.insert(
        STEPS,
        "            run.context.emit(PlaceReached(name=step.action.name))\n",
        after="        case CheckpointStep():\n",
    )
    copy.insert(SINKS, "    PlaceReached,\n", before="    PromptBegun,\n")
    copy.insert(
        SINKS,
        "            case PlaceReached():\n                return f'reached {event.name}'\n",
        before="            case RunStarted():\n                return self._run_started(event)\n",
    )
    copy.follows("an event")
    (project / "work.conv").write_text("PROMPT a\nCHECKPOINT here\n")
    run = ("run", "work.conv", "-a", "mock")
    seen = events(copy.sdqctl(*run, "--format", "jsonl"))
    assert [event["name"] for event in seen if event["type"] == "place.reached"] == ["here"]
    assert "reached here" in copy.sdqctl(*run).err.splitlines()


def test_a_command_is_a_module_a_row_and_a_test(copy: Copy) -> None:
    copy.insert(
        "src/sdqctl/cli/count.py",
        "import click\n\nfrom sdqctl.cli.context import App\n"
        "from sdqctl.cli.output import write_line\n\n\n"
        "@click.command()\n@click.pass_obj\n"
        "def count(app: App, /) -> None:\n"
        '    """Count sessions."""\n'
        "    from sdqctl.sessions.query import all_entries\n\n"
        "    write_line(str(len(all_entries(app))))\n",
    )
    row = '    "count": ("count:count", "Say how many sessions there are."),\n'
    copy.insert("src/sdqctl/cli/app.py", row, after="COMMANDS: CommandTable = {\n")
    copy.follows("a command")
    helped = [line.split() for line in copy.sdqctl("--help").out.splitlines()]
    assert ["count", "Say", "how", "many", "sessions", "there", "are."] in helped
    assert copy.sdqctl("count").out == "0\n"
    assert "Did you mean 'count'?" in copy.sdqctl("cuont").err
    assert "count" in copy.sdqctl("sdqctl cou", "cou", _SDQCTL_COMPLETE="bash").out


@pytest.mark.thorough
def test_an_adapter_is_a_module_an_entry_point_and_the_contract(
    tmp_path: Path, home: Path, project: Path
) -> None:
    named = recipe_files("an adapter")
    contract = {path for path in named if "/contract/" in path}
    assert len(contract) == 1, "each recipe ends with a test"
    package = tmp_path / "package"
    package.mkdir()
    for path in map(Path, named - contract):
        text = (ROOT / path).read_text()
        for old, new in (("echo", "parrot"), ("Echo", "Parrot"), ("ECHO", "PARROT")):
            text = text.replace(old, new)  # another one, made by the same recipe
        (package / path.name.replace("echo", "parrot")).write_text(text)
    assert len(list(package.iterdir())) == 2
    install(package, tmp_path / "installed")
    (project / "work.conv").write_text("PROMPT say this\n")
    done = sdqctl("run", "work.conv", "-a", "parrot", PYTHONPATH=str(tmp_path / "installed"))
    assert (done.code, done.out) == (0, "say this\n"), done.err


@pytest.mark.thorough
def test_an_option_of_a_run_is_a_field_a_flag_and_a_test(copy: Copy) -> None:
    copy.insert(
        "src/sdqctl/model/options.py",
        "    colour: str | None = None\n",
        before="    mode: str | None = None\n",
    )
    copy.insert(
        "src/sdqctl/cli/runs/options.py",
        '    click.option("--colour", metavar="NAME", help="What it paints in."),\n',
        before='    click.option("--ask", is_flag=True',
    )
    copy.insert("src/sdqctl/cli/runs/options.py", '        "colour",\n', before='        "mode",\n')
    copy.follows("an option of a run")
    asked = "from sdqctl.cli.runs.options import asked_for\nfrom sdqctl.model.options import *\n"
    kept = "decode_options(encode_options(asked_for({'colour': 'red'})[0])).colour"
    assert copy.evaluate(kept, asked) == "red"
    for command in ("run", "resume", "apply"):
        told = copy.sdqctl(command, "--help").out
        group = told.partition("What it may do:\n")[2].partition("\n\n")[0]
        assert "--colour NAME" in group, told
