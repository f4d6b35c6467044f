"""A parsed workflow: what stands in the file, step by step.

No other file has been read for it; references and template variables are filled in when a step is
begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from sdqctl.model.values import ValueType


class Span(msgspec.Struct, frozen=True, order=True):
    """Where something stands in a file. Lines and columns count from 1."""

    file: str
    line: int
    column: int = 1


NOWHERE = Span("", 0, 0)
"""The place of what stands in no file, or has not got its place yet."""


class Severity(StrEnum):
    """Whether a diagnostic stops the workflow; what only informs is no finding."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


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


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A CONTEXT, REFCAT or ATTACH entry: `pattern` is a path or glob, `fragment` what of a file."""

    pattern: str
    fragment: str | None = None
    """Without the `#`: `L10`, `L10-L50`, `L10-`, `/regex/`."""
    optional: bool = False
    span: Span


class PromptSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt runs with; what is None is as the session was opened with."""

    model: str | None = None
    reasoning_effort: str | None = None
    agent: str | None = None
    tools: tuple[str, ...] | None = None
    """The only tools that it has, of those that it may have."""
    attachments: tuple[Reference, ...] = ()


# -- steps, as they stand in the file ------------------------------------------------------------


class _Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    span: Span

    @property
    def title(self) -> str:
        """What it is called in a list of steps: its own words, else those of its kind."""
        return str(self.__struct_config__.tag).replace("-", " ")


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """CAPTURE: the result of a step becomes a value with a name."""

    name: str
    type: ValueType | None = None
    """None: an answer as it is, the whole result of a RUN."""
    schema: str | None = None
    """A JSON Schema, or `@FILE`."""
    span: Span = NOWHERE


class PromptStep(_Step, frozen=True, kw_only=True, tag="prompt"):
    """PROMPT: one turn. `context_limit` and what to do at it are the settings in force here."""

    text: str
    context_limit: float | None = None
    on_context_limit: str = "compact"
    on_context_limit_prompt: str | None = None
    capture_retries: int = 2
    """How often an answer that does not fit its CAPTURE is asked for again."""
    capture: Capture | None = None
    runs_with: PromptSettings = PromptSettings()


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
    capture: Capture | None = None
    retry_with: PromptSettings = PromptSettings()
    """What the prompts between its retries run with."""

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


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an IF. `condition` is an expression; None: what ELSE has."""

    condition: str | None
    steps: tuple[Step, ...] = ()
    span: Span = NOWHERE


class IfStep(_Step, frozen=True, kw_only=True, tag="if"):
    """IF, ELSE IF, ELSE ... END: the steps of the first part whose condition holds, if any."""

    branches: tuple[Branch, ...]

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return str(self.branches[0].condition)


class RepeatStep(_Step, frozen=True, kw_only=True, tag="repeat"):
    """REPEAT ... END: rounds, until an expression holds after one, at most so many."""

    most: int = 10
    until: str | None = None
    steps: tuple[Step, ...] = ()

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return f"at most {self.most} times" + (f" until {self.until}" if self.until else "")


class UntilStep(_Step, frozen=True, kw_only=True, tag="until"):
    """The end of a round of REPEAT: whether it was the last. In no file, and in no plan."""

    condition: str

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return self.condition


class ForStep(_Step, frozen=True, kw_only=True, tag="for"):
    """FOR NAME IN EXPRESSION ... END: a round for each item of a list."""

    name: str
    items: str
    most: int | None = None
    steps: tuple[Step, ...] = ()
    parallel: int | None = None
    """How many rounds at once, each a CALL; None: one after another."""

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        side = f", {self.parallel} at a time" if self.parallel else ""
        return f"{self.name} in {self.items}{side}"


class CallStep(_Step, frozen=True, kw_only=True, tag="call"):
    """CALL: another workflow as one step, in a session of its own, or in this one (`same`)."""

    file: str
    """As it is written: it starts from the folder of the file in which the CALL stands."""
    arguments: tuple[tuple[str, str], ...] = ()
    """What its inputs are given, by name: texts with expressions still in them."""
    same: bool = False
    capture: Capture | None = None

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return self.file


class AskStep(_Step, frozen=True, kw_only=True, tag="ask"):
    """ASK: a question to a human, whose answer is a value. `after` seconds `default` is it."""

    name: str
    question: str
    type: ValueType = ValueType()
    default: str | None = None
    after: float | None = None

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return self.question


class StopStep(_Step, frozen=True, kw_only=True, tag="stop"):
    """STOP: the run is completed here."""

    why: str = ""

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return self.why.strip() or super().title


class FailStep(_Step, frozen=True, kw_only=True, tag="fail"):
    """FAIL: the run fails here."""

    why: str = ""

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return self.why.strip() or super().title


class ReturnStep(_Step, frozen=True, kw_only=True, tag="return"):
    """RETURN: the run is completed here, with a value."""

    value: str

    @property
    def title(self) -> str:
        """What it is called in a list of steps."""
        return self.value


TOLD: Mapping[type, str] = {
    AskStep: "question",
    CheckpointStep: "name",
    ConsultStep: "topic",
    FailStep: "why",
    PauseStep: "message",
    StopStep: "why",
}
"""The field of a step that humans are told, with variables and values in it as in a prompt."""
Joinable = PromptStep | RunStep | RunWaitStep | VerifyStep
"""Steps that ELIDE joins into one turn."""
Nesting = IfStep | RepeatStep | ForStep
"""Steps that have lists of steps in them; in a plan those stand in `PlannedStep.lists`."""
Single = (
    CompactStep
    | CheckpointStep
    | PauseStep
    | ConsultStep
    | NewConversationStep
    | AskStep
    | StopStep
    | FailStep
    | ReturnStep
    | CallStep
)
"""Steps that stand by themselves, in a plan as in the file."""
Step = Joinable | Single | Nesting | ElideStep | BlockStep


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """INPUT: a value that a run is given. `default` is as it is written; None: it is needed."""

    name: str
    type: ValueType = ValueType()
    default: str | None = None
    doc: str = ""
    span: Span = NOWHERE


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


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A text with its place in the file."""

    value: str
    span: Span = NOWHERE


class Equipment(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent has, for the whole file."""

    system: tuple[Named, ...] = ()
    """Each a text, or `@file`."""
    agents: tuple[Named, ...] = ()
    """Folders of custom agents."""
    skills: tuple[Named, ...] = ()
    """Folders of skills."""
    servers: tuple[Named, ...] = ()
    """Each `@FILE` or `NAME COMMAND...`."""
    excluded_tools: tuple[str, ...] = ()


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
    inputs: tuple[Input, ...] = ()
    equipment: Equipment = Equipment()
    worktree: str | None = None
    """The branch of the session's own git worktree; empty: one that is named after it."""
    called: tuple[Called, ...] = ()
    """The workflows that its CALLs name, each once."""
    steps: tuple[Step, ...] = ()

    def called_by(self, step: CallStep) -> Workflow:
        """The workflow that a CALL of this one names. Raises LookupError for one of another."""
        for one in self.called:
            if (one.file, one.caller) == (step.file, step.span.file):
                return one.workflow
        raise LookupError(f"{self.path} calls no {step.file}")


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow that is called: the name as it is written, and the file in which it stands."""

    file: str
    caller: str
    workflow: Workflow
