"""Bare SQLite: as many durable commits as the ledger makes, one row each. Usage: commits.py N."""

import sqlite3
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    connection = sqlite3.connect(Path(folder) / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")
    for number in range(int(sys.argv[1])):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows (text) VALUES (?)", (f"row {number} " * 20,))
        connection.execute("COMMIT")
    connection.close()
