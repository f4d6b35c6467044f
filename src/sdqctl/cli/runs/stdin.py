"""The text of a workflow that came from stdin, kept so that its run can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdqctl.workflow.source import is_stream

if TYPE_CHECKING:
    from sdqctl.cli.context import App
    from sdqctl.cli.runs.launch import RunRequest
    from sdqctl.model.workflow import Workflow
    from sdqctl.store.ledger import Ledger


@dataclass(frozen=True)
class Kept:
    """A workflow, with its text if no file of the user's holds it."""

    workflow: Workflow
    text: str | None = None

    def write(self) -> None:
        """Have the text in its place. Raises StoreError."""
        if self.text is not None:
            from sdqctl.store.workflows import keep_text

            keep_text(Path(self.workflow.path), self.text)


@contextmanager
def kept_text(
    app: App, request: RunRequest, workflow: Workflow, adapter: str, name: str, ledger: Ledger
) -> Iterator[Kept]:
    """The workflow of a run, with the place of its text as path if it came from stdin.

    Its includes are resolved, and the text goes again if no run was begun with it. A dry run keeps
    nothing.
    """
    if not is_stream(request.path) or request.flags.dry_run:
        yield Kept(workflow)
        return
    from sdqctl.store.workflows import is_used, kept_file, remove_unused
    from sdqctl.workflow.format import whole_text

    text = whole_text(workflow)
    path = kept_file(app.settings.home, adapter, name, text)
    kept = Kept(msgspec.structs.replace(workflow, path=str(path)), text)
    try:
        yield kept
    finally:
        if not is_used(str(path), ledger):
            remove_unused(app.settings.home, [str(path)], ledger)
        elif not path.exists():  # another process, to which the name was refused, removed it
            kept.write()
