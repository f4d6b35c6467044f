"""Take snapshots of a work tree, one after the other: snapshots.py FOLDER HOME TIMES CHANGED.

CHANGED files get other contents before each.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sdqctl.model.session import SessionRef
from sdqctl.workspace.snapshots import Workspace

folder, home = map(Path, sys.argv[1:3])
times, changed = map(int, sys.argv[3:5])
workspace = Workspace.open(folder, home)
session, last = SessionRef("bench", "s"), None
files = sorted(folder.glob("d000/*"))[:changed]
for number in range(times):
    for file in files:
        file.write_text(f"{home.name} {number}\n" * 20)
    last = workspace.snapshot(session, f"run/{home.name}-{number}", parent=last)
assert last is not None, "there are snapshots"
