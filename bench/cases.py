"""What is measured, against what, and the bounds that are promised."""

from __future__ import annotations

import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from bench.measure import Command, Figure
from sdqctl.adapters.copilot.runtime import find_runtime
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.testing.loopback import LoopbackModel

ROOT = Path(__file__).resolve().parent.parent
SDQCTL = str(Path(sys.executable).parent / "sdqctl")
YARDSTICKS = ROOT / "bench" / "yardsticks"
SHFMT = str(Path(sys.executable).parent / "shfmt")
COMMANDS = """\
git log --oneline -5 --author="$author" -- src/program/recovery.py | head -3 && echo "done: $x"
git status --short > /dev/null 2>&1 || git stash list
for i in 1 2 3; do git show "HEAD~$i" | grep -n 'a longer pattern' | cut -d: -f1; done
branch=$(git rev-parse --abbrev-ref HEAD); git diff "$branch" -- src/*.py docs/guide/*.md | wc -l
git add src/program/engine/recovery.py tests/engine/test_recovery.py docs/guide/recovery.md
git commit -m "$(cat <<'EOF'
Recovery goes on where it was, also after the machine lost its power

What was begun and not ended is looked up in the journal; what is found there is recorded, and
what is not found is sent again. A step that is done is never sent twice.
EOF
)"
"""
"""What an agent might run, one after the other."""
LATENCY = "[[sleep: 2]] [[reply: done]]"
WORDS = "[[reply: done]]"


@dataclass
class Case:
    """One figure. `bound` is the highest ratio to the first yardstick that is promised."""

    name: str
    ours: Figure
    yardsticks: Sequence[Figure]
    bound: float | None = None
    warm_up: bool = True
    """Whether a first round is thrown away; a minute of waiting needs none."""
    commands: Sequence[Command] = ()
    """What is timed, where the figures are derived; else the figures themselves."""
    rounds: int | None = None
    """The most rounds, for what takes long."""

    @property
    def timed(self) -> list[Command]:
        """The commands to run in turn."""
        figures = (self.ours, *self.yardsticks)
        return list(self.commands) or [each for each in figures if isinstance(each, Command)]

    @property
    def kept(self) -> bool | None:
        """Whether the bound is kept, None without one."""
        if self.bound is None:
            return None
        return self.ours.median <= self.bound * self.yardsticks[0].median


@dataclass
class Bench:
    """The folder, the model and the environment of all commands."""

    folder: Path
    model: LoopbackModel
    quick: bool
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def environment(self) -> dict[str, str]:
        """The runtime and the homes; each case sets its own COPILOT_HOME by `home`."""
        runtime = ROOT / "node_modules" / ".bin" / "copilot"
        settings = AdapterSettings(
            data_dir=self.folder, copilot_home=self.folder, runtime_path=runtime
        )
        program = find_runtime(settings)
        assert program is not None, "`make setup` installs the runtime"
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
        (self.folder / "home").mkdir(exist_ok=True)
        return {
            **kept,
            **self.model.environment(),
            "HOME": str(self.folder / "home"),
            "XDG_CACHE_HOME": cache,
            "COPILOT_CLI_PATH": str(program.path),
            "COPILOT_AUTO_UPDATE": "false",
        }

    def at(self, home: Path, *command: str) -> list[str]:
        """A command with the homes of one case."""
        homes = [f"SDQCTL_HOME={home / 'sdqctl'}", f"COPILOT_HOME={home / 'copilot'}"]
        return ["/usr/bin/env", *homes, *command]

    def new_home(self, name: str) -> Path:
        """An empty folder."""
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        return home

    def new_session(self) -> tuple[str, str]:
        """The flags that name a session as no other."""
        return "--session-name", f"s{next(self.numbers)}"

    def sized(self, full: int, quick: int) -> int:
        """A size for this kind of run."""
        return quick if self.quick else full


def cases(bench: Bench) -> Iterator[Case]:
    """All figures, made when they are wanted."""
    from bench.fleet import fleet
    from bench.growth import growth
    from bench.keys import typing
    from bench.screen import screen
    from bench.trees import trees

    yield from _start_up(bench)
    yield from _listing(bench)
    yield from _reading(bench)
    yield from _running(bench)
    yield from typing(bench)
    yield from screen(bench)
    yield from _sandboxed(bench)
    yield from growth(bench)
    yield from trees(bench)
    yield from fleet(bench)
    yield from _cleanup(bench)
    yield from _inside(bench)
    yield from _components(bench)


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _click() -> Command:
    note = "starts Python and imports the library; prints nothing and reads nothing"
    return Command("import click", _python("-c", "import click"), note=note)


