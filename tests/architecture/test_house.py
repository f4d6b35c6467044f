"""The size and the shape of the house: what review would otherwise have to count."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import nodes_of, tree_of
from tests.conftest import ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))
LONGEST_FILE = 400
BETTER_WHOLE = {
    "sdqctl/adapters/base.py": 480,
    "sdqctl/cli/runs/options.py": 425,
    "sdqctl/config.py": 440,
    "sdqctl/model/workflow.py": 530,
    "sdqctl/store/ledger.py": 525,
    "sdqctl/workflow/directives.py": 480,
}
"""Files of one subject that are longer."""
LONGEST_FUNCTION = 45
HEAVY = {
    "acp",
    "psycopg",
    "msgspec",
    "copilot",
    "rich",
    "prompt_toolkit",
    "asyncio",
    "sqlite3",
    "pydantic",
    "hypothesis",
    "jinja2",
    "jsonschema",
    "opentelemetry",
}


FOLDERS = sorted({path.parent for path in SOURCES})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_files_and_functions_stay_short_and_public_names_are_described(folder: Path) -> None:
    for path in SOURCES:
        if path.parent != folder:
            continue
        text = path.read_text()
        name = path.relative_to(ROOT / "src").as_posix()
        length = len(text.splitlines())
        assert length <= BETTER_WHOLE.get(name, LONGEST_FILE), f"{name} has {length} lines"
        tree = tree_of(path)
        if path.name != "__main__.py":
            assert ast.get_docstring(tree), f"{name} says what it is for"
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= LONGEST_FUNCTION, f"{name}: {node.name} has {length} lines"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                described = node.name.startswith("_") or ast.get_docstring(node)
                assert described, f"{name}: {node.name} says what it is for"


def test_the_sdk_is_imported_in_its_adapter_alone_and_never_at_module_scope() -> None:
    for path in SOURCES:
        tree = tree_of(path)
        at_top = {module for node in tree.body for module in _imported(node)}
        anywhere = {module for node in nodes_of(path) for module in _imported(node)}
        assert "copilot" not in at_top, path
        if "adapters/copilot" not in path.as_posix():
            assert "copilot" not in anywhere, path
        if "cli" not in path.parts:
            assert not {"rich", "prompt_toolkit", "textual"} & anywhere, path
        if not {"chat", "ui"} & {*path.parts}:  # loaded as a whole, and only for a screen
            assert not {"rich", "prompt_toolkit", "textual"} & at_top, path


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module.split(".")[0]]
    return []


def test_no_module_imports_itself_through_others() -> None:
    """Also not for its types alone, nor within a function."""
    names = {_module_name(path): path for path in SOURCES}
    graph = {name: _imports_of(path, set(names)) - {name} for name, path in names.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports_of(path: Path, known: set[str]) -> set[str]:
    """The modules of ours that a file imports anywhere."""
    found: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= below or {node.module}
    return found & known


LATE_IMPORTS = {
    "cli/app.py": "a traceback, the welcome, completion: what few command lines need",
    "cli/chat": "the markdown screen",
    "cli/completion.py": "completing loads what it completes; --help does not",
    "cli/context.py": "the wiring: nothing is loaded before it is asked for",
    "cli/demo.py": "the loopback model, where no provider is set",
    "cli/help.py": "a topic loads what it is about",
    "cli/keyboard.py": "terminals alone have termios",
    "cli/output.py": "JSON, and errors",
    "cli/checking.py": "what a run would find before it starts",
    "cli/runs": "rich, asyncio, and what only one way of running needs",
    "cli/sessions/delete.py": "the records of --format json",
    "cli/sessions/list.py": "what keeps up with changes",
    "cli/sessions/show.py": "the pager",
    "cli/sessions/transfer.py": "the conversation exports, too",
    "cli/shells.py": "what click needs to complete",
    "cli/shared.py": "a store is loaded where one is named",
    "cli/sessions/under_way.py": "what only a run that stopped needs",
    "cli/ui": "what only one key needs: the screen is there sooner",
    "cli/topics.py": "a topic loads what it is about",
}
"""Where functions that are no command import, too, with the reason."""


def test_a_command_imports_its_work_once() -> None:
    """`--help` stays light, and what a command needs stands in one line."""
    for path in (ROOT / "src" / "sdqctl" / "cli").rglob("*.py"):
        name = path.relative_to(ROOT / "src" / "sdqctl").as_posix()
        if {name, name.rpartition("/")[0]} & {*LATE_IMPORTS}:
            continue
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                within = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
                assert len(within) <= _is_command(node), f"{name}: {node.name}"


def _is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(".command" in ast.unparse(each) for each in node.decorator_list)


def loaded_by(*arguments: str) -> set[str]:
    """The top-level modules that a command has loaded when it ends."""
    script = (
        "import sys\n"
        "from sdqctl.cli.app import run\n"
        f"run({list(arguments)!r})\n"
        "print('|'.join({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split("|"))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["resume", "--help"]]
)
def test_help_loads_nothing_heavy(arguments: list[str], home: Path) -> None:
    assert not loaded_by(*arguments) & HEAVY


@pytest.mark.parametrize("line", ["import sdqctl", "import sdqctl.cli.app as a; a.run(['--help'])"])
def test_nothing_of_other_agents_is_loaded_where_none_is_used(line: str, home: Path) -> None:
    told = "import sys; print([name for name in sys.modules if 'acp' in name], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{line}\n{told}"], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["sessions", "list"],
        ["sessions", "list", "--format", "json"],
        ["status", "--sessions"],
        ["sessions", "cleanup", "--older-than", "1d", "--dry-run"],
    ],
)
def test_reading_commands_load_neither_the_sdk_nor_screens(
    arguments: list[str], home: Path
) -> None:
    screens = {"rich", "prompt_toolkit", "asyncio"}
    assert not loaded_by(*arguments) & {"copilot", "jinja2", "jsonschema", *screens}


def test_a_workflow_without_values_loads_neither_expressions_nor_schemas(
    home: Path, tmp_path: Path
) -> None:
    """Also one whose prompts have `{{ words }}` for another reader."""
    workflow = tmp_path / "straight.conv"
    workflow.write_text("PROMPT Explain {{ .Values.image }} and ${{ github.ref }} of {{DATE}}.\n")
    for command in (["validate"], ["render"], ["run", "-a", "mock", "--session-name", "s"]):
        assert not loaded_by(*command, str(workflow)) & {
            "opentelemetry",
            "jinja2",
            "markupsafe",
            "jsonschema",
            "acp",
        }


def test_files_are_replaced_in_one_place() -> None:
    """Whole, private, on disk: what `fs.replacing` does is not done half elsewhere."""
    found = {
        str(path.relative_to(ROOT / "src"))
        for path in SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "os.replace"
    }
    assert found == {"sdqctl/fs.py"}


def test_names_of_sessions_are_compared_in_one_place() -> None:
    folding = re.compile(r".*\.(id|name|label)\.casefold|\(.*\.name or .*\)\.casefold")
    found = {
        str(path.relative_to(ROOT / "src"))
        for path in SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and folding.fullmatch(ast.unparse(node.func))
    }
    assert found == {"sdqctl/store/locks.py"}, "which makes the name of a file of it"


def test_no_file_names_a_package_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    needles = [
        "registry." + "npmjs",
        "pypi." + "org",
        "files.python" + "hosted",
        '"resolved"' + ":",
    ]
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        text = path.read_text(errors="replace") if path.is_file() else ""
        assert not [needle for needle in needles if needle in text], name


def test_what_was_meant_is_guessed_in_one_place() -> None:
    guess = [path for path in SOURCES if "get_close_matches" in path.read_text()]
    assert [path.name for path in guess] == ["suggest.py"]
