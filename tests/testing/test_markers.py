"""Orders to scripted agents: found whole, counted, and the answer that they mean."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sdqctl.adapters import AdapterConfig, AdapterSettings, MockAdapter
from sdqctl.model.events import TurnFinished
from sdqctl.model.followup import correction
from sdqctl.testing.loopback import LoopbackModel
from sdqctl.testing.markers import Marker, markers, without_markers
from sdqctl.testing.samples import sample
from sdqctl.workflow.flow.schemas import Schema


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[reply: a]]", [Marker("reply", "a")]),
        ("[[stall]] [[die: x1]]", [Marker("stall", ""), Marker("die", "", 1)]),
        ("[[fail: server x2]]", [Marker("fail", "server", 2)]),
        ("[[json: [[1], [2]] ]]", [Marker("json", "[[1], [2]]")]),
        ("[[json: [[1],[2]]]]", [Marker("json", "[[1],[2]]")]),
        ('[[json: {"a": "]]"} x3]] b', [Marker("json", '{"a": "]]"}', 3)]),
        ("[[json: {no}]]", [Marker("json", "{no}")]),
        ("a[[0]] b", [Marker("0", "")]),
        ("[[ no ]] [[", []),
        ("[[reply: one\ntwo]]", [Marker("reply", "one\ntwo")]),
        ("[[reply: list[0]]]", [Marker("reply", "list[0]")]),
    ],
)
def test_orders_are_found_whole(text: str, expected: list[Marker]) -> None:
    assert markers(text) == expected


def test_a_text_without_its_orders_is_what_is_left() -> None:
    assert without_markers("a [[json: [1]]] b [[stall]]c") == "a  b c"


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}, "b": {}}},
    {"type": "array", "items": {"enum": ["low", "high"]}, "minItems": 2},
    {"type": "string", "minLength": 9},
    {"type": ["number", "null"], "minimum": 7},
    {"type": "boolean"},
    {"const": 5},
    {"anyOf": [{"type": "null"}, {"type": "string"}]},
    {"$ref": "#/$defs/x", "$defs": {"x": {"type": "object", "properties": {"y": {"const": 1}}}}},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_a_sample_fits_its_schema(schema: dict[str, Any]) -> None:
    assert Schema.parse(json.dumps(schema)).problems(sample(schema)) == []


def answers(folder: Path, prompts: list[str], script: str = "") -> list[str]:
    """What the mock answers in one session that is opened anew for each prompt."""
    environment = {"SDQCTL_MOCK_SCRIPT": script} if script else {}
    settings = AdapterSettings(data_dir=folder, copilot_home=folder, environment=environment)
    found = []

    async def story() -> None:
        for prompt in prompts:
            async with MockAdapter(settings) as adapter:
                config = AdapterConfig(session_name="s", resume_if_exists=True)
                session = await adapter.create_session(config)
                *_, end = [event async for event in session.send(prompt, turn_id="t")]
                assert isinstance(end, TurnFinished)
                found.append(end.response)

    asyncio.run(story())
    return found


def test_the_mock_answers_wrongly_first_and_rightly_when_it_is_told(tmp_path: Path) -> None:
    asked = "Findings? [[reply: none, I think x1]] [[json: [{}] x1]] [[json: []]]"
    told = correction("it is not JSON", "Answer with JSON.")
    assert answers(tmp_path, [asked, told, told]) == ["none, I think", "[{}]", "[]"]


def test_the_mock_changes_its_mind_over_processes(tmp_path: Path) -> None:
    assert answers(tmp_path, ["? [[reply: yes x1]] [[reply: no]]"] * 3) == ["yes", "no", "no"]


def test_the_mock_answers_by_the_item_that_it_is_asked_about(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    rules = [{"match": f"{n}.py", "orders": f'[[json: {{"n": [[{n}]]}}]]'} for n in (1, 2)]
    script.write_text(json.dumps(rules))
    found = answers(tmp_path, ["Review 2.py", "Review 1.py"], str(script))
    assert found == ['{"n": [[2]]}', '{"n": [[1]]}']


def ask(model: LoopbackModel, *texts: str, schema: dict[str, Any] | None = None) -> str:
    """What the loopback model answers to the last of some texts."""
    messages = [{"role": "user", "content": text} for text in texts]
    body: dict[str, Any] = {"messages": messages}
    if schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    return model.answer(body).text


def test_the_loopback_model_changes_its_mind_and_has_the_structure_asked_for() -> None:
    asked = "? [[reply: yes x1]] [[json: [[0]]]]"
    told = correction("it is not JSON", "Answer with JSON.")
    with LoopbackModel() as model:
        assert [ask(model, asked), ask(model, asked, told)] == ["yes", "[[0]]"]
        assert ask(model, "?", schema=SCHEMAS[0]) == '{"a": 1}'
