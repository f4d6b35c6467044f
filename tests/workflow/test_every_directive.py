"""Every directive does what its line in the table says. `docs/directives.md` points at these."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sdqctl.adapters import AdapterConfig, AdapterSession
from sdqctl.workflow.directives import REFUSED
from tests.bench import Bench
from tests.command import forked, sdqctl
from tests.workspace.gits import git, repository

ASK = "PROMPT ask [[reply: A]]\n"


def test_model(bench: Bench) -> None:
    bench.run(f"MODEL m-7\n{ASK}")
    assert sdqctl("sessions", "show", "s", "--format", "json").json["model"] == "m-7"


def test_adapter(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDQCTL_ADAPTER", "copilot")
    assert bench.run(f"ADAPTER mock\n{ASK}").of("session.opened")[0]["adapter"] == "mock"


@pytest.mark.parametrize(
    ("mode", "writes"),
    [
        ("implement", True),
        ("full", True),
        ("write", True),
        ("audit", False),
        ("verification", False),
    ],
)
def test_mode(mode: str, writes: bool, bench: Bench) -> None:
    told = bench.run(f"MODE {mode}\nPROMPT [[tool: write new.txt text]] [[reply: A]]\n")
    assert told.done.code == 0
    assert (bench.project / "new.txt").exists() is writes


def test_an_unknown_mode_is_read_only_with_a_warning(bench: Bench) -> None:
    path = bench.write("work.conv", f"MODE wriet\n{ASK}")
    assert "work.conv:1:6: warning: unknown MODE 'wriet'" in sdqctl("validate", path).out


def test_max_cycles(bench: Bench) -> None:
    told = bench.run("MAX-CYCLES 3\nPROMPT {{CYCLE_NUMBER}}/{{CYCLE_TOTAL}}/{{MAX_CYCLES}}\n")
    assert told.prompts == ["1/3/3", "2/3/3", "3/3/3"]
    assert len(bench.run(ASK, "-n", "2", "--session-name", "t").prompts) == 2


def test_input(bench: Bench) -> None:
    text = 'INPUT size int = 3 "how large"\nINPUT name\nPROMPT {{size + 1}} {{name}}\n'
    assert bench.run(text, "--set", "name={{size}}").prompts == ["4 {{size}}"]
    told = bench.run(text, "--set", "size=x", "--session-name", "t")
    assert told.done.code == 2
    assert "'x' is not a whole number" in told.done.err


def test_capture(bench: Bench) -> None:
    told = bench.run('PROMPT a [[json: {"n": [1, 2]}]]\nCAPTURE x AS json\nPROMPT {{x.n | sum}}\n')
    assert told.prompts[1] == "3"


def test_capture_retries(bench: Bench) -> None:
    text = "CAPTURE-RETRIES 1\nPROMPT a [[reply: no x{n}]] [[reply: 7]]\nCAPTURE x AS int\n"
    assert bench.run(text.replace("{n}", "1")).done.code == 0
    told = bench.run(text.replace("{n}", "2"), "--session-name", "t")
    assert told.done.code == 4
    assert "does not fit after 2 tries" in told.done.err


def test_if_and_else(bench: Bench) -> None:
    text = (
        "INPUT n int\nIF n == 1\nPROMPT one\nELSE IF n == 2\nPROMPT two\nELSE\nPROMPT many\nEND\n"
    )
    for number, prompt in enumerate(("one", "two", "many"), start=1):
        told = bench.run(text, "--set", f"n={number}", "--session-name", f"s{number}")
        assert told.prompts == [prompt]


def test_repeat(bench: Bench) -> None:
    text = (
        'REPEAT MAX 2 UNTIL n == 3\nRUN sh -c "echo x >> f; grep -c x f"\nCAPTURE n AS int\nEND\n'
    )
    told = bench.run(text)
    assert told.done.code == 4
    assert "after 2 rounds `n == 3` does not hold" in told.done.err
    assert bench.go_on("--max-rounds", "5").done.code == 0
    assert (bench.project / "f").read_text() == "x\n" * 3


def test_for(bench: Bench) -> None:
    text = "INPUT names json\nFOR name IN names MAX 2\nPROMPT hello {{name}}\nEND\n"
    told = bench.run(text, "--set", 'names=["ada", "{{DATE}}", "eve"]')
    assert told.prompts == ["hello ada", "hello {{DATE}}"]


def test_call(bench: Bench) -> None:
    bench.write(
        "part.conv", "INPUT word\nPROMPT say {{word}} [[reply: done]]\nRETURN word | upper\n"
    )
    told = bench.run("CALL part.conv WITH word='two words' AS said\nPROMPT {{said}}!\n")
    assert told.prompts == ["say two words [[reply: done]]", "TWO WORDS!"]


def test_ask(bench: Bench) -> None:
    told = bench.run('ASK go "Which way?" choice(left|right)\nPROMPT to the {{go}}\n')
    assert told.done.code == 8
    told = bench.go_on("--answer", "LEFT", "--comment", "it is shorter")
    assert (told.done.code, told.prompts) == (0, ["to the left"])


def test_stop(bench: Bench) -> None:
    told = bench.run('PROMPT a\nSTOP "enough"\nPROMPT b\n')
    assert (told.done.code, told.prompts) == (0, ["a"])
    assert told.of("run.finished")[0]["steps_total"] == 2


def test_fail(bench: Bench) -> None:
    told = bench.run('PROMPT a\nFAIL "not good"\nPROMPT b\n')
    assert (told.done.code, told.prompts) == (4, ["a"])
    assert "not good" in told.done.err


def test_return(bench: Bench) -> None:
    told = bench.run("PROMPT a [[reply: 7]]\nCAPTURE n AS int\nRETURN n + 1\nPROMPT b\n")
    assert (told.done.code, told.prompts) == (
        0,
        ["a [[reply: 7]]\n\nAnswer with a whole number, and nothing else."],
    )


def test_worktree(bench: Bench) -> None:
    repository(bench.project)
    bench.run("WORKTREE try/{{SESSION_NAME}}\nMODE implement\nPROMPT [[tool: write new.txt x]]\n")
    tree = Path(sdqctl("worktrees", "path", "s").out.strip())
    assert (tree / "new.txt").exists() and not (bench.project / "new.txt").exists()
    assert git(tree, "branch", "--show-current") == "try/s\n"


def test_cwd(bench: Bench) -> None:
    (bench.project / "sub").mkdir()
    told = bench.run("CWD sub\nRUN pwd\nPROMPT where\n")
    assert f"$ pwd\n{bench.project / 'sub'}" in told.prompts[0]


def test_session_name(bench: Bench) -> None:
    told = bench.run(f"SESSION-NAME n-{{{{CYCLE_TOTAL}}}}-{{{{GIT_BRANCH}}}}\n{ASK}")
    assert told.of("session.opened")[0]["name"].startswith("n-")
    quoted = bench.run(f'SESSION-NAME "in quotes"\n{ASK}')
    assert quoted.of("session.opened")[0]["name"] == "in quotes"


def test_session_resume_if_exists(bench: Bench) -> None:
    text = f"SESSION-RESUME-IF-EXISTS true\n{ASK}"
    assert [bench.run(text).of("session.opened")[0]["resumed"] for _ in range(2)] == [False, True]
    refused = bench.run(text.replace("true", "false"))
    assert refused.done.code == 7


def test_session_mode(bench: Bench) -> None:
    told = bench.run(f"SESSION-MODE fresh\nMAX-CYCLES 2\n{ASK}")
    assert [kind for kind, _ in told.steps] == ["prompt", "new-conversation", "prompt"]
    told = bench.run(f"SESSION-MODE compact\nMAX-CYCLES 2\n{ASK}", "--session-name", "t")
    assert [kind for kind, _ in told.steps] == ["prompt", "compact", "prompt"]
    told = bench.run(f"SESSION-MODE accumulate\nMAX-CYCLES 2\n{ASK}", "--session-name", "u")
    assert [kind for kind, _ in told.steps] == ["prompt", "prompt"]


def test_prompt(bench: Bench) -> None:
    told = bench.run("PROMPT one\n  indented\n\nmore\n\nPROMPT |\n  two\n    deep\n")
    assert told.prompts == ["one\n  indented\n\nmore", "two\n  deep"]


def test_prologue(bench: Bench) -> None:
    bench.write("p.txt", "from a file\n")
    told = bench.run("PROLOGUE first\nPROLOGUE\nPROLOGUE @p.txt\nPROMPT a\nPROMPT b\n", "-n", "2")
    words = [prompt.split() for prompt in told.prompts]
    first = ["first", "from", "a", "file", "a"]
    assert words == [first, ["b"], first, ["b"]]
    told = bench.run("PROLOGUE one\nPROLOGUE\nPROLOGUE two\nPROMPT a\n", "--session-name", "t")
    assert told.prompts == ["one\n\ntwo\n\na"]


def test_a_prologue_file_is_read_anew_in_each_cycle(bench: Bench) -> None:
    bench.write("p.txt", "old")
    told = bench.run(
        "PROLOGUE @p.txt\nALLOW-SHELL true\nPROMPT a\nRUN printf new > p.txt\n", "-n", "2"
    )
    assert [prompt.split()[0] for prompt in told.prompts] == ["old", "new"]


def test_epilogue(bench: Bench) -> None:
    told = bench.run("EPILOGUE last\nPROMPT a\nPROMPT b\n", "--epilogue", "very last")
    assert told.prompts[0] == "a"
    assert told.prompts[1].split() == ["b", "last", "very", "last"]


def test_elide(bench: Bench) -> None:
    told = bench.run(
        "ELIDE\nPROMPT a\nELIDE\nELIDE\nRUN echo out\nELIDE\nPROMPT b\nPROMPT c\nELIDE\n"
    )
    assert len(told.prompts) == 2
    first = told.prompts[0]
    assert first.index("a") < first.index("$ echo out\nout") < first.index("\nb")
    assert told.prompts[1] == "c"


def test_context(bench: Bench) -> None:
    bench.write("src/a.py", "print(1)\n")
    bench.write("src/b.py", "```\nfence\n```\n")
    told = bench.run("CONTEXT @src/*.py\nPROMPT look\nPROMPT again\n")
    first, second = told.prompts
    assert first.index("src/a.py") < first.index("print(1)") < first.index("src/b.py")
    assert "````" in first
    assert first.endswith("look")
    assert second == "again"
    missing = bench.run(f"CONTEXT @none/*.py\n{ASK}", "--session-name", "t")
    assert missing.done.code == 3
    assert "none/*.py" in missing.done.err


def test_context_optional(bench: Bench) -> None:
    assert bench.run("CONTEXT-OPTIONAL @none/*.py\nPROMPT look\n").prompts == ["look"]


def test_context_exclude(bench: Bench) -> None:
    bench.write("src/a.py", "keep\n")
    bench.write("src/b_test.py", "leave\n")
    told = bench.run("CONTEXT @src/*.py\nCONTEXT-EXCLUDE *_test.py\nPROMPT look\n")
    assert "keep" in told.prompts[0]
    assert "leave" not in told.prompts[0]


def test_refcat(bench: Bench) -> None:
    bench.write("f.txt", "".join(f"line {n}\n" for n in range(1, 11)))
    told = bench.run("REFCAT @f.txt#L2-L3 @f.txt#L9- @f.txt#L5 @f.txt#/line [67]/\nPROMPT look\n")
    found = [line for line in told.prompts[0].splitlines() if line.startswith("line")]
    assert found[:6] == ["line 2", "line 3", "line 9", "line 10", "line 5", "line 6"]
    assert "line 4" not in found


def test_include(bench: Bench) -> None:
    bench.write("parts/more.conv", "PROMPT from the part\n")
    assert bench.run("INCLUDE parts/more.conv\nPROMPT own\n").prompts == ["from the part", "own"]
    bench.write("loop.conv", "INCLUDE loop.conv\n")
    circle = bench.run("INCLUDE loop.conv\nPROMPT x\n", "--session-name", "t")
    assert circle.done.code == 3
    assert "loop.conv" in circle.done.err


def test_validation_mode(bench: Bench) -> None:
    told = bench.run("VALIDATION-MODE lenient\nCONTEXT @none.txt\nPROMPT look\n")
    assert told.prompts == ["look"]
    assert any("none.txt" in event["message"] for event in told.of("warning"))
    strict = bench.run(
        "VALIDATION-MODE strict\nCONTEXT @none.txt\nPROMPT look\n", "--session-name", "t"
    )
    assert strict.done.code == 3


def test_context_limit(bench: Bench) -> None:
    bench.write("big.txt", "word " * 4000)
    text = "CONTEXT @big.txt\nCONTEXT-LIMIT {}\nON-CONTEXT-LIMIT stop\nPROMPT a\nPROMPT b\n"
    assert bench.run(text.format("90%")).done.code == 0
    stopped = bench.run(text.format("2%"), "--session-name", "t")
    assert stopped.done.code == 4
    assert len(stopped.prompts) == 1
    assert "CONTEXT-LIMIT is 2%" in stopped.done.err


def test_on_context_limit(bench: Bench) -> None:
    bench.write("big.txt", "word " * 4000)
    text = "CONTEXT @big.txt\nCONTEXT-LIMIT 2%\nON-CONTEXT-LIMIT {}\nPROMPT a\nPROMPT b\n"
    assert bench.run(text.format("compact")).done.code == 0
    assert bench.journal().count("session.compaction_complete") == 1
    assert bench.run(text.format("continue"), "--session-name", "t").done.code == 0
    assert "session.compaction_complete" not in bench.journal("t")


def test_on_context_limit_prompt(bench: Bench) -> None:
    bench.write("big.txt", "word " * 4000)
    text = "CONTEXT @big.txt\nCONTEXT-LIMIT 2%\nON-CONTEXT-LIMIT compact\n"
    bench.run(f"{text}ON-CONTEXT-LIMIT-PROMPT keep\n  the names\nPROMPT a\nPROMPT b\n")
    assert r'"customInstructions":"keep\nthe names"' in bench.journal()


def test_compact(bench: Bench) -> None:
    told = bench.run("PROMPT a\nCOMPACT\nPROMPT b\n")
    assert told.steps == [("prompt", "done"), ("compact", "done"), ("prompt", "done")]
    assert bench.journal().count("session.compaction_complete") == 1
    assert told.prompts == ["a", "b"]


def instructions(bench: Bench, text: str) -> str:
    told = bench.run(f"{text}PROMPT a\nCOMPACT\nPROMPT b\n")
    assert told.done.code == 0
    (event,) = [line for line in bench.journal().splitlines() if "compaction_complete" in line]
    return str(json.loads(event)["data"]["customInstructions"])


def test_compact_preserve(bench: Bench) -> None:
    found = instructions(bench, "COMPACT-PRESERVE findings, names\n")
    assert "findings" in found
    assert "names" in found


def test_the_value_of_a_compact_is_kept_by_this_compaction(bench: Bench) -> None:
    text = (
        "COMPACT-PRESERVE names\nPROMPT a\nCOMPACT findings, recommendations\nPROMPT b\nCOMPACT\n"
    )
    assert bench.run(text).done.code == 0
    events = [line for line in bench.journal().splitlines() if "compaction_complete" in line]
    first, second = (json.loads(event)["data"]["customInstructions"] for event in events)
    assert all(word in first for word in ("names", "findings", "recommendations"))
    assert ("names" in second, "findings" in second) == (True, False)


def test_compact_summary(bench: Bench) -> None:
    assert "as a list\nof facts" in instructions(bench, "COMPACT-SUMMARY as a list\nof facts\n")


def test_compact_prologue(bench: Bench) -> None:
    text = "COMPACT-PROLOGUE Before all.\nCOMPACT-SUMMARY short\n"
    assert instructions(bench, text).startswith("Before all.")


def test_compact_epilogue(bench: Bench) -> None:
    text = "COMPACT-EPILOGUE After all.\nCOMPACT-SUMMARY short\n"
    assert instructions(bench, text).endswith("After all.")


def test_new_conversation(bench: Bench) -> None:
    told = bench.run("PROMPT a\nNEW-CONVERSATION\nPROMPT b\n")
    assert told.done.code == 0
    names = {entry["name"] for entry in sdqctl("sessions", "list", "--format", "json").json}
    assert names == {"s", "s (2)"}
    assert '"content":"b"' not in bench.journal()


def opened_with(text: str, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the SDK is told about automatic compaction when the workflow's session is opened."""
    from sdqctl.adapters.copilot.options import _infinite_sessions
    from sdqctl.adapters.mock.adapter import MockAdapter

    opened = bench.project / "opened.json"
    create = MockAdapter.create_session

    async def watched(self: MockAdapter, config: AdapterConfig) -> AdapterSession:
        opened.write_text(json.dumps(_infinite_sessions(config)))
        return await create(self, config)

    monkeypatch.setattr(MockAdapter, "create_session", watched)
    bench.command = forked
    assert bench.run(f"{text}{ASK}").done.code == 0
    found: dict[str, object] = json.loads(opened.read_text())
    return found


