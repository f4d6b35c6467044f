"""The ledger's schema, as named forward-only migrations. One that was released is never edited."""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "0001-runs-and-attempts",
        (
            """
            CREATE TABLE sessions (
                adapter TEXT NOT NULL,
                id TEXT NOT NULL,
                name TEXT NOT NULL,
                cwd TEXT,
                created_at TEXT NOT NULL,
                PRIMARY KEY (adapter, id)
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE runs (
                id TEXT PRIMARY KEY,
                adapter TEXT NOT NULL,
                session_id TEXT NOT NULL,
                session_name TEXT,
                workflow TEXT,
                workflow_path TEXT,
                workflow_text TEXT,
                status TEXT NOT NULL,
                steps_total INTEGER NOT NULL,
                options TEXT NOT NULL,
                cwd TEXT,
                model TEXT,
                message TEXT,
                pid INTEGER,
                started_at TEXT NOT NULL,
                updated_at TEXT NOT NULL,
                completed_at TEXT
            ) WITHOUT ROWID
            """,
            "CREATE INDEX runs_by_session ON runs (adapter, session_id)",
            """
            CREATE TABLE plan_steps (
                run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
                position INTEGER NOT NULL,
                cycle INTEGER NOT NULL,
                kind TEXT NOT NULL,
                title TEXT NOT NULL,
                digest TEXT NOT NULL,
                PRIMARY KEY (run_id, position)
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE attempts (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
                position INTEGER NOT NULL,
                cycle INTEGER NOT NULL,
                kind TEXT NOT NULL,
                title TEXT NOT NULL,
                digest TEXT NOT NULL,
                status TEXT NOT NULL,
                superseded INTEGER NOT NULL DEFAULT 0,
                session_id TEXT,
                turn_id TEXT,
                prompt TEXT,
                prompt_digest TEXT,
                message_id TEXT,
                journal_position INTEGER,
                response TEXT,
                tools TEXT NOT NULL DEFAULT '[]',
                usage TEXT NOT NULL DEFAULT '{}',
                error TEXT,
                exit_status INTEGER,
                started_at TEXT NOT NULL,
                completed_at TEXT
            )
            """,
            "CREATE INDEX attempts_by_run ON attempts (run_id, position, number)",
            "CREATE INDEX attempts_by_session ON attempts (session_id)",
        ),
    ),
    (
        "0002-kept-sessions",
        (
            """
            CREATE TABLE kept_sessions (
                adapter TEXT NOT NULL,
                id TEXT NOT NULL,
                PRIMARY KEY (adapter, id)
            ) WITHOUT ROWID
            """,
        ),
    ),
    (
        "0003-positions-count-turns",
        ("UPDATE attempts SET journal_position = NULL",),  # they were sizes in bytes
    ),
    (
        "0004-runs-are-numbered",  # their ids follow the clock, which may go back
        (
            "ALTER TABLE runs ADD COLUMN number INTEGER",
            """
            UPDATE runs SET number = places.place FROM (
                SELECT id, row_number() OVER (ORDER BY begun, id) AS place FROM (
                    SELECT id, coalesce(
                        (SELECT min(a.number) FROM attempts AS a WHERE a.run_id = r.id),
                        (SELECT max(a.number) FROM attempts AS a WHERE a.run_id < r.id),
                        0
                    ) AS begun FROM runs AS r
                )
            ) AS places WHERE places.id = runs.id
            """,
            "CREATE UNIQUE INDEX runs_by_number ON runs (number)",
        ),
    ),
    (
        "0005-gates-are-shown",
        (
            "ALTER TABLE attempts ADD COLUMN shown_at TEXT",
            """
            UPDATE attempts SET shown_at = started_at
            WHERE status = 'begun' AND kind IN ('pause', 'consult') AND EXISTS (
                SELECT 1 FROM runs WHERE runs.id = attempts.run_id
                AND runs.updated_at > attempts.started_at
            )
            """,  # the run was written once more just before the message was
        ),
    ),
    (
        "0006-prompts-that-follow-up",
        ("ALTER TABLE attempts ADD COLUMN follows TEXT",),  # the turn_id of the interrupted prompt
    ),
    (
        "0007-folders-of-commands",
        ("ALTER TABLE attempts ADD COLUMN command TEXT",),
    ),
    (
        "0008-tool-requests",
        (
            """
            CREATE TABLE tool_requests (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
                session_id TEXT NOT NULL,
                position INTEGER,
                attempt INTEGER,
                turn_id TEXT,
                tool_call_id TEXT,
                tool TEXT,
                kind TEXT NOT NULL,
                target TEXT NOT NULL,
                allowed INTEGER NOT NULL,
                decided_by TEXT NOT NULL,
                reason TEXT NOT NULL,
                source TEXT NOT NULL,
                decided_at TEXT NOT NULL
            )
            """,
            "CREATE INDEX tool_requests_by_session ON tool_requests (session_id)",
            "CREATE INDEX tool_requests_by_run ON tool_requests (run_id)",
            "ALTER TABLE attempts ADD COLUMN audited INTEGER NOT NULL DEFAULT 0",
        ),
    ),
    (
        "0009-plans-come-from-workflows",
        ("DROP TABLE plan_steps",),  # a run's plan is made again from its workflow
    ),
    (
        "0010-snapshots-of-the-tree",
        (
            "ALTER TABLE attempts ADD COLUMN snapshot_before TEXT",
            "ALTER TABLE attempts ADD COLUMN snapshot TEXT",
            "ALTER TABLE runs ADD COLUMN keeper TEXT",  # the git folder that they lie in
        ),
    ),
    (
        "0011-steps-have-paths",  # the position in a list is a path of one number
        (
            "DROP INDEX attempts_by_run",
            "ALTER TABLE attempts ADD COLUMN path TEXT NOT NULL DEFAULT ''",
            "UPDATE attempts SET path = CAST(position AS TEXT)",
            "ALTER TABLE attempts DROP COLUMN position",
            "CREATE INDEX attempts_by_run ON attempts (run_id, path, number)",
            "ALTER TABLE tool_requests ADD COLUMN path TEXT",
            "UPDATE tool_requests SET path = CAST(position AS TEXT)",
            "ALTER TABLE tool_requests DROP COLUMN position",
        ),
    ),
    (
        "0012-values",
        (
            "ALTER TABLE runs ADD COLUMN inputs TEXT",
            "ALTER TABLE attempts ADD COLUMN value TEXT",
            "ALTER TABLE attempts ADD COLUMN answer TEXT",  # what a human said at a gate
            "ALTER TABLE attempts ADD COLUMN comment TEXT",
        ),
    ),
    (
        "0013-runs-call-runs",
        (
            "ALTER TABLE runs ADD COLUMN parent_run TEXT",
            "ALTER TABLE runs ADD COLUMN parent_path TEXT",  # NULL: no step of it calls it any more
            "ALTER TABLE runs ADD COLUMN item TEXT",  # what an item of a list is known by
            "CREATE INDEX runs_by_parent ON runs (parent_run, parent_path)",
        ),
    ),
    (
        "0014-time-that-was-used",
        (
            "ALTER TABLE runs ADD COLUMN seconds REAL NOT NULL DEFAULT 0",
            "ALTER TABLE runs ADD COLUMN running_since TEXT",  # NULL: its time is in `seconds`
        ),
    ),
    (
        "0017-runs-are-spoken-to",
        (
            """
            CREATE TABLE questions (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
                request TEXT NOT NULL,
                why TEXT NOT NULL,
                asked_at TEXT NOT NULL,
                answer TEXT,
                closed_at TEXT
            )
            """,
            "CREATE INDEX questions_by_run ON questions (run_id)",
            """
            CREATE TABLE interrupts (
                run_id TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
                asked_at TEXT NOT NULL
            ) WITHOUT ROWID
            """,
        ),
    ),
    (
        "0018-attempts-side-by-side",  # moments: in one order with the numbers of attempts
        (
            "ALTER TABLE attempts ADD COLUMN seen INTEGER",  # when `snapshot_before` was looked at
            "ALTER TABLE attempts ADD COLUMN ended INTEGER",
            "CREATE INDEX attempts_by_end ON attempts (ended) WHERE ended IS NOT NULL",
            "CREATE INDEX attempts_open ON attempts (number) WHERE status = 'begun'",
        ),
    ),
    (
        "0019-intentions",  # what was about to be done in a runtime, until it is recorded as done
        (
            """
            CREATE TABLE copies_begun (
                adapter TEXT NOT NULL,
                name TEXT NOT NULL,
                original TEXT NOT NULL,
                turns TEXT NOT NULL,
                PRIMARY KEY (adapter, name)
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE unsettled_sessions (
                adapter TEXT NOT NULL,
                id TEXT NOT NULL,
                with_files INTEGER NOT NULL,
                bundle TEXT,
                PRIMARY KEY (adapter, id)
            ) WITHOUT ROWID
            """,
        ),
    ),
)
