"""Runs as jobs of CI."""
