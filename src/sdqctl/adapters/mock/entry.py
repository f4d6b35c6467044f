"""The mock's entry (`sdqctl.adapters`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdqctl.adapters.entry import AdapterEntry, Outlook

if TYPE_CHECKING:
    from sdqctl.adapters.base import Adapter, SessionArchive
    from sdqctl.adapters.settings import AdapterSettings


class MockEntry(AdapterEntry):
    """The embedded, scripted agent. It starts no process and obeys no file of a repository."""

    name = "mock"
    reading_tools = frozenset({"view"})

    def adapter(self, settings: AdapterSettings) -> Adapter:
        """The mock."""
        from sdqctl.adapters.mock.adapter import MockAdapter

        return MockAdapter(settings)

    def archive(self, settings: AdapterSettings) -> SessionArchive:
        """Its sessions in `mock/` of the data folder."""
        from sdqctl.adapters.mock.archive import MockArchive

        return MockArchive(settings)

    def outlook(self, settings: AdapterSettings) -> Outlook:
        """It is built in."""
        return Outlook("the built-in mock", "none: its answers are scripted")


MOCK = MockEntry()
