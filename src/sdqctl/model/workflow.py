"""A parsed workflow and the plan that is made of it.

`Workflow` is what stands in the file, step by step. `Plan` is what will be done: cycles laid out,
ELIDE joined, prologues and epilogues in place, each step with a digest. Neither has read any file
but the workflow itself; references and template variables are filled in when a step is begun.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sdqctl.model.paths import position_of


class Span(msgspec.Struct, frozen=True, order=True):
    """Where something stands in a file. Lines and columns count from 1."""

    file: str
    line: int
    column: int = 1


NOWHERE = Span("", 0, 0)
"""The place of what stands in no file, or has not got its place yet."""


class Severity(StrEnum):
    """Whether a diagnostic stops the workflow."""

    ERROR = "error"
    WARNING = "warning"


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """One finding about a workflow file, with the line it is about."""

    severity: Severity
    message: str
    span: Span
    source_line: str = ""
    hint: str | None = None


class SessionMode(StrEnum):
    """What happens to the context between cycles."""

    ACCUMULATE = "accumulate"
    COMPACT = "compact"
    FRESH = "fresh"


class OnError(StrEnum):
    """What a failing RUN or VERIFY does to the run."""

    STOP = "stop"
    CONTINUE = "continue"


class OutputRule(StrEnum):
    """When the output of a RUN or VERIFY goes to the model."""

    ALWAYS = "always"
    ON_ERROR = "on-error"
    NEVER = "never"


# -- steps, as they stand in the file ------------------------------------------------------------


class _Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    span: Span

    @property
    def title(self) -> str:
        """What it is called in a list of steps: its own words, else those of its kind."""
        return str(self.__struct_config__.tag).replace("-", " ")


class PromptStep(_Step, frozen=True, kw_only=True, tag="prompt"):
    """PROMPT: one turn. `context_limit` and what to do at it are the settings in force here."""

    text: str
    context_limit: float | None = None
    on_context_limit: str = "compact"
    on_context_limit_prompt: str | None = None


class RunStep(_Step, frozen=True, kw_only=True, tag="run"):
    """RUN: a command. `argv` is None when a shell runs it (ALLOW-SHELL)."""

    command: str
    argv: tuple[str, ...] | None
    on_error: OnError = OnError.STOP
    output: OutputRule = OutputRule.ALWAYS
    output_limit: int | None = 10_000
    """Most characters that go to the model; None: no limit."""
    timeout: float | None = 600.0
    """Seconds; None: no limit."""
    environment: tuple[tuple[str, str], ...] = ()
    cwd: str | None = None
    retries: int = 0
    retry_prompt: str | None = None
    background: bool = False
    repeatable: bool = False
    """Whether it may run again when its end was not seen."""

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return self.command


class RunWaitStep(_Step, frozen=True, kw_only=True, tag="run-wait"):
    """RUN-WAIT: let the background commands work for `seconds`."""

    seconds: float

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return f"wait {self.seconds:g} s"


class VerifyStep(_Step, frozen=True, kw_only=True, tag="verify"):
    """VERIFY: check `refs` or `links` in the workflow's folder."""

    check: str
    on_error: OnError = OnError.STOP
    output: OutputRule = OutputRule.ALWAYS
    output_limit: int | None = 10_000

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return f"verify {self.check}"


class CompactStep(_Step, frozen=True, kw_only=True, tag="compact"):
    """COMPACT: the runtime's own compaction, told what to keep."""

    preserve: tuple[str, ...] = ()
    summary: str | None = None
    prologue: str | None = None
    epilogue: str | None = None

    @property
    def instructions(self) -> str | None:
        """What the runtime is told about the compaction; None: nothing."""
        keep = "Preserve: " + ", ".join(self.preserve) if self.preserve else None
        parts = (self.prologue, self.summary, keep, self.epilogue)
        return "\n\n".join(part for part in parts if part) or None


class CheckpointStep(_Step, frozen=True, kw_only=True, tag="checkpoint"):
    """CHECKPOINT: a place with a name."""

    name: str

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return self.name


class PauseStep(_Step, frozen=True, kw_only=True, tag="pause"):
    """PAUSE: wait for a human; exit 8."""

    message: str

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return self.message.strip() or super().title


class ConsultStep(_Step, frozen=True, kw_only=True, tag="consult"):
    """CONSULT: wait for a human, who is first asked the agent's open questions."""

    topic: str
    timeout: float | None = None

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return self.topic.strip() or super().title


class NewConversationStep(_Step, frozen=True, kw_only=True, tag="new-conversation"):
    """NEW-CONVERSATION: an empty context from here on."""


class ElideStep(_Step, frozen=True, kw_only=True, tag="elide"):
    """ELIDE: joins the steps around it into one turn. Never stands in a plan."""


class BlockStep(_Step, frozen=True, kw_only=True, tag="block"):
    """ON-FAILURE or ON-SUCCESS ... END: steps that depend on the RUN before. Never in a plan."""

    when: str
    """`failure` or `success`."""
    steps: tuple[Step, ...]


