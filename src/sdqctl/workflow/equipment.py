"""What the agent of a workflow has for the whole file: instructions, agents, skills, servers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from sdqctl.errors import WorkflowError
from sdqctl.model.tools import McpServer
from sdqctl.model.workflow import Equipment, Named, PromptStep, Span, Workflow
from sdqctl.text.suggest import did_you_mean
from sdqctl.workflow.references import Roots
from sdqctl.workflow.render import render_told

_SERVER = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_NAME = re.compile(r"^name:\s*[\"']?(.*?)[\"']?\s*$", re.MULTILINE)
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_LARGEST = 1024 * 1024
_AGENT_FILES = (".agent.md", ".md")


@dataclass(frozen=True)
class Equipped:
    """What was found of it."""

    system: str | None = None
    doubts: tuple[str, ...] = ()
    """What is not known in `system`, and stays as it is."""
    agents: Mapping[str, Path] = field(default_factory=dict)
    skills: tuple[Path, ...] = ()
    servers: tuple[McpServer, ...] = ()

    def folders(self) -> tuple[Path, ...]:
        """The folders that an agent has to be able to read for it."""
        return tuple(dict.fromkeys([*(path.parent for path in self.agents.values()), *self.skills]))


def equip(workflow: Workflow, roots: Roots, variables: Mapping[str, str]) -> Equipped:
    """Read what the directives name. Files lie in the allowed folders, as those of CONTEXT do.

    Raises WorkflowError with the place of the first thing that is not there or not understood.
    """
    wanted = workflow.equipment
    if wanted == Equipment():
        return Equipped()
    agents: dict[str, Path] = {}
    for entry in wanted.agents:
        found = _agents(_folder("AGENTS-DIR", entry, roots))
        if not found:
            raise _error("AGENTS-DIR", entry, f"{entry.value} has no agent (NAME.md)")
        agents |= found
    skills = []
    for entry in wanted.skills:
        folder = _folder("SKILLS", entry, roots)
        if not any(folder.glob("*/SKILL.md")):
            raise _error("SKILLS", entry, f"{entry.value} has no skill (NAME/SKILL.md)")
        skills.append(folder)
    system = render_told(_system(wanted, roots), variables)
    return Equipped(
        system=system.text or None,
        doubts=system.warnings,
        agents=agents,
        skills=tuple(skills),
        servers=tuple(_servers(wanted, roots)),
    )


def needed_reads(workflow: Workflow, roots: Roots) -> list[str]:
    """What the runtime itself has to read of it, and the files of ATTACH: paths and globs."""
    wanted = workflow.equipment
    names = [entry.value for entry in (*wanted.agents, *wanted.skills)]
    names += [f.pattern for step in prompt_steps(workflow) for f in step.runs_with.attachments]
    paths = (root / Path(name).expanduser() for name in names for root in roots.folders())
    return [str(path) for path in dict.fromkeys(paths) if roots.problem(path) is None]


def prompt_steps(workflow: Workflow) -> Iterator[PromptStep]:
    """The prompts of a workflow, however deep they stand in blocks."""
    return _prompts(workflow.steps)


def _prompts(value: Any) -> Iterator[PromptStep]:  # noqa: ANN401 - steps, however they nest
    if isinstance(value, PromptStep):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _prompts(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _prompts(getattr(value, name))


def agent_doubts(workflow: Workflow, agents: Mapping[str, Path]) -> Iterator[tuple[Span, str]]:
    """The AGENTs that no AGENTS-DIR has; the user's own folder may have them."""
    for step in prompt_steps(workflow):
        name = step.runs_with.agent
        if agents and name is not None and name not in agents:
            yield step.span, f"AGENT {name} is in no AGENTS-DIR{did_you_mean(name, agents)}"


def parse_server(text: str) -> tuple[Named, ...]:
    """`@FILE`, or `NAME COMMAND...`, without its place yet. Raises ValueError."""
    if text.startswith("@"):
        if not text[1:].strip():
            raise ValueError("the file is missing after the @")
    else:
        name, _, command = text.partition(" ")
        if not _SERVER.fullmatch(name):
            raise ValueError(f"{name!r} is not a name of a server: letters, digits, _ . -")
        if not _words(command):
            raise ValueError("the command is missing: write MCP NAME COMMAND, or MCP @FILE")
    return (Named(value=text),)


