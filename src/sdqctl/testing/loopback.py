"""A model on loopback: an OpenAI chat-completions server from the standard library.

Point a runtime at it with `environment()`. Its script decides on every request; the ready-made one
takes orders from markers in the last user message::

    [[reply: text]] [[reply: text x1]]   answer with this text (the first time)
    [[json: VALUE]] [[json: VALUE x1]]   answer with this JSON (the first time)
    [[tool: bash {"command": "ls"}]]     ask for a tool first (several: one after another)
    [[status: 429]] [[status: 500 x2]]   answer with an HTTP error (the first 2 times)
    [[header: Retry-After: 1]]           with this header
    [[sleep: 0.5]]                       wait before the answer
    [[pace: 0.02]]                       wait after each word of an answer that streams
    [[drop]] [[hang]] [[empty]] [[malformed]]
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from sdqctl.closing import Closing
from sdqctl.model.followup import is_correction, quoted_prompt
from sdqctl.testing.dialects import Event, dialect_of
from sdqctl.testing.exchange import Reply as Reply
from sdqctl.testing.exchange import Request as Request
from sdqctl.testing.markers import Marker, chosen, markers, without_markers
from sdqctl.testing.samples import sample

MODEL = "loopback-1"


Script = Callable[[Request], Reply]


class LoopbackModel(Closing):
    """The server, as a context manager. It records every request it received."""

    def __init__(self, script: Script | None = None, *, record: Path | None = None) -> None:
        self._script = script or MarkerScript()
        self._record = record
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.requests: list[Request] = []
        self._server = _Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def close(self) -> None:
        """Answer nothing more."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        """The address to give to a runtime."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def environment(self) -> dict[str, str]:
        """The variables that point a Copilot runtime, and sdqctl, at this model."""
        return {
            "COPILOT_PROVIDER_BASE_URL": self.base_url,
            "COPILOT_PROVIDER_TYPE": "openai",
            "COPILOT_PROVIDER_API_KEY": "loopback",
            "COPILOT_MODEL": MODEL,
            "COPILOT_OFFLINE": "true",
        }

    def user_messages(self, index: int = -1) -> list[str]:
        """The user's texts in one of the requests, the last by default."""
        return self.requests[index].user_messages

    def answer(self, body: dict[str, Any]) -> Reply:
        """Record a request and ask the script."""
        with self._lock:
            request = Request(len(self.requests), body)
            self.requests.append(request)
            if self._record is not None:
                with self._record.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(body) + "\n")
            return self._script(request)

    def wait(self, seconds: float) -> bool:
        """Wait, unless the server stops; returns whether it stopped."""
        return self._stopping.wait(seconds)


class MarkerScript:
    """The ready-made script: orders come in the last user message.

    Of a prompt that is quoted to be finished, tools that were asked for are not asked for again. A
    prompt that says what was wrong with an answer has the orders of the one that it is about. Where
    a structure is asked for, an answer that nobody ordered has it.
    """

    def __init__(self) -> None:
        self._passed: Counter[tuple[str, str]] = Counter()

    def __call__(self, request: Request) -> Reply:
        asked = quoted_prompt(request.prompt)
        prompt = _about(request) if asked is None else asked
        orders = markers(prompt)
        reply = self._failure(prompt, orders)
        if reply is not None:
            return reply
        tools = [_tool(order.value) for order in orders if order.name == "tool"]
        done = len(request.tool_results if asked is None else request.results_for(asked))
        delay = _seconds(orders, "sleep")
        if done < len(tools):
            return Reply(text="I will look.", tool_calls=[tools[done]], delay=delay)
        text = chosen(orders, lambda order: self._due(prompt, order))
        if any(order.name == "empty" for order in orders):
            text = ""
        return Reply(
            text=_default(request) if text is None else text,
            delay=delay,
            pace=_seconds(orders, "pace"),
        )

    def _failure(self, prompt: str, orders: list[Marker]) -> Reply | None:
        pairs = (o.value.split(":", 1) for o in orders if o.name == "header" and ":" in o.value)
        headers = {header.strip(): content.strip() for header, content in pairs}
        for order in orders:
            name = order.name
            if name in ("hang", "drop", "malformed", "status") and self._due(prompt, order):
                return Reply(
                    text="cut off",
                    status=int(order.value.split()[0]) if name == "status" else 200,
                    headers=headers,
                    hang=name == "hang",
                    drop=name == "drop",
                    malformed=name == "malformed",
                )
        return None

    def _due(self, prompt: str, order: Marker) -> bool:
        if order.times is None:
            return True
        self._passed[prompt, order.key] += 1
        return self._passed[prompt, order.key] <= order.times


