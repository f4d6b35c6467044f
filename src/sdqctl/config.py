"""Settings, merged once: defaults < user file < project file < environment; cli puts flags on top.

A project's file lies in a repository that may be a stranger's. Until the user trusts it, it may
only make a run stricter; each setting has a `Rule` for that. Whether it is trusted is asked
through a function, since what else the repository brings counts as well (`engine.repository`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sdqctl.errors import UsageError
from sdqctl.project import FILE_NAME, ProjectFile, project_file
from sdqctl.text.duration import parse_duration
from sdqctl.text.suggest import meant


class Rule(Enum):
    """What the file of a project may do to a setting; the value says it to readers."""

    USER = "set it once it is trusted"
    SMALLER = "lower it; once it is trusted, set it"
    ADDS = "add to it"
    FILLS = "set it where you have not; once it is trusted, set it"


def about(
    doc: str,
    *,
    rule: Rule = Rule.USER,
    duration: bool = False,
    zero_is_no_limit: bool = True,
    variable: str | None = None,
    unset: str | None = None,
) -> dict[str, Any]:
    """The metadata of a field of Settings that configuration files may set.

    `doc` is its line in docs/configuration.md, and `unset` what holds without it where that is no
    plain value. `zero_is_no_limit` counts for Rule.SMALLER: 0 is larger than every number then.
    `variable` names the variable of the environment that goes before all files.
    """
    return {
        "doc": doc,
        "rule": rule,
        "duration": duration,
        "unlimited": zero_is_no_limit,
        "variable": variable,
        "unset": unset,
    }


Trusts = Callable[[ProjectFile, tuple[str, ...]], bool]
"""Whether a project's file is trusted; asked only about one that sets what needs trust (second)."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What holds for one command. Durations are seconds. A field without `about` is no setting."""

    home: Path = field(
        metadata=about(
            "where sdqctl keeps its ledger, locks and trash",
            variable="SDQCTL_HOME",
            unset="the platform's folder for user data",
        )
    )
    adapter: str = field(
        default="copilot",
        metadata=about(
            "the adapter of runs: `copilot`, `mock`, or one that is installed",
            variable="SDQCTL_ADAPTER",
        ),
    )
    model: str | None = field(
        default=None,
        metadata=about(
            "the model of runs whose workflow names none; for Copilot `COPILOT_MODEL` goes first",
            rule=Rule.FILLS,
            unset="the runtime's choice",
        ),
    )
    resume_if_exists: bool = field(
        default=False,
        metadata=about("whether `run` goes on in a session whose name exists, or refuses"),
    )
    step_timeout: float = field(
        default=1800.0,
        metadata=about(
            "how long a step may take; `0` is no limit", rule=Rule.SMALLER, duration=True
        ),
    )
    idle_timeout: float = field(
        default=600.0,
        metadata=about(
            "how long the agent may be silent, but for a tool at work; `0` is no limit",
            rule=Rule.SMALLER,
            duration=True,
        ),
    )
    retry_for: float = field(
        default=600.0,
        metadata=about(
            "how long a request that failed is tried again; `0` is not at all",
            rule=Rule.SMALLER,
            duration=True,
            zero_is_no_limit=False,
        ),
    )
    max_turn_tool_calls: int = field(
        default=0,
        metadata=about("stop a turn that uses more tools; `0` is no limit", rule=Rule.SMALLER),
    )
    max_tokens: int = field(
        default=0,
        metadata=about("stop a run that used so many tokens; `0` is no limit", rule=Rule.SMALLER),
    )
    max_cost: float = field(
        default=0.0,
        metadata=about(
            "stop a run that cost so much, as the runtime reports it; `0` is no limit",
            rule=Rule.SMALLER,
        ),
    )
    max_time: float = field(
        default=0.0,
        metadata=about(
            "stop a run after so long; `0` is no limit", rule=Rule.SMALLER, duration=True
        ),
    )
    warn_at: int = field(
        default=0,
        metadata=about(
            "percent of a budget at which a run says that it comes near; `0` is never",
            rule=Rule.FILLS,
        ),
    )
    on_interrupted: str | None = field(
        default=None,
        metadata=about(
            "what is done about a step that was cut off, as for --on-interrupted",
            unset="`continue`",
        ),
    )
    snapshots: bool = field(
        default=True,
        metadata=about("whether the work tree is kept as it was after each step that changed it"),
    )
    snapshot_files: int = field(
        default=200_000,
        metadata=about("no snapshots of a tree with more files; `0` is no limit"),
    )
    snapshot_bytes: int = field(
        default=1024**3,
        metadata=about("no snapshots that take in more bytes at once; `0` is no limit"),
    )
    history_store: bool = field(
        default=True,
        metadata=about("whether the runtime may keep its own full-text copy of the turns"),
    )
    env: tuple[str, ...] | None = field(
        default=None,
        metadata=about(
            "names and globs of the variables that RUN commands and the runtime are given",
            unset="all",
        ),
    )
    allow_tools: tuple[str, ...] = field(
        default=(), metadata=about("rules of the tools that runs may use")
    )
    deny_tools: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "rules of the tools that runs may never use; files and flags add up", rule=Rule.ADDS
        ),
    )
    sandbox: str = field(
        default="auto", metadata=about("the net of the [sandbox](sandbox.md), as for --sandbox")
    )
    sandbox_run: bool = field(default=True, metadata=about("whether RUN commands are in it, too"))
    sandbox_write: tuple[str, ...] = field(
        default=(), metadata=about("folders more that writing modes may write in it")
    )
    on_event: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "shell commands and addresses that are told when a run is done, fails, pauses or asks "
            "for permission ([background](background.md#being-told))"
        ),
    )
    store: str | None = field(
        default=None,
        metadata=about(
            "the [shared store](fleet.md) of `--store`, as `postgresql://USER@HOST/DATABASE`; a "
            "password may stand in the variable alone",
            variable="SDQCTL_STORE",
            unset="none",
        ),
    )
    own: Mapping[str, object] = field(default_factory=dict)
    """What is set of the settings that adapters declare, by name."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: tuple[Path, ...] = ()
    """The configuration files that were read, in order."""
    project: ProjectFile | None = field(default=None, repr=False)
    from_project: tuple[str, ...] = ()
    """The settings of the project's file that count."""
    ignored: tuple[str, ...] = ()
    """The settings of the project's file that do not count, since it is not trusted."""


