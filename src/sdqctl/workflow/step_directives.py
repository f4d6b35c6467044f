"""The directives that are steps, or that hold for the steps after them."""

from __future__ import annotations

from sdqctl.model.workflow import (
    BlockStep,
    CheckpointStep,
    ConsultStep,
    ElideStep,
    NewConversationStep,
    OnError,
    OutputRule,
    PauseStep,
    RunStep,
    RunWaitStep,
    VerifyStep,
)
from sdqctl.workflow import values
from sdqctl.workflow.building import Block, Building
from sdqctl.workflow.lexer import Item


class StepDirectives(Building):
    """One method a directive. Each raises ValueError with what is wrong with the value."""

    # -- prompts ----------------------------------------------------------------------------------

    def on_prompt(self, item: Item) -> None:
        text = item.body or ""
        if not text.strip():
            raise ValueError("the text is missing")
        self._check_variables(item, text)
        self._step(self._settings.prompt_step(item.span, text))

    def on_elide(self, item: Item) -> None:
        self._no_value(item)
        self._step(ElideStep(span=item.span))

    def on_context_limit(self, item: Item) -> None:
        self._settings.context_limit = values.percentage(item.value)

    def on_on_context_limit(self, item: Item) -> None:
        self._settings.on_context_limit = values.word(item.value, "compact", "stop", "continue")

    def on_on_context_limit_prompt(self, item: Item) -> None:
        self._settings.on_context_limit_prompt = values.text(item.body or "")

    # -- compaction -------------------------------------------------------------------------------

    def on_compact(self, item: Item) -> None:
        more = values.items(item.value) if item.value else ()
        self._step(self._settings.compact_step(item.span, more))

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
        self._step(NewConversationStep(span=item.span))

    # -- commands ---------------------------------------------------------------------------------

    def on_run(self, item: Item) -> None:
        self._command(item, background=False)

    def on_run_async(self, item: Item) -> None:
        self._command(item, background=True)

    def _command(self, item: Item, *, background: bool) -> None:
        """A faulty command takes its place too: what stands on it is not faulty."""
        step = RunStep(span=item.span, command=item.value, argv=None, background=background)
        try:
            if not item.faulty:
                step = self._settings.run_step(item.span, item.value, background=background)
                self._check_variables(item, item.value)
        finally:
            self._step(step)

    def on_run_wait(self, item: Item) -> None:
        self._step(RunWaitStep(span=item.span, seconds=values.duration(item.value)))

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
        self._check_variables(item, value)
        self._settings.environment[name] = value

    def on_run_cwd(self, item: Item) -> None:
        self._settings.cwd = values.text(item.value)
        self._check_variables(item, item.value)

    def on_allow_shell(self, item: Item) -> None:
        self._settings.shell = values.boolean(item.value)

    def on_run_retry(self, item: Item) -> None:
        count, prompt = [*item.value.split(None, 1), "", ""][:2]
        retries = values.number(count, least=0, most=20)
        self._settings.retries = retries
        self._check_variables(item, prompt)
        self._settings.retry_prompt = values.unquoted(prompt.strip()) or None if retries else None

    # -- blocks -----------------------------------------------------------------------------------

    def on_on_failure(self, item: Item) -> None:
        self._open_block(item, "failure")

    def on_on_success(self, item: Item) -> None:
        self._open_block(item, "success")

    def on_end(self, item: Item) -> None:
        self._no_value(item)
        block = self._block
        if block is None:
            raise ValueError("there is no ON-FAILURE or ON-SUCCESS to end")
        if block.nested:
            block.nested -= 1
            return
        self._block = None
        step = BlockStep(span=block.item.span, when=block.when, steps=tuple(block.steps))
        self._steps.append(step)

    def _open_block(self, item: Item, when: str) -> None:
        """A faulty block is opened too, for its END is not faulty."""
        self._no_value(item)
        if self._block is not None:
            self._block.nested += 1
            raise ValueError(f"blocks cannot be nested; END {self._block.item.name} first")
        before = next((s for s in reversed(self._steps) if not isinstance(s, BlockStep)), None)
        self._block = Block(when, item)
        if not isinstance(before, RunStep) or before.background:
            raise ValueError("there is no RUN right before it")

    # -- stops ------------------------------------------------------------------------------------

    def on_checkpoint(self, item: Item) -> None:
        self._checkpoints += 1
        name = values.unquoted(item.value) or f"checkpoint-{self._checkpoints}"
        self._step(CheckpointStep(span=item.span, name=name))

    def on_pause(self, item: Item) -> None:
        self._step(PauseStep(span=item.span, message=values.unquoted(item.value)))

    def on_consult(self, item: Item) -> None:
        topic = values.unquoted(item.value)
        timeout = self._settings.consult_timeout
        self._step(ConsultStep(span=item.span, topic=topic, timeout=timeout))

    def on_consult_timeout(self, item: Item) -> None:
        self._settings.consult_timeout = values.duration(item.value)

    # -- checks -----------------------------------------------------------------------------------

    def on_verify(self, item: Item) -> None:
        check = values.text(item.value).lower()
        if check not in ("refs", "links"):
            self._error(item, f"VERIFY {item.value} is not supported; it checks refs or links")
            return
        self._verify(item, check)

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
        self._step(step)

    def on_verify_on_error(self, item: Item) -> None:
        self._settings.verify_on_error = values.choice(item.value, OnError)

    def on_verify_output(self, item: Item) -> None:
        self._settings.verify_output = values.choice(item.value, OutputRule)

    def on_verify_limit(self, item: Item) -> None:
        self._settings.verify_limit = values.size(item.value)