def _start_up(bench: Bench) -> Iterator[Case]:
    home = bench.new_home("empty")
    for name, bound in (("--version", 1.5), ("--help", 1.5)):
        yield Case(name, Command(name, bench.at(home, SDQCTL, name)), [_click()], bound)


def _sdk_list(bench: Bench, home: Path) -> Command:
    script = _python(str(YARDSTICKS / "sdk_list.py"))
    note = (
        "imports the SDK and starts the runtime, which ours does not; knows neither runs nor "
        "locks nor turns, and sorts nothing"
    )
    return Command("bare SDK list", bench.at(home, *script), note=note)


def _listing(bench: Bench) -> Iterator[Case]:
    bounds = {10: None, 1000: 0.08, 5000: 0.12}
    for number, bound in bounds.items():
        size = bench.sized(number, min(number, 200))
        home = bench.new_home(f"list-{number}")
        make_sessions(home / "copilot", size, 4)
        ours = Command("list", bench.at(home, SDQCTL, "sessions", "list"))
        yield Case(f"sessions list, {size}", ours, [_sdk_list(bench, home), _click()], bound)
    listing = bench.at(home, SDQCTL, "sessions", "list", "--format", "json")
    ours = Command("list as JSON", listing)
    yield Case(f"sessions list as JSON, {size}", ours, [_sdk_list(bench, home)], 0.12)
    limited = Command("list as JSON, limited", [*listing, "--limit", "20"])
    whole = Command("list as JSON", listing, note="the same list without --limit")
    yield Case(f"the same, --limit 20 of {size}", limited, [whole], 1.0)


def _reading(bench: Bench) -> Iterator[Case]:
    home = bench.new_home("read")
    sessions, turns = bench.sized(1000, 100), 20
    make_sessions(home / "copilot", sessions, turns)
    show = Command("show", bench.at(home, SDQCTL, "sessions", "show", "s-00001"))
    yield Case("sessions show, 20 turns", show, [_sdk_list(bench, home), _click()])
    search = Command("search", bench.at(home, SDQCTL, "sessions", "search", "needle7"))
    name = f"sessions search, {sessions} sessions"
    yield Case(name, search, [_sdk_list(bench, home), _click()])
    words = {
        "_SDQCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": "sdqctl resume s-0",
        "COMP_CWORD": "2",
    }
    variables = [f"{key}={value}" for key, value in words.items()]
    complete = Command("completion", bench.at(home, *variables, SDQCTL))
    yield Case(f"completion, {sessions} sessions", complete, [_click()])
    long_home = bench.new_home("long")
    make_sessions(long_home / "copilot", 1, bench.sized(1000, 200))
    long_show = bench.at(long_home, SDQCTL, "sessions", "show", "s-00000", "--transcript")
    yield Case("show of a 1,000-turn session", Command("show", long_show), [_click()])


def _running(bench: Bench) -> Iterator[Case]:
    for number in (1, 10, 50):
        size = min(number, bench.sized(50, 10))
        home = bench.new_home(f"run-{number}")
        workflow = home / "w.conv"
        workflow.write_text("".join(f"PROMPT {n} {WORDS}\n" for n in range(size)))
        ours = Command(
            "run",
            bench.at(home, SDQCTL, "run", str(workflow)),
            bench.new_session,
            home,
        )
        bare = sdk_prompts(bench, home, 1, size, 1, WORDS)
        bound = 1.10 if number == 50 else None
        yield Case(f"run, {size} prompts", ours, [bare], bound)
    home = bench.new_home("resume")
    workflow = home / "w.conv"
    workflow.write_text(f"SESSION-NAME talk\nPROMPT hello {WORDS}\n")
    first = Command("first", bench.at(home, SDQCTL, "run", str(workflow)), cwd=home)
    from bench.measure import time_all

    time_all([first], 0, bench.environment)
    prompt = f"more {WORDS}"
    ours = Command("resume", bench.at(home, SDQCTL, "resume", "talk", "--prompt", prompt), cwd=home)
    runtime = bench.environment["COPILOT_CLI_PATH"]
    native = Command(
        "copilot -p --resume",
        bench.at(home, runtime, "--resume=talk", "-p", prompt),
        cwd=home,
        note="one process with the runtime in it, no SDK, no Python; keeps no record of its own",
    )
    yield Case("resume --prompt", ours, [native], 1.8)