Known = Mapping[str, Field[Any]]
"""Settings that files may set, by name, each with `about` as its metadata."""
SETTINGS: Known = {f.name: f for f in fields(Settings) if "rule" in f.metadata}
"""Those that are not an adapter's."""
_ALWAYS_GIVEN = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "LANG", "LC_*", "TZ")


def load_settings(
    environment: Mapping[str, str],
    directory: Path,
    *,
    trusts: Trusts = lambda _project, _ignored: False,
    with_project: bool = True,
    own: Known | None = None,
) -> Settings:
    """Merge all sources for a command that runs in `directory`.

    `with_project`: whether the project's file is read at all. `own`: what adapters declare.

    Raises UsageError with file and key for a broken or unknown setting, when there is no home, and
    for a project's file that is a link.
    """
    settings = Settings(home=data_folder(environment), environment=dict(environment))
    known: Known = {**(own or {}), **SETTINGS}
    user = user_file(environment)
    if user is not None and not user.is_file():
        user = None
    given: set[str] = set()
    if user is not None:
        values = _settings_in(user, _read_user_file(user), known)
        given = {*values}
        settings = _replaced(settings, values, files=(user,))
    project = project_file(directory) if with_project else None
    if project is not None and (user is None or project.path != user.resolve()):
        settings = _with_project(settings, project, given, trusts, known)
    return _with_environment(settings, environment, known)


def project_settings(project: ProjectFile, own: Known) -> dict[str, Any]:
    """What a project's file sets; `own` is what adapters declare.

    Raises UsageError for a broken one.
    """
    return _settings_in(project.path, project.data, {**own, **SETTINGS})


def _replaced(settings: Settings, values: Mapping[str, Any], **more: Any) -> Settings:  # noqa: ANN401 - of any setting
    """The settings with other values; what is none of ours is an adapter's."""
    own = {name: value for name, value in values.items() if name not in SETTINGS}
    ours = {name: value for name, value in values.items() if name in SETTINGS}
    return replace(settings, own={**settings.own, **own}, **ours, **more)


def _current(settings: Settings, name: str) -> object:
    return getattr(settings, name) if name in SETTINGS else settings.own.get(name)


def _with_project(
    settings: Settings, project: ProjectFile, given: set[str], trusts: Trusts, known: Known
) -> Settings:
    """The settings with a project's file over them, as far as it counts."""
    values = _settings_in(project.path, project.data, known)
    stricter = {
        name
        for name, value in values.items()
        if _is_stricter(known[name], _current(settings, name), value, given=name in given)
    }
    ignored = {*values} - stricter
    if ignored and trusts(project, tuple(sorted(ignored))):
        ignored = set()
    values["deny_tools"] = (*settings.deny_tools, *values.get("deny_tools", ()))
    counting = {name: value for name, value in values.items() if name not in ignored}
    files = (*settings.files, project.path)
    return _replaced(
        settings,
        counting,
        files=files,
        project=project,
        from_project=tuple(sorted(counting)),
        ignored=tuple(sorted(ignored)),
    )


