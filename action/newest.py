"""Reads a list of artifacts as GitHub gives it, and prints the run that has the newest state.

A run of a fork can name its artifact as it likes: only those of this repository's branch count.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def newest_run(listed: dict[str, Any], name: str, branch: str) -> int | None:
    """The id of the run; None where there is none."""
    found = [
        (artifact["created_at"], artifact["workflow_run"]["id"])
        for artifact in listed["artifacts"]
        if artifact["name"] == name
        and not artifact["expired"]
        and (run := artifact["workflow_run"])["head_branch"] == branch
        and run["head_repository_id"] == run["repository_id"]
    ]
    return max(found)[1] if found else None


if __name__ == "__main__":
    print(newest_run(json.load(sys.stdin), *sys.argv[1:]) or "")
