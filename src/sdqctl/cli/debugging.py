"""What `--debug` shows on stderr: the lines that sdqctl logs, and the traceback of an error."""

from __future__ import annotations

import logging
import os
import traceback

from sdqctl.cli.output import note
from sdqctl.store.redact import Redactor


class _Notes(logging.Handler):
    """Writes each record as a note: without secrets, and out of the way of the live line."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("debug: %(name)s: %(message)s"))
        self._redact = Redactor(os.environ)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; one that cannot be formatted is logging's own trouble."""
        try:
            note(self._redact(self.format(record)))
        except Exception:  # noqa: BLE001 - as every handler does
            self.handleError(record)


def show_debug_lines() -> None:
    """Show what sdqctl logs from now on."""
    logger = logging.getLogger("sdqctl")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(_Notes())
    logger.propagate = False


def print_traceback(error: BaseException) -> None:
    """Print an error's traceback, without secrets and harmless for a terminal."""
    note(Redactor(os.environ)("".join(traceback.format_exception(error))).rstrip())
