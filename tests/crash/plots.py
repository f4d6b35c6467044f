"""The workflows that are killed on the real runtime, and the agent that answers them.

The agent is a careful one: asked to finish a prompt, it looks which of its effects are there.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdqctl.testing.loopback import Reply, Request

ToolUse = tuple[str, dict[str, Any]]
"""A tool's name and its arguments."""
_STEP = re.compile(r"step-(\w+)")
_QUOTE = re.compile(r"^> ", re.MULTILINE)
_ANSWER_SECONDS = 0.25
_TOOL = "sleep 0.3; echo {word} >> effects.txt"


@dataclass(frozen=True)
class Plot:
    """A workflow, and what must be left of it.

    `conversations` are the steps of each, by the words after `step-`; `tools` what the agent does
    for a step, a line in effects.txt each; `lines` is how many lines its commands write.
    """

    text: str
    positions: int
    conversations: dict[str, list[str]]
    tools: dict[str, list[str]]
    lines: int

    @property
    def steps(self) -> list[str]:
        """All steps, in order."""
        return [step for steps in self.conversations.values() for step in steps]

    @property
    def effects(self) -> Counter[str]:
        """Each line of effects.txt."""
        return Counter(word for step in self.steps for word in self.tools.get(step, []))


_HEAD = "SESSION-NAME victim\nMODE implement\n"
_COMMAND = 'RUN sh -c "echo line >> lines.txt; sleep 0.2"\n'
PLOTS = (
    Plot(
        _HEAD
        + "PROMPT step-one\nPROMPT step-two\n"
        + _COMMAND
        + "PROMPT step-three\nCHECKPOINT middle\nPROMPT step-four\nPROMPT step-alike\n"
        + "PROMPT step-alike\n",
        8,
        {"victim": ["one", "two", "three", "four", "alike", "alike"]},
        {"two": ["2a"], "three": ["3a", "3b"]},
        1,
    ),
    Plot(
        _HEAD
        + "SESSION-MODE fresh\nMAX-CYCLES 2\nPROMPT step-first{{CYCLE_NUMBER}}\n"
        + _COMMAND
        + "PROMPT step-second{{CYCLE_NUMBER}}\n",
        7,
        {"victim": ["first1", "second1"], "victim (2)": ["first2", "second2"]},
        {"first1": ["1a"], "second1": ["1b", "1c"], "first2": ["2a", "2b"]},
        2,
    ),
    Plot(
        _HEAD
        + 'RUN-ASYNC sh -c "while :; do sleep 0.1; done"\nPROMPT step-one\n'
        + "NEW-CONVERSATION\nPROMPT step-two\n"
        + _COMMAND
        + "RUN-WAIT 0.1s\nPROMPT step-three\nPROMPT step-four\n",
        8,
        {"victim": ["one"], "victim (2)": ["two", "three", "four"]},
        {"one": ["1a", "1b"], "three": ["3a", "3b"]},
        1,
    ),
)


class Agent:
    """Answers the steps of a plot; `is_done` tells whether a step is recorded as done."""

    def __init__(
        self,
        plot: Plot,
        project: Path,
        is_done: Callable[[str], bool],
        shell: Callable[[str], ToolUse],
    ) -> None:
        self._plot = plot
        self._shell = shell
        self._effects = project / "effects.txt"
        self._is_done = is_done
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()
        self.prompts = 0
        self.repeated_after_done = 0

    def __call__(self, request: Request) -> Reply:
        """A script of the loopback model."""
        step = step_of(request.prompt)
        if step is None or not request.body.get("tools"):  # a title, a summary
            return Reply(text=f"answer to {request.prompt.strip()}")
        with self._lock:
            self.calls[step] += 1
            self.prompts += not request.tool_results
            self.repeated_after_done += self._is_done(step)
        tools = self._plot.tools.get(step, [])
        if is_follow_up(request.prompt):
            there = self._effects.read_text().split() if self._effects.exists() else []
            left = [word for word in tools if word not in there]
        else:
            left = tools[len(request.tool_results) :]
        if not left:
            return Reply(text=answer(step), delay=_ANSWER_SECONDS)
        use = self._shell(_TOOL.format(word=left[0]))
        return Reply(text="", tool_calls=[use], delay=_ANSWER_SECONDS)


def answer(step: str) -> str:
    """What the agent answers to a step."""
    return f"the answer to {step}"


def step_of(prompt: str) -> str | None:
    """The step that a prompt asks for, or asks to finish."""
    found = _STEP.search(prompt)
    return found.group(1) if found else None


def bash(command: str) -> ToolUse:
    """Copilot's shell tool."""
    return "bash", {"command": command, "description": "act"}


def is_follow_up(prompt: str) -> bool:
    """Whether a prompt quotes another one."""
    return _QUOTE.search(prompt) is not None
