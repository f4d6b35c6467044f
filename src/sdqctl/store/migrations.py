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
)
