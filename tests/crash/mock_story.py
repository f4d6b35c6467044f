"""A workflow on the mock that is killed at one commit point, resumed, and looked at.

What is looked at are the files alone: the ledger's rows, the journals' lines, and what was left in
the project by tools and commands. No code of sdqctl reads them here.
"""

from __future__ import annotations

import json
import signal
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.command import Done, sdqctl
from tests.waiting import remove

KILLED = (-signal.SIGKILL, 137)
_QUOTE = "\n\n> "
"""What stands before the quotation in a prompt that follows up another one."""
_UNFIT = "Your answer cannot be used"
"""How a prompt begins that says why an answer does not fit; the next one counts."""
_OWN = "runs.workflow IS NOT NULL AND runs.session_name = 'victim' AND runs.parent_run IS NULL"
_CALLED = "parent_path IS NOT NULL AND session_name <> 'copy'"
_MOST_COMMANDS = 12


@dataclass(frozen=True)
class Workflow:
    """A workflow, and what must be left of it however often it was killed.

    `conversations` are the own prompts of each of its conversations, by their first words, with
    their answers; `effects` are the lines that its tools, and `lines` those that its commands left
    in files of these names. `told` is what a later prompt must hold of a command's output.
    """

    text: str
    steps: int
    conversations: dict[str, dict[str, str]]
    effects: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    told: dict[str, str] = field(default_factory=dict)
    unfolded: tuple[str, ...] = ()
    """The paths of the steps that stand in no list of `steps`."""
    files: dict[str, str] = field(default_factory=dict)
    """The workflows that it calls."""
    called: int = 0
    """How many runs it calls."""


HEAD = "ADAPTER mock\nMODE implement\nSESSION-NAME victim\n"
STRAIGHT = Workflow(
    HEAD
    + """\
PROMPT first [[reply: one]]
RUN sh -c "echo said; echo line >> lines"
PROMPT second [[tool: shell echo 1 >> effects]] [[tool: shell echo 2 >> effects]] [[reply: two]]
CHECKPOINT middle
COMPACT
PROMPT third [[reply: three]]
""",
    6,
    {"victim": {"first": "one", "second": "two", "third": "three"}},
    effects=("1", "2"),
    lines=("line",),
    told={"second": "said"},
)
MOVING = Workflow(
    HEAD
    + """\
SESSION-MODE fresh
MAX-CYCLES 2
PROMPT a{{CYCLE_NUMBER}} [[tool: shell echo {{CYCLE_NUMBER}} >> effects]] [[reply: A]]
NEW-CONVERSATION
PROMPT b{{CYCLE_NUMBER}} [[reply: B]]
""",
    7,
    {
        "victim": {"a1": "A"},
        "victim (2)": {"b1": "B"},
        "victim (3)": {"a2": "A"},
        "victim (4)": {"b2": "B"},
    },
    effects=("1", "2"),
)
BESIDE = Workflow(
    HEAD
    + """\
PROMPT first [[reply: one]]
RUN-ASYNC sh -c "echo beside"
RUN-WAIT 1s
PROMPT second [[reply: two]]
PAUSE look
PROMPT third [[reply: three]]
""",
    6,
    {"victim": {"first": "one", "second": "two", "third": "three"}},
    told={"second": "beside"},
)


FLOW = Workflow(
    HEAD
    + """\
INPUT more = c
PROMPT list [[reply: none x1]] [[json: ["a", "b"]]]
CAPTURE items AS json
FOR item IN items + [more]
  IF item == "a"
    RUN sh -c 'echo said; echo "$1" >> lines' sh {{item}}
  ELSE
    PROMPT {{item}} [[tool: shell echo {{item}} >> effects]] [[reply: did-{{item}}]]
    CAPTURE word
  END
END
REPEAT MAX 5 UNTIL n == 2
  RUN sh -c "echo r >> rounds; grep -c r rounds"
  CAPTURE n AS int
END
PROMPT end{{n_all | length}} {{word_all | join(".")}} [[reply: fine]]
STOP
PROMPT never [[reply: never]]
""",
    5,
    {
        "victim": {
            "list": '["a", "b"]',
            "b": "did-b",
            "c": "did-c",
            "end2": "fine",
        }
    },
    effects=("b", "c"),
    lines=("a",),
    told={"b": "said"},
    unfolded=(
        *("2[1].1", "2[1].1.then.1", "2[2].1", "2[2].1.else.1", "2[3].1", "2[3].1.else.1"),
        *("3[1].1", "3[1].until", "3[2].1", "3[2].until"),
    ),
)


CALLING = Workflow(
    HEAD
    + """\
PROMPT first [[tool: shell echo 0 >> effects]] [[reply: one]]
CALL part.conv WITH word=x AS got
CALL inner.conv IN same
PROMPT last-{{got}} [[reply: end]]
""",
    4,
    {
        "victim": {"first": "one", "inner": "I", "last-x": "end"},
        "victim/part": {"xa": "A"},
        "victim/part/leaf": {"leaf": "L"},
    },
    effects=("0", "1", "2", "3"),
    lines=("line",),
    files={
        "part.conv": """\
INPUT word
PROMPT {{word}}a [[tool: shell echo 1 >> effects]] [[reply: A]]
RUN sh -c "echo line >> lines"
CALL leaf.conv
RETURN word
""",
        "leaf.conv": "PROMPT leaf [[tool: shell echo 2 >> effects]] [[reply: L]]\n",
        "inner.conv": "PROMPT inner [[tool: shell echo 3 >> effects]] [[reply: I]]\n",
    },
    called=3,
)


