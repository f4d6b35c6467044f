"""The settings that hold for the steps after them."""

from __future__ import annotations

from dataclasses import dataclass, field

from sdqctl.model.workflow import (
    CompactStep,
    OnError,
    OutputRule,
    PromptStep,
    RunStep,
    Span,
)
from sdqctl.workflow import values
from sdqctl.workflow.expansion import unquotable
from sdqctl.workflow.template import joined

_RUN_TIMEOUT = 600.0
"""Seconds a RUN may take when no RUN-TIMEOUT says otherwise."""


@dataclass
class StepSettings:
    """What is in force at a place of the file."""

    context_limit: float | None = None
    on_context_limit: str = "compact"
    on_context_limit_prompt: str | None = None
    preserve: tuple[str, ...] = ()
    summary: str | None = None
    prologue: str | None = None
    epilogue: str | None = None
    on_error: OnError = OnError.STOP
    output: OutputRule = OutputRule.ALWAYS
    output_limit: int | None = 10_000
    timeout: float | None = _RUN_TIMEOUT
    environment: dict[str, str] = field(default_factory=dict)
    cwd: str | None = None
    shell: bool = False
    retries: int = 0
    retry_prompt: str | None = None
    consult_timeout: float | None = None
    verify_on_error: OnError = OnError.STOP
    verify_output: OutputRule = OutputRule.ALWAYS
    verify_limit: int | None = 10_000

    def prompt_step(self, span: Span, text: str) -> PromptStep:
        """A PROMPT with the settings in force.

        Without ON-CONTEXT-LIMIT-PROMPT, a compaction at the limit is told what COMPACT is told.
        """
        told = self.on_context_limit_prompt or self.compact_step(span).instructions
        return PromptStep(
            span=span,
            text=text,
            context_limit=self.context_limit,
            on_context_limit=self.on_context_limit,
            on_context_limit_prompt=None if self.context_limit is None else told,
        )

    def compact_step(self, span: Span, more: tuple[str, ...] = ()) -> CompactStep:
        """A COMPACT with the settings in force; `more`: what it alone preserves besides."""
        return CompactStep(
            span=span,
            preserve=(*self.preserve, *more),
            summary=self.summary,
            prologue=self.prologue,
            epilogue=self.epilogue,
        )

    def run_step(self, span: Span, command: str, *, background: bool = False) -> RunStep:
        """A RUN with the settings in force. Raises ValueError for one that needs a shell, and for a
        variable where a shell would not take its value as it is.
        """
        values.text(command)
        if self.shell and (problem := unquotable(command)):
            raise ValueError(problem)
        return RunStep(
            span=span,
            command=command,
            argv=None if self.shell else values.arguments(joined(command)),
            on_error=self.on_error,
            output=self.output,
            output_limit=self.output_limit,
            timeout=self.timeout,
            environment=tuple(self.environment.items()),
            cwd=self.cwd,
            retries=0 if background else self.retries,
            retry_prompt=None if background else self.retry_prompt,
            background=background,
            repeatable=not background and self.retries > 0,
        )
