"""Runs that call runs: a tree in the ledger, by the step of the parent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from sdqctl.model.run import CalledRun, RunRecord, RunStatus, StepRecord
from sdqctl.model.session import SessionRef, Usage
from sdqctl.store.ledger import Ledger

_TREE = """
    WITH RECURSIVE tree (id) AS (
        SELECT ? UNION SELECT runs.id FROM runs JOIN tree ON runs.parent_run = tree.id
    )
"""


def called_at(ledger: Ledger, run_id: str, path: str) -> RunRecord | None:
    """The run that a step calls, if it was begun."""
    query = "SELECT id FROM runs WHERE parent_run = ? AND parent_path = ? ORDER BY number DESC"
    rows = ledger.rows(f"{query} LIMIT 1", run_id, path)
    return ledger.run(rows[0]["id"]) if rows else None


def last_number(ledger: Ledger, step: StepRecord) -> int:
    """The number of the last attempt that was begun for a step: in what it calls, else itself."""
    called = called_at(ledger, step.run_id, step.path) if step.kind == "call" else None
    if called is None or step.superseded:
        return step.number
    query = f"{_TREE} SELECT max(number) AS last FROM attempts WHERE run_id IN tree"
    return max(step.number, ledger.rows(query, called.id)[0]["last"] or 0)


def outermost(ledger: Ledger, run: RunRecord) -> RunRecord:
    """The run that was started: the one itself, or that which calls it."""
    while run.parent_run is not None and (outer := ledger.run(run.parent_run)) is not None:
        run = outer
    return run


def called_by(ledger: Ledger, run_id: str) -> list[RunRecord]:
    """The runs that a run calls, in the order they were begun; without those that were of a step
    that is gone.
    """
    query = "SELECT id FROM runs WHERE parent_run = ? AND parent_path IS NOT NULL ORDER BY number"
    found = (ledger.run(row["id"]) for row in ledger.rows(query, run_id))
    return [run for run in found if run is not None]


def tree_of(ledger: Ledger, run: RunRecord) -> CalledRun:
    """A run with all that it calls, and the gates at which they wait."""
    waits = run.status.unfinished
    gate = next((s for s in ledger.steps(run.id) if s.is_open_gate), None) if waits else None
    called = tuple(tree_of(ledger, one) for one in called_by(ledger, run.id))
    return CalledRun(run=run, called=called, gate=gate)


def adopt(ledger: Ledger, run_id: str, path: str, item: str) -> RunRecord | None:
    """The run of an item that a step which is gone had called: from now on this step calls it.

    Of equal items a completed one is taken first, then the one of the same number.
    """
    query = """
        SELECT id FROM runs WHERE parent_run = ? AND parent_path IS NULL AND item GLOB ?
        ORDER BY status = ? DESC, item = ? DESC, number DESC LIMIT 1
    """
    equals = f"{item.rpartition('.')[0]}.*"
    rows = ledger.rows(query, run_id, equals, RunStatus.COMPLETED.value, item)
    if not rows:
        return None
    found = str(rows[0]["id"])
    ledger.update_run(found, parent_path=path)
    return ledger.run(found)


def links_from(ledger: Ledger, ref: SessionRef) -> dict[str, tuple[str | None, str | None]]:
    """The runs in other sessions that the runs of a session have called, by their ids: the step
    that calls each, None if that is gone, and its item.
    """
    query = """
        SELECT c.id, c.parent_path, c.item FROM runs AS c JOIN runs AS p ON p.id = c.parent_run
        WHERE p.adapter = ?1 AND p.session_id = ?2
        AND (c.adapter, c.session_id) <> (p.adapter, p.session_id)
    """
    rows = ledger.rows(query, ref.adapter, ref.id)
    return {row["id"]: (row["parent_path"], row["item"]) for row in rows}


def link_again(ledger: Ledger, links: Mapping[str, tuple[str | None, str | None]]) -> None:
    """Let steps call runs as they did (`links_from`)."""
    with ledger.database.write("ledger.redo") as connection:
        connection.executemany(
            "UPDATE runs SET parent_path = ?, item = ? WHERE id = ?",
            [(*link, run_id) for run_id, link in links.items()],
        )


def steps_of_called(ledger: Ledger, run_id: str) -> Iterator[StepRecord]:
    """The last attempts at all steps of the runs that a run calls, and of those that they call."""
    for run in called_by(ledger, run_id):
        yield from ledger.steps(run.id)
        yield from steps_of_called(ledger, run.id)


def usages_of_tree(ledger: Ledger, run_id: str) -> list[Usage]:
    """What each call of a model used in a run and all that it called, also in what is no longer
    part of it.
    """
    query = f"{_TREE} SELECT usage FROM attempts WHERE run_id IN tree AND usage <> '{{}}'"
    found = (msgspec.json.decode(row["usage"], type=Usage) for row in ledger.rows(query, run_id))
    return [usage for usage in found if usage.model_calls]


def steps_of_tree(ledger: Ledger, run_id: str) -> int:
    """How many steps a run has unfolded to by now: those in its blocks, and in what it calls."""
    query = """
        WITH RECURSIVE tree (id) AS (
            SELECT ? UNION SELECT runs.id FROM runs JOIN tree ON runs.parent_run = tree.id
            WHERE runs.parent_path IS NOT NULL
        )
        SELECT count(DISTINCT run_id || ' ' || path) AS steps FROM attempts
        WHERE run_id IN tree AND superseded = 0 AND (run_id <> ? OR path GLOB '*[^0-9]*')
    """
    rows = ledger.rows(query, run_id, run_id)
    return int(rows[0]["steps"]) if rows else 0


def seconds_of_tree(ledger: Ledger, run: RunRecord) -> float:
    """How long a run was driven. Of a process that was killed only as far as it recorded anything
    of the run, or of what that calls.
    """
    if run.running_since is None:
        return run.seconds
    last = "max(coalesce(completed_at, started_at))"
    query = f"{_TREE} SELECT {last} AS last FROM attempts WHERE run_id IN tree"
    seen = ledger.rows(query, run.id)[0]["last"]
    if seen is None:
        return run.seconds
    killed = datetime.fromisoformat(seen) - run.running_since
    return run.seconds + max(0.0, killed.total_seconds())


def tree_ids(ledger: Ledger, run_id: str) -> list[str]:
    """A run and all that it calls, by their ids."""
    return [str(row["id"]) for row in ledger.rows(f"{_TREE} SELECT id FROM tree", run_id)]


def sessions_of_trees(ledger: Ledger) -> Iterator[tuple[SessionRef, SessionRef]]:
    """Each session in which a run was called from another session, with that one."""
    query = """
        SELECT DISTINCT c.adapter AS adapter, c.session_id AS id,
            p.adapter AS parent_adapter, p.session_id AS parent_id
        FROM runs AS c JOIN runs AS p ON p.id = c.parent_run
        WHERE (c.adapter, c.session_id) <> (p.adapter, p.session_id)
    """
    for row in ledger.rows(query):
        yield (
            SessionRef(row["adapter"], row["id"]),
            SessionRef(row["parent_adapter"], row["parent_id"]),
        )
