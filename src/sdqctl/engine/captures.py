"""What CAPTURE makes of the result of a step, and what an agent is told about its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdqctl.engine.scope import encoded
from sdqctl.errors import WorkflowError
from sdqctl.model.followup import correction

if TYPE_CHECKING:
    from sdqctl.engine.context import RunContext
    from sdqctl.model.plan import PromptAction
    from sdqctl.model.values import ValueType
    from sdqctl.model.workflow import Capture
    from sdqctl.workflow.flow.schemas import Schema


@dataclass(frozen=True)
class WantedAnswer:
    """What the answer of a prompt has to be, and how often it is asked for again."""

    type: ValueType
    schema: Schema | None
    retries: int

    @property
    def structure(self) -> dict[str, Any] | None:
        """The JSON Schema that a runtime can hold an answer to."""
        document = self.schema.document if self.schema is not None else None
        return document if isinstance(document, dict) else None

    def value(self, answer: str) -> str:
        """The value of an answer, as JSON. Raises ValueError that says why it does not fit."""
        from sdqctl.workflow.flow.values import read_answer

        return encoded(read_answer(answer, self.type, schema=self.schema))

    def correction(self, reason: ValueError) -> str:
        """What the agent is told about one that does not fit."""
        return correction(str(reason), self.instruction())

    def instruction(self) -> str:
        """What the agent is told about the form of its answer, beforehand."""
        from sdqctl.workflow.flow.values import instruction

        return instruction(self.type, self.schema)


def wanted_answer(action: PromptAction, context: RunContext) -> WantedAnswer | None:
    """What a prompt's answer has to be. Raises WorkflowError for a schema that is none."""
    if action.capture is None:
        return None
    from sdqctl.model.values import ValueType

    type_ = action.capture.type or ValueType()
    return WantedAnswer(type_, _schema(action.capture, context), action.capture_retries)


def command_value(
    capture: Capture, context: RunContext, *, text: str, stdout: str, status: int, seconds: float
) -> str:
    """The value of a command, as JSON. Raises ValueError for a stdout that is not what is wanted,
    WorkflowError for a schema that is none.
    """
    if capture.type is None:
        from sdqctl.workflow.flow.text import run_result

        return encoded(run_result(text, stdout, status, seconds))
    from sdqctl.workflow.flow.values import read_text

    return encoded(read_text(stdout.rstrip("\n"), capture.type, schema=_schema(capture, context)))


def _schema(capture: Capture, context: RunContext) -> Schema | None:
    if capture.schema is None:
        return None
    from sdqctl.workflow.flow.checks import schema_of

    try:
        return schema_of(capture, context.roots.folders())
    except ValueError as error:
        raise WorkflowError(f"{context.workflow.path}: CAPTURE {capture.name}: {error}") from error