def _about(request: Request) -> str:
    """The last prompt that is none about an answer."""
    texts = reversed(request.user_messages)
    return next((text for text in texts if not is_correction(text)), "")


def _default(request: Request) -> str:
    """A deterministic answer that says what it is, or has the structure that is asked for."""
    structure = request.body.get("response_format") or {}
    if structure.get("type") == "json_schema":
        return json.dumps(sample(structure["json_schema"]["schema"]))
    words = " ".join(without_markers(request.prompt).split())
    asked = words if len(words) <= 80 else words[:79].rstrip() + "…"
    return (
        f"This is the built-in loopback model, answering message "
        f"{len(request.user_messages)} of this conversation. You asked: “{asked}”"
    )


def _tool(value: str) -> tuple[str, dict[str, Any]]:
    name, _, arguments = value.partition(" ")
    return name, json.loads(arguments or "{}")


def _seconds(orders: list[Marker], name: str) -> float:
    return sum(float(order.value) for order in orders if order.name == name)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], model: LoopbackModel) -> None:
        super().__init__(address, _Handler)
        self.model = model

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    """Header and body are two writes: else the second waits 40 ms for the first's receipt."""
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        """The list of models."""
        self._send(200, {}, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        """One model call: a chat completion, or one in another dialect."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        dialect = dialect_of(self.path)
        try:
            reply = self.server.model.answer(body if dialect is None else dialect.chat(body))
        except Exception as mistake:  # noqa: BLE001 - of the script: nobody tries it again
            said = {"message": f"the script failed: {mistake!r}", "type": "scripted"}
            self._send(400, {}, {"error": said})
            return
        if reply.hang:
            self.server.model.wait(3600)
        if self.server.model.wait(reply.delay) or reply.hang or reply.drop:
            self.close_connection = True
            return
        if reply.status != 200:
            error = {"message": f"scripted error {reply.status}", "type": "scripted"}
            self._send(reply.status, reply.headers, {"error": error})
        elif dialect is not None and body.get("stream"):
            events = dialect.events(body, reply)
            self._stream(
                (f"event: {name}\ndata: {json.dumps(data)}" for name, data in events), reply.pace
            )
        elif dialect is not None:
            self._send(200, reply.headers, dialect.whole(body, reply))
        elif body.get("stream"):
            self._stream((f"data: {chunk}" for chunk in _chunks(body, reply)), reply.pace)
        else:
            self._send(200, reply.headers, _completion(body, reply))

    def _send(self, status: int, headers: dict[str, str], value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, header in headers.items():
            self.send_header(name, header)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, pieces: Iterable[str], pace: float) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece.encode() + b"\n\n")
            self.wfile.flush()
            if pace and self.server.model.wait(pace):
                return
        self.close_connection = True


def _named(event: Event) -> str:
    return f"event: {event[0]}\ndata: {json.dumps(event[1])}"


def _message(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "index": index,
                "id": f"call_{time.time_ns()}_{index}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for index, (name, arguments) in enumerate(reply.tool_calls)
        ]
    return message


def _envelope(body: dict[str, Any], kind: str) -> dict[str, Any]:
    model = body.get("model", MODEL)
    return {"id": f"c{time.time_ns()}", "object": kind, "created": int(time.time()), "model": model}


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.input_tokens + reply.output_tokens
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": total,
    }


def _completion(body: dict[str, Any], reply: Reply) -> object:
    if reply.malformed:
        return {"choices": "none"}
    reason = "tool_calls" if reply.tool_calls else "stop"
    choice = {"index": 0, "finish_reason": reason, "message": _message(reply)}
    return {**_envelope(body, "chat.completion"), "choices": [choice], "usage": _usage(reply)}


def _chunks(body: dict[str, Any], reply: Reply) -> list[str]:
    if reply.malformed:
        return ["{not json"]
    envelope = _envelope(body, "chat.completion.chunk")
    message = _message(reply)
    words = re.findall(r"\S*\s*", message.pop("content")) or [""]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in words if word]
    if "tool_calls" in message:
        deltas.append({"tool_calls": message["tool_calls"]})
    chunks = [
        {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    reason = "tool_calls" if reply.tool_calls else "stop"
    end = {"index": 0, "delta": {}, "finish_reason": reason}
    chunks.append({**envelope, "choices": [end], "usage": _usage(reply)})
    return [*(json.dumps(chunk) for chunk in chunks), "[DONE]"]


def main() -> None:
    """Serve until stdin ends, after printing the variables to export."""
    import argparse
    import sys

    parser = argparse.ArgumentParser(description="A scripted model on loopback.")
    parser.add_argument("--record", type=Path, help="append each request to FILE as a JSON line")
    with LoopbackModel(record=parser.parse_args().record) as model:
        for name, value in model.environment().items():
            print(f"export {name}={value}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
