"""Runs as jobs of CI: their state in a file, their log, and what they report."""
