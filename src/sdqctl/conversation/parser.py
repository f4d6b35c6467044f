"""From directives to a Workflow. All mistakes of a text are found in one go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sdqctl.conversation import values
from sdqctl.conversation.directives import REFUSED
from sdqctl.conversation.lexer import Item, lex
from sdqctl.conversation.modes import is_known_mode
from sdqctl.conversation.references import parse_references
from sdqctl.conversation.settings import StepSettings
from sdqctl.model.workflow import (
    BlockStep,
    CheckpointStep,
    CompactStep,
    ConsultStep,
    ContextSettings,
    Diagnostic,
    ElideStep,
    FileRule,
    NewConversationStep,
    OnError,
    OutputRule,
    OutputSettings,
    PauseStep,
    PromptStep,
    Requirement,
    RunWaitStep,
    SessionMode,
    Severity,
    Span,
    Step,
    VerifyStep,
    Workflow,
)


@dataclass(frozen=True)
class ParsedWorkflow:
    """What a text says. `workflow` is None when there are errors."""

    workflow: Workflow | None
    diagnostics: tuple[Diagnostic, ...]


def parse_workflow(text: str, path: str) -> ParsedWorkflow:
    """Parse a workflow. Never raises: what is wrong is in the diagnostics.

    INCLUDE must have been resolved before (`source.load_workflow` does).
    """
    lexed = lex(text, path)
    return build(lexed.items, lexed.diagnostics, text, path)


def build(items: list[Item], diagnostics: list[Diagnostic], text: str, path: str) -> ParsedWorkflow:
    """A Workflow of directives that may come from several files."""
    builder = _Builder(text, path, list(diagnostics))
    for item in items:
        builder.add(item)
    return builder.finish()


@dataclass
class _Block:
    when: str
    item: Item
    steps: list[Step] = field(default_factory=list)


class _Builder:
    def __init__(self, text: str, path: str, diagnostics: list[Diagnostic]) -> None:
        self._text = text
        self._path = path
        self._lines = {path: text.split("\n")}
        self._diagnostics = diagnostics
        self._fields: dict[str, Any] = {}
        self._lists: dict[str, list[Any]] = {}
        self._context: dict[str, Any] = {}
        self._output: dict[str, Any] = {}
        self._settings = StepSettings()
        self._steps: list[Step] = []
        self._block: _Block | None = None

    # -- driving ----------------------------------------------------------------------------------

    def add(self, item: Item) -> None:
        """Take one directive in; a value that cannot be read is an error at its place."""
        if item.name in REFUSED:
            self._error(item, f"{item.name} is known, but sdqctl does not support it")
            return
        handler: Callable[[Item], None] = getattr(self, handler_name(item.name))
        try:
            handler(item)
        except ValueError as error:
            self._error(item, f"{item.name}: {error}", at_value=True)

    def finish(self) -> ParsedWorkflow:
        """The workflow, if there is no error."""
        if self._block is not None:
            self._error(self._block.item, f"{self._block.item.name} has no END")
        diagnostics = tuple(sorted(self._diagnostics, key=lambda d: (d.span, d.severity)))
        if any(d.severity is Severity.ERROR for d in diagnostics):
            return ParsedWorkflow(None, diagnostics)
        if not self._steps:
            diagnostics = (*diagnostics, self._nothing_to_do())
            return ParsedWorkflow(None, diagnostics)
        workflow = Workflow(
            path=self._path,
            source=self._text,
            context=ContextSettings(**self._context),
            output=OutputSettings(**self._output),
            steps=tuple(self._steps),
            **{**self._fields, **{name: tuple(found) for name, found in self._lists.items()}},
        )
        return ParsedWorkflow(workflow, diagnostics)

    def _nothing_to_do(self) -> Diagnostic:
        return Diagnostic(
            severity=Severity.ERROR,
            message="the workflow has no step: not one PROMPT or RUN",
            span=Span(self._path, 1),
            source_line=self._lines[self._path][0],
        )

    def _error(self, item: Item, message: str, *, at_value: bool = False) -> None:
        self._report(Severity.ERROR, item, message, at_value)

    def _warn(self, item: Item, message: str) -> None:
        self._report(Severity.WARNING, item, message, at_value=True)

    def _report(self, severity: Severity, item: Item, message: str, at_value: bool) -> None:
        span = item.span
        if at_value:
            span = Span(span.file, span.line, item.value_column)
        lines = self._lines.get(span.file)
        source = lines[span.line - 1] if lines else f"{item.name} {item.value}".strip()
        self._diagnostics.append(
            Diagnostic(severity=severity, message=message, span=span, source_line=source)
        )

    def _step(self, item: Item, step: Step) -> None:
        (self._steps if self._block is None else self._block.steps).append(step)

    def _append(self, name: str, *found: object) -> None:
        self._lists.setdefault(name, []).extend(found)

    def _no_value(self, item: Item) -> None:
        if item.value:
            raise ValueError(f"no value is wanted, and {item.value!r} was given")

    # -- metadata and session ---------------------------------------------------------------------

    def on_model(self, item: Item) -> None:
        self._fields["model"] = values.text(item.value)

    def on_adapter(self, item: Item) -> None:
        self._fields["adapter"] = values.text(item.value).lower()

    def on_mode(self, item: Item) -> None:
        self._fields["mode"] = values.text(item.value)
        if not is_known_mode(item.value):
            self._warn(item, f"unknown MODE {item.value!r}: tools may only read")

    def on_max_cycles(self, item: Item) -> None:
        self._fields["max_cycles"] = values.number(item.value)

    def on_cwd(self, item: Item) -> None:
        self._fields["cwd"] = values.text(item.value)

    def on_session_name(self, item: Item) -> None:
        self._fields["session_name"] = values.unquoted(values.text(item.value))
        self._fields["session_name_span"] = Span(item.span.file, item.span.line, item.value_column)

    def on_session_resume_if_exists(self, item: Item) -> None:
        self._fields["resume_if_exists"] = values.boolean(item.value)

    def on_session_mode(self, item: Item) -> None:
        self._fields["session_mode"] = values.choice(item.value, SessionMode)

    # -- prompts and context ----------------------------------------------------------------------

    def on_prompt(self, item: Item) -> None:
        if not (item.body or "").strip():
            raise ValueError("the text is missing")
        limits = self._settings
        self._step(
            item,
            PromptStep(
                span=item.span,
                text=item.body or "",
                context_limit=limits.context_limit,
                on_context_limit=limits.on_context_limit,
                on_context_limit_prompt=limits.on_context_limit_prompt,
            ),
        )

    def on_prologue(self, item: Item) -> None:
        self._append("prologues", item.body or "")

    def on_epilogue(self, item: Item) -> None:
        self._append("epilogues", item.body or "")

    def on_elide(self, item: Item) -> None:
        self._no_value(item)
        self._step(item, ElideStep(span=item.span))

    def on_context(self, item: Item) -> None:
        self._append("references", *parse_references(item, optional=False))

    def on_context_optional(self, item: Item) -> None:
        self._append("references", *parse_references(item, optional=True))

    def on_context_exclude(self, item: Item) -> None:
        self._append("excludes", *values.items(item.value))

    def on_refcat(self, item: Item) -> None:
        self._append("references", *parse_references(item, optional=False))

    def on_include(self, item: Item) -> None:
        self._error(item, "INCLUDE works in files only, not in a text")

    def on_validation_mode(self, item: Item) -> None:
        strict = values.word(item.value, "strict", "lenient") == "strict"
        self._fields["strict_references"] = strict

    # -- context window ---------------------------------------------------------------------------

    def on_context_limit(self, item: Item) -> None:
        self._settings.context_limit = values.percentage(item.value)

    def on_on_context_limit(self, item: Item) -> None:
        self._settings.on_context_limit = values.word(item.value, "compact", "stop", "continue")

    def on_on_context_limit_prompt(self, item: Item) -> None:
        self._settings.on_context_limit_prompt = values.text(item.body or "")

    def on_compact(self, item: Item) -> None:
        self._no_value(item)
        compaction = self._settings
        self._step(
            item,
            CompactStep(
                span=item.span,
                preserve=compaction.preserve,
                summary=compaction.summary,
                prologue=compaction.prologue,
                epilogue=compaction.epilogue,
            ),
        )

    def on_compact_preserve(self, item: Item) -> None:
        self._settings.preserve = values.items(item.value)

    def on_compact_summary(self, item: Item) -> None:
        self._settings.summary = values.text(item.body or "")

    def on_compact_prologue(self, item: Item) -> None:
        self._settings.prologue = values.text(item.value)

    def on_compact_epilogue(self, item: Item) -> None:
        self._settings.epilogue = values.text(item.value)

    def on_new_conversation(self, item: Item) -> None:
        self._no_value(item)
        self._step(item, NewConversationStep(span=item.span))

    def on_infinite_sessions(self, item: Item) -> None:
        wanted = values.word(item.value, "enabled", "disabled", "true", "false")
        self._context["infinite_sessions"] = wanted in ("enabled", "true")

    def on_compaction_min(self, item: Item) -> None:
        self._context["compaction_min"] = values.percentage(item.value)

    def on_compaction_threshold(self, item: Item) -> None:
        self._context["compaction_threshold"] = values.percentage(item.value)

    def on_compaction_max(self, item: Item) -> None:
        self._context["compaction_max"] = values.percentage(item.value)

    # -- commands ---------------------------------------------------------------------------------

    def on_run(self, item: Item) -> None:
        self._step(item, self._settings.run_step(item.span, item.value))

    def on_run_async(self, item: Item) -> None:
        self._step(item, self._settings.run_step(item.span, item.value, background=True))

    def on_run_wait(self, item: Item) -> None:
        self._step(item, RunWaitStep(span=item.span, seconds=values.duration(item.value)))

    def on_run_on_error(self, item: Item) -> None:
        self._settings.on_error = values.choice(item.value, OnError)

    def on_run_output(self, item: Item) -> None:
        self._settings.output = values.choice(item.value, OutputRule)

    def on_run_output_limit(self, item: Item) -> None:
        self._settings.output_limit = values.size(item.value)

    def on_run_timeout(self, item: Item) -> None:
        self._settings.timeout = values.duration(item.value)

    def on_run_env(self, item: Item) -> None:
        name, value = values.assignment(item.value)
        self._settings.environment[name] = value

    def on_run_cwd(self, item: Item) -> None:
        self._settings.cwd = values.text(item.value)

    def on_allow_shell(self, item: Item) -> None:
        self._settings.shell = values.boolean(item.value)

    def on_run_retry(self, item: Item) -> None:
        count, _, prompt = item.value.partition(" ")
        self._settings.retries = values.number(count, least=0, most=20)
        self._settings.retry_prompt = values.unquoted(prompt.strip()) or None

    def on_on_failure(self, item: Item) -> None:
        self._open_block(item, "failure")

    def on_on_success(self, item: Item) -> None:
        self._open_block(item, "success")

    def on_end(self, item: Item) -> None:
        self._no_value(item)
        block, self._block = self._block, None
        if block is None:
            raise ValueError("there is no ON-FAILURE or ON-SUCCESS to end")
        step = BlockStep(span=block.item.span, when=block.when, steps=tuple(block.steps))
        self._steps.append(step)

    def _open_block(self, item: Item, when: str) -> None:
        self._no_value(item)
        if self._block is not None:
            raise ValueError(f"blocks cannot be nested; END {self._block.item.name} first")
        before = next((s for s in reversed(self._steps) if not isinstance(s, BlockStep)), None)
        if before is None or before.__struct_config__.tag != "run":
            raise ValueError("there is no RUN right before it")
        self._block = _Block(when, item)

    # -- stops ------------------------------------------------------------------------------------

    def on_checkpoint(self, item: Item) -> None:
        name = values.unquoted(item.value) or f"line-{item.span.line}"
        self._step(item, CheckpointStep(span=item.span, name=name))

    def on_checkpoint_after(self, item: Item) -> None:
        wanted = item.value.strip().lower()
        if not wanted.isdecimal():
            wanted = values.word(wanted, "each-cycle", "each-prompt")
        self._fields["checkpoint_after"] = wanted

    def on_checkpoint_name(self, item: Item) -> None:
        self._fields["checkpoint_name"] = values.unquoted(values.text(item.value))

    def on_pause(self, item: Item) -> None:
        self._step(item, PauseStep(span=item.span, message=values.unquoted(item.value)))

    def on_consult(self, item: Item) -> None:
        topic = values.unquoted(item.value)
        timeout = self._settings.consult_timeout
        self._step(item, ConsultStep(span=item.span, topic=topic, timeout=timeout))

    def on_consult_timeout(self, item: Item) -> None:
        self._settings.consult_timeout = values.duration(item.value)

    # -- output -----------------------------------------------------------------------------------

    def on_header(self, item: Item) -> None:
        self._add_line("header", item.body or "")

    def on_footer(self, item: Item) -> None:
        self._add_line("footer", item.body or "")

    def _add_line(self, name: str, line: str) -> None:
        earlier = self._output.get(name)
        self._output[name] = line if earlier is None else f"{earlier}\n{line}"

    def on_output_file(self, item: Item) -> None:
        self._output["file"] = values.unquoted(values.text(item.value))

    def on_output(self, item: Item) -> None:
        self.on_output_file(item)

    def on_output_dir(self, item: Item) -> None:
        self._output["directory"] = values.unquoted(values.text(item.value))

    def on_output_format(self, item: Item) -> None:
        self._output["format"] = values.word(item.value, "markdown", "json", "text")

    # -- tools and checks -------------------------------------------------------------------------

    def on_allow_files(self, item: Item) -> None:
        self._file_rules(item, allow=True, directory=False)

    def on_deny_files(self, item: Item) -> None:
        self._file_rules(item, allow=False, directory=False)

    def on_allow_dir(self, item: Item) -> None:
        self._file_rules(item, allow=True, directory=True)

    def on_deny_dir(self, item: Item) -> None:
        self._file_rules(item, allow=False, directory=True)

    def _file_rules(self, item: Item, *, allow: bool, directory: bool) -> None:
        for pattern in values.items(item.value):
            rule = FileRule(allow=allow, directory=directory, pattern=pattern, span=item.span)
            self._append("file_rules", rule)

    def on_require(self, item: Item) -> None:
        for word in values.items(item.value):
            kind, colon, name = word.partition(":")
            if word.startswith("@") and len(word) > 1:
                found = Requirement(kind="file", value=word[1:], span=item.span)
            elif colon and name and kind in ("cmd", "env", "file"):
                found = Requirement(kind=kind, value=name, span=item.span)
            else:
                raise ValueError(f"{word!r} is not @FILE, cmd:NAME or env:NAME")
            self._append("requirements", found)

    def on_verify(self, item: Item) -> None:
        self._verify(item, values.word(item.value, "refs", "links"))

    def on_check_refs(self, item: Item) -> None:
        self._no_value(item)
        self._verify(item, "refs")

    def on_check_links(self, item: Item) -> None:
        self._no_value(item)
        self._verify(item, "links")

    def _verify(self, item: Item, check: str) -> None:
        settings = self._settings
        step = VerifyStep(
            span=item.span,
            check=check,
            on_error=settings.verify_on_error,
            output=settings.verify_output,
            output_limit=settings.verify_limit,
        )
        self._step(item, step)

    def on_verify_on_error(self, item: Item) -> None:
        self._settings.verify_on_error = values.choice(item.value, OnError)

    def on_verify_output(self, item: Item) -> None:
        self._settings.verify_output = values.choice(item.value, OutputRule)

    def on_verify_limit(self, item: Item) -> None:
        self._settings.verify_limit = values.size(item.value)

    # -- debug ------------------------------------------------------------------------------------

    def on_debug(self, item: Item) -> None:
        self._fields["debug"] = item.value or "all"

    def on_debug_intents(self, item: Item) -> None:
        if values.boolean(item.value):
            self._fields.setdefault("debug", "intents")

    def on_event_log(self, item: Item) -> None:
        self._fields["event_log"] = values.unquoted(values.text(item.value))


def handler_name(directive: str) -> str:
    """The builder's method for a directive."""
    return "on_" + directive.lower().replace("-", "_")
