"""Reading workflow files: encodings, sizes, and INCLUDE."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

from sdqctl.errors import UsageError, WorkflowError
from sdqctl.model.workflow import Diagnostic, Severity, Span
from sdqctl.text.suggest import nearest
from sdqctl.workflow.calls import Calls
from sdqctl.workflow.lexer import Item, Lexed, lex
from sdqctl.workflow.parser import ParsedWorkflow, build

LARGEST = 1024 * 1024
"""Bytes of a workflow file."""
STDIN_FILE = "stdin.conv"
"""What a workflow from stdin is called where a file has a name."""
PROMPTS_FILE = "prompts.conv"
"""What a workflow of typed prompts is called."""
_STDIN = "<stdin>"
_SHARED_MEMORY = "/dev/shm"
_TYPED = "<--prompt>"
_MOST_FILES = 100
_DEEPEST = 20


def load_workflow(path: Path) -> ParsedWorkflow:
    """Read and parse a file with all that it includes.

    Raises UsageError for a file that is not there, WorkflowError for one that is no text.
    """
    where = path.absolute()
    if not os.path.lexists(where):
        raise UsageError(f"there is no workflow file {path}", hint=_file_near(path))
    return _parsed(read_text(where), str(path), where)


def load_stream(path: Path, folder: Path) -> ParsedWorkflow:
    """Read and parse what can be read only once; `-` is stdin. INCLUDE starts from `folder`.

    Raises UsageError for a terminal, WorkflowError for what is no text.
    """
    name = _STDIN if str(path) == "-" else str(path)
    try:
        with open(0 if name == _STDIN else path, "rb", closefd=name != _STDIN) as stream:
            text = _text_of(stream, name)
    except OSError as error:
        raise WorkflowError(f"{name} cannot be read: {error.strerror}") from error
    return _parsed(text, name, folder / STDIN_FILE, Calls.none())


def load_prompts(prompts: Sequence[str], folder: Path) -> ParsedWorkflow:
    """A workflow of prompts that were typed, each sent as it stands, but for template variables."""
    blocks = []
    for prompt in prompts:
        number = next(n for n in count() if f"END{n}" not in prompt)
        blocks.append(f"PROMPT <<END{number}\n{prompt}\nEND{number}\n")
    return _parsed("".join(blocks), _TYPED, folder / PROMPTS_FILE)


def is_stream(path: Path) -> bool:
    """Whether a path is stdin, a pipe, a device: what it gives now it may not give again."""
    whole = path.absolute()
    is_device = whole.is_relative_to("/dev") and not whole.is_relative_to(_SHARED_MEMORY)
    if str(path) == "-" or is_device or whole.is_relative_to("/proc"):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def _parsed(text: str, name: str, where: Path, calls: Calls | None = None) -> ParsedWorkflow:
    own = lex(text, name)
    folders = _folders(where, own)
    lexed = _Reader(folders).resolve(where, own, (Path(os.path.realpath(where)),))
    parsed = build(lexed.items, lexed.diagnostics, text, name)
    if parsed.workflow is None:
        return parsed
    calls = calls or Calls(_called, (Path(os.path.realpath(where)),))
    parsed = calls.resolve(parsed, name, where, folders)
    return parsed if parsed.workflow is None else _with_path(parsed, where)


def _called(path: Path, calls: Calls) -> ParsedWorkflow:
    """A workflow that another one calls."""
    return _parsed(read_text(path), str(path), path, calls)


def _with_path(parsed: ParsedWorkflow, where: Path) -> ParsedWorkflow:
    import msgspec

    assert parsed.workflow is not None, "only a good workflow gets its path"
    workflow = msgspec.structs.replace(parsed.workflow, path=str(where))
    return ParsedWorkflow(workflow, parsed.diagnostics)


def read_text(path: Path) -> str:
    """A workflow's text. Raises WorkflowError that says why it is none."""
    if path.is_dir():
        raise WorkflowError(f"{path} is a folder, not a workflow file")
    try:
        with path.open("rb") as stream:
            return _text_of(stream, str(path))
    except OSError as error:
        raise WorkflowError(f"{path} cannot be read: {error.strerror}") from error


def _text_of(stream: BinaryIO, path: str) -> str:
    if stream.isatty():
        raise UsageError(
            f"{path} is a terminal, not a workflow file",
            hint="name a file, or pipe a workflow in: `... | sdqctl run -`",
        )
    data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise WorkflowError(f"{path} is larger than 1 MiB", hint="is it a workflow file?")
    if b"\0" in data:
        raise WorkflowError(f"{path} is a binary file: it holds NUL bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise WorkflowError(
            f"{path}:{line}:1: the file is not UTF-8", hint="save it as UTF-8"
        ) from error
    if not text.strip():
        raise WorkflowError(f"{path} is empty", hint="a workflow has at least one PROMPT")
    return text


@dataclass
class _Reader:
    """Puts included directives in the place of INCLUDE, from below the folders alone."""

    folders: tuple[str, ...]
    count: int = 0

    def resolve(self, where: Path, lexed: Lexed, chain: tuple[Path, ...]) -> Lexed:
        found = Lexed([], list(lexed.diagnostics))
        for item in lexed.items:
            if item.name != "INCLUDE":
                found.items.append(item)
                continue
            try:
                included = self._include(where, item, chain)
            except (WorkflowError, ValueError) as error:
                found.diagnostics.append(_problem(item, str(error)))
                continue
            found.items += included.items
            found.diagnostics += included.diagnostics
        return found

    def _include(self, where: Path, item: Item, chain: tuple[Path, ...]) -> Lexed:
        if not item.value:
            raise ValueError("a file is missing")
        path = where.parent / item.value.removeprefix("@").strip("'\"")
        real = Path(os.path.realpath(path))
        if real in chain:
            names = " -> ".join(p.name for p in (*chain[chain.index(real) :], real))
            raise ValueError(f"files include each other in a circle: {names}")
        if not any(real.is_relative_to(folder) for folder in self.folders):
            raise ValueError(f"{path} leads outside the allowed folders (ALLOW-DIR allows more)")
        self.count += 1
        if len(chain) > _DEEPEST or self.count > _MOST_FILES:
            raise ValueError(f"more than {_MOST_FILES} included files, or {_DEEPEST} levels")
        if not os.path.isfile(path):
            raise ValueError(f"there is no file {path}")
        lexed = lex(read_text(path), str(path))
        return self.resolve(path, lexed, (*chain, real))


def _folders(where: Path, lexed: Lexed) -> tuple[str, ...]:
    """What may be included: below the working directory, the workflow's folder, and ALLOW-DIR."""
    more = (os.path.expanduser(item.value) for item in lexed.items if item.name == "ALLOW-DIR")
    return tuple(os.path.realpath(folder) for folder in (".", str(where.parent), *more))


def _problem(item: Item, message: str) -> Diagnostic:
    return Diagnostic(
        severity=Severity.ERROR,
        message=f"INCLUDE: {message}",
        span=Span(item.span.file, item.span.line, item.value_column),
        source_line=f"{item.name} {item.value}",
    )


def _file_near(path: Path) -> str | None:
    """The file in the same folder that was probably meant."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return "its folder does not exist"
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        return None
    near = nearest(path.name, names) or next((n for n in names if n == f"{path.name}.conv"), None)
    return f"did you mean {path.with_name(near)}?" if near else None
