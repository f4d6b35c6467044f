"""From a Workflow back to a text that means the same. Comments and layout are not kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec

from sdqctl.model.workflow import (
    BlockStep,
    CheckpointStep,
    CompactStep,
    ConsultStep,
    ElideStep,
    NewConversationStep,
    PauseStep,
    PromptStep,
    Reference,
    RunStep,
    RunWaitStep,
    Step,
    VerifyStep,
    Workflow,
)


def format_workflow(workflow: Workflow) -> str:
    """The workflow as a text; INCLUDE is resolved in it, settings stand where they change."""
    return "\n".join([*_declarations(workflow), *_Steps().lines(workflow), ""])


def whole_text(workflow: Workflow) -> str:
    """The workflow's own text, or one with its includes resolved when it has any."""
    includes = re.search(r"^INCLUDE\b", workflow.source, re.MULTILINE)
    return format_workflow(workflow) if includes else workflow.source


def _declarations(workflow: Workflow) -> Iterator[str]:
    context, output = workflow.context, workflow.output
    single = {
        "MODEL": workflow.model,
        "ADAPTER": workflow.adapter,
        "MODE": workflow.mode,
        "MAX-CYCLES": workflow.max_cycles,
        "CWD": workflow.cwd,
        "SESSION-NAME": _quoted(workflow.session_name),
        "SESSION-RESUME-IF-EXISTS": _boolean(workflow.resume_if_exists),
        "SESSION-MODE": workflow.session_mode,
        "VALIDATION-MODE": None if workflow.strict_references else "lenient",
        "INFINITE-SESSIONS": _enabled(context.infinite_sessions),
        "COMPACTION-MIN": _percentage(context.compaction_min),
        "COMPACTION-THRESHOLD": _percentage(context.compaction_threshold),
        "COMPACTION-MAX": _percentage(context.compaction_max),
        "CHECKPOINT-AFTER": workflow.checkpoint_after,
        "CHECKPOINT-NAME": _quoted(workflow.checkpoint_name),
        "OUTPUT-FILE": _quoted(output.file),
        "OUTPUT-DIR": _quoted(output.directory),
        "OUTPUT-FORMAT": output.format,
        "EVENT-LOG": _quoted(workflow.event_log),
        "DEBUG": workflow.debug,
    }
    yield from (f"{name} {value}" for name, value in single.items() if value is not None)
    yield from _lists(workflow)


def _lists(workflow: Workflow) -> Iterator[str]:
    for name, texts in (("PROLOGUE", workflow.prologues), ("EPILOGUE", workflow.epilogues)):
        yield from (_body(name, text) for text in texts)
    for reference in workflow.references:
        yield f"{'CONTEXT-OPTIONAL' if reference.optional else 'REFCAT'} {_reference(reference)}"
    yield from (f"CONTEXT-EXCLUDE {pattern}," for pattern in workflow.excludes)
    for name, text in (("HEADER", workflow.output.header), ("FOOTER", workflow.output.footer)):
        if text is not None:
            yield _body(name, text)
    for rule in workflow.file_rules:
        kind = "DIR" if rule.directory else "FILES"
        yield f"{'ALLOW' if rule.allow else 'DENY'}-{kind} {rule.pattern},"
    for requirement in workflow.requirements:
        named = f":{requirement.value}" if requirement.value else ""
        yield f"REQUIRE {requirement.kind}{named},"


