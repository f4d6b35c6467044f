"""The size and the shape of the house: what review would otherwise have to count."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 45
HEAVY = {
    "msgspec",
    "copilot",
    "rich",
    "prompt_toolkit",
    "asyncio",
    "sqlite3",
    "pydantic",
    "hypothesis",
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_files_and_functions_stay_short_and_public_names_are_told(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    tree = ast.parse(text)
    if path.name != "__main__.py":
        assert ast.get_docstring(tree), "the module says what it is for"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_public_functions_and_classes_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())
    definitions = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    for node in definitions:
        if not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} says what it is for"


def test_the_sdk_is_imported_in_its_adapter_alone_and_never_at_module_scope() -> None:
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        at_top = {module for node in tree.body for module in _imported(node)}
        anywhere = {module for node in ast.walk(tree) for module in _imported(node)}
        assert "copilot" not in at_top, path
        if "adapters/copilot" not in path.as_posix():
            assert "copilot" not in anywhere, path
        if "cli" not in path.parts:
            assert not {"rich", "prompt_toolkit"} & anywhere, path
        if "chat" not in path.parts:  # loaded as a whole, and only for a conversation
            assert not {"rich", "prompt_toolkit"} & at_top, path


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module.split(".")[0]]
    return []


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
    assert not loaded_by(*arguments) & {"copilot", "rich", "prompt_toolkit", "asyncio"}


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
