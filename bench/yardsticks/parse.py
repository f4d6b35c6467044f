"""Parsing a workflow N times (`parse`), or reading and splitting the same text (`split`).

Usage: parse.py parse|split FILE N
"""

import sys
from pathlib import Path

kind, file, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
if kind == "split":
    for _ in range(count):
        lines = [line.split(None, 1) for line in file.read_text("utf-8").split("\n")]
else:
    from sdqctl.workflow.parser import parse_workflow

    for _ in range(count):
        parsed = parse_workflow(file.read_text("utf-8"), str(file))
        if parsed.workflow is None:
            raise SystemExit(f"not a workflow: {parsed.diagnostics}")
