"""From a session on this machine to its next state in the store."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec

from sdqctl.errors import SessionNotFoundError, UsageError
from sdqctl.fleet.copies import Copy, mark_of, read_copy, write_copy
from sdqctl.fleet.database import Database
from sdqctl.fleet.leases import Lease
from sdqctl.fleet.states import Published, View, new_token, publish
from sdqctl.model.session import SessionInfo, SessionRef
from sdqctl.sessions.access import Access
from sdqctl.sessions.transfer import Carried, write_session
from sdqctl.store.redact import Redactor


@dataclass
class Publisher:
    """Publishes the states of one session, one after the other, from any thread."""

    access: Access
    database: Database
    store: str
    """What the store is known by."""
    lease: Lease
    note: Callable[[str], None]
    patience: float = 0.0
    """Seconds that it waits for a store that is out of reach."""
    hurry: threading.Event = field(default_factory=threading.Event)
    """Set: it is not waited for any longer."""
    _one: threading.Lock = field(default_factory=threading.Lock)
    _said: set[str] = field(default_factory=set)

    @cached_property
    def _redact(self) -> Redactor:
        return Redactor(self.access.environment)

    def publish(self, ref: SessionRef) -> Published | None:
        """Publish how the session is now; None when the store has it so already.

        Raises LeaseLostError, StoreUnreachableError, StoreError, SessionNotFoundError.
        """
        with self._one, tempfile.TemporaryDirectory(prefix="sdqctl-") as folder:
            (info, view), mark = self._look(ref), mark_of(self.access, ref)
            before = read_copy(self.access.home, self.store, ref)
            known = before is not None and before.session == self.lease.session
            if before is not None and known and (before.mark, len(before.tokens)) == (mark, 1):
                return None
            file, token = Path(folder) / "state", new_token()
            self._write(info, file)
            tokens = (*before.tokens[-1:], token) if before is not None and known else (token,)
            copy = Copy(session=self.lease.session, tokens=tokens, mark=mark)
            write_copy(self.access.home, self.store, ref, copy)
            done = self.database.patiently(
                lambda: publish(self.database, self.lease, file, view, token),
                self.patience,
                self.hurry,
            )
            copy = msgspec.structs.replace(copy, tokens=(token,))
            write_copy(self.access.home, self.store, ref, copy)
            return done

    def _look(self, ref: SessionRef) -> tuple[SessionInfo, View]:
        archive = self.access.archive(ref.adapter)
        info = archive.get(ref.id)
        if info is None:
            raise SessionNotFoundError(f"there is no session {ref.id!r} any more")
        with self.access.ledger(read_only=True) as ledger:
            info = msgspec.structs.replace(info, name=info.name or ledger.session_names().get(ref))
            run = ledger.last_runs().get(ref)
        if run is not None:
            run = msgspec.structs.replace(run, options="{}", inputs=None)
        turns = archive.count_turns(ref.id)
        return info, View(info=_listed(info), run=run, turns=turns)

    def _write(self, info: SessionInfo, file: Path) -> None:
        try:
            carried = self._written(info, file, with_files=True)
        except UsageError as error:
            self._say(f"its files are not published: {error.message}")
            carried = self._written(info, file, with_files=False)
        self._report(carried)

    def _written(self, info: SessionInfo, file: Path, *, with_files: bool) -> Carried:
        return write_session(
            self.access, info, file, with_files=with_files, steady=True, redact=self._redact
        )

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
            self.note(text)


def _listed(info: SessionInfo) -> SessionInfo:
    """A session as others may see it in a list: its summary is the beginning of a prompt."""
    return msgspec.structs.replace(info, summary=None)
