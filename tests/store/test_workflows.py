"""Kept texts of workflows stay as long as a run needs them, or what stands beside them."""

from __future__ import annotations

from pathlib import Path

from sdqctl.model.session import SessionRef
from sdqctl.store.ledger import Ledger
from sdqctl.store.workflows import keep_beside_others, keep_text, kept_file, remove_unused


def test_a_called_text_goes_with_the_one_that_calls_it(tmp_path: Path) -> None:
    work = kept_file(tmp_path, "work.conv", "mock", "s", "CALL part.conv\n")
    part = work.parent / "part.conv"
    for path in (work, part):
        keep_text(path, "PROMPT x\n")
    with Ledger.open(tmp_path) as ledger:
        ledger.start_run(
            adapter="mock",
            session_id="s",
            session_name="s",
            workflow="work",
            workflow_path=str(work),
            workflow_text="CALL part.conv\n",
            steps_total=1,
            options="{}",
            cwd="/",
            model=None,
        )
        remove_unused(tmp_path, [str(part)], ledger)
        assert (work.exists(), part.exists()) == (True, True)
        ledger.forget_session(SessionRef("mock", "s"))
        remove_unused(tmp_path, [str(work), None, "/elsewhere/work.conv"], ledger)
        assert not work.parent.exists()


def test_a_text_takes_the_place_of_no_other(tmp_path: Path) -> None:
    def kept(text: str) -> Path:
        return keep_beside_others(tmp_path, "work.conv", "mock", "s", text)

    first, second = kept("PROMPT a\n"), kept("PROMPT b\n")
    assert first != second
    assert kept("PROMPT a\n") == first
    first.write_text("PROMPT edited\n")
    third = kept("PROMPT a\n")
    assert kept("PROMPT a\n") == third
    texts = [path.read_text() for path in (first, second, third)]
    assert texts == ["PROMPT edited\n", "PROMPT b\n", "PROMPT a\n"]
