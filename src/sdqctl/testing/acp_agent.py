"""A scripted agent that speaks the Agent Client Protocol, from the standard library.

Run it as an agent's command (`command()`). Its sessions are files below
FAKE_ACP_HOME. What it does with a prompt stands in the prompt::

    [[reply: text]]           answer with this text, in small pieces
    [[think: text]]           a thought before it
    [[run: COMMAND]]          ask to run a command, and run it if that is allowed
    [[write: PATH TEXT]]      ask to write a file
    [[unasked: COMMAND]]      run a command without asking
    [[ask: QUESTION|a|b]]     ask the user; the answer is kept in `answers` of the session's file
    [[fail: CODE text]]       answer the request with this error
    [[stop: refusal]]         end the turn with another reason
    [[notice: text]]          say something that is not the model's
    [[hang]] [[hang: x1]]     never end, until cancelled (the first time only)
    [[die]] [[die: x1]]       end the process
    [[empty]]                 say nothing
    [[sleep: 0.2]]            wait first

FAKE_ACP is a JSON object of switches: `load`, `list`, `fork`, `resume`, `close`, `delete` (whether
it has the method; `resume_lies`: advertised, yet unknown), `unknown` (the error code for a session
that is not there), `forgets` (`never-prompted`, `cut-off`), `silent_load` (a load that replays
nothing), `modes`, `mode` (the mode it starts in; in `free` it asks nobody), `stderr` (bytes of
noise before the first answer), `cancel_is_end` (a cancelled turn ends as `end_turn`), `version`,
`late_replay` (the replay comes after the answer), `load_error` (the code that a load ends with),
`cost` (of each turn), `deaf_cancels` (how many cancels it passes over), `model` (the address of a
chat-completions model that says what to do, in place of the orders; it has a tool `shell`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

_ORDER = re.compile(r"\[\[(\w+)(?::\s*(.*?))?\]\](?!\])", re.DOTALL)
_METHODS = ("list", "resume", "fork", "close", "delete")
_DEFAULTS: dict[str, Any] = {
    "load": True,
    "list": True,
    "resume": False,
    "fork": True,
    "close": True,
    "delete": True,
    "unknown": -32002,
    "forgets": ["never-prompted"],
    "modes": [],
    "version": "1.0",
}
METHOD_NOT_FOUND = -32601


class _Error(Exception):
    """An error answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Agent:
    """One process of the agent. Each request is worked on in a thread of its own."""

    def __init__(self) -> None:
        self._switches = {**_DEFAULTS, **json.loads(os.environ.get("FAKE_ACP") or "{}")}
        self._home = Path(os.environ["FAKE_ACP_HOME"])
        self._home.mkdir(parents=True, exist_ok=True)
        self._writing = threading.Lock()
        self._waiting: dict[int, tuple[threading.Event, list[Any]]] = {}
        self._asked = 0
        self._cancelled = threading.Event()
        self._fresh: dict[str, dict[str, Any]] = {}
        self._mode = self._switches.get("mode")
        self._deaf = int(self._switches.get("deaf_cancels", 0))

    def serve(self) -> None:
        """Answer until the input ends."""
        if noise := self._switches.get("stderr"):
            sys.stderr.write("noise\n" * (int(noise) // 6))
            sys.stderr.flush()
        for line in sys.stdin:
            message = json.loads(line)
            if "method" not in message:
                event, box = self._waiting.pop(message["id"])
                box.append(message.get("result"))
                event.set()
            elif "id" in message:
                if message["method"] == "session/prompt":
                    self._cancelled.clear()
                threading.Thread(target=self._answer, args=(message,), daemon=True).start()
            elif message["method"] == "session/cancel":
                self._deaf -= 1
                if self._deaf < 0:
                    self._cancelled.set()

    def _answer(self, message: dict[str, Any]) -> None:
        method, parameters = message["method"], message.get("params") or {}
        try:
            self._send({"id": message["id"], "result": self._call(method, parameters)})
            self._after(method, parameters)
            return
        except _Error as error:
            failure = {"code": error.code, "message": error.message}
        except Exception as error:  # noqa: BLE001 - a bug here must not look like silence
            failure = {"code": -32603, "message": f"{type(error).__name__}: {error}"}
        self._send({"id": message["id"], "error": failure})

    def _call(self, method: str, parameters: dict[str, Any]) -> object:
        if method == "initialize":
            return self._initialize()
        if method == "session/set_mode":
            self._mode = parameters["modeId"]
            return {}
        name = method.removeprefix("session/")
        work = getattr(self, f"_session_{name}", None)
        lies = name == "resume" and self._switches.get("resume_lies")
        if work is None or lies or self._switches.get(name, True) is False:
            raise _Error(METHOD_NOT_FOUND, f"Method not found: {method}")
        return work(parameters)

    def _initialize(self) -> dict[str, Any]:
        has: dict[str, Any] = {name: {} for name in _METHODS if self._switches[name]}
        if self._switches.get("resume_lies"):
            has["resume"] = {}
        powers = {"loadSession": self._switches["load"], "sessionCapabilities": has}
        return {
            "protocolVersion": 1,
            "agentCapabilities": powers,
            "agentInfo": {"name": "fake", "version": self._switches["version"]},
        }

    def _session_new(self, parameters: dict[str, Any]) -> dict[str, Any]:
        session = {"id": f"s-{uuid.uuid4().hex[:12]}", "cwd": parameters["cwd"], "turns": []}
        self._fresh[session["id"]] = session
        if "never-prompted" not in self._switches["forgets"]:
            self._save(session)
        return {"sessionId": session["id"], **self._modes()}

    def _session_load(self, parameters: dict[str, Any]) -> dict[str, Any]:
        session = self._get(parameters)
        if code := self._switches.get("load_error"):
            raise _Error(int(code), "cannot load it now")
        if not self._switches.get("late_replay"):
            self._replay(session)
        return self._modes()

    def _after(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "session/load" and self._switches.get("late_replay"):
            self._replay(self._get(parameters))

    def _replay(self, session: dict[str, Any]) -> None:
        if self._switches.get("silent_load"):
            return
        for turn in session["turns"]:
            self._update(session, "user_message_chunk", content=_text(turn["prompt"]))
            if turn["answer"]:
                self._update(session, "agent_message_chunk", content=_text(turn["answer"]))

    def _session_resume(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self._get(parameters)
        return self._modes()

    def _session_list(self, parameters: dict[str, Any]) -> dict[str, Any]:
        known = (json.loads(file.read_text("utf-8")) for file in self._home.glob("*.json"))
        cwd = parameters.get("cwd")
        rows = [
            {"sessionId": one["id"], "cwd": one["cwd"], "title": one["turns"][0]["prompt"][:40]}
            for one in known
            if one["turns"] and cwd in (None, one["cwd"])
        ]
        return {"sessions": rows}

    def _session_fork(self, parameters: dict[str, Any]) -> dict[str, Any]:
        session = self._get(parameters)
        copy = {**session, "id": f"s-{uuid.uuid4().hex[:12]}"}
        self._save(copy)
        return {"sessionId": copy["id"], **self._modes()}

    def _session_close(self, _: dict[str, Any]) -> dict[str, Any]:
        return {}

    def _session_delete(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self._get(parameters)
        self._file(parameters["sessionId"]).unlink()
        return {}

    def _session_prompt(self, parameters: dict[str, Any]) -> dict[str, Any]:
        session = self._get(parameters)
        prompt = "".join(part.get("text", "") for part in parameters["prompt"])
        turn = {"prompt": prompt, "answer": ""}
        session["turns"].append(turn)
        if "cut-off" not in self._switches["forgets"]:
            self._save(session)
        asks_model = bool(self._switches.get("model"))
        reason = self._converse(session, turn) if asks_model else self._play(session, turn)
        self._save(session)
        if each := self._switches.get("cost"):
            amount = {"amount": each * len(session["turns"]), "currency": "USD"}
            self._update(session, "usage_update", used=110, size=1000, cost=amount)
        usage = {"inputTokens": 100, "outputTokens": 10, "totalTokens": 110}
        return {"stopReason": reason, "usage": usage}

    def _converse(self, session: dict[str, Any], turn: dict[str, Any]) -> str:
        """Do what the model says, and keep each step of it."""
        said: list[dict[str, Any]] = turn.setdefault("said", [])
        while not self._cancelled.is_set():
            message = self._complete(session)
            said.append(message)
            self._save(session)
            for call in message.get("tool_calls") or ():
                raw = json.loads(call["function"]["arguments"])
                ran = self._use(session, raw, "execute", asks=True, title=raw["command"])
                result = "done" if ran else "refused"
                said.append({"role": "tool", "tool_call_id": call["id"], "content": result})
                self._save(session)
            if not message.get("tool_calls"):
                self._say(session, turn, message["content"])
                return "end_turn"
        return "cancelled"

    def _complete(self, session: dict[str, Any]) -> dict[str, Any]:
        from urllib.request import Request, urlopen  # slow to import, and seldom needed

        messages: list[dict[str, Any]] = []
        for turn in session["turns"]:
            messages += [{"role": "user", "content": turn["prompt"]}, *turn.get("said", ())]
        shell = {"name": "shell", "parameters": {"type": "object"}}
        tools = [{"type": "function", "function": shell}]
        body = json.dumps({"model": "any", "messages": messages, "tools": tools}).encode()
        request = Request(
            f"{self._switches['model']}/chat/completions",
            body,
            {"Content-Type": "application/json"},
        )
        with urlopen(request) as response:
            message: dict[str, Any] = json.load(response)["choices"][0]["message"]
            return message

    def _play(self, session: dict[str, Any], turn: dict[str, Any]) -> str:
        answers: list[str] = []
        reason = "end_turn"
        orders = _ORDER.findall(turn["prompt"])
        for name, value in orders:
            if name == "fail":
                code, _, text = value.partition(" ")
                raise _Error(int(code), text)
            if name == "reply":
                answers.append(value)
            elif name == "stop":
                reason = value
            elif not self._do(session, turn["prompt"], name, value):
                return "end_turn" if self._switches.get("cancel_is_end") else "cancelled"
        said = [name for name, _ in orders if name in ("empty", "stop")]
        text = answers[-1] if answers else "" if said else f"You said: {turn['prompt'][:60]}"
        self._say(session, turn, text)
        return reason

    def _do(self, session: dict[str, Any], prompt: str, name: str, value: str) -> bool:
        """Follow one order; False: the turn was cancelled."""
        if name == "sleep":
            return not self._cancelled.wait(float(value))
        if name == "hang" and self._is_due(session, name, value):
            self._cancelled.wait()
            return False
        if name == "die" and self._is_due(session, name, value):
            print("dying as told", file=sys.stderr, flush=True)
            os._exit(9)
        if name == "think":
            self._update(session, "agent_thought_chunk", content=_text(value))
        elif name == "notice":
            self._update(session, "agent_message_chunk", content=_text(value))
            self._update(
                session, "tool_call", toolCallId="n", kind="think", status="completed", title=""
            )
        elif name in ("run", "unasked"):
            raw, kind = {"command": value}, "execute"
            self._use(session, raw, kind, asks=name == "run", title=value)
        elif name == "ask":
            session.setdefault("answers", []).append(self._question(session, value))
        elif name == "write":
            path, _, content = value.partition(" ")
            raw, kind = {"file_path": path, "content": content}, "edit"
            self._use(session, raw, kind, asks=True, title=f"Write {path}")
        return not self._cancelled.is_set()

    def _is_due(self, session: dict[str, Any], name: str, value: str) -> bool:
        """Whether an order with a count still holds; counts outlive the process."""
        if not value.startswith("x"):
            return True
        counts = self._home / f"{session['id']}.{name}"
        before = int(counts.read_text("utf-8")) if counts.exists() else 0
        counts.write_text(str(before + 1), "utf-8")
        return before < int(value[1:])

    def _use(
        self, session: dict[str, Any], raw: dict[str, Any], kind: str, *, asks: bool, title: str
    ) -> bool:
        """Use a tool; whether that was allowed."""
        call = {"toolCallId": f"call-{uuid.uuid4().hex[:8]}", "kind": kind, "title": title}
        self._update(session, "tool_call", **call, status="pending", rawInput=raw)
        if asks and self._mode != "free" and not self._allowed(session, {**call, "rawInput": raw}):
            self._update(session, "tool_call_update", **call, status="failed")
            return False
        if kind == "execute":
            subprocess.run(["/bin/sh", "-c", raw["command"]], cwd=session["cwd"], check=False)
        else:
            (Path(session["cwd"]) / raw["file_path"]).write_text(raw["content"], "utf-8")
        self._update(session, "tool_call_update", **call, status="completed")
        return True

    def _allowed(self, session: dict[str, Any], call: dict[str, Any]) -> bool:
        options = [
            {"optionId": f"o-{kind}", "name": kind, "kind": kind}
            for kind in ("allow_once", "allow_always", "reject_once")
        ]
        answer = self._ask(
            "session/request_permission",
            {"sessionId": session["id"], "toolCall": call, "options": options},
        )
        outcome = (answer or {}).get("outcome", {})
        return str(outcome.get("optionId", "")).startswith("o-allow")

    def _question(self, session: dict[str, Any], value: str) -> Any:  # noqa: ANN401 - JSON
        message, *choices = value.split("|")
        field = {"type": "string", **({"enum": choices} if choices else {})}
        form = {"type": "object", "properties": {"answer": field}, "required": ["answer"]}
        own = {"sessionId": session["id"], "mode": "form", "message": message}
        said = self._ask("elicitation/create", {**own, "requestedSchema": form})
        return (said or {}).get("content")

    def _say(self, session: dict[str, Any], turn: dict[str, Any], text: str) -> None:
        for piece in re.findall(r"\S*\s*", text):
            if piece:
                self._update(session, "agent_message_chunk", content=_text(piece))
        turn["answer"] = text

    def _modes(self) -> dict[str, Any]:
        names = self._switches["modes"]
        if not names:
            return {}
        rows = [{"id": name, "name": name} for name in names]
        return {"modes": {"currentModeId": self._mode or names[0], "availableModes": rows}}

    def _get(self, parameters: dict[str, Any]) -> dict[str, Any]:
        session_id = parameters["sessionId"]
        if session_id not in self._fresh:
            try:
                self._fresh[session_id] = json.loads(self._file(session_id).read_text("utf-8"))
            except OSError:
                raise _Error(int(self._switches["unknown"]), "no such session") from None
        return self._fresh[session_id]

    def _save(self, session: dict[str, Any]) -> None:
        new = self._file(session["id"]).with_suffix(".new")
        new.write_text(json.dumps(session), "utf-8")
        new.replace(self._file(session["id"]))

    def _file(self, session_id: str) -> Path:
        return self._home / f"{session_id}.json"

    def _update(self, session: dict[str, Any], what: str, /, **update: object) -> None:
        body = {"sessionId": session["id"], "update": {"sessionUpdate": what, **update}}
        self._send({"method": "session/update", "params": body})

    def _ask(self, method: str, parameters: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        number = self._asked = self._asked + 1
        event = threading.Event()
        box: list[Any] = []
        self._waiting[number] = (event, box)
        self._send({"id": number, "method": method, "params": parameters})
        while not event.wait(0.05):
            if self._cancelled.is_set():
                return None
        return box[0]

    def _send(self, message: dict[str, Any]) -> None:
        with self._writing:
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            sys.stdout.flush()


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def command() -> list[str]:
    """The command that starts it, as a profile has it."""
    return [sys.executable, str(Path(__file__).resolve())]


if __name__ == "__main__":
    Agent().serve()
