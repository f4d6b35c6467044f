"""The text of a workflow that no file of the user's holds, kept so that its run can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sdqctl.model.workflow import Workflow
from sdqctl.store.ledger import Ledger
from sdqctl.store.workflows import is_used, keep_text, kept_file, remove_unused
from sdqctl.workflow.format import whole_text


@dataclass(frozen=True)
class KeptText:
    """A text and its place below `home`. Nothing is written before `held`."""

    home: Path
    path: Path
    text: str
    called: Mapping[str, str] = field(default_factory=dict)
    """The workflows that it calls, by their paths from its folder."""

    def write(self) -> None:
        """Have the text in its place, and what it calls beside it. Raises StoreError."""
        for name, text in self.called.items():
            keep_text(self.path.parent / name, text)
        keep_text(self.path, self.text)

    @contextmanager
    def held(self, ledger: Ledger) -> Iterator[None]:
        """Have the text in its place while a run is begun; it goes again if none was."""
        try:
            yield
        finally:
            if not is_used(str(self.path), ledger):
                remove_unused(self.home, [str(self.path)], ledger)
            elif not self.path.exists():  # another process, refused the name, removed it
                self.write()


def kept(workflow: Workflow, home: Path, adapter: str, name: str) -> tuple[Workflow, KeptText]:
    """A workflow with the place of its text as its path; its includes are resolved."""
    text = whole_text(workflow)
    path = kept_file(home, Path(workflow.path).name, adapter, name, text)
    return msgspec.structs.replace(workflow, path=str(path)), KeptText(home, path, text)
