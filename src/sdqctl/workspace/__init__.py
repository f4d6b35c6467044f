"""The work tree of a session, by git: snapshots, worktrees, bringing changes elsewhere."""