Joinable = PromptStep | RunStep | RunWaitStep | VerifyStep
"""Steps that ELIDE joins into one turn."""
Single = CompactStep | CheckpointStep | PauseStep | ConsultStep | NewConversationStep
"""Steps that stand by themselves, in a plan as in the file."""
Step = Joinable | Single | ElideStep | BlockStep


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A CONTEXT or REFCAT entry: `pattern` is a path or glob, `fragment` what of each file."""

    pattern: str
    fragment: str | None = None
    """Without the `#`: `L10`, `L10-L50`, `L10-`, `/regex/`."""
    optional: bool = False
    span: Span


SANDBOX = "sandbox"
"""The kind of the REQUIRE entry that names nothing."""


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """A REQUIRE entry: `kind` is `file`, `cmd`, `env` or `sandbox`."""

    kind: str
    value: str
    span: Span


class FileRule(msgspec.Struct, frozen=True, kw_only=True):
    """ALLOW-FILES, DENY-FILES, ALLOW-DIR, DENY-DIR."""

    allow: bool
    directory: bool
    pattern: str
    span: Span


class ContextSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The runtime's automatic compaction, as INFINITE-SESSIONS and COMPACTION-* say."""

    infinite_sessions: bool | None = None
    compaction_min: float | None = None
    compaction_threshold: float | None = None
    compaction_max: float | None = None


class OutputSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the answers. Paths may hold template variables."""

    file: str | None = None
    file_span: Span | None = None
    directory: str | None = None
    directory_span: Span | None = None
    format: str | None = None
    header: str | None = None
    footer: str | None = None


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A whole .conv file. `mode` is free text; `policy.policy` says what it allows."""

    path: str
    source: str
    model: str | None = None
    adapter: str | None = None
    adapter_span: Span | None = None
    mode: str | None = None
    max_cycles: int | None = None
    cwd: str | None = None
    session_name: str | None = None
    session_name_span: Span | None = None
    resume_if_exists: bool | None = None
    session_mode: SessionMode | None = None
    prologues: tuple[str, ...] = ()
    """Each a text, or `@file`, read anew each cycle."""
    epilogues: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    excludes: tuple[str, ...] = ()
    """CONTEXT-EXCLUDE globs."""
    strict_references: bool = True
    checkpoint_after: str | None = None
    checkpoint_name: str | None = None
    context: ContextSettings = ContextSettings()
    compaction: CompactStep | None = None
    """What COMPACT would be at the end of the file: the compaction between cycles."""
    output: OutputSettings = OutputSettings()
    file_rules: tuple[FileRule, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    event_log: str | None = None
    event_log_span: Span | None = None
    debug: str | None = None
    steps: tuple[Step, ...] = ()


# -- the plan ------------------------------------------------------------------------------------


class TextPart(msgspec.Struct, frozen=True, tag_field="part", tag="text"):
    """Text with template variables still in it."""

    text: str


class FilePart(msgspec.Struct, frozen=True, tag_field="part", tag="file"):
    """The text of a prologue or epilogue file, read when the prompt is made."""

    path: str
    span: Span


class ReferencesPart(msgspec.Struct, frozen=True, tag_field="part", tag="references"):
    """The CONTEXT and REFCAT files, each under its path in a fenced block."""

    references: tuple[Reference, ...]


class OutputPart(msgspec.Struct, frozen=True, tag_field="part", tag="output"):
    """The recorded output of the RUN or VERIFY step with a number in the same list."""

    position: int


PromptPart = TextPart | FilePart | ReferencesPart | OutputPart


class PromptAction(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="prompt"):
    """A turn of a plan: its parts are joined with blank lines, empty ones are left out."""

    parts: tuple[PromptPart, ...]
    context_limit: float | None = None
    on_context_limit: str = "compact"
    on_context_limit_prompt: str | None = None


Action = PromptAction | RunStep | RunWaitStep | VerifyStep | Single


class Condition(msgspec.Struct, frozen=True):
    """The step runs only if the last of the RUNs at `positions` of its list that ran ended so.

    `when` is `success` or `failure`. Several positions are a RUN and its retries.
    """

    positions: tuple[int, ...]
    when: str


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a plan. `cycle` counts from 1.

    `digest` is over what the step does, before template variables and files are filled in.
    """

    path: str
    """Where it stands (`model.paths`)."""
    cycle: int
    title: str
    digest: str
    action: Action
    condition: Condition | None = None

    @property
    def position(self) -> int:
        """The number of the step of the whole list that it lies in, or is."""
        return position_of(self.path)

    @property
    def kind(self) -> str:
        """The word for what the step does: `prompt`, `run`, `pause`, ..."""
        return str(self.action.__struct_config__.tag)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The workflow made concrete."""

    workflow: Workflow
    cycles: int
    session_mode: SessionMode
    steps: tuple[PlannedStep, ...]
