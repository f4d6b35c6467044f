"""What another machine needs to go on with a session: its bundle with its files, written."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import msgspec

from sdqctl.errors import SessionNotFoundError, UsageError
from sdqctl.model.session import SessionInfo, SessionRef
from sdqctl.sessions.access import Access
from sdqctl.sessions.transfer import Carried, write_session
from sdqctl.store.redact import Redactor


class StateWriter:
    """Writes the states of one session, and says once what does not go along."""

    def __init__(self, access: Access, note: Callable[[str], None]) -> None:
        self._access = access
        self._note = note
        self._said: set[str] = set()

    def look(self, ref: SessionRef) -> SessionInfo:
        """The session as it is, with its name. Raises SessionNotFoundError."""
        info = self._access.archive(ref.adapter).get(ref.id)
        if info is None:
            raise SessionNotFoundError(f"there is no session {ref.id!r} any more")
        with self._access.ledger(read_only=True) as ledger:
            name = info.name or ledger.session_names([ref]).get(ref)
        return msgspec.structs.replace(info, name=name)

    def write(self, info: SessionInfo, file: Path, *, steady: bool = False) -> None:
        """Write a state, without its secrets; `steady` as in `write_bundle`. Raises StoreError."""
        try:
            carried = self._written(info, file, with_files=True, steady=steady)
        except UsageError as error:
            self._say(f"its files are not published: {error.message}")
            carried = self._written(info, file, with_files=False, steady=steady)
        self._report(carried)

    def _written(self, info: SessionInfo, file: Path, *, with_files: bool, steady: bool) -> Carried:
        redact = self._redact
        return write_session(
            self._access, info, file, with_files=with_files, steady=steady, redact=redact
        )

    @cached_property
    def _redact(self) -> Redactor:
        return Redactor(self._access.environment)

    def _report(self, carried: Carried) -> None:
        for name in carried.left_out:
            self._say(f"{name} is not published: it cannot be looked through, or has a secret")
        if carried.left_behind:
            self._say(carried.left_behind)
        if carried.changed:
            self._say(
                "what looks like a secret is not published, nor in the steps that are still to run"
            )

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._note(text)
