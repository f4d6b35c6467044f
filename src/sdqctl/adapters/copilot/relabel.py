"""Giving a copied session folder of the Copilot runtime another id, name and working directory."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sdqctl.errors import SessionUnusableError
from sdqctl.fs import write_private

_FOLDERS = ("cwd", "git_root")


def relabel(
    folder: Path,
    session_id: str,
    cwd: str | None,
    *,
    name: str | None = None,
    keeps_name: bool = False,
) -> None:
    """Change workspace.yaml and the journal's first event; without a name it was named by no user,
    unless it keeps its own. Raises SessionUnusableError.
    """
    file = folder / "workspace.yaml"
    _change_workspace(file, session_id, cwd, name=name, keeps_name=keeps_name)
    _change_journal(folder / "events.jsonl", session_id, cwd)


def _change_workspace(
    file: Path, session_id: str, cwd: str | None, *, name: str | None, keeps_name: bool
) -> None:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SessionUnusableError(f"workspace.yaml cannot be read: {error}") from error
    wanted, gone = {"id": session_id}, set[str]()
    if name is not None:
        wanted |= {"name": _scalar(name), "user_named": "true"}
    elif not keeps_name:
        gone.add("user_named")
    if cwd is not None:
        wanted |= {key: _scalar(cwd) for key in _FOLDERS if _has(lines, key)}
    kept = [line for line in _without(lines, {*wanted, *gone}) if line.strip()]
    text = "\n".join([*(f"{key}: {value}" for key, value in wanted.items()), *kept, ""])
    write_private(file, text.encode())


def _without(lines: list[str], keys: set[str]) -> list[str]:
    """The lines without these top-level keys and what is indented below them."""
    kept, skipping = [], False
    for line in lines:
        if line[:1] not in (" ", "\t", ""):
            skipping = line.partition(":")[0].strip() in keys
        if not skipping:
            kept.append(line)
    return kept


def _has(lines: list[str], key: str) -> bool:
    return any(line.startswith(f"{key}:") for line in lines)


def _scalar(text: str) -> str:
    """A YAML double-quoted scalar; JSON's form is one."""
    return msgspec.json.encode(text).decode()


def _change_journal(file: Path, session_id: str, cwd: str | None) -> None:
    """The first event says id and folder, too. A journal that is not there stays so."""
    if not file.exists():
        return
    first, newline, rest = file.read_bytes().partition(b"\n")
    try:
        event = msgspec.json.decode(first, type=dict[str, object])
    except msgspec.MsgspecError as error:
        raise SessionUnusableError(f"the journal's first line is damaged: {error}") from error
    data = event.get("data")
    if event.get("type") != "session.start" or not isinstance(data, dict):
        raise SessionUnusableError("the journal does not begin with session.start")
    data["sessionId"] = session_id
    context = data.get("context")
    if cwd is not None and isinstance(context, dict):
        data["context"] = context | {key: cwd for key in context if key in ("cwd", "gitRoot")}
    write_private(file, msgspec.json.encode(event) + newline + rest)