class _Steps:
    """Writes steps, and before each the settings that are other than before."""

    def __init__(self) -> None:
        self._settings: dict[str, str] = {}
        self._writers: dict[type, Callable[..., Iterator[str]]] = {
            PromptStep: self._prompt,
            RunStep: self._run,
            RunWaitStep: lambda step: iter([f"RUN-WAIT {_duration(step.seconds)}"]),
            VerifyStep: self._verify,
            CompactStep: self._compact,
            CheckpointStep: lambda step: iter([f"CHECKPOINT {_quoted(step.name)}"]),
            PauseStep: lambda step: iter([f"PAUSE {_quoted(step.message)}"]),
            ConsultStep: self._consult,
            NewConversationStep: lambda step: iter(["NEW-CONVERSATION"]),
            ElideStep: lambda step: iter(["ELIDE"]),
            BlockStep: self._block,
        }

    def lines(self, workflow: Workflow) -> Iterator[str]:
        yield from self._all(workflow.steps)
        if workflow.compaction is not None:
            yield from self._compaction(workflow.compaction)

    def _all(self, steps: tuple[Step, ...]) -> Iterator[str]:
        for step in steps:
            yield from self._writers[type(step)](step)

    def _set(self, name: str, value: str | None) -> Iterator[str]:
        if value is not None and self._settings.get(name) != value:
            self._settings[name] = value
            yield f"{name} {value}"

    def _prompt(self, step: PromptStep) -> Iterator[str]:
        yield from self._set("CONTEXT-LIMIT", _percentage(step.context_limit))
        yield from self._set("ON-CONTEXT-LIMIT", step.on_context_limit)
        yield from self._text("ON-CONTEXT-LIMIT-PROMPT", step.on_context_limit_prompt)
        yield _body("PROMPT", step.text)

    def _text(self, name: str, text: str | None) -> Iterator[str]:
        if text is not None and self._settings.get(name) != text:
            self._settings[name] = text
            yield _body(name, text)

    def _run(self, step: RunStep) -> Iterator[str]:
        yield from self._set("RUN-ON-ERROR", step.on_error)
        yield from self._set("RUN-OUTPUT", step.output)
        yield from self._set("RUN-OUTPUT-LIMIT", _size(step.output_limit))
        yield from self._set("RUN-TIMEOUT", _duration(step.timeout))
        for name, value in step.environment:
            if self._settings.get(f"RUN-ENV {name}") != value:
                self._settings[f"RUN-ENV {name}"] = value
                yield f'RUN-ENV {name}="{value}"'
        yield from self._set("RUN-CWD", step.cwd)
        yield from self._set("ALLOW-SHELL", _boolean(step.argv is None))
        if step.background:
            yield f"RUN-ASYNC {step.command}"
            return
        retry = f'{step.retries} "{step.retry_prompt or ""}"' if step.retries else "0"
        yield from self._set("RUN-RETRY", retry)
        yield f"RUN {step.command}"

    def _verify(self, step: VerifyStep) -> Iterator[str]:
        yield from self._set("VERIFY-ON-ERROR", step.on_error)
        yield from self._set("VERIFY-OUTPUT", step.output)
        yield from self._set("VERIFY-LIMIT", _size(step.output_limit))
        yield f"VERIFY {step.check}"

    def _compact(self, step: CompactStep) -> Iterator[str]:
        yield from self._instructions(step)
        yield f"COMPACT {_list(step.preserve) or ''}".rstrip()

    def _compaction(self, step: CompactStep) -> Iterator[str]:
        yield from self._set("COMPACT-PRESERVE", _list(step.preserve))
        yield from self._instructions(step)

    def _instructions(self, step: CompactStep) -> Iterator[str]:
        yield from self._text("COMPACT-SUMMARY", step.summary)
        yield from self._set("COMPACT-PROLOGUE", step.prologue)
        yield from self._set("COMPACT-EPILOGUE", step.epilogue)

    def _consult(self, step: ConsultStep) -> Iterator[str]:
        yield from self._set("CONSULT-TIMEOUT", _duration(step.timeout))
        yield f"CONSULT {_quoted(step.topic)}"

    def _block(self, step: BlockStep) -> Iterator[str]:
        yield f"ON-{step.when.upper()}"
        yield from self._all(step.steps)
        yield "END"


def _body(name: str, text: str) -> str:
    """A body as a heredoc, whose end is a word that no line of it is."""
    word = "END"
    lines = {line.rstrip() for line in text.split("\n")}
    while word in lines:
        word += "_"
    return f"{name} <<{word}\n{text}\n{word}" if text else name


def _reference(reference: Reference) -> str:
    pattern = f'"{reference.pattern}"' if _has_blank(reference.pattern) else reference.pattern
    return f"@{pattern}" + ("" if reference.fragment is None else f"#{reference.fragment}")


def _has_blank(text: str) -> bool:
    return any(char.isspace() for char in text)


def _quoted(text: str | None) -> str | None:
    return None if text is None else f'"{text}"'


def _boolean(value: bool | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _enabled(value: bool | None) -> str | None:
    return None if value is None else ("enabled" if value else "disabled")


def _size(value: int | None) -> str:
    return "none" if value is None else str(value)


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else f"{_plain(seconds)}s"


def _percentage(fraction: float | None) -> str | None:
    """The shortest percentage that is read as this fraction."""
    if fraction is None:
        return None
    tries = (_plain(round(fraction * 100, digits)) for digits in range(18))
    return next((f"{t}%" for t in tries if float(t) / 100 == fraction), f"{fraction * 100}%")


def _plain(number: float) -> str:
    return format(Decimal(repr(number)), "f")


def _list(words: tuple[str, ...]) -> str | None:
    """Words apart by commas, also a single one that holds blanks."""
    return "".join(f"{word}," for word in words) or None
