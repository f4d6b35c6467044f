"""THE table of directives. The parser, `format`, the help, the reference and completion read it.

A directive is a row: what may stand after its name, how that is read and written (a form), and
where the value goes (a target). What neither says is in no other place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any, NamedTuple, assert_never

from sdqctl.model.modes import MODES, is_known_mode
from sdqctl.model.workflow import (
    AskStep,
    CallStep,
    CheckpointStep,
    CompactStep,
    ConsultStep,
    ElideStep,
    FailStep,
    ForStep,
    IfStep,
    NewConversationStep,
    OnError,
    OutputRule,
    PauseStep,
    PromptStep,
    RepeatStep,
    ReturnStep,
    RunStep,
    RunWaitStep,
    SessionMode,
    StopStep,
    VerifyStep,
)
from sdqctl.text.suggest import did_you_mean
from sdqctl.workflow import flow_forms, forms
from sdqctl.workflow.settings import (
    attached,
    complete_checkpoint,
    complete_compact,
    complete_prompt,
    complete_run,
    retries_of,
    retry_of,
    runs_with,
    shell_of,
)
from sdqctl.workflow.targets import (
    Adds,
    Captures,
    Closes,
    Field,
    Included,
    Lines,
    Makes,
    Nests,
    Opens,
    Parts,
    Refused,
    Setting,
    Target,
)
from sdqctl.workflow.template import variable_problems


class Arity(Enum):
    """What stands after a directive's name."""

    NOTHING = "nothing"
    OPTIONAL = "a value on the same line, or none"
    VALUE = "a value on the same line"
    COMMAND = "a value that goes on while a quote is open or a line ends in a backslash"
    TEXT = "a value that goes on over the following lines"
    OPTIONAL_TEXT = "such a text, or none"


_TEXTS = (Arity.TEXT, Arity.OPTIONAL_TEXT)
_NEEDED = (Arity.VALUE, Arity.COMMAND, Arity.TEXT)


class Directive(NamedTuple):
    """One directive: what stands after its name, and what it does."""

    name: str
    arity: Arity
    usage: str
    """What the user writes after the name, as the reference shows it."""
    doc: str
    form: forms.Form[Any]
    into: Target
    doubts: Callable[[str], Iterable[str]] = lambda text: ()
    """What may be wrong with a text that can be read: warnings."""

    @property
    def is_text(self) -> bool:
        """Whether it goes on over the following lines."""
        return self.arity in _TEXTS

    @property
    def scope(self) -> str:
        """What it holds for: the `file` (the last one wins), `adds` (several add up), the steps of
        a directive after it, which is named; or it is itself a `step`, a `block`, or `refused`.
        """
        match self.into:
            case Field():
                return "file"
            case Lines() | Adds() | Included():
                return "adds"
            case Setting(kind):
                return kind_name(kind)
            case Makes() | Captures():
                return "step"
            case Opens() | Nests() | Parts() | Closes():
                return "block"
            case Refused():
                return "refused"
            case _:
                assert_never(self.into)

    def parse(self, text: str) -> Any:  # noqa: ANN401 - of whatever type the target takes
        """The value of a text. Raises ValueError that says what is wanted."""
        if self.arity is Arity.NOTHING:
            if text:
                raise ValueError(f"no value is wanted, and {text!r} was given")
            return None
        if self.arity in _NEEDED and not text.strip():
            what = "text" if self.is_text else "value"
            raise ValueError(f"the {what} is missing: write {self.name} {self.usage}")
        return self.form.parse(text)


def kind_name(kind: type[Any]) -> str:
    """The directive that a kind of step is named after: RUN, VERIFY, ..."""
    return str(kind.__struct_config__.tag).upper()


def _mode_doubts(text: str) -> Iterator[str]:
    if not is_known_mode(text):
        yield f"unknown MODE {text!r}: tools may only read{did_you_mean(text.lower(), MODES)}"


