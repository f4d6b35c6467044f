"""What is asked of one run: by the configuration, by flags, by a program that calls `prepare`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec

from sdqctl.errors import UsageError
from sdqctl.model.workflow import SessionMode
from sdqctl.text.suggest import meant


class OnInterrupted(StrEnum):
    """What to do about an interrupted step whose tools or command already ran."""

    CONTINUE = "continue"
    RESEND = "resend"
    REWIND = "rewind"
    FAIL = "fail"


_ONCE = msgspec.Meta(extra={"once": True})
"""Marks what holds for one command alone, and is not kept with the run."""


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one run is asked for. None: not asked for, so that the workflow decides, then the
    configuration. Durations are seconds; 0 means no limit (`retry_for`: no retries).

    What is not marked as of one command is kept with the run, so that it goes on as it was started.
    """

    cycles: int | None = None
    session_mode: SessionMode | None = None
    prologues: tuple[str, ...] = ()
    """Whole texts, as `epilogues`."""
    epilogues: tuple[str, ...] = ()
    mode: str | None = None
    allow_tools: tuple[str, ...] = ()
    repository_tools: tuple[str, ...] = ()
    """Those of `allow_tools` that a trusted repository gave: they end with the trust in it."""
    deny_tools: tuple[str, ...] = ()
    allow_all_tools: bool = False
    sandbox: str | None = None
    """The net that was asked for; None: the configuration's, also when the run goes on."""
    on_interrupted: OnInterrupted | None = None
    """None: continue."""
    snapshots: bool | None = None
    """Whether snapshots of the work tree are taken; None: yes."""
    step_timeout: float | None = None
    idle_timeout: float | None = None
    retry_for: float | None = None
    max_turn_tool_calls: int | None = None
    max_tokens: int | None = None
    """Input and output together. This and the next ones are of the run with all that it calls, in
    all processes that drive it.
    """
    max_cost: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """What the runtime reports as cost, in its unit."""
    max_time: float | None = None
    max_steps: int | None = None
    """To which blocks and CALLs may unfold; None: 1,000."""
    warn_at: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    """Percent of a budget at which that is reported, once; 0: it is not."""
    output_file: Path | None = None
    """Where the answers go instead of the workflow's OUTPUT-FILE; starts from `cwd`."""
    traceparent: str | None = None
    """The span that it is part of, as W3C writes it; what telemetry takes from the environment."""
    component: tuple[tuple[str, str], ...] | None = ()
    """What `apply` does it for: template variables and the folder that its path starts from.
    None: not recorded.
    """

    adapter: Annotated[str | None, _ONCE] = None
    session_name: Annotated[str | None, _ONCE] = None
    """The name of a session, which may hold template variables."""
    resume_if_exists: Annotated[bool | None, _ONCE] = None
    """Go on in the session when the name exists; otherwise that is refused."""
    model: Annotated[str | None, _ONCE] = None
    cwd: Annotated[Path | None, _ONCE] = None
    """Where the agent works; None: the workflow's CWD, else the folder of the setup."""
    worktree: Annotated[str | None, _ONCE] = None
    """The branch of a git worktree that the session works in; empty: one that is named after it."""
    carry_changes: Annotated[bool, _ONCE] = False
    """Whether a new worktree has the uncommitted changes, too."""
    wait: Annotated[float, _ONCE] = 0.0
    """Seconds to wait for a session that is in use."""
    max_rounds: Annotated[int | None, _ONCE] = None
    """Of each REPEAT, instead of its MAX."""
    inputs: Annotated[tuple[tuple[str, str], ...], _ONCE] = ()
    """The values of INPUT, as they were given, by name."""
    discard_changes: Annotated[bool, _ONCE] = False
    """Whether a step that is taken back takes along what was changed in the tree since."""
    from_step: Annotated[str | None, _ONCE] = None
    """Where to start: a step's number, or a checkpoint's name."""


OPTIONS = RunOptions.__struct_fields__
"""The names of all options."""
_KEPT = frozenset(
    name
    for name, hint in get_type_hints(RunOptions, include_extras=True).items()
    if _ONCE not in getattr(hint, "__metadata__", ())
)


def options_of(values: Mapping[str, object]) -> RunOptions:
    """The options of these names, such as a command's flags; None and `()` are as not given.

    Raises UsageError for a name or a value that is none.
    """
    for name in values:
        if name not in OPTIONS:
            raise UsageError(
                f"there is no option {name!r} of a run", hint=meant(name, OPTIONS, "options")
            )
    given = {name: value for name, value in values.items() if value not in (None, ())}
    return _converted(given)


def encode_options(options: RunOptions) -> str:
    """What is kept of the options with a run, as JSON for the ledger."""
    values = {name: getattr(options, name) for name in OPTIONS if name in _KEPT}
    return msgspec.json.encode(values, enc_hook=str).decode()


def decode_options(text: str) -> RunOptions:
    """The options of a recorded run; what an older version did not write was not asked for, but for
    a component, of which nothing is known then.
    """
    values = {"component": None, **msgspec.json.decode(text, type=dict[str, Any])}
    return _converted({name: value for name, value in values.items() if name in _KEPT})


def _converted(values: Mapping[str, object]) -> RunOptions:
    try:
        return msgspec.convert(values, RunOptions, dec_hook=decoded)
    except msgspec.ValidationError as error:
        raise UsageError(f"an option of the run cannot be taken: {error}") from error


def decoded(kind: type, value: object) -> object:
    """A value of a kind that msgspec does not know, for `msgspec.convert`. Raises TypeError."""
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"{value!r} is no {kind.__name__}")
