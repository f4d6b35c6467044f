"""How a run is to be done; kept with the run, so that it goes on as it was started."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sdqctl.model.workflow import SessionMode


class OnInterrupted(StrEnum):
    """What to do about an interrupted step whose tools or command already ran."""

    CONTINUE = "continue"
    RESEND = "resend"
    FAIL = "fail"


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One run's settings. Durations are seconds; 0 means no limit (`retry_for`: no retries)."""

    cycles: int | None = None
    session_mode: SessionMode | None = None
    prologues: tuple[str, ...] = ()
    epilogues: tuple[str, ...] = ()
    mode: str | None = None
    allow_tools: tuple[str, ...] = ()
    repository_tools: tuple[str, ...] = ()
    """Those of `allow_tools` that a trusted repository gave: they end with the trust in it."""
    deny_tools: tuple[str, ...] = ()
    allow_all_tools: bool = False
    sandbox: str | None = None
    """The net that was asked for; None: the configuration's."""
    on_interrupted: OnInterrupted = OnInterrupted.CONTINUE
    step_timeout: float = 1800.0
    idle_timeout: float = 600.0
    retry_for: float = 600.0
    max_turn_tool_calls: int = 0
    max_tokens: int = 0
    """Input and output together, over the whole run; 0 means no limit."""
    max_time: float = 0.0
    """Of one process that drives the run."""
    output_file: str | None = None


def encode_options(options: RunOptions) -> str:
    """The options as JSON for the ledger."""
    return msgspec.json.encode(options).decode()


def decode_options(text: str) -> RunOptions:
    """The options of a recorded run; what an older version did not write gets its default."""
    return msgspec.json.decode(text, type=RunOptions)
