"""Whether all is here that runs need, part by part, with what to do about the rest."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec

from sdqctl import __version__
from sdqctl.errors import SdqctlError
from sdqctl.model.views.doctor import Finding, PartView
from sdqctl.sandbox.choice import held
from sdqctl.sessions.overview import Installation, outlook_of

_EXTRAS = {
    "acp": ("acp", "other agents"),
    "age": ("pyrage", "encrypted states of CI jobs"),
    "fleet": ("psycopg", "sessions and queues on many machines"),
    "mcp": ("mcp", "the server for other agents"),
    "telemetry": ("opentelemetry.sdk", "traces of runs"),
    "ui": ("textual", "the screen of all sessions"),
}
"""An extra -> a module that it brings, and what it is for."""
_LITTLE = 500 * 1024**2
"""Bytes free, below which a run soon has no room."""


def examine(of: Installation) -> Iterator[PartView]:
    """Each part in turn; nothing is changed. The configured runtime may be asked for its version.

    A broken configuration is a part, after which the others are not known.
    """
    yield _ok("sdqctl", f"{__version__} on Python {platform.python_version()}")
    try:
        files = ", ".join(map(str, of.settings.files)) or "none was read"
    except SdqctlError as error:
        yield _problem("configuration", error)
        return
    yield _ok("configuration", files)
    yield from _data(of)
    yield _git()
    yield from _runtime(of)
    yield _sandbox(of)
    yield from map(_extra, _EXTRAS)


def _data(of: Installation) -> Iterator[PartView]:
    home = of.home
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield PartView(
            part="data",
            state=Finding.PROBLEM,
            found=f"{there} cannot be written",
            hint="set SDQCTL_HOME to a folder that can be",
        )
        return
    try:
        if home.exists():
            with of.ledger(read_only=True):
                pass
    except SdqctlError as error:
        yield _problem("data", error)
        return
    yield _ok("data", str(home))
    free = shutil.disk_usage(there).free
    if free < _LITTLE:
        found = f"{free // 1024**2} MiB are free where {there} is"
        yield PartView(part="disk", state=Finding.LACKS, found=found, hint="make room")


def _git() -> PartView:
    program = shutil.which("git")
    if program is None:
        return PartView(
            part="git",
            state=Finding.LACKS,
            found="there is no program `git`",
            hint="install it: without it there are no snapshots, diffs and worktrees",
        )
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return _ok("git", f"{done.stdout.removeprefix('git version').strip()}, {program}")


def _runtime(of: Installation) -> Iterator[PartView]:
    """The runtime of runs that name none, and who answers there."""
    outlook, name = outlook_of(of), of.settings.adapter

    async def check() -> PartView:
        health = await of.adapter(name).check()
        if health.problem is None:
            version = f" {health.version}" if health.version else ""
            return _ok("runtime", f"{name}{version}: {outlook.runtime}")
        return PartView(
            part="runtime", state=Finding.PROBLEM, found=health.problem, hint=health.hint
        )

    try:
        part = of.play(check())
    except SdqctlError as error:
        part = _problem("runtime", error)
    yield part
    if part.state is not Finding.OK:
        return
    for line in outlook.missing:
        found, _, hint = line.partition("\n")
        yield PartView(part="model", state=Finding.PROBLEM, found=found, hint=hint or None)
    if not outlook.missing:
        yield _ok("model", outlook.model)


def _sandbox(of: Installation) -> PartView:
    found = held(of.settings.sandbox, of.environment)
    if found.problem is not None:
        return PartView(part="sandbox", state=Finding.PROBLEM, found=found.problem)
    if found.reading == "none":
        hint = "tools run without a net behind the policy: see docs/sandbox.md"
        return PartView(
            part="sandbox", state=Finding.LACKS, found="none on this machine", hint=hint
        )
    if found.lacks:
        return PartView(part="sandbox", state=Finding.LACKS, found="; ".join(found.lacks))
    return _ok("sandbox", found.reading)


def _extra(name: str) -> PartView:
    module, use = _EXTRAS[name]
    if find_spec(module.partition(".")[0]) is not None and find_spec(module) is not None:
        return _ok(name, use)
    hint = f"`pipx install 'sdqctl[{name}]'`"
    return PartView(part=name, state=Finding.LACKS, found=f"not installed: {use}", hint=hint)


def _ok(part: str, found: str) -> PartView:
    return PartView(part=part, state=Finding.OK, found=found)


def _problem(part: str, error: SdqctlError) -> PartView:
    return PartView(part=part, state=Finding.PROBLEM, found=error.message, hint=error.hint)
