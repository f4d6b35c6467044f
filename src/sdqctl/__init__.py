"""Run scripted workflows in named, persistent coding-agent sessions."""

__version__ = "0.2.0"
