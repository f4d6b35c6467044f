"""Judging command lines as bash(1) would read them."""
