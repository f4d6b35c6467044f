"""Records without I/O: workflows, sessions, runs and events."""