def _surrounding_doubts(text: str) -> Iterator[str]:
    if text.startswith("@") and "\n" in text:
        yield "@FILE with more text under it is taken as text, not as a file"
    yield from variable_problems(text)


_NONE, _MAYBE, _ONE, _COMMAND, _TEXT, _LINES = Arity


def _runs_with(field: str) -> Setting:
    return Setting(PromptStep, field, runs_with(field), back=forms.DEFAULT)


def _refused(name: str) -> Directive:
    doc = "Known and refused: it is an error that says so."
    return Directive(name, Arity.OPTIONAL, "...", doc, forms.TEXT, Refused())


# The first line of a row says what it is, the last one how it is read and where it goes.
# fmt: off
GROUPS: dict[str, tuple[Directive, ...]] = {
    "Metadata": (
        Directive("MODEL", _ONE, "NAME", "The model to use.",
                  forms.TEXT, Field("model")),
        Directive("ADAPTER", _ONE, "NAME", "The adapter to use, one of `sdqctl status --adapters`.",
                  forms.NAME, Field("adapter", place=True)),
        Directive("MODE", _ONE, "WORD",
                  "What tools may do: implement, full and write allow writing and shell; audit, "
                  "analysis, read-only, verification and all other words allow reading only.",
                  forms.TEXT, Field("mode"), _mode_doubts),
        Directive("MAX-CYCLES", _ONE, "N", "How many times the steps are done.",
                  forms.NUMBER, Field("max_cycles")),
        Directive("CWD", _ONE, "DIR", "The working directory, from the workflow's folder.",
                  forms.TEXT, Field("cwd")),
        Directive("WORKTREE", _MAYBE, "[BRANCH]",
                  "A git worktree of the session's own; BRANCH may hold template variables.",
                  forms.TEXT, Field("worktree")),
    ),
    "Session": (
        Directive("SESSION-NAME", _ONE, "NAME", "The session's name; may hold template variables.",
                  forms.QUOTED, Field("session_name", place=True)),
        Directive("SESSION-RESUME-IF-EXISTS", _MAYBE, "true|false",
                  "Whether to go on in a session of that name if it exists.",
                  forms.BOOLEAN, Field("resume_if_exists")),
        Directive("SESSION-MODE", _ONE, "accumulate|compact|fresh",
                  "What happens to the context between cycles: kept, compacted, or a new "
                  "conversation.",
                  forms.choice(SessionMode), Field("session_mode")),
    ),
    "Prompts": (
        Directive("PROMPT", _TEXT, "TEXT", "One turn of the agent.",
                  forms.TEXT, Makes(PromptStep, "text", complete=complete_prompt),
                  variable_problems),
        Directive("PROLOGUE", _LINES, "TEXT|@FILE", "Put before the first prompt of each cycle.",
                  forms.ENTRY, Adds("prologues"), _surrounding_doubts),
        Directive("EPILOGUE", _LINES, "TEXT|@FILE", "Put after the last prompt of each cycle.",
                  forms.ENTRY, Adds("epilogues"), _surrounding_doubts),
        Directive("ELIDE", _NONE, "", "Joins the step above and the step below into one turn.",
                  forms.TEXT, Makes(ElideStep)),
    ),
    "What a prompt runs with": (
        Directive("SWITCH-MODEL", _ONE, "NAME|default",
                  "The model of the prompts after it; `default`: that of the run again.",
                  forms.or_default(forms.TEXT), _runs_with("model")),
        Directive("REASONING-EFFORT", _ONE, "low|medium|high|xhigh|default",
                  "How long the model thinks about the prompts after it.",
                  forms.or_default(forms.words("low", "medium", "high", "xhigh")),
                  _runs_with("reasoning_effort")),
        Directive("AGENT", _ONE, "NAME|default", "The custom agent of the prompts after it.",
                  forms.or_default(forms.QUOTED), _runs_with("agent")),
        Directive("TOOLS", _ONE, "A, B|default",
                  "The only tools of the prompts after it, of those that they may have; one of an "
                  "MCP server is SERVER:TOOL.",
                  forms.or_default(forms.ITEMS), _runs_with("tools")),
        Directive("ATTACH", _ONE, "@FILE ...",
                  "Files and images that go with the next prompt, and with no other.",
                  forms.references(optional=False),
                  Setting(PromptStep, "attachments", attached, once=True)),
        Directive("SYSTEM", _LINES, "TEXT|@FILE", "Added to the agent's own instructions.",
                  forms.TEXT_AT_PLACE, Adds("equipment.system"), _surrounding_doubts),
        Directive("AGENTS-DIR", _ONE, "DIR", "A folder of custom agents: NAME.md for each.",
                  forms.FOLDER, Adds("equipment.agents")),
        Directive("SKILLS", _ONE, "DIR", "A folder of skills: NAME/SKILL.md for each.",
                  forms.FOLDER, Adds("equipment.skills")),
        Directive("MCP", _ONE, "@FILE|NAME COMMAND",
                  "MCP servers, which are started with the session; their tools ask as "
                  "`mcp(NAME:TOOL)`.",
                  forms.SERVER, Adds("equipment.servers")),
        Directive("EXCLUDE-TOOLS", _ONE, "A, B",
                  "Tools that the agent does not have in this file.",
                  forms.ITEMS, Adds("equipment.excluded_tools")),
    ),
    "Context": (
        Directive("CONTEXT", _ONE, "@GLOB",
                  "Files put into the first prompt of each cycle; missing is an error.",
                  forms.references(optional=False), Adds("references")),
        Directive("CONTEXT-OPTIONAL", _ONE, "@GLOB", "The same; missing is fine.",
                  forms.references(optional=True), Adds("references")),
        Directive("CONTEXT-EXCLUDE", _ONE, "GLOB", "Files that CONTEXT leaves out.",
                  forms.ITEMS, Adds("excludes")),
        Directive("REFCAT", _ONE, "@PATH[#L10-L50|#/REGEX/] ...",
                  "Files, or lines of files, put into the first prompt of each cycle.",
                  forms.references(optional=False), Adds("references")),
        Directive("INCLUDE", _ONE, "FILE", "The directives of another file, in this place.",
                  forms.TEXT, Included()),
        Directive("VALIDATION-MODE", _ONE, "strict|lenient",
                  "Whether missing references are errors or warnings.",
                  forms.STRICT, Field("strict_references")),
    ),
    "Context window": (
        Directive("CONTEXT-LIMIT", _ONE, "N%",
                  "How full the context may be before a prompt is sent.",
                  forms.PERCENTAGE, Setting(PromptStep, "context_limit")),
        Directive("ON-CONTEXT-LIMIT", _ONE, "compact|stop|continue", "What is done at the limit.",
                  forms.words("compact", "stop", "continue"),
                  Setting(PromptStep, "on_context_limit")),
        Directive("ON-CONTEXT-LIMIT-PROMPT", _TEXT, "TEXT",
                  "What the compaction at the limit is told.",
                  forms.TEXT, Setting(PromptStep, "on_context_limit_prompt")),
        Directive("COMPACT", _MAYBE, "[A, B]",
                  "The runtime's own compaction of the context; it is told to keep A and B as "
                  "well.",
                  forms.SOME_ITEMS, Makes(CompactStep, "preserve", complete=complete_compact)),
        Directive("COMPACT-PRESERVE", _ONE, "A, B",
                  "What compactions from here on are told to keep.",
                  forms.ITEMS, Setting(CompactStep, "preserve")),
        Directive("COMPACT-SUMMARY", _TEXT, "TEXT",
                  "How compactions from here on are to summarize.",
                  forms.TEXT, Setting(CompactStep, "summary")),
        Directive("COMPACT-PROLOGUE", _ONE, "TEXT", "Put before the instructions of compactions.",
                  forms.TEXT, Setting(CompactStep, "prologue")),
        Directive("COMPACT-EPILOGUE", _ONE, "TEXT", "Put after the instructions of compactions.",
                  forms.TEXT, Setting(CompactStep, "epilogue")),
        Directive("NEW-CONVERSATION", _NONE, "", "An empty conversation from here on.",
                  forms.TEXT, Makes(NewConversationStep)),
        Directive("INFINITE-SESSIONS", _ONE, "enabled|disabled",
                  "The runtime's automatic compaction.",
                  forms.ENABLED, Field("context.infinite_sessions")),
        Directive("COMPACTION-MIN", _ONE, "N%",
                  "The fill of the context below which COMPACT leaves it as it is.",
                  forms.PERCENTAGE, Field("context.compaction_min")),
        Directive("COMPACTION-THRESHOLD", _ONE, "N%",
                  "The fill at which the runtime compacts by itself.",
                  forms.PERCENTAGE, Field("context.compaction_threshold")),
        Directive("COMPACTION-MAX", _ONE, "N%",
                  "The fill at which the runtime waits for the compaction.",
                  forms.PERCENTAGE, Field("context.compaction_max")),
    ),
    "Commands": (
        Directive("RUN", _COMMAND, "COMMAND",
                  "A command; its output goes to the model with the next prompt.",
                  forms.TEXT, Makes(RunStep, "command", {"background": False}, complete_run),
                  variable_problems),
        Directive("RUN-ON-ERROR", _ONE, "stop|continue", "What a failing RUN does to the run.",
                  forms.choice(OnError), Setting(RunStep, "on_error")),
        Directive("RUN-OUTPUT", _ONE, "always|on-error|never", "When the output goes to the model.",
                  forms.choice(OutputRule), Setting(RunStep, "output")),
        Directive("RUN-OUTPUT-LIMIT", _ONE, "10K|none", "How much output goes to the model.",
                  forms.SIZE, Setting(RunStep, "output_limit")),
        Directive("RUN-TIMEOUT", _ONE, "DUR", "The time a RUN may take.",
                  forms.DURATION, Setting(RunStep, "timeout")),
        Directive("RUN-ENV", _ONE, "K=V", "A variable for RUN commands.",
                  forms.ASSIGNMENT, Setting(RunStep, "environment", many=True), variable_problems),
        Directive("RUN-CWD", _ONE, "DIR", "The folder of RUN commands.",
                  forms.TEXT, Setting(RunStep, "cwd"), variable_problems),
        Directive("ALLOW-SHELL", _MAYBE, "true|false", "Whether a shell runs RUN commands.",
                  forms.BOOLEAN, Setting(RunStep, "shell", shell_of)),
        Directive("RUN-RETRY", _ONE, 'N "PROMPT"',
                  "A failing RUN is shown to the agent and run again, N times.",
                  forms.RETRY, Setting(RunStep, "retry", retry_of), variable_problems),
        Directive("RUN-ASYNC", _COMMAND, "COMMAND",
                  "A command in the background; it ends with the run.",
                  forms.TEXT, Makes(RunStep, "command", {"background": True}, complete_run),
                  variable_problems),
        Directive("RUN-WAIT", _ONE, "DUR", "Waits, then gives the background output to the model.",
                  forms.DURATION, Makes(RunWaitStep, "seconds")),
        Directive("ON-FAILURE", _NONE, "", "Steps up to END that run if the RUN before failed.",
                  forms.TEXT, Opens("failure")),
        Directive("ON-SUCCESS", _NONE, "", "Steps up to END that run if the RUN before succeeded.",
                  forms.TEXT, Opens("success")),
        Directive("END", _NONE, "", "Ends a block.",
                  forms.TEXT, Closes()),
    ),
    "Data": (
        Directive("INPUT", _ONE, 'NAME [TYPE] [= DEFAULT] ["WHAT IT IS"]',
                  "A value that a run is given: text, int, number, bool, json, file, "
                  "choice(a|b).",
                  flow_forms.INPUT, Adds("inputs")),
        Directive("CAPTURE", _ONE, "NAME [AS TYPE] [SCHEMA @FILE|{...}]",
                  "The result of the step above becomes a value.",
                  flow_forms.CAPTURE, Captures()),
        Directive("CAPTURE-RETRIES", _ONE, "N",
                  "How often an answer that does not fit its CAPTURE is asked for again.",
                  forms.RETRIES, Setting(PromptStep, "capture_retries", retries_of)),
    ),
    "Flow": (
        Directive("IF", _ONE, "EXPRESSION", "Steps up to ELSE or END that run if it holds.",
                  flow_forms.IF, Nests(IfStep)),
        Directive("ELSE", _MAYBE, "[IF EXPRESSION]", "The other part of an IF.",
                  flow_forms.ELSE, Parts()),
        Directive("REPEAT", _MAYBE, "[MAX N] [UNTIL EXPRESSION]",
                  "Steps up to END, in rounds until the expression holds; at most 10, or N.",
                  flow_forms.REPEAT, Nests(RepeatStep)),
        Directive("FOR", _ONE, "NAME IN EXPRESSION [MAX N] [PARALLEL N]",
                  "Steps up to END, a round for each item of a list; with PARALLEL one CALL, N at "
                  "a time.",
                  flow_forms.FOR, Nests(ForStep)),
        Directive("CALL", _ONE, "FILE [WITH NAME=VALUE ...] [AS NAME] [IN new|same]",
                  "Another workflow as one step, in a session of its own or in this one; what it "
                  "returns becomes a value.",
                  flow_forms.CALL, Makes(CallStep, "file", whole=True)),
        Directive("ASK", _ONE, 'NAME "QUESTION" [text|choice(a|b)] [= DEFAULT AFTER DUR]',
                  "A question to a human, whose answer is a value; exit 8 until it is answered.",
                  flow_forms.ASK, Makes(AskStep, "question", whole=True)),
        Directive("STOP", _MAYBE, '["WHY"]', "Completes the run here.",
                  forms.QUOTED, Makes(StopStep, "why")),
        Directive("FAIL", _MAYBE, '["WHY"]', "Fails the run here, with exit 4.",
                  forms.QUOTED, Makes(FailStep, "why")),
        Directive("RETURN", _ONE, "EXPRESSION", "Completes the run here, with a value.",
                  forms.TEXT, Makes(ReturnStep, "value")),
    ),
    "Stops": (
        Directive("CHECKPOINT", _MAYBE, "[NAME]", "Gives this place a name.",
                  forms.QUOTED, Makes(CheckpointStep, "name", complete=complete_checkpoint)),
        Directive("CHECKPOINT-AFTER", _ONE, "each-cycle|each-prompt|N",
                  "Checkpoints made by themselves.",
                  forms.CHECKPOINTS, Field("checkpoint_after")),
        Directive("CHECKPOINT-NAME", _ONE, "NAME", "What those checkpoints are called.",
                  forms.QUOTED, Field("checkpoint_name")),
        Directive("PAUSE", _MAYBE, '["MESSAGE"]', "Stops with exit 8 until `resume --continue`.",
                  forms.QUOTED, Makes(PauseStep, "message")),
        Directive("CONSULT", _MAYBE, '["TOPIC"]', "Stops with exit 8; a human is asked.",
                  forms.QUOTED, Makes(ConsultStep, "topic")),
        Directive("CONSULT-TIMEOUT", _ONE, "DUR", "How long a CONSULT may wait.",
                  forms.DURATION, Setting(ConsultStep, "timeout")),
    ),
    "Output": (
        Directive("HEADER", _LINES, "TEXT", "Put before the answers.",
                  forms.TEXT, Lines("output.header")),
        Directive("FOOTER", _LINES, "TEXT", "Put after the answers.",
                  forms.TEXT, Lines("output.footer")),
        Directive("OUTPUT-FILE", _ONE, "FILE", "Where the answers are written.",
                  forms.QUOTED, Field("output.file", place=True)),
        Directive("OUTPUT-DIR", _ONE, "DIR", "The folder of OUTPUT-FILE.",
                  forms.QUOTED, Field("output.directory", place=True)),
        Directive("OUTPUT-FORMAT", _ONE, "markdown|json|text", "How the answers are written.",
                  forms.words("markdown", "json", "text"), Field("output.format")),
        Directive("OUTPUT", _ONE, "FILE", "The same as OUTPUT-FILE.",
                  forms.QUOTED, Field("output.file", place=True)),
    ),
    "Tools": (
        Directive("ALLOW-FILES", _ONE, "GLOB", "Files that tools and CONTEXT may touch, no others.",
                  forms.file_rules(allow=True, directory=False), Adds("file_rules")),
        Directive("DENY-FILES", _ONE, "GLOB", "Files that tools and CONTEXT may not touch.",
                  forms.file_rules(allow=False, directory=False), Adds("file_rules")),
        Directive("ALLOW-DIR", _ONE, "DIR", "A folder more that tools and CONTEXT may use.",
                  forms.file_rules(allow=True, directory=True), Adds("file_rules")),
        Directive("DENY-DIR", _ONE, "DIR", "A folder that tools and CONTEXT may not use.",
                  forms.file_rules(allow=False, directory=True), Adds("file_rules")),
    ),
    "Checks": (
        Directive("REQUIRE", _ONE, "@FILE cmd:NAME env:NAME sandbox",
                  "What must be there before anything runs.",
                  forms.REQUIREMENTS, Adds("requirements")),
        Directive("VERIFY", _ONE, "refs|links",
                  "Checks references or links of the workflow's folder.",
                  forms.CHECK, Makes(VerifyStep, "check")),
        Directive("VERIFY-ON-ERROR", _ONE, "stop|continue", "What a failing VERIFY does.",
                  forms.choice(OnError), Setting(VerifyStep, "on_error")),
        Directive("VERIFY-OUTPUT", _ONE, "always|on-error|never",
                  "When its report goes to the model.",
                  forms.choice(OutputRule), Setting(VerifyStep, "output")),
        Directive("VERIFY-LIMIT", _ONE, "10K|none", "How much of its report goes to the model.",
                  forms.SIZE, Setting(VerifyStep, "output_limit")),
        Directive("CHECK-REFS", _NONE, "", "Short for VERIFY refs.",
                  forms.TEXT, Makes(VerifyStep, given={"check": "refs"})),
        Directive("CHECK-LINKS", _NONE, "", "Short for VERIFY links.",
                  forms.TEXT, Makes(VerifyStep, given={"check": "links"})),
    ),
    "Debug": (
        Directive("DEBUG", _MAYBE, "[TOPICS]", "More narration on stderr.",
                  forms.TOPICS, Field("debug")),
        Directive("DEBUG-INTENTS", _MAYBE, "true|false", "Tool calls are narrated.",
                  forms.INTENTS, Field("debug", keep=True)),
        Directive("EVENT-LOG", _ONE, "FILE", "All events, as JSON lines.",
                  forms.QUOTED, Field("event_log", place=True)),
    ),
    "Refused": tuple(_refused(name) for name in (
        "MODEL-REQUIRES", "MODEL-PREFERS", "MODEL-POLICY", "HELP", "HELP-INLINE", "LSP",
        "VERIFY-TRACE", "VERIFY-COVERAGE", "CHECK-TRACEABILITY",
    )),
}
# fmt: on
DIRECTIVES: dict[str, Directive] = {row.name: row for rows in GROUPS.values() for row in rows}
REFUSED = frozenset(row.name for row in GROUPS["Refused"])
