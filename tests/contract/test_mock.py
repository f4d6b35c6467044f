"""The adapter contract on the embedded mock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdqctl.adapters import Adapter, AdapterSettings, MockAdapter, SessionArchive
from sdqctl.adapters.journal import read_turns
from sdqctl.adapters.journal_writer import write_event
from sdqctl.adapters.mock.archive import MockArchive
from sdqctl.errors import RuntimeFailure
from sdqctl.testing.contract import AdapterContract


class TestMock(AdapterContract):
    """Made without the registry, as an adapter that is not installed."""

    name = "mock"

    def adapter(self, settings: AdapterSettings) -> Adapter:
        return MockAdapter(settings)

    def archive(self, settings: AdapterSettings) -> SessionArchive:
        return MockArchive(settings)

    @pytest.fixture
    def settings(self, tmp_path: Path) -> AdapterSettings:
        return AdapterSettings(data_dir=tmp_path / "data", copilot_home=tmp_path / "copilot")

    def answering(self, answer: str) -> str:
        return f"Say it. [[reply: {answer}]]"

    def refused(self) -> str:
        return "[[fail: request]]"

    def stalling(self) -> str:
        return "Wait. [[stall]]"

    def writing(self, path: Path) -> str:
        return f"[[tool: write {path} text]] [[reply: written]]"


def prompt(journal: Path, text: str) -> None:
    write_event(journal, "user.message", {"content": text})


def test_a_torn_line_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    prompt(journal, "one")
    with journal.open("ab") as stream:
        stream.write(b'{"type":"user.message","data":{"con')
    prompt(journal, "two")
    assert [turn.prompt for turn in read_turns(journal)] == ["one", "two"]


def test_on_a_full_disk_nothing_is_left_of_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "events.jsonl"
    prompt(journal, "one")
    before, write = journal.read_bytes(), os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: write(handle, data[:20]))
        with pytest.raises(RuntimeFailure, match="No space left"):
            prompt(journal, "two")
    assert journal.read_bytes() == before
    prompt(journal, "three")
    assert [turn.prompt for turn in read_turns(journal)] == ["one", "three"]
