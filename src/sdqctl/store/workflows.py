"""Workflows whose text has no file of the user's: it is kept here as long as a run needs it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from sdqctl.fs import make_private_folder, write_private
from sdqctl.store.ledger import Ledger


def workflows_folder(home: Path) -> Path:
    """Where they lie, each in a folder of its own."""
    return home / "workflows"


def kept_file(home: Path, file: str, adapter: str, session_name: str, text: str) -> Path:
    """Where a text is kept for a session, as `file`: the same text again is the same workflow."""
    parts = "\0".join((adapter, session_name.casefold(), text))
    digest = hashlib.sha256(_encoded(parts)).hexdigest()[:16]
    return workflows_folder(home) / f"{Path(file).stem}-{digest}" / file


def keep_text(path: Path, text: str) -> None:
    """Write a text to its place, for its owner alone. Raises StoreError."""
    make_private_folder(path.parent)
    write_private(path, _encoded(text))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def keep_beside_others(home: Path, file: str, adapter: str, session_name: str, text: str) -> Path:
    """Keep a text for a session as `kept_file` says, and return its place: a further one where
    another text stands, as when its user edited what was kept. Raises StoreError.
    """
    for number in count():
        owner = f"{session_name}\0{number}" if number else session_name
        path = kept_file(home, file, adapter, owner, text)
        try:
            if path.read_bytes() == _encoded(text):
                return path
        except FileNotFoundError:
            keep_text(path, text)
            return path
        except OSError:
            continue
    raise AssertionError("numbers do not end")


def is_used(path: str, ledger: Ledger) -> bool:
    """Whether a run has a file for its workflow."""
    return bool(ledger.rows("SELECT 1 FROM runs WHERE workflow_path = ? LIMIT 1", path))


def remove_unused(home: Path, paths: Iterable[str | None], ledger: Ledger) -> None:
    """Remove those of the files that lie here and that no run has for its workflow any more, nor
    any file beside them: a workflow and those that it calls stand together.
    """
    query = "SELECT 1 FROM runs WHERE substr(workflow_path, 1, length(?)) = ? LIMIT 1"
    for path in {Path(name) for name in paths if name is not None}:
        beside = f"{path.parent}/"
        kept = path.parent.parent == workflows_folder(home) and ".." not in path.parts
        if kept and not ledger.rows(query, beside, beside):
            shutil.rmtree(path.parent, ignore_errors=True)
