"""What `apply` is applied to: files by a glob, or names by a list; and what each is called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sdqctl.cli.runs.options import as_input
from sdqctl.engine.inputs import described, missing_inputs
from sdqctl.engine.inspection import Preview, previews
from sdqctl.errors import UsageError
from sdqctl.model.session import name_problem
from sdqctl.text.suggest import meant

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.options import RunOptions
    from sdqctl.model.workflow import Workflow

_LONGEST = 90
_NAMES = ("path", "file", "name", "id")
"""What an object of a list is called by, the first that it has."""


@dataclass(frozen=True)
class Component:
    """One of them. `path` is as it was given or found, relative to the working directory."""

    path: str
    index: int
    total: int
    is_folder: bool = False
    values: Mapping[str, str] = field(default_factory=dict)
    """What its object in a list gives, by name."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Its template variables (docs/language.md)."""
        path = Path(self.path)
        return {
            "COMPONENT_NAME": path.stem or self.path,
            "COMPONENT_PATH": self.path,
            "COMPONENT_DIR": str(path.parent),
            "COMPONENT_TYPE": "folder" if self.is_folder else path.suffix.lstrip("."),
            "ITERATION_INDEX": str(self.index),
            "ITERATION_TOTAL": str(self.total),
        }


def find_components(specs: Iterable[str], folder: Path) -> list[Component]:
    """The components of globs below a folder, of the lines of `@FILE`, and of the list in
    `@FILE.json`, each once.

    Raises UsageError when there are none, or a file cannot be read.
    """
    found: dict[str, Mapping[str, str]] = {}
    for spec in specs:
        for path, values in _found(spec, folder).items():
            if found.setdefault(path, values) != values:
                raise UsageError(f"--components {spec}: {path} stands in another with other values")
    return [
        Component(path, index, len(found), (folder / path).is_dir(), values)
        for index, (path, values) in enumerate(found.items(), start=1)
    ]


def _found(spec: str, folder: Path) -> Mapping[str, Mapping[str, str]]:
    """The components of one glob or file, with their inputs. Raises UsageError."""
    if spec.startswith("@") and spec.endswith(".json"):
        found = _objects(spec)
    else:
        paths = _listed(spec[1:]) if spec.startswith("@") else _globbed(spec, folder)
        found = {path: {} for path in paths}
    if not found:
        raise UsageError(
            f"--components {spec}: there is none", hint=f"it is looked for in {folder}"
        )
    return found


def values_of(
    component: Component, workflow: Workflow, options: RunOptions
) -> tuple[tuple[str, str], ...]:
    """The inputs of a component's run: those of its object, over those of all.

    Raises UsageError for one that is none, unless the component is called by it, and for those that
    are missing.
    """
    known = [one.name for one in workflow.inputs]
    for name in component.values:
        if name not in known and name not in _NAMES:
            hint = meant(name, known, "inputs") if known else "the workflow has no INPUT"
            raise UsageError(f"component {component.path}: there is no input {name}", hint=hint)
    own = {name: text for name, text in component.values.items() if name in known}
    given = tuple({**dict(options.inputs), **own}.items())
    missing = missing_inputs(workflow, msgspec.structs.replace(options, inputs=given))
    if missing:
        what = "; ".join(map(described, missing))
        raise UsageError(f"component {component.path}: values are missing: {what}")
    return given


def default_name(workflow: str, component: Component) -> str:
    """The session's name: the workflow and the component's path; a hash where that is too long."""
    name = f"{workflow}/{component.path}"
    if len(name) <= _LONGEST and name_problem(name) is None:
        return name
    digest = hashlib.sha256(component.path.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{workflow[:40]}/{component.index}-{digest}"


def refuse_same_names(names: Sequence[str]) -> None:
    """Raise UsageError when two components would share a session."""
    seen: dict[str, int] = {}
    for index, name in enumerate(names, start=1):
        first = seen.setdefault(name.casefold(), index)
        if first != index:
            raise UsageError(
                f"components {first} and {index} would both run in session {name!r}",
                hint="put {{COMPONENT_PATH}} or {{ITERATION_INDEX}} into --session-name",
            )


def previews_of(
    app: App, path: Path, options: RunOptions, component: str | None
) -> Iterator[Preview]:
    """The steps of a workflow as they would be for a component, were it the only one.

    Raises what `previews` raises.
    """
    if component is None:
        return previews(app, path, options)
    is_folder = ((options.cwd or app.directory) / component).is_dir()
    found = Component(component, 1, 1, is_folder)
    return previews(app, path, options, more=found.variables, name=default_name(path.stem, found))


def _globbed(pattern: str, folder: Path) -> list[str]:
    if Path(pattern).is_absolute():
        raise UsageError(
            f"--components {pattern}: a pattern starts from {folder}",
            hint="give --cwd DIR, and the pattern from there",
        )
    try:
        found = sorted(folder.glob(pattern))
    except (ValueError, OSError) as error:
        raise UsageError(f"--components {pattern}: {error}") from error
    return [str(path.relative_to(folder)) for path in found if ".git" not in path.parts]


def _objects(spec: str) -> dict[str, Mapping[str, str]]:
    """The values of the objects of a JSON list, by what each is called. Raises UsageError."""
    try:
        found = msgspec.json.decode(Path(spec[1:]).expanduser().read_bytes(), type=list[Any])
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise UsageError(f"--components {spec}: {error}") from error
    components: dict[str, Mapping[str, str]] = {}
    for number, one in enumerate(found, start=1):
        values = {"path": one} if isinstance(one, str) else one
        if not isinstance(values, dict):
            raise UsageError(f"--components {spec}: entry {number} is no object and no text")
        name = next((str(values[key]) for key in _NAMES if values.get(key)), None)
        if name is None:
            hint = 'give each a "path", "file", "name" or "id" that no other has'
            raise UsageError(f"--components {spec}: entry {number} has no name", hint=hint)
        if name in components:
            raise UsageError(f"--components {spec}: {name} stands there twice")
        components[name] = {key: as_input(value) for key, value in values.items()}
    return components


def _listed(file: str) -> list[str]:
    try:
        lines = Path(file).expanduser().read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--components @{file}: {error}") from error
    kept = (line.strip() for line in lines)
    return list(dict.fromkeys(line for line in kept if line and not line.startswith("#")))
