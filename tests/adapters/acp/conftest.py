"""The fixture of the scripted agent."""

from tests.adapters.acp.scripted import scripted

__all__ = ["scripted"]
