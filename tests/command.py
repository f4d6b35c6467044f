"""The real command line in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SDQCTL = [sys.executable, "-m", "sdqctl"]
TIMEOUT = 120.0


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """stdout as JSON."""
        return json.loads(self.out)


def sdqctl(
    *arguments: str | Path,
    stdin: str | None = None,
    cwd: Path | None = None,
    **environment: str,
) -> Done:
    """Run `sdqctl` with arguments; keywords are put into its environment."""
    done = subprocess.run(
        [*SDQCTL, *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, **environment},
        cwd=cwd,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