def _system(wanted: Equipment, roots: Roots) -> str:
    texts = []
    for entry in wanted.system:
        text = entry.value
        if text.startswith("@") and "\n" not in text:
            path = _file("SYSTEM", entry, text[1:].strip(), roots)
            text = _read("SYSTEM", entry, path).strip("\n")
        texts.append(text)
    return "\n\n".join(texts)


def _agents(folder: Path) -> dict[str, Path]:
    """The agents of a folder, by the name in their front matter, else by that of the file."""
    found = {}
    for path in sorted(folder.glob("*.md")):
        head = _FRONT.match(path.read_text("utf-8", errors="replace")[:_LARGEST])
        named = _NAME.search(head[1]) if head else None
        ending = next(ending for ending in _AGENT_FILES if path.name.endswith(ending))
        found[named[1] if named else path.name.removesuffix(ending)] = path
    return found


def _servers(wanted: Equipment, roots: Roots) -> Iterator[McpServer]:
    seen: set[str] = set()
    for entry in wanted.servers:
        for server in _of_entry(entry, roots):
            if server.name in seen:
                raise _error("MCP", entry, f"the server {server.name} stands there twice")
            seen.add(server.name)
            yield server


def _of_entry(entry: Named, roots: Roots) -> Iterator[McpServer]:
    if not entry.value.startswith("@"):
        name, _, command = entry.value.partition(" ")
        yield McpServer(name=name, command=_words(command))
        return
    path = _file("MCP", entry, entry.value[1:].strip(), roots)
    try:
        document = json.loads(_read("MCP", entry, path))
        listed = document.get("mcpServers", document.get("servers"))
        if not isinstance(listed, dict):
            raise ValueError('it has no "mcpServers"')
        yield from [_server(name, one) for name, one in listed.items()]
    except (ValueError, AttributeError, RecursionError) as error:
        raise _error("MCP", entry, f"{path.name}: {error or 'it is no object'}") from error


def _server(name: str, given: Any) -> McpServer:  # noqa: ANN401 - JSON
    """Raises ValueError for what is no server."""
    if not _SERVER.fullmatch(name) or not isinstance(given, dict):
        raise ValueError(f"{name!r} is no server")
    command, url = given.get("command"), given.get("url")
    arguments, environment = given.get("args", []), given.get("env", {})
    texts = [*arguments, *environment.values(), *given.get("headers", {}).values()]
    if isinstance(command, str) == isinstance(url, str) or not all(
        isinstance(text, str) for text in texts
    ):
        raise ValueError(f"{name}: a server has a command with args and env, or a url")
    return McpServer(
        name=name,
        command=(command, *arguments) if command else (),
        environment=environment,
        url=url,
        headers=given.get("headers", {}),
    )


def _words(command: str) -> tuple[str, ...]:
    """Raises ValueError for quotes that do not match."""
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise ValueError(f"the command cannot be split: {error}") from error


def _folder(name: str, entry: Named, roots: Roots) -> Path:
    return _place(name, entry, entry.value, roots, Path.is_dir, "folder")


def _file(name: str, entry: Named, value: str, roots: Roots) -> Path:
    return _place(name, entry, value, roots, Path.is_file, "file")


def _place(
    name: str,
    entry: Named,
    value: str,
    roots: Roots,
    there: Callable[[Path], bool],
    kind: str,
) -> Path:
    for root in roots.folders():
        path = root / Path(value).expanduser()
        if there(path):
            if problem := roots.problem(path):
                raise _error(name, entry, f"{value} {problem}")
            return path.resolve()
    nearby = [each.name for root in roots.folders() if root.is_dir() for each in root.iterdir()]
    near = did_you_mean(value, nearby)
    raise _error(name, entry, f"there is no {kind} {value}{near}")


def _read(name: str, entry: Named, path: Path) -> str:
    if path.stat().st_size > _LARGEST:
        raise _error(name, entry, f"{path.name} is larger than 1 MiB")
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _error(name, entry, f"{path.name} cannot be read: {error}") from error


def _error(name: str, entry: Named, message: str) -> WorkflowError:
    span: Span = entry.span
    return WorkflowError(f"{span.file}:{span.line}:{span.column}: {name}: {message}")