class Home:
    """A home and a project of their own, in which one workflow is run, killed and resumed."""

    def __init__(self, folder: Path, workflow: Workflow) -> None:
        self.data, self.project = folder / "sdqctl", folder / "project"
        self.project.mkdir(parents=True, exist_ok=True)
        self.workflow = workflow
        self.file = self.project / "victim.conv"
        self.file.write_text(workflow.text)
        for name, text in workflow.files.items():
            (self.project / name).write_text(text)
        self.told: list[str] = []

    def command(self, *arguments: str | Path, crash: str | None = None) -> Done:
        """A command in this home, perhaps killed at a point."""
        at = {"SDQCTL_CRASH_AT": crash} if crash else {}
        where: list[str | Path] = ["--cwd", self.project] if arguments[0] != "sessions" else []
        done = sdqctl(*arguments, *where, SDQCTL_HOME=str(self.data), **at)
        self.told.append(f"{arguments} {crash or ''} -> {done.code}\n{done.err}")
        assert done.code != 1, self.story()
        return done

    def run(self, crash: str | None = None) -> Done:
        """The first command."""
        return self.command("run", self.file, crash=crash)

    def go_on(self, *flags: str, crash: str | None = None) -> Done:
        """Go on with the run, or begin it where nothing of it was recorded."""
        done = self.command("resume", "victim", "--continue", *flags, crash=crash)
        return self.run(crash) if done.code == 7 else done

    def finish(self, *flags: str) -> None:
        """Go on until it is done, as the messages say."""
        for _ in range(_MOST_COMMANDS):
            done = self.go_on(*flags)
            if done.code == 0:
                return
            assert done.code in (4, 8), self.story()
            assert done.code == 8 or "cut off" in done.err, self.story()
            flags = ("--on-interrupted", "resend") if done.code == 4 else ()
        raise AssertionError(f"it never came to its end\n{self.story()}")

    def story(self) -> str:
        """All commands so far, with what they said."""
        return "\n".join(self.told)

    def rows(self, query: str) -> list[sqlite3.Row]:
        """What a query finds in the ledger."""
        with sqlite3.connect(self.data / "ledger.db") as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute(query).fetchall()
        connection.close()
        return found

    def journal(self, name: str) -> list[dict[str, Any]]:
        """The events of the session of this name."""
        return [json.loads(line) for line in self.journal_file(name).read_text().splitlines()]

    def journal_file(self, name: str) -> Path:
        """The journal of the session of this name."""
        for file in (self.data / "mock").glob("[!.]*/session.json"):
            if json.loads(file.read_text())["name"] == name:
                return file.parent / "events.jsonl"
        raise AssertionError(f"there is no session {name}\n{self.story()}")

    def check(self, asides: int = 0) -> None:
        """Everything was done, and nothing twice; so many other prompts stand in between."""
        self._check_ledger()
        for name, expected in self.workflow.conversations.items():
            self._check_conversation(name, expected, asides)
        for file, lines in (("effects", self.workflow.effects), ("lines", self.workflow.lines)):
            path = self.project / file
            found = path.read_text().split() if path.exists() else []
            assert tuple(found) == lines, (file, self.story())

    def _check_ledger(self) -> None:
        runs = self.rows(f"SELECT status FROM runs WHERE {_OWN}")
        assert [row["status"] for row in runs] == ["completed"], self.story()
        called = self.rows(f"SELECT status FROM runs WHERE {_CALLED}")
        assert [row["status"] for row in called] == ["completed"] * self.workflow.called, (
            self.story()
        )
        query = f"""
            SELECT a.path FROM attempts AS a JOIN runs ON runs.id = a.run_id
            WHERE {_OWN} AND a.superseded = 0 AND a.status = 'done'
        """
        done = Counter(row["path"] for row in self.rows(query))
        plain = map(str, range(1, self.workflow.steps + 1))
        assert done == Counter([*plain, *self.workflow.unfolded]), self.story()

    def _check_conversation(self, name: str, expected: dict[str, str], asides: int) -> None:
        events = self.journal(name)
        prompts: list[str] = []
        answers: list[str] = []
        asked = ""
        for event in events:
            if event["type"] == "user.message":
                asked = event["data"]["content"]
                if _UNFIT in asked:  # alone, or after the prompt once more
                    answers.pop()
                elif _QUOTE not in asked and not asked.startswith("aside"):
                    prompts.append(own_words(asked))
                    told = self.workflow.told.get(prompts[-1])
                    assert told is None or asked.count(f"\n{told}\n") == 1, (asked, self.story())
            elif event["type"] == "assistant.message" and not asked.startswith("aside"):
                answers.append(event["data"]["content"])
        assert prompts == [*expected], (prompts, self.story())
        assert answers == [*expected.values()], (answers, self.story())
        aside = [e for e in events if e["data"].get("content", "").startswith("aside")]
        assert name != "victim" or len(aside) == asides, self.story()


def own_words(prompt: str) -> str:
    """The first word of the line that has the orders, which outputs of commands may precede."""
    return next(line for line in prompt.split("\n") if "[[" in line).split()[0]


def reset(folder: Path) -> Path:
    """The folder, empty."""
    remove(folder)
    folder.mkdir()
    return folder
