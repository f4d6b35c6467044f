"""The loopback model speaks as an OpenAI server does, and as its script says."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from sdqctl.testing.loopback import LoopbackModel, Reply, Request


@pytest.fixture
def model() -> Iterator[LoopbackModel]:
    with LoopbackModel() as model:
        yield model


def ask(model: LoopbackModel, prompt: str, *, stream: bool = False) -> tuple[int, Any, bytes]:
    address = urlsplit(model.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": prompt}]}
    try:
        connection.request("POST", f"{address.path}/chat/completions", json.dumps(body))
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_it_answers_whole_and_in_pieces(model: LoopbackModel) -> None:
    _, _, whole = ask(model, "[[reply: two words]]")
    assert json.loads(whole)["choices"][0]["message"]["content"] == "two words"
    _, headers, pieces = ask(model, "[[reply: two words]]", stream=True)
    assert headers["Content-Type"] == "text/event-stream"
    chunks = [line[6:] for line in pieces.decode().splitlines() if line.startswith("data: ")]
    assert chunks[-1] == "[DONE]"
    deltas = [json.loads(chunk)["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert [delta["content"] for delta in deltas if delta.get("content")] == ["two ", "words"]


def test_it_asks_for_tools_one_after_another(model: LoopbackModel) -> None:
    _, _, raw = ask(model, '[[tool: bash {"command": "ls"}]] [[reply: done]]')
    choice = json.loads(raw)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    function = choice["message"]["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("bash", {"command": "ls"})


def test_errors_come_as_often_as_the_script_says(model: LoopbackModel) -> None:
    prompt = "[[status: 429 x2]] [[header: Retry-After: 7]] [[reply: well]]"
    first, second, third = (ask(model, prompt) for _ in range(3))
    assert (first[0], first[1]["Retry-After"], second[0], third[0]) == (429, "7", 429, 200)


def test_a_dropped_connection_has_no_answer(model: LoopbackModel) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        ask(model, "[[drop]]")


def test_a_malformed_answer_is_no_chunk(model: LoopbackModel) -> None:
    assert ask(model, "[[malformed]]", stream=True)[2].startswith(b"data: {not json")


def test_it_waits_before_it_answers(model: LoopbackModel) -> None:
    before = time.monotonic()
    ask(model, "[[sleep: 0.3]]")
    assert time.monotonic() - before >= 0.3


def test_it_records_what_it_received_and_obeys_a_script_of_ones_own() -> None:
    def script(request: Request) -> Reply:
        return Reply(text=f"number {request.number}: {request.prompt}")

    with LoopbackModel(script) as model:
        assert b"number 0: one" in ask(model, "one")[2]
        assert b"number 1: two" in ask(model, "two")[2]
        assert model.user_messages(0) == ["one"]
        assert model.environment()["COPILOT_PROVIDER_BASE_URL"].startswith("http://127.0.0.1:")


def test_a_hanging_request_ends_with_the_server() -> None:
    with LoopbackModel() as model:
        address = urlsplit(model.base_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
        body = {"messages": [{"role": "user", "content": "[[hang]]"}]}
        connection.request("POST", f"{address.path}/chat/completions", json.dumps(body))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        connection.getresponse()
    connection.close()
