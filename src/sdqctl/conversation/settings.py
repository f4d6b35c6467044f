"""The settings that hold for the steps after them."""

from __future__ import annotations

from dataclasses import dataclass, field

from sdqctl.conversation import values
from sdqctl.model.workflow import OnError, OutputRule, RunStep, Span

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

    def run_step(self, span: Span, command: str, *, background: bool = False) -> RunStep:
        """A RUN with the settings in force. Raises ValueError for one that needs a shell."""
        values.text(command)
        return RunStep(
            span=span,
            command=command,
            argv=None if self.shell else values.arguments(command),
            on_error=self.on_error,
            output=self.output,
            output_limit=self.output_limit,
            timeout=self.timeout,
            environment=tuple(self.environment.items()),
            cwd=self.cwd,
            retries=0 if background else self.retries,
            retry_prompt=self.retry_prompt,
            background=background,
            repeatable=self.retries > 0,
        )
