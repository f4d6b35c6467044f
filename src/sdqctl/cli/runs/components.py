"""What `apply` is applied to: files by a glob, or names by a list; and what each is called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.engine.inspection import Preview, previews
from sdqctl.errors import UsageError
from sdqctl.model.session import name_problem

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.model.options import RunOptions

_LONGEST = 90


@dataclass(frozen=True)
class Component:
    """One of them. `path` is as it was given or found, relative to the working directory."""

    path: str
    index: int
    total: int
    is_folder: bool = False

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


def find_components(spec: str, folder: Path) -> list[Component]:
    """The components of a glob below a folder, or of the lines of `@FILE`.

    Raises UsageError when there are none, or the file cannot be read.
    """
    paths = _listed(spec[1:]) if spec.startswith("@") else _globbed(spec, folder)
    if not paths:
        raise UsageError(
            f"--components {spec}: there is none", hint=f"it is looked for in {folder}"
        )
    return [
        Component(path, index, len(paths), (folder / path).is_dir())
        for index, path in enumerate(paths, start=1)
    ]


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


def _listed(file: str) -> list[str]:
    try:
        lines = Path(file).expanduser().read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--components @{file}: {error}") from error
    kept = (line.strip() for line in lines)
    return list(dict.fromkeys(line for line in kept if line and not line.startswith("#")))
