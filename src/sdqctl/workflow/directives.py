"""THE table of directives. The parser, the help, the reference and completion all come from it.

A directive is built by the method `on_<name>` of `file_directives` or `step_directives`.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple


class Directive(NamedTuple):
    """One directive: what stands after its name, and what it does."""

    group: str
    value: str
    """What the user writes after the name, as the reference shows it."""
    doc: str
    kind: str = "setting"
    """`setting`, `step`, `block` or `refused`."""
    body: bool = False
    """Whether it goes on over the following lines."""
    scope: str = "file"
    """What a setting holds for: the `file` (the last one wins), `adds` (several add up), or the
    steps after it of the directive that is named here."""


_REFUSED = "Known and refused: it is an error that says so."

DIRECTIVES: dict[str, Directive] = {
    "MODEL": Directive("Metadata", "NAME", "The model to use."),
    "ADAPTER": Directive("Metadata", "copilot|mock", "The runtime to use."),
    "MODE": Directive(
        "Metadata",
        "WORD",
        "What tools may do: implement, full and write allow writing and shell; audit, analysis, "
        "read-only, verification and all other words allow reading only.",
    ),
    "MAX-CYCLES": Directive("Metadata", "N", "How many times the steps are done."),
    "CWD": Directive("Metadata", "DIR", "The working directory, from the workflow's folder."),
    "SESSION-NAME": Directive(
        "Session", "NAME", "The session's name; may hold template variables."
    ),
    "SESSION-RESUME-IF-EXISTS": Directive(
        "Session", "true|false", "Whether to go on in a session of that name if it exists."
    ),
    "SESSION-MODE": Directive(
        "Session",
        "accumulate|compact|fresh",
        "What happens to the context between cycles: kept, compacted, or a new conversation.",
    ),
    "PROMPT": Directive("Prompts", "TEXT", "One turn of the agent.", kind="step", body=True),
    "PROLOGUE": Directive(
        "Prompts",
        "TEXT|@FILE",
        "Put before the first prompt of each cycle.",
        body=True,
        scope="adds",
    ),
    "EPILOGUE": Directive(
        "Prompts",
        "TEXT|@FILE",
        "Put after the last prompt of each cycle.",
        body=True,
        scope="adds",
    ),
    "ELIDE": Directive(
        "Prompts", "", "Joins the step above and the step below into one turn.", kind="step"
    ),
    "CONTEXT": Directive(
        "Context",
        "@GLOB",
        "Files put into the first prompt of each cycle; missing is an error.",
        scope="adds",
    ),
    "CONTEXT-OPTIONAL": Directive("Context", "@GLOB", "The same; missing is fine.", scope="adds"),
    "CONTEXT-EXCLUDE": Directive("Context", "GLOB", "Files that CONTEXT leaves out.", scope="adds"),
    "REFCAT": Directive(
        "Context",
        "@PATH[#L10-L50|#/REGEX/] ...",
        "Files, or lines of files, put into the first prompt of each cycle.",
        scope="adds",
    ),
    "INCLUDE": Directive(
        "Context", "FILE", "The directives of another file, in this place.", scope="adds"
    ),
    "VALIDATION-MODE": Directive(
        "Context", "strict|lenient", "Whether missing references are errors or warnings."
    ),
    "CONTEXT-LIMIT": Directive(
        "Context window",
        "N%",
        "How full the context may be before a prompt is sent.",
        scope="PROMPT",
    ),
    "ON-CONTEXT-LIMIT": Directive(
        "Context window", "compact|stop|continue", "What is done at the limit.", scope="PROMPT"
    ),
    "ON-CONTEXT-LIMIT-PROMPT": Directive(
        "Context window",
        "TEXT",
        "What the compaction at the limit is told.",
        body=True,
        scope="PROMPT",
    ),
    "COMPACT": Directive(
        "Context window",
        "[A, B]",
        "The runtime's own compaction of the context; it is told to keep A and B as well.",
        kind="step",
    ),
    "COMPACT-PRESERVE": Directive(
        "Context window", "A, B", "What compactions from here on are told to keep.", scope="COMPACT"
    ),
    "COMPACT-SUMMARY": Directive(
        "Context window",
        "TEXT",
        "How compactions from here on are to summarize.",
        body=True,
        scope="COMPACT",
    ),
    "COMPACT-PROLOGUE": Directive(
        "Context window", "TEXT", "Put before the instructions of compactions.", scope="COMPACT"
    ),
    "COMPACT-EPILOGUE": Directive(
        "Context window", "TEXT", "Put after the instructions of compactions.", scope="COMPACT"
    ),
    "NEW-CONVERSATION": Directive(
        "Context window", "", "An empty conversation from here on.", kind="step"
    ),
    "INFINITE-SESSIONS": Directive(
        "Context window", "enabled|disabled", "The runtime's automatic compaction."
    ),
    "COMPACTION-MIN": Directive(
        "Context window", "N%", "The fill of the context below which COMPACT leaves it as it is."
    ),
    "COMPACTION-THRESHOLD": Directive(
        "Context window", "N%", "The fill at which the runtime compacts by itself."
    ),
    "COMPACTION-MAX": Directive(
        "Context window", "N%", "The fill at which the runtime waits for the compaction."
    ),
    "RUN": Directive(
        "Commands",
        "COMMAND",
        "A command; its output goes to the model with the next prompt.",
        kind="step",
    ),
    "RUN-ON-ERROR": Directive(
        "Commands", "stop|continue", "What a failing RUN does to the run.", scope="RUN"
    ),
    "RUN-OUTPUT": Directive(
        "Commands", "always|on-error|never", "When the output goes to the model.", scope="RUN"
    ),
    "RUN-OUTPUT-LIMIT": Directive(
        "Commands", "10K|none", "How much output goes to the model.", scope="RUN"
    ),
    "RUN-TIMEOUT": Directive("Commands", "DUR", "The time a RUN may take.", scope="RUN"),
    "RUN-ENV": Directive("Commands", "K=V", "A variable for RUN commands.", scope="RUN"),
    "RUN-CWD": Directive("Commands", "DIR", "The folder of RUN commands.", scope="RUN"),
    "ALLOW-SHELL": Directive(
        "Commands", "true|false", "Whether a shell runs RUN commands.", scope="RUN"
    ),
    "RUN-RETRY": Directive(
        "Commands",
        'N "PROMPT"',
        "A failing RUN is shown to the agent and run again, N times.",
        scope="RUN",
    ),
    "RUN-ASYNC": Directive(
        "Commands", "COMMAND", "A command in the background; it ends with the run.", kind="step"
    ),
    "RUN-WAIT": Directive(
        "Commands", "DUR", "Waits, then gives the background output to the model.", kind="step"
    ),
    "ON-FAILURE": Directive(
        "Commands", "", "Steps up to END that run if the RUN before failed.", kind="block"
    ),
    "ON-SUCCESS": Directive(
        "Commands", "", "Steps up to END that run if the RUN before succeeded.", kind="block"
    ),
    "END": Directive("Commands", "", "Ends ON-FAILURE or ON-SUCCESS.", kind="block"),
    "CHECKPOINT": Directive("Stops", "[NAME]", "Gives this place a name.", kind="step"),
    "CHECKPOINT-AFTER": Directive(
        "Stops", "each-cycle|each-prompt|N", "Checkpoints made by themselves."
    ),
    "CHECKPOINT-NAME": Directive("Stops", "NAME", "What those checkpoints are called."),
    "PAUSE": Directive(
        "Stops", '["MESSAGE"]', "Stops with exit 8 until `resume --continue`.", kind="step"
    ),
    "CONSULT": Directive("Stops", '["TOPIC"]', "Stops with exit 8; a human is asked.", kind="step"),
    "CONSULT-TIMEOUT": Directive("Stops", "DUR", "How long a CONSULT may wait.", scope="CONSULT"),
    "HEADER": Directive("Output", "TEXT", "Put before the answers.", body=True, scope="adds"),
    "FOOTER": Directive("Output", "TEXT", "Put after the answers.", body=True, scope="adds"),
    "OUTPUT-FILE": Directive("Output", "FILE", "Where the answers are written."),
    "OUTPUT-DIR": Directive("Output", "DIR", "The folder of OUTPUT-FILE."),
    "OUTPUT-FORMAT": Directive("Output", "markdown|json|text", "How the answers are written."),
    "OUTPUT": Directive("Output", "FILE", "The same as OUTPUT-FILE."),
    "ALLOW-FILES": Directive(
        "Tools", "GLOB", "Files that tools and CONTEXT may touch, no others.", scope="adds"
    ),
    "DENY-FILES": Directive(
        "Tools", "GLOB", "Files that tools and CONTEXT may not touch.", scope="adds"
    ),
    "ALLOW-DIR": Directive(
        "Tools", "DIR", "A folder more that tools and CONTEXT may use.", scope="adds"
    ),
    "DENY-DIR": Directive(
        "Tools", "DIR", "A folder that tools and CONTEXT may not use.", scope="adds"
    ),
    "REQUIRE": Directive(
        "Checks",
        "@FILE cmd:NAME env:NAME sandbox",
        "What must be there before anything runs.",
        scope="adds",
    ),
    "VERIFY": Directive(
        "Checks", "refs|links", "Checks references or links of the workflow's folder.", kind="step"
    ),
    "VERIFY-ON-ERROR": Directive(
        "Checks", "stop|continue", "What a failing VERIFY does.", scope="VERIFY"
    ),
    "VERIFY-OUTPUT": Directive(
        "Checks", "always|on-error|never", "When its report goes to the model.", scope="VERIFY"
    ),
    "VERIFY-LIMIT": Directive(
        "Checks", "10K|none", "How much of its report goes to the model.", scope="VERIFY"
    ),
    "CHECK-REFS": Directive("Checks", "", "Short for VERIFY refs.", kind="step"),
    "CHECK-LINKS": Directive("Checks", "", "Short for VERIFY links.", kind="step"),
    "DEBUG": Directive("Debug", "[TOPICS]", "More narration on stderr."),
    "DEBUG-INTENTS": Directive("Debug", "true|false", "Tool calls are narrated."),
    "EVENT-LOG": Directive("Debug", "FILE", "All events, as JSON lines."),
    "MODEL-REQUIRES": Directive("Refused", "...", _REFUSED, kind="refused"),
    "MODEL-PREFERS": Directive("Refused", "...", _REFUSED, kind="refused"),
    "MODEL-POLICY": Directive("Refused", "...", _REFUSED, kind="refused"),
    "HELP": Directive("Refused", "...", _REFUSED, kind="refused"),
    "HELP-INLINE": Directive("Refused", "...", _REFUSED, kind="refused"),
    "LSP": Directive("Refused", "...", _REFUSED, kind="refused"),
    "VERIFY-TRACE": Directive("Refused", "...", _REFUSED, kind="refused"),
    "VERIFY-COVERAGE": Directive("Refused", "...", _REFUSED, kind="refused"),
    "CHECK-TRACEABILITY": Directive("Refused", "...", _REFUSED, kind="refused"),
}

BODY_DIRECTIVES = frozenset(name for name, row in DIRECTIVES.items() if row.body)
REFUSED = frozenset(name for name, row in DIRECTIVES.items() if row.kind == "refused")


@lru_cache(maxsize=1024)
def nearest(name: str, cutoff: float = 0.8) -> str | None:
    """The directive that was probably meant."""
    near = get_close_matches(name, DIRECTIVES, n=5, cutoff=cutoff)
    swapped = [known for known in near if sorted(known) == sorted(name)]
    return next(iter([*swapped, *near]), None)
