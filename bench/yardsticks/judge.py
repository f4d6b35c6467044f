"""Judge the command line in a file, so many times: judge.py FILE TIMES."""

from __future__ import annotations

import sys
from pathlib import Path

from sdqctl.model.tools import ToolKind, ToolRequest
from sdqctl.policy.policy import build_policy

line = Path(sys.argv[1]).read_text()
policy = build_policy(mode="audit", cwd=Path.cwd(), allow_tools=["shell(git:*)"])
for _ in range(int(sys.argv[2])):
    decision = policy.decide(ToolRequest(kind=ToolKind.SHELL, target=line))
    assert decision.by, "it was judged"
