"""A shell command as a step: kept beyond a kill, bounded, ended with all it started."""
