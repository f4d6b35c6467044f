"""Judging a command line: what it runs, sets, opens and names, under the rules."""