def _sandboxed(bench: Bench) -> Iterator[Case]:
    """What the net costs: of a prompt on the runtime at most 0.1 s, which is this bound."""
    note = "the same command without the operating system's net"
    commands = bench.sized(20, 5)
    texts = {
        "run, 1 prompt, in the sandbox": (f"MODE implement\nPROMPT go {WORDS}\n", 1.06),
        f"{commands} RUN steps, in the sandbox": ("ADAPTER mock\n" + "RUN true\n" * commands, None),
    }
    for number, (name, (text, bound)) in enumerate(texts.items()):
        home = bench.new_home(f"sandbox-{number}")
        workflow = home / "work" / "w.conv"
        workflow.parent.mkdir()
        workflow.write_text(text)
        run = bench.at(home, SDQCTL, "run", str(workflow))
        ours = Command("run", [*run, "--sandbox", "auto"], bench.new_session, workflow.parent)
        free = Command(
            "--sandbox none",
            [*run, "--sandbox", "none"],
            bench.new_session,
            workflow.parent,
            note=note,
        )
        yield Case(name, ours, [free], bound)


def sdk_prompts(
    bench: Bench, home: Path, sessions: int, prompts: int, parallel: int, text: str
) -> Command:
    """A bare script over the SDK that sends the same prompts."""
    numbers = (str(sessions), str(prompts), str(parallel))
    script = _python(str(YARDSTICKS / "sdk_prompts.py"), *numbers, text)
    note = (
        "approves every tool, and keeps no record of its own: no commit, no flush of the journal, "
        "no lock, no redaction; it loads the SDK and then starts the runtime, ours at once"
    )
    return Command("bare SDK script", bench.at(home, *script), cwd=home, note=note)


def _components(bench: Bench) -> Iterator[Case]:
    total = bench.sized(32, 8)
    for parallel in (8, 32, 1):
        if bench.quick and parallel == 1:
            continue
        home = bench.new_home(f"apply-{parallel}")
        (home / "names.txt").write_text("".join(f"part-{n}\n" for n in range(total)))
        workflow = home / "w.conv"
        workflow.write_text(f"PROMPT {{{{COMPONENT_NAME}}}} {LATENCY}\n")
        command = bench.at(home, SDQCTL, "apply", str(workflow), "--parallel", str(parallel))
        ours = Command(
            "apply",
            [*command, "--components", f"@{home / 'names.txt'}"],
            lambda: ("--session-name", f"{{{{COMPONENT_NAME}}}}-{next(bench.numbers)}"),
            home,
        )
        bare = sdk_prompts(bench, home, total, 1, parallel, LATENCY)
        bound = 1.3 if parallel == 32 else None
        name = f"{total} components of 2 s, parallel {parallel}"
        yield Case(name, ours, [bare], bound, warm_up=parallel > 1)


def _cleanup(bench: Bench) -> Iterator[Case]:
    for number in (100, 1000):
        size = bench.sized(number, min(number, 50))
        home, spare = bench.new_home(f"clean-{number}"), bench.new_home(f"loop-{number}")
        make_sessions(spare / "copilot", 12, 2)
        names = (f"s-{n:05d}" for n in count())

        def fill(home: Path = home, size: int = size) -> None:
            shutil.rmtree(home / "copilot", ignore_errors=True)
            shutil.rmtree(home / "sdqctl", ignore_errors=True)
            make_sessions(home / "copilot", size, 2)

        command = (SDQCTL, "sessions", "cleanup", "--older-than", "1d", "--all-clients")
        ours = Command("cleanup", bench.at(home, *command), fill)
        script = _python(str(YARDSTICKS / "sdk_delete.py"))
        loop = Command(
            "one SDK call after another",
            bench.at(spare, *script),
            lambda names=names: (next(names),),  # type: ignore[misc]
            repeats=size,
            note="starts the runtime for each session; the time of one, times their number",
        )
        yield Case(f"cleanup of {size} sessions", ours, [loop], 0.2)


