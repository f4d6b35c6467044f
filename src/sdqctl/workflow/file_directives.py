"""The directives that hold for the whole file."""

from __future__ import annotations

from sdqctl.model.modes import is_known_mode
from sdqctl.model.workflow import SANDBOX, FileRule, Requirement, SessionMode, Span
from sdqctl.workflow import values
from sdqctl.workflow.building import Building
from sdqctl.workflow.lexer import Item
from sdqctl.workflow.references import parse_references


class FileDirectives(Building):
    """One method a directive. Each raises ValueError with what is wrong with the value."""

    # -- metadata and session ---------------------------------------------------------------------

    def on_model(self, item: Item) -> None:
        self._fields["model"] = values.text(item.value)

    def on_adapter(self, item: Item) -> None:
        self._fields["adapter"] = values.text(item.value).lower()
        self._fields["adapter_span"] = _value_span(item)

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
        self._fields["session_name_span"] = _value_span(item)

    def on_session_resume_if_exists(self, item: Item) -> None:
        self._fields["resume_if_exists"] = values.boolean(item.value)

    def on_session_mode(self, item: Item) -> None:
        self._fields["session_mode"] = values.choice(item.value, SessionMode)

    # -- prologues and context --------------------------------------------------------------------

    def on_prologue(self, item: Item) -> None:
        self._surrounding(item, "prologues")

    def on_epilogue(self, item: Item) -> None:
        self._surrounding(item, "epilogues")

    def _surrounding(self, item: Item, name: str) -> None:
        text = item.body or ""
        if text.startswith("@") and "\n" in text:
            self._warn(item, "@FILE with more text under it is taken as text, not as a file")
        self._check_variables(item, text)
        self._append(name, text)

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

    # -- the runtime's compaction and checkpoints -------------------------------------------------

    def on_infinite_sessions(self, item: Item) -> None:
        wanted = values.word(item.value, "enabled", "disabled", "true", "false")
        self._context["infinite_sessions"] = wanted in ("enabled", "true")

    def on_compaction_min(self, item: Item) -> None:
        self._context["compaction_min"] = values.percentage(item.value)

    def on_compaction_threshold(self, item: Item) -> None:
        self._context["compaction_threshold"] = values.percentage(item.value)

    def on_compaction_max(self, item: Item) -> None:
        self._context["compaction_max"] = values.percentage(item.value)

    def on_checkpoint_after(self, item: Item) -> None:
        if item.value.isdecimal():
            self._fields["checkpoint_after"] = str(values.number(item.value))
        else:
            wanted = values.word(item.value, "each-cycle", "each-prompt")
            self._fields["checkpoint_after"] = wanted

    def on_checkpoint_name(self, item: Item) -> None:
        self._fields["checkpoint_name"] = values.unquoted(values.text(item.value))

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
        self._output["file_span"] = _value_span(item)

    def on_output(self, item: Item) -> None:
        self.on_output_file(item)

    def on_output_dir(self, item: Item) -> None:
        self._output["directory"] = values.unquoted(values.text(item.value))
        self._output["directory_span"] = _value_span(item)

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
            elif word == SANDBOX:
                found = Requirement(kind=SANDBOX, value="", span=item.span)
            else:
                raise ValueError(f"{word!r} is not @FILE, cmd:NAME, env:NAME or sandbox")
            self._append("requirements", found)

    # -- debug ------------------------------------------------------------------------------------

    def on_debug(self, item: Item) -> None:
        self._fields["debug"] = item.value or "all"

    def on_debug_intents(self, item: Item) -> None:
        if values.boolean(item.value):
            self._fields.setdefault("debug", "intents")

    def on_event_log(self, item: Item) -> None:
        self._fields["event_log"] = values.unquoted(values.text(item.value))
        self._fields["event_log_span"] = _value_span(item)


def _value_span(item: Item) -> Span:
    return Span(item.span.file, item.span.line, item.value_column)
