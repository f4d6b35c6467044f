"""The Copilot runtime's sessions, read from its files: no runtime, no SDK.

Layout (runtime 1.0.102): `<COPILOT_HOME>/session-state/<id>/` with `workspace.yaml` (flat keys),
`events.jsonl` (the journal) and `inuse.<pid>.lock` while a process has it open.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sdqctl.adapters.copilot.disk_index import DiskIndex, Fingerprint, Row, fingerprint_of
from sdqctl.adapters.copilot.relabel import relabel
from sdqctl.adapters.copilot.settings import copilot_home
from sdqctl.adapters.files import install
from sdqctl.adapters.folders import FolderArchive
from sdqctl.adapters.journal import count_turns
from sdqctl.adapters.settings import AdapterSettings
from sdqctl.foreign import at_once
from sdqctl.model.session import Holder, SessionInfo
from sdqctl.process import may_hold

_KNOWN_FILES = {"workspace.yaml", "events.jsonl"}
_HEAD = 8192
_SUMMARY = 200
_PLAIN = re.compile(r"^([^\s#:-][^:\n]*):(.*)$", re.MULTILINE)
_SPECIAL = re.compile(r"""^[^:\n]*:[ \t]*["'|>]""", re.MULTILINE)
"""A scalar that is not plain; most files have none."""


class CopilotArchive(FolderArchive):
    """Reads sessions from disk (SessionArchive)."""

    name = "copilot"

    def __init__(self, settings: AdapterSettings) -> None:
        super().__init__(copilot_home(settings) / "session-state")
        self._data_dir = settings.data_dir
        self._turns: dict[str, tuple[Fingerprint, int | None]] = {}
        """How many turns a list found, and in which state of the journal."""
        self._unmarked: dict[str, int] = {}
        """Times of folders in which a list found no in-use marker."""

    def sessions(self) -> Iterator[SessionInfo]:
        """All sessions with a journal or a workspace file, in no order."""
        try:
            entries = os.scandir(self._root)
        except OSError:
            return
        index = DiskIndex(self._data_dir, str(self._root))
        with entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    info = self._listed(entry.name, index)
                    if info is not None:
                        yield info
        index.save()

    def _listed(self, session_id: str, index: DiskIndex) -> SessionInfo | None:
        """One session of a list: from the index where its files did not change."""
        folder = f"{self._root}/{session_id}"
        journal = fingerprint_of(f"{folder}/events.jsonl")
        workspace = fingerprint_of(f"{folder}/workspace.yaml")
        row = index.row(session_id, workspace, journal)
        if row is None:
            info = self._read(session_id)
            if info is None:
                return None
            turns = count_turns(f"{folder}/events.jsonl")
            row = Row(workspace, journal, _unmarked(folder, index.settled), turns, info)
            index.add(session_id, row)
        self._turns[session_id] = (journal, row.turns)
        self._unmarked[session_id] = row.unmarked
        return row.info

    def layout_is_unknown(self) -> bool:
        """Whether there are folders with something in them, and none has a file we know."""
        strange = False
        try:
            with os.scandir(self._root) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
                        continue
                    names = set(os.listdir(entry.path))
                    if names & _KNOWN_FILES:
                        return False
                    strange = strange or bool(names)
        except OSError:
            return False
        return strange

    def count_turns(self, session_id: str) -> int | None:
        """How many prompts the journal holds."""
        path = f"{self._root}/{session_id}/events.jsonl"
        known = self._turns.get(session_id)
        if known is not None and known[0] == fingerprint_of(path):
            return known[1]
        return count_turns(path)

    def install(
        self,
        staged: Path,
        session_id: str,
        *,
        name: str | None,
        cwd: str | None,
        unchanged: bool = False,
    ) -> None:
        """Write id, name and folder into workspace.yaml and the journal's head, then move."""
        if not unchanged:
            relabel(staged, session_id, cwd, name=name)
        install(staged, self._root / session_id)

    def relocate(self, session_id: str, cwd: str) -> None:
        """Write the folder into workspace.yaml and the journal's head (Relocates)."""
        relabel(self._root / session_id, session_id, cwd, keeps_name=True)

    def holder(self, session_id: str) -> Holder | None:
        """The live process that marked the session as in use."""
        folder = f"{self._root}/{session_id}"
        try:
            if os.stat(folder).st_mtime_ns == self._unmarked.get(session_id):
                return None
            names = os.listdir(folder)
        except OSError:
            return None
        for name in names:
            if _is_marker(name):
                pid = name[6:-5]
                if pid.isdecimal() and _holds(int(pid), f"{folder}/{name}"):
                    return Holder(pid=int(pid), command="copilot")
        return None

    def _read(self, session_id: str) -> SessionInfo | None:
        folder = f"{self._root}/{session_id}"
        try:
            stat = os.stat(f"{folder}/events.jsonl")
        except OSError:
            stat = None
        values, damage = _workspace(f"{folder}/workspace.yaml")
        if stat is None and values is None:
            return None
        known = values or {}
        start = _time(known.get("created_at"))
        modified = datetime.fromtimestamp(stat.st_mtime, UTC) if stat else None
        named = known.get("user_named") == "true"
        text = known.get("name") or ""
        if stat is None:
            damage = damage or "the journal is missing"
        elif stat.st_size == 0:
            damage = damage or "the journal is empty"
        head = None
        if start is None or (not text and stat is not None):
            head = _head(f"{folder}/events.jsonl")
            start, text = start or _start_time(head), text or _first_prompt(head)
        return SessionInfo(
            id=session_id,
            adapter=self.name,
            name=text if named and text else None,
            summary=" ".join(text.split())[:_SUMMARY] or None,
            start_time=start,
            modified_time=modified or _time(known.get("updated_at")) or start,
            is_remote=known.get("is_remote") == "true" or "remote_session_id" in known,
            client=known.get("client_name"),
            model=known.get("selected_model"),
            cwd=known.get("cwd"),
            repository=known.get("repository"),
            branch=known.get("branch"),
            stored=stat is not None,
            damage=damage,
        )


