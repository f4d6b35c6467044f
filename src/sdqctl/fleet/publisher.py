"""From a session on this machine to its next state in the store."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sdqctl.fleet.copies import Copy, mark_of, read_copy, write_copy
from sdqctl.fleet.database import Database
from sdqctl.fleet.leases import Lease
from sdqctl.fleet.states import Published, View, new_token, publish
from sdqctl.model.session import SessionInfo, SessionRef
from sdqctl.sessions.access import Access
from sdqctl.sessions.states import StateWriter


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

    def __post_init__(self) -> None:
        self._writer = StateWriter(self.access, self.note)

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
            self._writer.write(info, file, steady=True)
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
        info = self._writer.look(ref)
        with self.access.ledger(read_only=True) as ledger:
            run = ledger.last_runs([ref]).get(ref)
        if run is not None:
            run = msgspec.structs.replace(run, options="{}", inputs=None)
        turns = self.access.archive(ref.adapter).count_turns(ref.id)
        return info, View(info=_listed(info), run=run, turns=turns)


def _listed(info: SessionInfo) -> SessionInfo:
    """A session as others may see it in a list: its summary is the beginning of a prompt."""
    return msgspec.structs.replace(info, summary=None)
