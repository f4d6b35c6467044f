"""The fixture of the scripted agent."""

from tests.acp.scripted import scripted

__all__ = ["scripted"]
