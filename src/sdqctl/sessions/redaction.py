"""A session without its secrets: its files and rows for a bundle, its turns and runs for an export.

A journal is cleaned within the strings of its events, line by line, so that it stays a journal:
kinds, ids, order and times of its events are what they were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sdqctl.model.paths import first_round
from sdqctl.model.run import prompt_digest
from sdqctl.store.redact import MARK, Redactor
from sdqctl.store.transfer import Row, SessionRows

_LARGEST = 64 * 1024**2
"""Bytes of a file other than a journal that is looked through."""
_IDENTITY = ("_id", "_at", "digest", "_path", "id", "status", "kind", "adapter", "cwd", "name")
_Record = TypeVar("_Record")


def clean_record(record: _Record, redact: Redactor) -> _Record:
    """A record without the secrets in its texts."""
    return clean_records([record], redact)[0]


def clean_records(records: list[_Record], redact: Redactor) -> list[_Record]:
    """Records of one kind without the secrets in their texts."""
    data = [msgspec.to_builtins(record) for record in records]
    clean = redact.data(data)
    return records if clean is data else msgspec.convert(clean, list[type(records[0])])  # type: ignore[misc]


class Cleaner:
    """Takes secrets out of what goes into a bundle, and remembers whether there were any."""

    def __init__(
        self, redact: Redactor, digests: Callable[[Row, str], Sequence[tuple[str, str]]]
    ) -> None:
        """`digests` are the paths in a first round, with the digests, of the steps that a run's row
        makes of a workflow's text.
        """
        self._redact = redact
        self._digests = digests
        self.changed = False
        self.left_out: list[str] = []
        """Files that are no text and hold a secret, or are too large to look through."""

    def file(self, name: str, path: Path) -> Iterable[bytes] | None:
        """A file's content in pieces; None when it has to be left out. Raises OSError."""
        if name.endswith(".jsonl"):
            return self._journal(path)
        if path.stat().st_size > _LARGEST:
            self.left_out.append(name)
            return None
        data = path.read_bytes()
        try:
            return [self.text(data.decode()).encode()]
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        if self._redact(text) == text:
            return [data]
        self.left_out.append(name)
        return None

    def text(self, text: str) -> str:
        """A text."""
        clean = self._redact(text)
        self.changed = self.changed or clean != text
        return clean

    def rows(
        self, rows: SessionRows, workflows: Mapping[str, str]
    ) -> tuple[SessionRows, dict[str, str]]:
        """The ledger's rows, and the workflows' texts by run.

        What rows are known by stays: names, ids, states, times. A step that has lost a secret is
        known by the digest of what is left, so that one that is done stays done.
        """
        texts = {run_id: self.text(text) for run_id, text in workflows.items()}
        digests: dict[tuple[str, str, str], str] = {}
        for run in rows.runs:
            old, new = workflows.get(run["id"]), texts.get(run["id"])
            if old is None or new is None or old == new:
                continue
            pairs = zip(self._digests(run, old), self._digests(run, new), strict=False)
            for (path, before), (_, after) in pairs:
                digests[run["id"], path, before] = after
        clean = SessionRows(
            runs=[self._row(row, digests) for row in rows.runs],
            attempts=[self._row(row, digests) for row in rows.attempts],
            tool_requests=[self._row(row, digests) for row in rows.tool_requests],
        )
        return clean, texts

    def _row(self, row: Row, digests: Mapping[tuple[str, str, str], str]) -> Row:
        clean = {name: self._column(name, value) for name, value in row.items()}
        path = first_round(str(row.get("path", "")))
        known_by = (row.get("run_id", ""), path, row.get("digest", ""))
        if known_by in digests:
            clean["digest"] = digests[known_by]
        prompt = clean.get("prompt")
        if isinstance(prompt, str) and MARK in prompt:  # the journal has it in this form, too
            clean["prompt_digest"] = prompt_digest(prompt)
        return clean

    def _column(self, name: str, value: Any) -> Any:  # noqa: ANN401 - a value of SQLite
        if not isinstance(value, str) or name.endswith(_IDENTITY):
            return value
        if value[:1] in ("{", "["):
            return self._json(value) or self.text(value)
        return self.text(value)

    def _journal(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as lines:
            for line in lines:
                text = line.decode("utf-8", "surrogateescape")
                clean = self._json(text.rstrip("\r\n"))
                clean = self.text(text) if clean is None else clean + "\n"
                yield clean.encode("utf-8", "surrogateescape")

    def _json(self, text: str) -> str | None:
        """A JSON text, unchanged to the byte where it holds no secret; None when it is none."""
        try:
            value = json.loads(text)
            clean = self._redact.data(value)
        except (ValueError, RecursionError):
            return None
        if clean == value:
            return text
        self.changed = True
        return json.dumps(clean, separators=(",", ":"))