def _is_stricter(known: Field[Any], current: Any, value: Any, *, given: bool) -> bool:  # noqa: ANN401 - of any setting
    """Whether a value of a file that is not trusted counts.

    `given`: whether the user set it.
    """
    rule = known.metadata["rule"]
    if rule is Rule.SMALLER and known.metadata["unlimited"]:
        return bool((value or float("inf")) <= (current or float("inf")))
    if rule is Rule.SMALLER:
        return bool(value <= current)
    return rule is Rule.ADDS or (rule is Rule.FILLS and not given) or bool(value == current)


def _with_environment(settings: Settings, environment: Mapping[str, str], known: Known) -> Settings:
    values: dict[str, Any] = {}
    for name, setting in known.items():
        if text := environment.get(setting.metadata["variable"] or ""):
            is_path = "Path" in _type_name(setting)
            values[name] = Path(text).expanduser().absolute() if is_path else text
    return _replaced(settings, values)


def given_environment(
    settings: Settings, more: Callable[[], Sequence[str]] = lambda: ()
) -> dict[str, str]:
    """The variables for RUN commands, or for a runtime and its tools: those that `env` lets
    through, what programs cannot do without, and what the globs of `more` say of the runtime,
    which is asked only where something is left out.
    """
    if settings.env is None:
        return dict(settings.environment)
    wanted = (*_ALWAYS_GIVEN, *settings.env, *more())
    return {
        name: value
        for name, value in settings.environment.items()
        if any(fnmatchcase(name, pattern) for pattern in wanted)
    }


def data_folder(environment: Mapping[str, str]) -> Path:
    """Where sdqctl keeps its data, by the environment. Raises UsageError without a home."""
    if path := environment.get("SDQCTL_HOME"):
        return Path(path).expanduser().absolute()
    if not (environment.get("HOME") or environment.get("USERPROFILE")):
        raise UsageError(
            "there is no HOME, so the folder for sdqctl's data is not known",
            hint="set HOME, or SDQCTL_HOME and the folder of the agent that is used",
        )
    from platformdirs import user_data_path

    return user_data_path("sdqctl", appauthor=False)


def user_file(environment: Mapping[str, str]) -> Path | None:
    """The user's own configuration file, whether it is there or not; None without a home.

    Raises UsageError when SDQCTL_CONFIG names no file.
    """
    if path := environment.get("SDQCTL_CONFIG"):
        file = Path(path).absolute()
        if not file.is_file():
            raise UsageError(f"SDQCTL_CONFIG names no file: {file}")
        return file
    if not environment.get("HOME"):
        return None
    from platformdirs import user_config_path

    return user_config_path("sdqctl", appauthor=False) / FILE_NAME


def _read_user_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


def _settings_in(file: Path, data: bytes, known: Known) -> dict[str, Any]:
    """What a file's content sets. Relative paths in it start from its folder."""
    import tomllib

    try:
        table = tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file}: {error}", hint="correct the configuration file") from error
    return dict(_setting(file, name, value, known) for name, value in table.items())


def _setting(file: Path, name: str, value: object, known: Known) -> tuple[str, object]:
    key = name.replace("-", "_")
    if key not in known:
        raise UsageError(f"{file}: unknown setting {name!r}", hint=meant(key, known, "settings"))
    try:
        return key, _convert(known[key], value, file.parent)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{file}: {name}: {error}") from error


def _convert(known: Field[Any], value: object, folder: Path) -> object:
    kind = _type_name(known)
    if known.metadata["duration"]:
        if isinstance(value, str):
            return parse_duration(value)
        raise TypeError('a duration in quotes is wanted, such as "30m"')
    if kind == "bool":
        return _checked(value, isinstance(value, bool), "true or false")
    if kind == "int":
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return _checked(value, whole, "a whole number")
    if kind == "float":
        number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        return _checked(value, number, "a number")
    if kind.startswith("Mapping"):
        tables = isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())
        return _checked(value, tables, "a table of tables")
    if kind.startswith("tuple"):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(_path(item, folder) if "Path" in kind else item for item in value)
        raise TypeError("a list of strings is wanted")
    if not isinstance(value, str):
        raise TypeError("a string is wanted")
    return _path(value, folder) if "Path" in kind else value


def _checked(value: object, is_right: bool, wanted: str) -> object:
    if not is_right:
        raise TypeError(f"{wanted} is wanted")
    return value


def _type_name(known: Field[Any]) -> str:
    """The type as it is written, also where annotations are no strings."""
    return str(getattr(known.type, "__name__", known.type))


def _path(text: str, folder: Path) -> Path:
    """A path of a configuration file, relative to the folder of that file."""
    return Path(os.path.normpath(folder.absolute() / os.path.expanduser(text)))