def _inside(bench: Bench) -> Iterator[Case]:
    file = bench.new_home("parse") / "long.conv"
    block = "PROMPT Look at this\n  - one point\n  - another point\n\nRUN git status\n"
    file.write_text(block * (10_000 // 5))
    times = str(bench.sized(5, 1))
    script = str(YARDSTICKS / "parse.py")
    parse = Command("parse", _python(script, "parse", str(file), times))
    note = "reads the file and splits it into lines; builds nothing"
    split = Command("read and split", _python(script, "split", str(file), times), note=note)
    yield Case("parsing 10,000 lines", parse, [split])
    yield from _judging(bench)
    steps = bench.sized(300, 50)
    ledger = Command("ledger", _python(str(YARDSTICKS / "ledger.py"), str(steps)))
    commits = _python(str(YARDSTICKS / "commits.py"), str(3 * steps))
    note = "one table, one column, the same durability; reads nothing back"
    bare = Command("bare SQLite", commits, note=note)
    yield Case(f"{3 * steps} ledger commits", ledger, [bare])


def _judging(bench: Bench) -> Iterator[Case]:
    """A long command line, against a parse of the same line by shfmt (from the extra `fuzz`).

    Judging happens in the process that runs; shfmt is started for each line, as it must be.
    """
    folder = bench.new_home("judge")
    times = bench.sized(200, 100)
    moves = "cd .;" * 48
    numbers = range(85_000 // len(COMMANDS))
    different = "".join(COMMANDS.replace("git", f"git -C a{number}") for number in numbers)
    for name, bound, line in (
        ("many words", 5.0, moves + "git log " + "some/path/name.py " * 5_000),
        ("many commands", 5.0, COMMANDS * (95_000 // len(COMMANDS))),
        ("many different commands", 5.0, different),
    ):
        file = folder / f"{name}.sh"
        file.write_text(line)
        script = str(YARDSTICKS / "judge.py")
        judge = Command("judge", _python(script, str(file), str(times)), cwd=folder)
        loop = f"for i in $(seq {times}); do '{SHFMT}' -ln bash '{file}' > /dev/null; done"
        shfmt = Command("shfmt, a process a line", ["/bin/sh", "-c", loop], cwd=folder)
        title = f"judging {len(line):,} characters, {name}"
        yield Case(title, judge, [shfmt], bound)


def make_sessions(copilot_home: Path, number: int, turns: int) -> None:
    """Session folders as the runtime (1.0.102) writes them, a minute apart, long ago."""
    for index in range(number):
        session_id = f"s-{index:05d}"
        folder = copilot_home / "session-state" / session_id
        (folder / "checkpoints").mkdir(parents=True)
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=index)
        stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        (folder / "workspace.yaml").write_text(
            f"id: {session_id}\ncwd: {copilot_home}\nclient_name: sdqctl\nname: {session_id}\n"
            "user_named: true\nsummary_count: 0\nfork_count: 0\n"
            f"created_at: {stamp}\nupdated_at: {stamp}\n"
        )
        lines = [json.dumps(event) for event in _events(session_id, copilot_home, stamp, turns)]
        journal = folder / "events.jsonl"
        journal.write_text("\n".join(lines) + "\n")
        os.utime(journal, (moment.timestamp(), moment.timestamp()))


def _events(session_id: str, cwd: Path, stamp: str, turns: int) -> Iterator[dict[str, object]]:
    parent: str | None = None

    def event(kind: str, data: Mapping[str, object]) -> dict[str, object]:
        nonlocal parent
        found: dict[str, object] = {
            "type": kind,
            "data": data,
            "id": str(uuid.uuid4()),
            "timestamp": stamp,
            "parentId": parent,
        }
        parent = str(found["id"])
        return found

    yield event(
        "session.start",
        {
            "sessionId": session_id,
            "version": 1,
            "producer": "copilot-agent",
            "copilotVersion": "1.0.102",
            "startTime": stamp,
            "selectedModel": "m",
            "context": {"cwd": str(cwd)},
        },
    )
    for number in range(turns):
        message = str(uuid.uuid4())
        prompt = f"prompt {number} of {session_id}: which words are cached here? " * 2
        yield event("user.message", {"content": prompt, "messageId": message})
        yield event("assistant.turn_start", {"turnId": "0"})
        answer = f"answer {number} about needle{session_id[-1]} and what was parsed " * 6
        data = {"content": answer, "messageId": str(uuid.uuid4()), "originatingMessageId": message}
        yield event("assistant.message", data)
        yield event("assistant.turn_end", {"turnId": "0"})
