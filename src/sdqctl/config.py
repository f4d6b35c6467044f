"""Settings, merged once: defaults < user file < project file < environment; cli puts flags on top.

A project file lies in a repository that may be a stranger's, so it may set no path of a program,
no folder of data and no permission, unless the user trusts it (`trust`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sdqctl.errors import UsageError
from sdqctl.model.duration import parse_duration

FILE_NAME = "sdqctl.toml"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What holds for one command. Durations are seconds; 0 switches a limit off."""

    home: Path
    copilot_home: Path
    runtime_path: Path | None = None
    adapter: str = "copilot"
    model: str | None = None
    resume_if_exists: bool = False
    step_timeout: float = 1800.0
    idle_timeout: float = 600.0
    retry_for: float = 600.0
    max_turn_tool_calls: int = 0
    max_tokens: int = 0
    max_time: float = 0.0
    history_store: bool = True
    env: tuple[str, ...] | None = None
    """Names and globs of the variables that RUN commands and the runtime are given; None: all."""
    allow_tools: tuple[str, ...] = ()
    deny_tools: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: tuple[Path, ...] = ()
    """The configuration files that were read, in order."""


_DURATIONS = {"step_timeout", "idle_timeout", "retry_for", "max_time"}
_USER_ONLY = {"home", "copilot_home", "runtime_path", "allow_tools", "history_store", "env"}
_ALWAYS_GIVEN = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "LANG", "LC_*", "TZ")
_RUNTIME_GIVEN = ("COPILOT_*", "GH_TOKEN", "GITHUB_TOKEN", "XDG_*", "*_PROXY", "*_proxy", "NODE_*")
_NOT_IN_FILES = {"environment", "files"}


def load_settings(environment: Mapping[str, str], directory: Path) -> Settings:
    """Merge all sources for a command that runs in `directory`.

    Raises UsageError with file and key for a broken or unknown setting, or when there is no home.
    """
    settings = Settings(
        home=data_folder(environment),
        copilot_home=_copilot_home(environment),
        environment=dict(environment),
    )
    user, project = _user_file(environment), project_file(directory)
    home = settings.home
    for file in (user, project):
        if file is not None and file not in settings.files:
            values = _read_file(file, trusted=file == user or _is_trusted(home, file))
            settings = replace(settings, files=(*settings.files, file), **values)
    return _with_environment(settings, environment)


def _is_trusted(home: Path, file: Path) -> bool:
    from sdqctl.trust import is_trusted

    try:
        return is_trusted(home, file)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


def _with_environment(settings: Settings, environment: Mapping[str, str]) -> Settings:
    values: dict[str, Any] = {}
    if "SDQCTL_HOME" in environment:
        values["home"] = data_folder(environment)
    if "COPILOT_HOME" in environment:
        values["copilot_home"] = _copilot_home(environment)
    if path := environment.get("COPILOT_CLI_PATH"):
        values["runtime_path"] = Path(path)
    if adapter := environment.get("SDQCTL_ADAPTER"):
        values["adapter"] = adapter
    if model := environment.get("COPILOT_MODEL"):
        values["model"] = model
    return replace(settings, **values)


def _home(environment: Mapping[str, str], wanted_for: str) -> Path:
    home = environment.get("HOME") or environment.get("USERPROFILE")
    if not home:
        raise UsageError(
            f"there is no HOME, so the folder for {wanted_for} is not known",
            hint="set HOME, or both SDQCTL_HOME and COPILOT_HOME",
        )
    return Path(home)


def given_environment(settings: Settings, *, runtime: bool) -> dict[str, str]:
    """The variables for RUN commands, or for the runtime and its tools: those that `env` lets
    through, and what programs cannot do without.
    """
    if settings.env is None:
        return dict(settings.environment)
    wanted = (*_ALWAYS_GIVEN, *settings.env, *(_RUNTIME_GIVEN if runtime else ()))
    return {
        name: value
        for name, value in settings.environment.items()
        if any(fnmatchcase(name, pattern) for pattern in wanted)
    }


def data_folder(environment: Mapping[str, str]) -> Path:
    """Where sdqctl keeps its data, by the environment. Raises UsageError without a home."""
    if path := environment.get("SDQCTL_HOME"):
        return Path(path).expanduser().absolute()
    _home(environment, "sdqctl's data")
    from platformdirs import user_data_path

    return user_data_path("sdqctl", appauthor=False)


def _copilot_home(environment: Mapping[str, str]) -> Path:
    if path := environment.get("COPILOT_HOME"):
        return Path(path).absolute()
    return _home(environment, "the Copilot runtime") / ".copilot"


def _user_file(environment: Mapping[str, str]) -> Path | None:
    if path := environment.get("SDQCTL_CONFIG"):
        file = Path(path).absolute()
        if not file.is_file():
            raise UsageError(f"SDQCTL_CONFIG names no file: {file}")
        return file
    if not environment.get("HOME"):
        return None
    from platformdirs import user_config_path

    file = user_config_path("sdqctl", appauthor=False) / FILE_NAME
    return file if file.is_file() else None


def project_file(directory: Path) -> Path | None:
    """The configuration file of the project around a folder."""
    for folder in (directory, *directory.parents):
        file = folder / FILE_NAME
        if file.is_file():
            return file
        if (folder / ".git").exists():
            return None
    return None


def _read_file(file: Path, *, trusted: bool) -> dict[str, Any]:
    import tomllib

    try:
        table = tomllib.loads(file.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file}: {error}", hint="mend the configuration file") from error
    return dict(_setting(file, name, value, trusted) for name, value in table.items())


def _setting(file: Path, name: str, value: object, trusted: bool) -> tuple[str, object]:
    key = name.replace("-", "_")
    known = {f.name: f for f in fields(Settings) if f.name not in _NOT_IN_FILES}
    if key not in known:
        import difflib

        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known settings: {', '.join(known)}"
        raise UsageError(f"{file}: unknown setting {name!r}", hint=hint)
    if key in _USER_ONLY and not trusted:
        raise UsageError(
            f"{file}: {name} may not be set by a project's file",
            hint="set it in your own file, or read this one and then say `sdqctl trust`",
        )
    try:
        return key, _convert(key, str(known[key].type), value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{file}: {name}: {error}") from error


def _convert(key: str, kind: str, value: object) -> object:
    if key in _DURATIONS:
        if isinstance(value, str):
            return parse_duration(value)
        raise TypeError('a duration in quotes is wanted, such as "30m"')
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise TypeError("true or false is wanted")
    if kind == "int":
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise TypeError("a whole number is wanted")
    if kind.startswith("tuple"):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise TypeError("a list of strings is wanted")
    if not isinstance(value, str):
        raise TypeError("a string is wanted")
    return Path(os.path.expanduser(value)).absolute() if "Path" in kind else value
