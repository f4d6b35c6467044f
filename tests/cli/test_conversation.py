"""A conversation in a pseudo-terminal, on the real runtime with the loopback model."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import SDQCTL, sdqctl
from tests.sampling import some
from tests.terminal import CTRL_C, CTRL_D, ENTER, Terminal
from tests.waiting import remove, wait_until_gone

pytestmark = pytest.mark.runtime

SCREENS = Path(__file__).parent / "screens"
WORKFLOW = """\
SESSION-NAME talk
PROMPT Look around [[reply: I looked at **everything**.]]
PAUSE "read it first"
PROMPT Go on [[reply: The rest is done.]]
"""
SHELL = '[[tool: bash {"command": "touch made.txt", "description": "make it"}]]'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture
def tmp_path(place: Path) -> Iterator[Path]:
    """One folder, empty for each test, so that what is begun in it can be copied back."""
    folder = place / "one"
    remove(folder)
    folder.mkdir()
    yield folder
    wait_until_gone(folder / "home", b"")


@pytest.fixture
def talk(place: Path, tmp_path: Path, home: Path, project: Path, model: LoopbackModel) -> Path:
    """A run that waits at its gate, made by the first test and copied for the others."""
    path, kept = project / "chat.conv", place / "kept"
    if not kept.exists():
        path.write_text(WORKFLOW)
        assert sdqctl("run", path).code == 8
        shutil.copytree(tmp_path, kept, symlinks=True)
        model.requests.clear()
    else:
        shutil.copytree(kept, tmp_path, symlinks=True, dirs_exist_ok=True)
    return path


def compare(name: str, shown: str) -> None:
    """Against the golden file; a missing one is written, and fails. The session that was copied
    may be some minutes old.
    """
    shown = re.sub(r"\d+m ago", "just now", shown)
    file = SCREENS / f"{name}.txt"
    if not file.exists():
        file.write_text(shown)
        raise AssertionError(f"{file} was not there; look at it and run again")
    assert shown == file.read_text()


def prompts(model: LoopbackModel) -> list[str]:
    return [text.split(" [[")[0] for text in model.user_messages()]


@pytest.mark.parametrize("columns", some(1, [80, 120]))
def test_recap_two_exchanges_an_abort_and_the_rest_of_the_workflow(
    columns: int, talk: Path, model: LoopbackModel
) -> None:
    with Terminal(["resume", "talk"], columns=columns) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.wait_for_prompt()
        terminal.type(f"What did you see? [[reply: Two files, and a *list*.]]{ENTER}")
        terminal.wait_for("Two files, and a list.")
        terminal.wait_for_prompt()
        compare(f"recap-{columns}", terminal.golden)
        before = len(model.requests)
        terminal.type(f"Wait for ever [[hang: x1]]{ENTER}")
        terminal.wait_until(lambda: len(model.requests) > before)
        terminal.type(CTRL_C)
        terminal.wait_for("aborted; the conversation goes on")
        terminal.wait_for_prompt()
        terminal.type(f"And now? [[reply: Still here.]]{ENTER}")
        terminal.wait_for("\nStill here.")
        terminal.wait_for_prompt()
        terminal.type(f"/continue{ENTER}")
        terminal.wait_for("run completed: 3 steps in")
        terminal.wait_for_prompt()
        terminal.type(f"/nonsense{ENTER}")
        terminal.wait_for("there is no command /nonsense")
        terminal.wait_for_prompt()
        compare(f"talk-{columns}", terminal.golden)
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    assert prompts(model) == ["Look around", "What did you see?", "And now?", "Go on"]
    transcript = sdqctl("sessions", "show", "talk", "--transcript").out
    assert transcript.index("I looked at") < transcript.index("Two files")
    assert transcript.index("Still here.") < transcript.index("The rest is done.")


@pytest.mark.thorough
def test_commands_and_a_message_of_many_lines(talk: Path, model: LoopbackModel) -> None:
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type("\x1b[200~first line\nsecond line [[reply: both seen]]\x1b[201~")
        terminal.type(ENTER)
        terminal.wait_for("\nboth seen")
        terminal.type(f"/history{ENTER}")
        terminal.wait_for("  2 first line second line")
        terminal.type(f"/steps{ENTER}")
        terminal.wait_for("1 of 3 steps done")
        terminal.type(f"/usage{ENTER}")
        terminal.wait_for("2 turns, 200 tokens in")
        terminal.type(f"/model other-model{ENTER}")
        terminal.wait_for("model: other-model")
        terminal.type(f"/export out.md{ENTER}")
        terminal.wait_for("exported talk to out.md")
        terminal.type(f"/export out.sdqctl{ENTER}")
        terminal.wait_for("exported talk to out.sdqctl")
        terminal.type(f"/fork twin{ENTER}")
        terminal.wait_for("forked talk")
        terminal.type(f"/exit{ENTER}")
        assert terminal.wait_for_end() == 0
    assert model.user_messages()[-1] == "first line\nsecond line [[reply: both seen]]"
    assert "both seen" in Path("out.md").read_text()
    names = [entry["name"] for entry in sdqctl("sessions", "list", "--format", "json").json]
    assert set(names) == {"talk", "twin"}


@pytest.mark.thorough
def test_a_question_is_answered_left_and_answered_again(talk: Path, model: LoopbackModel) -> None:
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"First {SHELL} [[reply: another way]]{ENTER}")
        terminal.wait_for("[N]ever,")
        assert "asked because: the program touch is not allowed" in terminal.text
        terminal.type(f"e{ENTER}")
        terminal.wait_for("do instead?")
        terminal.type(f"use make{ENTER}")
        terminal.wait_for("\nanother way")
        terminal.wait_for_prompt()
        terminal.type(f"Second {SHELL} [[reply: never]]{ENTER}")
        terminal.wait_until(lambda: terminal.text.count("[N]ever,") == 2)
        terminal.type(CTRL_C)
        terminal.wait_for("aborted; the conversation goes on")
        terminal.wait_for_prompt()
        assert not Path("made.txt").exists()
        terminal.type(f"Third {SHELL} [[reply: it is made]]{ENTER}")
        terminal.wait_until(lambda: terminal.text.count("[N]ever,") == 3)
        terminal.type(f"y{ENTER}")
        terminal.wait_for("\nit is made")
        assert "\nnever" not in terminal.text
    assert Path("made.txt").exists()
    assert "says what to do instead: use make" in str(model.requests[-1].body)


@pytest.mark.thorough
@pytest.mark.parametrize(("answer", "made"), [("y", True), ("n", False)])
def test_a_tool_is_asked_about(answer: str, made: bool, talk: Path, model: LoopbackModel) -> None:
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"Do it {SHELL} [[reply: well]]{ENTER}")
        terminal.wait_for("The agent wants to run touch made.txt")
        terminal.wait_for("[N]ever,")
        terminal.type(f"{answer}{ENTER}")
        terminal.wait_for("\nwell")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    assert Path("made.txt").exists() is made


@pytest.mark.thorough
def test_keys_typed_before_the_question_do_not_answer_it(talk: Path, model: LoopbackModel) -> None:
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"Do it [[sleep: 1]] {SHELL} [[reply: well]]{ENTER}")
        terminal.wait_until(lambda: len(model.requests) == 1)
        terminal.type(f"a{ENTER}y{ENTER}ok then do it")
        terminal.wait_for("[N]ever,")
        terminal.type(f"maybe{ENTER}")
        terminal.wait_until(lambda: terminal.text.count("[N]ever,") == 2)
        assert "y, a, n, N or e, please" in terminal.text
        assert not Path("made.txt").exists()
        terminal.type(f"n{ENTER}")
        terminal.wait_for("\nwell")
        terminal.wait_for("> a")  # what was typed ahead are messages
        terminal.wait_for("> ok then do it")
    assert not Path("made.txt").exists()


@pytest.mark.thorough
def test_keys_typed_before_a_run_asks_do_not_answer_it(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    (project / "w.conv").write_text(f"PROMPT Do it [[sleep: 1]] {SHELL} [[reply: well]]\n")
    with Terminal(["run", "w.conv", "--ask"]) as terminal:
        terminal.type(f"s{ENTER}")
        terminal.wait_for("[1/1]")
        terminal.type(f"s{ENTER}")
        terminal.wait_for("[N]ever,")
        terminal.type(f"n{ENTER}")
        assert terminal.wait_for_end() == 0
    assert not Path("made.txt").exists()


@pytest.mark.thorough
@pytest.mark.parametrize("answers", [["e", "use make"], ["e use make"]])
def test_the_agent_hears_what_to_do_instead(
    answers: list[str], talk: Path, model: LoopbackModel
) -> None:
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"Do it {SHELL} [[reply: well]]{ENTER}")
        terminal.wait_for("[N]ever,")
        assert "asked because: the program touch is not allowed" in terminal.text
        for question, answer in zip(("[N]ever,", "do instead?"), answers, strict=False):
            terminal.wait_for(question)
            terminal.type(f"{answer}{ENTER}")
        terminal.wait_for("\nwell")
        terminal.wait_for_prompt()
    assert not Path("made.txt").exists()
    assert "says what to do instead: use make" in str(model.requests[-1].body)


def test_a_write_is_asked_about_with_its_diff_and_never_is_remembered(
    talk: Path, model: LoopbackModel
) -> None:
    write = '[[tool: create {"path": "new.txt", "file_text": "one\\ntwo\\n"}]]'
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"Do it {write} [[reply: well]]{ENTER}")
        terminal.wait_for("[N]ever,")
        assert "+one" in terminal.text
        terminal.type(f"N{ENTER}")
        terminal.wait_for("\nwell")
        terminal.wait_for_prompt()
        terminal.type(f"Again {write} [[reply: still well]]{ENTER}")
        terminal.wait_for("\nstill well")
        assert terminal.text.count("[N]ever,") == 1
    assert not Path("new.txt").exists()


@pytest.mark.thorough
@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
def test_a_question_is_left_by_aborting_the_turn(
    key: str, talk: Path, model: LoopbackModel
) -> None:
    asked = len(model.requests)
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"Do it {SHELL} [[reply: well]]{ENTER}")
        terminal.wait_for("[N]ever,")
        terminal.type(key)
        terminal.wait_for("aborted; the conversation goes on")
        terminal.wait_for_prompt()
        terminal.type(f"Then this [[reply: fresh]]{ENTER}")
        terminal.wait_for("\nfresh")
        terminal.wait_for_prompt()
        assert "\nwell" not in terminal.text
    assert not Path("made.txt").exists()
    assert len(model.requests) == asked + 2  # none with the tool refused


@pytest.mark.thorough
def test_what_is_typed_during_a_turn_is_the_next_message(talk: Path, model: LoopbackModel) -> None:
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"Wait [[sleep: 1.5]] [[reply: waited]]{ENTER}")
        terminal.wait_until(lambda: len(model.requests) == 1)
        terminal.type(f"queued [[reply: then this]]{ENTER}half a")
        terminal.wait_for("\nwaited")
        assert "half a" not in terminal.text.partition("\nwaited")[0]
        terminal.wait_for("\nthen this")
        terminal.wait_for("> half a")
        terminal.type(f" line [[reply: the whole]]{ENTER}")
        terminal.wait_for("\nthe whole")
    assert model.user_messages()[-1] == "half a line [[reply: the whole]]"


@pytest.mark.thorough
def test_a_line_typed_during_a_turn_that_is_aborted_is_kept(
    talk: Path, model: LoopbackModel
) -> None:
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"Wait [[sleep: 20]] [[reply: never]]{ENTER}")
        terminal.wait_until(lambda: len(model.requests) == 1)
        terminal.type(f"mind the gap [[reply: kept]]{ENTER}")
        terminal.type(CTRL_C)
        terminal.wait_for("aborted; the conversation goes on")
        terminal.wait_for("> mind the gap")
        assert "^C" not in terminal.text
        terminal.type(ENTER)
        terminal.wait_for("\nkept")


@pytest.mark.each(2)
@pytest.mark.parametrize("text", ["Wait for ever [[hang: x1]]", ""])
def test_sigterm_ends_the_conversation_and_not_only_the_turn(
    text: str, talk: Path, model: LoopbackModel
) -> None:
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for_prompt()
        if text:
            before = len(model.requests)
            terminal.type(f"{text}{ENTER}")
            terminal.wait_until(lambda: len(model.requests) > before)
        terminal.kill(signal.SIGTERM)
        assert terminal.wait_for_end() == 130
        assert "the conversation goes on" not in terminal.text


@pytest.mark.thorough
def test_never_holds_for_the_rest_of_the_conversation_and_is_reported_in_one_line(
    talk: Path, model: LoopbackModel
) -> None:
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"Do it {SHELL} [[reply: well]]{ENTER}")
        terminal.wait_for("[N]ever,")
        terminal.type(f"N{ENTER}")
        terminal.wait_for("\nwell")
        terminal.wait_for_prompt()
        assert terminal.text.count("  denied") == 1
        terminal.type(f"Do it now {SHELL} [[reply: again well]]{ENTER}")
        terminal.wait_for("\nagain well")
        terminal.wait_for_prompt()
        assert terminal.text.count("The agent wants to run") == 1
        assert terminal.text.count("  denied") == 2
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    assert not Path("made.txt").exists()
    audit = sdqctl("sessions", "show", "talk", "--audit", "--format", "json").json["audit"]
    answers = [(entry["allowed"], entry["by"], entry["source"]) for entry in audit]
    assert answers == [(False, "the user", "user")] * 2


HOSTILE = "\x1b]0;owned\x07 \x1b[2J \x1b[31mred \x08\x08 \x9b5n \u202eevil\u2066 \u200bend"


def test_hostile_output_cannot_drive_the_terminal(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "w.conv"
    path.write_text(f"SESSION-NAME bad\nPROMPT x [[reply: {HOSTILE}]]\nPAUSE\nPROMPT y\n")
    with Terminal(["run", path]) as terminal:
        assert terminal.wait_for_end() == 8
        raw = terminal.raw
    with Terminal(["resume", "bad"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        raw += terminal.raw
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        terminal.wait_for_end()
    for arguments in (["sessions", "show", "bad"], ["sessions", "show", "bad", "--transcript"]):
        with Terminal(arguments) as terminal:
            assert terminal.wait_for_end() == 0
            raw += terminal.raw
    for bad in (b"\x1b]0;owned", b"\x1b[2J \x1b", b"\x1b[31mred", b"\x08\x08", "\x9b".encode()):
        assert bad not in raw
    for char in "\u202e\u2066\u200b":
        assert char.encode() not in raw


@pytest.mark.thorough
def test_a_run_has_a_live_line_that_goes_away(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "w.conv"
    path.write_text("SESSION-NAME live\nPROMPT slowly [[sleep: 2]] [[reply: # Done\n\n- one]]\n")
    with Terminal(["run", path], columns=60) as terminal:
        terminal.wait_for("waiting for the model")
        terminal.resize(40)
        assert terminal.wait_for_end() == 0
        assert "waiting for the model" not in terminal.text
        assert "run completed: 1 step in" in terminal.text
        assert " • one" in terminal.text


def test_without_a_terminal_a_conversation_is_refused(talk: Path) -> None:
    done = sdqctl("resume", "talk")
    assert done.code == 2
    assert "--prompt" in done.err


@pytest.mark.thorough
def test_a_consult_opens_with_the_agents_questions(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "c.conv"
    path.write_text("SESSION-NAME ask\nPROMPT a [[reply: A]]\nCONSULT which way\nPROMPT b\n")
    assert sdqctl("run", path).code == 8
    with Terminal(["resume", "ask"]) as terminal:
        terminal.wait_for("consult: which way")
        terminal.wait_for("answering message 2")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    assert "open questions" in model.user_messages()[-1]
    assert model.user_messages()[-1].endswith("which way")


@pytest.mark.thorough
def test_a_run_asks_on_a_terminal_when_told_to(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "w.conv"
    path.write_text(f"SESSION-NAME asks\nPROMPT {SHELL} [[reply: well]]\n")
    with Terminal(["run", path, "--ask"]) as terminal:
        terminal.wait_for("[N]ever,")
        terminal.type(f"a{ENTER}")
        assert terminal.wait_for_end() == 0
    assert Path("made.txt").exists()
    assert sdqctl("run", path, "--ask", "--session-name", "t").code == 2


@pytest.mark.thorough
def test_answers_in_a_file_leave_the_live_line_on_the_terminal(
    home: Path, project: Path, model: LoopbackModel
) -> None:
    path = project / "w.conv"
    path.write_text("SESSION-NAME f\nPROMPT slowly [[sleep: 2]] [[reply: # Done]]\n")
    command = f"{' '.join(SDQCTL)} run {path} > out.md"
    with Terminal(["-c", command], program="bash") as terminal:
        terminal.wait_for("waiting for the model")
        assert terminal.wait_for_end() == 0
        assert "\nDone" not in terminal.text
    assert Path("out.md").read_text() == "# Done\n"


def test_deleting_many_shows_a_bar(home: Path, project: Path) -> None:
    for number in range(3):
        name = f"s{number}"
        (project / "w.conv").write_text("ADAPTER mock\nPROMPT x\n")
        assert sdqctl("run", "w.conv", "--session-name", name).code == 0
    script = (
        "import sys, time; from sdqctl.cli.sessions import delete; delete._QUIET_SECONDS = -1.0; "
        "from sdqctl.cli.app import run; sys.exit(run(sys.argv[1:]))"
    )
    command = f"{SDQCTL[0]} -c '{script}' sessions cleanup --older-than 0 --force > gone.txt"
    with Terminal(["-c", command], program="bash") as terminal:
        assert terminal.wait_for_end() == 0
        assert b"3 of 3" in terminal.raw
        assert "3 of 3" not in terminal.text
    assert Path("gone.txt").read_text().split() == ["s2", "s1", "s0"]


@pytest.mark.each(2)
@pytest.mark.parametrize(
    "flags", [["--output", "x.md"], ["--from", "2"], ["--dry-run"], ["--format", "json"]]
)
def test_options_of_a_run_open_no_conversation(flags: list[str], talk: Path) -> None:
    with Terminal(["resume", "talk", *flags]) as terminal:
        assert terminal.wait_for_end() == 2
        assert flags[0] in terminal.text


@pytest.mark.thorough
def test_a_ctrl_d_during_a_turn_leaves_after_it(talk: Path, model: LoopbackModel) -> None:
    with Terminal(["resume", "talk"]) as terminal:
        terminal.wait_for("Ctrl-D leaves.")
        terminal.type(f"Do it [[sleep: 1]] [[reply: well]]{ENTER}")
        terminal.wait_until(lambda: len(model.requests) == 1)
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
        assert "\nwell" in terminal.text
