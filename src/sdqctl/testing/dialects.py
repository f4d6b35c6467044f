"""The other languages of model providers that the loopback model speaks: messages and responses.

Each is turned into a chat-completions request, which the script sees, and the script's reply is
told in the dialect's own stream. Facts from what the agents send (docs/agents.md).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Protocol

from sdqctl.testing.exchange import Reply, text_of

Event = tuple[str, dict[str, Any]]
"""An event of a stream: its name and its data."""


class Dialect(Protocol):
    """How requests are read and replies are told."""

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request as one of chat completions."""
        ...

    def events(self, body: dict[str, Any], reply: Reply) -> Iterator[Event]:
        """The reply as a stream."""
        ...

    def whole(self, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
        """The reply in one piece."""
        ...


def dialect_of(path: str) -> Dialect | None:
    """The dialect of an address; None for chat completions."""
    if path.split("?")[0].endswith("/messages"):
        return Messages()
    if path.split("?")[0].endswith("/responses"):
        return Responses()
    return None


class Messages:
    """Anthropic's messages."""

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """User texts and tool results, in their order."""
        messages: list[dict[str, Any]] = []
        for message in body.get("messages", []):
            messages += self._plain(message)
        return {**body, "messages": messages}

    def _plain(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        results = [
            {"role": "tool", "content": text_of(part.get("content"))}
            for part in parts
            if part.get("type") == "tool_result"
        ]
        texts = [part.get("text", "") for part in parts if part.get("type") == "text"]
        if message["role"] != "user":
            return [{"role": message["role"], "content": "".join(texts)}]
        if results:
            return results  # a text beside results is the agent's own
        return [{"role": "user", "content": text} for text in texts]  # prompts come joined

    def events(self, body: dict[str, Any], reply: Reply) -> Iterator[Event]:
        """message_start, one block each, message_delta, message_stop."""
        whole = self.whole(body, reply)
        start = {**whole, "content": [], "stop_reason": None}
        yield "message_start", {"type": "message_start", "message": start}
        for index, block in enumerate(whole["content"]):
            is_text = block["type"] == "text"
            empty = {**block, **({"text": ""} if is_text else {"input": {}})}
            place = {"index": index}
            yield "content_block_start", _typed("content_block_start", content_block=empty, **place)
            delta = (
                {"type": "text_delta", "text": block["text"]}
                if is_text
                else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            )
            yield "content_block_delta", _typed("content_block_delta", delta=delta, **place)
            yield "content_block_stop", _typed("content_block_stop", **place)
        end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield "message_delta", _typed("message_delta", delta=end, usage=whole["usage"])
        yield "message_stop", _typed("message_stop")

    def whole(self, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
        """A message."""
        content: list[dict[str, Any]] = []
        if reply.text or not reply.tool_calls:
            content.append({"type": "text", "text": reply.text})
        content += [
            {"type": "tool_use", "id": _new("toolu"), "name": name, "input": arguments}
            for name, arguments in reply.tool_calls
        ]
        return {
            "id": _new("msg"),
            "type": "message",
            "role": "assistant",
            "model": body.get("model"),
            "content": content,
            "stop_reason": "tool_use" if reply.tool_calls else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens},
        }


class Responses:
    """OpenAI's responses."""

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """Messages and the outputs of calls, in their order."""
        given = body.get("input") or []
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        messages = []
        for item in items:
            if item.get("type") in ("function_call_output", "custom_tool_call_output"):
                messages.append({"role": "tool", "content": text_of(item.get("output"))})
            elif item.get("role") in ("user", "assistant"):
                messages.append({"role": item["role"], "content": text_of(item.get("content"))})
        return {**body, "messages": messages}

    def events(self, body: dict[str, Any], reply: Reply) -> Iterator[Event]:
        """response.created, each item, response.completed."""
        whole = self.whole(body, reply)
        started = {**whole, "status": "in_progress", "output": [], "usage": None}
        yield "response.created", _typed("response.created", response=started)
        for index, item in enumerate(whole["output"]):
            place = {"output_index": index}
            added = "response.output_item.added"
            yield added, _typed(added, item={**item, "status": "in_progress"}, **place)
            if item["type"] == "message":
                delta = "response.output_text.delta"
                text = item["content"][0]["text"]
                yield delta, _typed(delta, item_id=item["id"], content_index=0, delta=text, **place)
            done = "response.output_item.done"
            yield done, _typed(done, item=item, **place)
        yield "response.completed", _typed("response.completed", response=whole)

    def whole(self, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
        """A response."""
        output: list[dict[str, Any]] = []
        if reply.text or not reply.tool_calls:
            text = {"type": "output_text", "text": reply.text, "annotations": []}
            output.append(
                {
                    "id": _new("msg"),
                    "type": "message",
                    "role": "assistant",
                    "status": "completed",
                    "content": [text],
                }
            )
        output += [
            {
                "id": _new("fc"),
                "call_id": _new("call"),
                "type": "function_call",
                "name": name,
                "arguments": json.dumps(arguments),
                "status": "completed",
            }
            for name, arguments in reply.tool_calls
        ]
        total = reply.input_tokens + reply.output_tokens
        usage = {
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
            "total_tokens": total,
        }
        return {
            "id": _new("resp"),
            "object": "response",
            "created_at": int(time.time()),
            "status": "completed",
            "model": body.get("model"),
            "output": output,
            "usage": usage,
        }


def _typed(kind: str, /, **data: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"type": kind, **data}


def _new(prefix: str) -> str:
    return f"{prefix}_{time.time_ns()}"