def _is_marker(name: str) -> bool:
    return name.startswith("inuse.") and name.endswith(".lock")


def _unmarked(folder: str, settled: int) -> int:
    """The time of a folder without in-use markers, 0 of one that has some or is just changing."""
    try:
        changed = os.stat(folder).st_mtime_ns
        marked = any(map(_is_marker, os.listdir(folder)))
    except OSError:
        return 0
    return 0 if marked or changed >= settled else changed


def _holds(pid: int, marker: str) -> bool:
    try:
        return may_hold(pid, os.stat(marker).st_mtime, "copilot")
    except OSError:  # it was just taken away
        return False


def _workspace(path: str) -> tuple[dict[str, str] | None, str | None]:
    """The flat keys of workspace.yaml, and what is wrong with the file."""
    try:
        with open(path, "rb", buffering=0, opener=at_once) as stream:
            data = stream.readall()
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"workspace.yaml cannot be read: {error.strerror}"
    values = parse_flat_yaml(data.decode("utf-8", "replace"))
    if "id" not in values:
        return values, "workspace.yaml is not what the runtime writes"
    return values, None


def parse_flat_yaml(text: str) -> dict[str, str]:
    """The top-level scalars of a YAML mapping: plain, quoted, and block (`|`, `>`) ones."""
    if not _SPECIAL.search(text):
        return {key: value.strip() for key, value in _PLAIN.findall(text)}
    values: dict[str, str] = {}
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        key, colon, value = line.partition(":")
        if not colon or line[:1] in (" ", "\t", "#", "-", ""):
            continue
        value = value.strip()
        if value[:1] in ("|", ">"):
            body = []
            while index < len(lines) and (lines[index][:1] in (" ", "") or not lines[index]):
                body.append(lines[index].strip())
                index += 1
            value = ("\n" if value[0] == "|" else " ").join(body).strip()
        elif value[:1] == '"':
            value = _double_quoted(value)
        elif value[:1] == "'":
            value = value[1:-1].replace("''", "'")
        values[key.strip()] = value
    return values


def _double_quoted(value: str) -> str:
    try:
        return msgspec.json.decode(value, type=str)
    except msgspec.MsgspecError:
        return value.strip('"')


def _head(path: str) -> list[dict[str, object]]:
    """The first events of a journal."""
    try:
        with open(path, "rb", opener=at_once) as stream:
            lines = stream.read(_HEAD).split(b"\n")
    except OSError:
        return []
    events = []
    for line in lines:
        try:
            event = msgspec.json.decode(line, type=dict[str, object])
        except msgspec.MsgspecError:
            continue
        events.append(event)
    return events


def _start_time(events: list[dict[str, object]]) -> datetime | None:
    return next((_time(event.get("timestamp")) for event in events), None)


def _first_prompt(events: list[dict[str, object]]) -> str:
    for event in events:
        data = event.get("data")
        if event.get("type") == "user.message" and isinstance(data, dict):
            return str(data.get("content") or "")
    return ""


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        return None