def test_infinite_sessions(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened_with("INFINITE-SESSIONS disabled\n", bench, monkeypatch) == {"enabled": False}
    wrong = bench.run(f"INFINITE-SESSIONS maybe\n{ASK}", "--session-name", "t")
    assert wrong.done.code == 3


def test_compaction_threshold(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened_with("COMPACTION-THRESHOLD 60%\n", bench, monkeypatch)
    assert found == {"background_compaction_threshold": 0.6}


def test_compaction_max(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened_with("COMPACTION-MAX 95%\n", bench, monkeypatch)
    assert found == {"buffer_exhaustion_threshold": 0.95}


def test_compaction_min(bench: Bench) -> None:
    bench.write("big.txt", "word " * 4000)
    text = "COMPACTION-MIN {}\nCONTEXT @big.txt\nPROMPT a\nCOMPACT\nPROMPT b\n"
    assert bench.run(text.format("90%")).done.code == 0
    assert "session.compaction_complete" not in bench.journal()
    assert bench.run(text.format("2%"), "--session-name", "t").done.code == 0
    assert "session.compaction_complete" in bench.journal("t")


def test_run(bench: Bench) -> None:
    told = bench.run("RUN printf 'a  b'\nPROMPT look\nPROMPT again\n")
    assert told.prompts == ["$ printf 'a  b'\na  b\n\nlook", "again"]
    failed = bench.run("RUN false\nPROMPT look\n", "--session-name", "t")
    assert (failed.done.code, failed.prompts) == (4, [])


def test_run_goes_on_over_lines(bench: Bench) -> None:
    told = bench.run('RUN printf "a\nb" \\\n  c\nPROMPT look\n')
    assert "a\nb" in told.prompts[0]


def test_run_on_error(bench: Bench) -> None:
    told = bench.run("RUN-ON-ERROR continue\nRUN sh -c 'echo no; exit 3'\nPROMPT look\n")
    assert told.done.code == 0
    assert "no\n[exit status 3]" in told.prompts[0]


def test_run_output(bench: Bench) -> None:
    runs = "RUN echo fine\nRUN sh -c 'echo bad; exit 1'\nPROMPT x\n"
    text = f"RUN-ON-ERROR continue\nRUN-OUTPUT {{}}\n{runs}"
    (never,) = bench.run(text.format("never")).prompts
    assert never == "x"
    (errors,) = bench.run(text.format("on-error"), "--session-name", "t").prompts
    assert "bad" in errors
    assert "fine" not in errors
    (always,) = bench.run(text.format("always"), "--session-name", "u").prompts
    assert "bad" in always
    assert "fine" in always


def test_run_output_limit(bench: Bench) -> None:
    text = "RUN-OUTPUT-LIMIT {}\nRUN seq 1 2000\nPROMPT x\n"
    (cut,) = bench.run(text.format("1K")).prompts
    assert len(cut) < 1300
    assert "characters left out" in cut or "bytes left out" in cut
    assert "1\n2\n3" in cut
    assert "1999\n2000" in cut
    (whole,) = bench.run(text.format("none"), "--session-name", "t").prompts
    assert "\n1000\n1001\n" in whole


def test_run_timeout(bench: Bench) -> None:
    told = bench.run("RUN-TIMEOUT 1s\nRUN sh -c 'sleep 60 & sleep 60'\nPROMPT x\n")
    assert told.done.code == 4
    assert "1.0s" in told.done.err or "1s" in told.done.err


def test_run_env(bench: Bench) -> None:
    told = bench.run("RUN-ENV COLOUR=deep blue\nRUN sh -c 'echo $COLOUR'\nPROMPT x\n")
    assert "deep blue" in told.prompts[0].splitlines()[1]


def test_run_cwd(bench: Bench) -> None:
    (bench.project / "sub").mkdir()
    told = bench.run("RUN-CWD sub\nRUN pwd\nPROMPT x\n")
    assert str(bench.project / "sub") in told.prompts[0]


def test_allow_shell(bench: Bench) -> None:
    command = "RUN echo one | tr o 0 && echo two 2>&1\n"
    told = bench.run(f"ALLOW-SHELL true\n{command}PROMPT x\n")
    assert "0ne\ntwo" in told.prompts[0]
    refused = bench.run(f"{command}PROMPT x\n", "--session-name", "t")
    assert refused.done.code == 3
    assert "ALLOW-SHELL" in refused.done.err


def test_run_retry(bench: Bench) -> None:
    told = bench.run(
        'MODE implement\nRUN-RETRY 2 "fix it [[tool: write ok.txt yes]] [[reply: fixed]]"\n'
        "RUN test -f ok.txt\nPROMPT x\n"
    )
    assert told.done.code == 0, told.done.err
    assert len(told.prompts) == 2
    assert "$ test -f ok.txt" in told.prompts[0]
    assert "fix it" in told.prompts[0]


def test_run_async_and_run_wait(bench: Bench) -> None:
    told = bench.run("RUN-ASYNC sh -c 'echo started; sleep 60'\nRUN-WAIT 1s\nPROMPT x\n")
    assert told.done.code == 0
    assert "started" in told.prompts[0]
    mark = f"HOME={bench.home}".encode()
    left = [pid for pid in os.listdir("/proc") if pid.isdecimal() and _has(pid, mark)]
    assert left == [str(os.getpid())] or left == []


def _has(pid: str, mark: bytes) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"sleep" in command and mark in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


BLOCKS = """\
RUN-ON-ERROR continue
RUN {}
ON-FAILURE
PROMPT failed
END
ON-SUCCESS
PROMPT worked
END
PROMPT after
"""


def test_on_failure_on_success_and_end(bench: Bench) -> None:
    failed = bench.run(BLOCKS.format("false"))
    assert [prompt.split()[-1] for prompt in failed.prompts] == ["failed", "after"]
    worked = bench.run(BLOCKS.format("true"), "--session-name", "t")
    assert [prompt.split()[-1] for prompt in worked.prompts] == ["worked", "after"]
    assert ("prompt", "skipped") in worked.steps
    unclosed = bench.run("RUN true\nON-FAILURE\nPROMPT x\n", "--session-name", "u")
    assert unclosed.done.code == 3
    nested = "RUN true\nON-FAILURE\nON-SUCCESS\nPROMPT x\nEND\nEND\n"
    assert bench.run(nested, "--session-name", "v").done.code == 3


def test_checkpoint(bench: Bench) -> None:
    told = bench.run("PROMPT a\nCHECKPOINT half\nPROMPT b\n")
    assert ("checkpoint", "done") in told.steps
    assert bench.resume("--continue", "--from", "half").prompts == ["b"]


@pytest.mark.parametrize(
    ("value", "checkpoints"), [("each-cycle", 2), ("each-prompt", 4), ("3", 1)]
)
def test_checkpoint_after(value: str, checkpoints: int, bench: Bench) -> None:
    told = bench.run(f"CHECKPOINT-AFTER {value}\nMAX-CYCLES 2\nPROMPT a\nPROMPT b\n")
    assert [kind for kind, _ in told.steps].count("checkpoint") == checkpoints


def test_checkpoint_name(bench: Bench) -> None:
    told = bench.run("CHECKPOINT-AFTER each-prompt\nCHECKPOINT-NAME stage\nPROMPT a\nPROMPT b\n")
    titles = [e["title"] for e in told.of("step.finished") if e["kind"] == "checkpoint"]
    assert len(titles) == 2
    assert all("stage" in title for title in titles)


def test_pause(bench: Bench) -> None:
    told = bench.run('PROMPT a\nPAUSE "look here"\nPROMPT b\n')
    assert (told.done.code, told.prompts) == (8, ["a"])
    assert "look here" in told.done.err
    assert bench.resume("--continue").prompts == ["b"]


def test_consult(bench: Bench) -> None:
    told = bench.run("PROMPT a\nCONSULT 'which way'\nPROMPT b\n")
    assert told.done.code == 8
    assert "consult: which way" in told.done.err
    assert bench.resume("--continue").prompts == ["b"]


def test_consult_timeout(bench: Bench) -> None:
    told = bench.run("CONSULT-TIMEOUT 0.01s\nCONSULT quick\nPROMPT b\n")
    assert told.done.code == 8
    late = bench.resume("--continue")
    assert late.done.code == 4
    assert "CONSULT-TIMEOUT" in late.done.err


OUTPUT = "OUTPUT-FILE out/r.md\nPROMPT a [[reply: A]]\nPROMPT b [[reply: B]]\n"


def test_header(bench: Bench) -> None:
    bench.run(f"HEADER # Report\nHEADER\nHEADER of today\n{OUTPUT}")
    assert (bench.project / "out/r.md").read_text().startswith("# Report\n\nof today\n")


def test_footer(bench: Bench) -> None:
    bench.run(f"FOOTER by {{{{SESSION_NAME}}}}\n{OUTPUT}")
    assert (bench.project / "out/r.md").read_text().endswith("by s\n")


def test_output_file(bench: Bench) -> None:
    bench.write("out/r.md", "old, and much longer than what comes instead of it" * 20)
    bench.run(OUTPUT)
    assert (bench.project / "out/r.md").read_text() == "A\n\nB\n"
    assert [path.name for path in (bench.project / "out").iterdir()] == ["r.md"]


def test_output_dir(bench: Bench) -> None:
    bench.run(f"OUTPUT-DIR deep/er\n{OUTPUT}")
    assert (bench.project / "deep/er/out/r.md").exists()


def test_output(bench: Bench) -> None:
    bench.run(f"OUTPUT {{{{WORKFLOW_NAME}}}}.md\n{ASK}")
    assert (bench.project / "work.md").read_text() == "A\n"


def test_output_format(bench: Bench) -> None:
    bench.run(f"OUTPUT-FORMAT json\n{OUTPUT}")
    found = json.loads((bench.project / "out/r.md").read_text())
    assert "A" in json.dumps(found)
    assert "B" in json.dumps(found)


def attempt(bench: Bench, directive: str, target: str, session: str) -> bool:
    """Whether the agent's write to a file happens under a directive."""
    file = bench.project / target
    file.parent.mkdir(exist_ok=True, parents=True)
    told = bench.run(
        f"MODE implement\n{directive}\nPROMPT [[tool: write {target} x]] [[reply: A]]\n",
        "--session-name",
        session,
    )
    assert told.done.code == 0, told.done.err
    return file.exists()


def test_allow_files(bench: Bench) -> None:
    assert attempt(bench, "ALLOW-FILES docs/**", "docs/a.md", "s")
    assert not attempt(bench, "ALLOW-FILES docs/**", "src/a.py", "t")


def test_deny_files(bench: Bench) -> None:
    assert not attempt(bench, "DENY-FILES *.lock", "deps.lock", "s")
    assert attempt(bench, "DENY-FILES *.lock", "deps.txt", "t")


def test_allow_dir(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.txt").write_text("from elsewhere")
    text = f"CONTEXT @{other}/note.txt\nPROMPT look\n"
    assert bench.run(text).done.code == 3
    told = bench.run(f"ALLOW-DIR {other}\n{text}", "--session-name", "t")
    assert "from elsewhere" in told.prompts[0]


def test_deny_dir(bench: Bench) -> None:
    assert not attempt(bench, "DENY-DIR secret", "secret/a.md", "s")


def test_require(bench: Bench) -> None:
    bench.write("there.txt", "x")
    assert bench.run(f"REQUIRE @there.txt cmd:sh env:PATH\n{ASK}").done.code == 0
    for wanted in ("@none.txt", "cmd:no-such-program", "env:NO_SUCH_VARIABLE"):
        told = bench.run(f"RUN touch ran\nREQUIRE {wanted}\n{ASK}", "--session-name", "t")
        assert told.done.code == 3
        assert wanted.replace("@", ":").rpartition(":")[2] in told.done.err
    assert not (bench.project / "ran").exists()


def test_verify(bench: Bench) -> None:
    bench.write("README.md", "see [that](there.md) and [this](gone.md)\n")
    bench.write("there.md", "x")
    told = bench.run(f"VERIFY links\n{ASK}")
    assert told.done.code == 4
    assert "gone.md" in told.done.err
    assert "there.md" not in told.done.err
    assert bench.run(f"VERIFY spelling\n{ASK}", "--session-name", "t").done.code == 3


def test_verify_on_error(bench: Bench) -> None:
    bench.write("README.md", "[this](gone.md)\n")
    told = bench.run(f"VERIFY-ON-ERROR continue\nVERIFY links\n{ASK}")
    assert told.done.code == 0
    assert "gone.md" in told.prompts[0]


def test_verify_output(bench: Bench) -> None:
    bench.write("README.md", "[this](gone.md)\n")
    told = bench.run(f"VERIFY-ON-ERROR continue\nVERIFY-OUTPUT never\nVERIFY links\n{ASK}")
    assert "gone.md" not in told.prompts[0]


def test_verify_limit(bench: Bench) -> None:
    bench.write("README.md", "".join(f"[x](gone-{n}.md)\n" for n in range(500)))
    told = bench.run(f"VERIFY-ON-ERROR continue\nVERIFY-LIMIT 1K\nVERIFY links\n{ASK}")
    assert len(told.prompts[0]) < 1400


def test_check_refs(bench: Bench) -> None:
    bench.write("README.md", "see @src/gone.py here\n")
    told = bench.run(f"CHECK-REFS\n{ASK}")
    assert told.done.code == 4
    assert "src/gone.py" in told.done.err


def test_check_links(bench: Bench) -> None:
    bench.write("README.md", "[this](gone.md)\n")
    assert bench.run(f"CHECK-LINKS\n{ASK}").done.code == 4


def runs_with(bench: Bench) -> list[dict[str, Any]]:
    """What each prompt ran with, by the mock's journal."""
    lines = map(json.loads, bench.journal().splitlines())
    return [line["data"].get("runsWith", {}) for line in lines if line["type"] == "user.message"]


def test_switch_model(bench: Bench) -> None:
    bench.run(f"MODEL m\n{ASK}SWITCH-MODEL other\n{ASK}{ASK}SWITCH-MODEL default\n{ASK}")
    assert [found.get("model") for found in runs_with(bench)] == [None, "other", "other", None]


def test_reasoning_effort(bench: Bench) -> None:
    bench.run(f"REASONING-EFFORT high\n{ASK}REASONING-EFFORT default\n{ASK}")
    assert runs_with(bench) == [{"reasoning_effort": "high"}, {}]
    wrong = bench.run(f"REASONING-EFFORT hihg\n{ASK}", "--session-name", "t")
    assert wrong.done.code == 3
    assert "did you mean high?" in wrong.done.err


def test_agent(bench: Bench) -> None:
    bench.write("agents/reviewer.md", "---\nname: critic\ndescription: d\n---\nYou review.\n")
    told = bench.run(f"AGENTS-DIR agents\n{ASK}AGENT critic\n{ASK}AGENT default\n{ASK}")
    assert told.done.code == 0
    assert [found.get("agent") for found in runs_with(bench)] == [None, "critic", None]
    wrong = bench.run(f"AGENTS-DIR agents\nAGENT crtic\n{ASK}", "--session-name", "t")
    assert wrong.done.code == 4
    assert "AGENT crtic: there is no such agent; did you mean critic?" in wrong.done.err
    doubt = "work.conv:3:1: warning: AGENT crtic is in no AGENTS-DIR; did you mean critic?"
    assert doubt in sdqctl("validate", "work.conv").out


def test_agents_dir(bench: Bench) -> None:
    missing = bench.run(f"AGENTS-DIR agnets\n{ASK}")
    bench.write("agents/a.agent.md", "You are a.\n")
    bench.write("agents/b.md", "You are b.\n")
    again = bench.run(f"AGENTS-DIR agnets\n{ASK}")
    assert (missing.done.code, again.done.code) == (3, 3)
    assert (
        "work.conv:1:12: AGENTS-DIR: there is no folder agnets; did you mean agents?"
        in again.done.err
    )
    bench.run(f"AGENTS-DIR agents\n{ASK}")
    assert runs_with(bench)[0]["agents"] == ["a", "b"]


def test_tools(bench: Bench) -> None:
    ask = "PROMPT [[tool: write {} x]] [[reply: A]]\n"
    text = f"MODE implement\nTOOLS view, bash\n{ask.format('a')}TOOLS default\n{ask.format('b')}"
    assert bench.run(text).done.code == 0
    assert not (bench.project / "a").exists()
    assert (bench.project / "b").exists()
    wrong = bench.run(f"TOOLS veiw\n{ASK}", "--session-name", "t")
    assert wrong.done.code == 4
    assert "did you mean view?" in wrong.done.err


def test_exclude_tools(bench: Bench) -> None:
    bench.run("MODE implement\nEXCLUDE-TOOLS create\nPROMPT [[tool: write a x]] [[reply: A]]\n")
    assert not (bench.project / "a").exists()


def test_attached_files_do_not_go_along_with_what_is_said_about_an_answer(bench: Bench) -> None:
    bench.write("a.txt", "a")
    text = "ATTACH @a.txt\nPROMPT ask [[reply: no x1]] [[json: 5]]\nCAPTURE n AS int\n"
    told = bench.run(text)
    assert told.done.code == 0, told.done.err
    assert len(told.prompts) == 2
    assert [len(found.get("attachments", [])) for found in runs_with(bench)] == [1, 0]


def test_attach(bench: Bench) -> None:
    bench.write("img/plan.png", "x")
    bench.write("b.txt", "x")
    told = bench.run(f"ATTACH @img/*.png @b.txt\n{ASK}{ASK}ATTACH @b.txt\nELIDE\n{ASK}")
    assert told.done.code == 0, told.done.err
    names = [
        [Path(path).name for path in found.get("attachments", [])] for found in runs_with(bench)
    ]
    assert names == [["plan.png", "b.txt"], ["b.txt"]]
    missing = bench.run(f"ATTACH @c.txt\n{ASK}", "--session-name", "t")
    assert missing.done.code == 3
    assert "work.conv:1:8: ATTACH @c.txt means no file; did you mean b.txt?" in missing.done.err
    outside = bench.run(f"ATTACH @/etc/passwd\n{ASK}", "--session-name", "t")
    assert (outside.done.code, outside.prompts) == (3, [])


def test_system(bench: Bench) -> None:
    bench.write("more.txt", "Be kind on {{DATE}}.\n")
    bench.run(f"SYSTEM Be brief.\nSYSTEM @more.txt\n{ASK}")
    system = runs_with(bench)[0]["system"]
    assert system.startswith("Be brief.\n\nBe kind on 2")
    missing = bench.run(f"SYSTEM @mroe.txt\n{ASK}", "--session-name", "t")
    assert missing.done.code == 3
    assert "did you mean more.txt?" in missing.done.err


def test_skills(bench: Bench) -> None:
    bench.write("skills/tidy/SKILL.md", "---\nname: tidy\n---\nTidy up.\n")
    bench.run(f"SKILLS skills\n{ASK}")
    assert runs_with(bench)[0]["skills"] == ["skills"]
    empty = bench.run(f"SKILLS skills/tidy\n{ASK}", "--session-name", "t")
    assert empty.done.code == 3
    assert "has no skill (NAME/SKILL.md)" in empty.done.err


def test_mcp(bench: Bench) -> None:
    servers = {"mcpServers": {"a": {"command": "x", "args": ["1"]}, "b": {"url": "http://x"}}}
    bench.write("servers.json", json.dumps(servers))
    bench.run(f"MCP @servers.json\nMCP lab python 'my server.py'\n{ASK}")
    assert runs_with(bench)[0]["servers"] == ["a", "b", "lab"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("MCP lab", "the command is missing"),
        ("MCP 1/2 x", "is not a name of a server"),
        ("MCP lab 'x", "cannot be split"),
        ("MCP @gone.json", "there is no file gone.json"),
        ("MCP @bad.json", "bad.json: it has no"),
        ("MCP @none.json", "none.json: Expecting"),
        ("MCP @half.json", "half: a server has a command"),
        ("MCP lab x\nMCP lab y", "the server lab stands there twice"),
    ],
)
def test_an_mcp_server_that_is_none_is_a_mistake(text: str, words: str, bench: Bench) -> None:
    bench.write("bad.json", "{}")
    bench.write("none.json", "{")
    bench.write("half.json", '{"mcpServers": {"half": {"args": []}}}')
    told = bench.run(f"{text}\n{ASK}")
    assert told.done.code == 3
    assert words in told.done.err


def test_what_prompts_run_with_is_applied_again_after_a_resume(bench: Bench) -> None:
    text = f"SYSTEM Be brief.\nSWITCH-MODEL other\n{ASK}PAUSE\n{ASK}SWITCH-MODEL default\n{ASK}"
    assert bench.run(text).done.code == 8
    assert bench.resume("--continue").done.code == 0
    assert runs_with(bench) == [
        {"model": "other", "system": "Be brief."},
        {"model": "other", "system": "Be brief."},
        {"system": "Be brief."},
    ]


def test_debug(bench: Bench) -> None:
    loud = bench.run(f"DEBUG\n{ASK}").done.err
    quiet = bench.run(ASK, "--session-name", "t").done.err
    assert len(loud.splitlines()) > len(quiet.splitlines())


def test_debug_intents(bench: Bench) -> None:
    bench.write("f.txt", "x")
    ask = "PROMPT [[tool: read f.txt]] [[reply: A]]\n"
    assert "f.txt" in bench.run(f"DEBUG-INTENTS true\n{ask}").done.err.replace(ask.strip(), "")


def test_event_log(bench: Bench) -> None:
    bench.run(f"EVENT-LOG logs/events.jsonl\n{ASK}")
    lines = (bench.project / "logs/events.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["type"] for line in lines]
    assert kinds[0] == "session.opened"
    assert kinds[-1] == "run.finished"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(name: str, bench: Bench) -> None:
    told = bench.run(f"{name} something\n{ASK}")
    assert told.done.code == 3
    assert f"work.conv:1:1: {name} is known, but" in told.done.err
