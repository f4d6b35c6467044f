"""Who changed a file: a step that was cut off, or somebody else after it.

What changed while the run's process lived is the step's. What its tools wrote before they ended
may be later: for a while that holds for files that the step names, and for a moment for all, if it
also wrote files before that it does not name. All else is somebody else's: in doubt nothing is
overwritten. Times are those at which a file's content, name or mode last changed (ctime), which
nobody sets; of a file that is gone, those of the folder that it was in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from sdqctl.store.life import Sign

_NAMED_SECONDS = 5.0
"""How long the tools of a killed process may go on: its runtime ends within two seconds."""
_UNNAMED_SECONDS = 1.0
_ESCAPED = re.compile(rb"\\x([0-9a-fA-F]{2})")


class Authorship:
    """Judges the files of a tree by the last sign of life of the process that changed them.

    `texts` are what the step's tools and commands were given. `restored` are files that an earlier
    start was about to take back.
    """

    def __init__(
        self, top: Path, sign: Sign, texts: Sequence[str], restored: Collection[str] = ()
    ) -> None:
        self._top = os.fsencode(top)
        self._sign = sign
        self._text = "\n".join(texts)
        self._restored = frozenset(restored)

    def foreign(self, paths: Sequence[str]) -> list[str]:
        """Those of the changed files that are not the step's."""
        late = {path: self._after(path) for path in paths}
        named = {path for path in paths if path in self._restored or self._names(path)}
        writes_unnamed = any(after <= 0 and path not in named for path, after in late.items())
        unnamed = _UNNAMED_SECONDS if writes_unnamed else 0.0
        grace = 0.0 if self._sign.in_order else 1.0
        return [
            path
            for path, after in late.items()
            if after > grace * (_NAMED_SECONDS if path in named else unnamed)
        ]

    def _names(self, path: str) -> bool:
        name = re.escape(os.path.basename(path))
        return re.search(rf"(?<!\w){name}(?!\w)", self._text) is not None

    def _after(self, path: str) -> float:
        """Seconds between the last sign of life and the change."""
        return self._changed(os.fsencode(path)) - self._sign.time

    def _changed(self, path: bytes) -> float:
        full = os.path.join(self._top, path)
        for each in (full, _ESCAPED.sub(_byte, full)):
            try:
                return os.lstat(each).st_ctime
            except (FileNotFoundError, NotADirectoryError):
                continue
        above = os.path.dirname(path)
        return self._changed(above) if above != path else 0.0


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)])
