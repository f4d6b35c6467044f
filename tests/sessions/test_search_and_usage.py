"""Searching all sessions, and what runs used."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import pytest

from tests.bench import Bench
from tests.command import Done, sdqctl


@pytest.fixture
def talks(bench: Bench) -> Bench:
    bench.run("PROMPT Where is the parser? [[reply: In lexer.py, near the naïve café]]\n")
    bench.run("PROMPT Fix the bug [[reply: The parser was wrong]]\n", "--session-name", "t")
    return bench


def found(*arguments: str, **environment: str) -> list[Mapping[str, object]]:
    done = sdqctl("sessions", "search", *arguments, "--format", "json", **environment)
    assert done.code == 0, done.err
    hits: list[Mapping[str, object]] = done.json
    return hits


def places(hits: list[Mapping[str, object]]) -> set[tuple[object, object, object]]:
    return {(hit["name"], hit["turn"], hit["in"]) for hit in hits}


def test_all_words_are_found_in_prompts_and_answers(talks: Bench) -> None:
    asked, order, told = ("s", 1, "prompt"), ("t", 1, "prompt"), ("t", 1, "answer")
    assert places(found("parser")) == {asked, order, told}
    assert places(found("parser", "--in", "prompts")) == {asked, order}
    assert places(found("PARSER", "wrong", "--in", "answers")) == {told}
    assert places(found("naive cafe")) >= {("s", 1, "answer")}
    assert places(found("pars")) == places(found("parser"))
    assert found("nowhere") == []
    assert found("parser", "--limit", "1") != []


def test_where_no_index_can_be_written_one_is_made_for_the_time(talks: Bench) -> None:
    (talks.home / "sdqctl" / "search.db").mkdir()
    assert len(found("parser")) == 3


@pytest.mark.each(3)
@pytest.mark.parametrize("text", ['"', "a AND OR", "NEAR(", "*", "col:umn", "(", "' OR 1=1 --"])
def test_no_text_is_taken_for_a_query_language(text: str, talks: Bench) -> None:
    done = sdqctl("sessions", "search", "--format", "json", "--", text)
    assert done.code in (0, 2), done.err
    assert "Traceback" not in done.err
    assert "bug in sdqctl" not in done.err


def test_the_index_follows_what_changes(talks: Bench) -> None:
    assert found("brandnew") == []
    sdqctl("resume", "t", "--prompt", "something brandnew [[reply: ok]]")
    assert places(found("brandnew")) == {("t", 2, "prompt")}
    sdqctl("sessions", "delete", "t", "--force")
    assert found("brandnew") == []
    (talks.home / "sdqctl" / "search.db").write_bytes(b"damaged" * 1000)
    assert places(found("Where parser")) == {("s", 1, "prompt")}


def test_since_leaves_out_what_is_older(talks: Bench) -> None:
    assert found("parser", "--since", "1h") != []
    assert found("parser", "--since", "0.001s") == []


def test_no_secret_is_in_the_index(talks: Bench) -> None:
    secret = "s3cret-value-of-a-key"
    talks.run(f"PROMPT tell {secret} [[reply: ok]]\n", "--session-name", "u")
    found("tell", SERVICE_API_KEY=secret)
    for path in (talks.home / "sdqctl").glob("search.db*"):
        assert secret.encode() not in path.read_bytes()


def test_a_place_is_printed_with_its_words(talks: Bench) -> None:
    done: Done = sdqctl("sessions", "search", "wrong", "--in", "answers")
    name, _, turn, kind, _, text = done.out.rstrip("\n").split("\t")
    assert (name, turn, kind, text) == ("t", "1", "answer", "The parser was wrong")


def test_usage_by_day_workflow_model_and_session(talks: Bench) -> None:
    talks.run("PROMPT [[tool: read work.conv]] [[reply: x]]\n", "--session-name", "u", "-m", "m-7")
    (day,) = sdqctl("sessions", "usage", "--format", "json").json
    assert (day["prompts"], day["model_calls"], day["tools"]) == (3, 3, 1)
    assert day["input_tokens"] > 0
    models = sdqctl("sessions", "usage", "--by", "model", "--format", "json").json
    assert {row["model"]: row["prompts"] for row in models} == {"default": 2, "m-7": 1}
    sessions = sdqctl("sessions", "usage", "--by", "session", "--format", "json").json
    assert [row["session"] for row in sessions] == ["s", "t", "u"]
    (workflow,) = sdqctl("sessions", "usage", "--by", "workflow", "--format", "json").json
    assert workflow["workflow"] == "work"
    text = sdqctl("sessions", "usage", "--format", "csv").out
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["prompts"] == "3"
    assert "█" in sdqctl("sessions", "usage", "--format", "table").out


def test_sessions_are_sorted_by_tokens(talks: Bench) -> None:
    talks.run(f"PROMPT {'word ' * 500} [[reply: x]]\n", "--session-name", "big")
    listed = sdqctl("sessions", "list", "--sort", "-tokens", "--format", "json").json
    assert listed[0]["name"] == "big"
    assert listed[0]["tokens"] > listed[1]["tokens"] > 0
