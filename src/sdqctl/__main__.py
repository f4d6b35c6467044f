"""The program: `sdqctl`, and `python -m sdqctl`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Run the command line and return its exit code."""
    gc.set_threshold(100_000)  # commands are short: collecting would cost more than it frees
    from sdqctl.cli.app import run
    from sdqctl.cli.streams import open_streams

    open_streams()
    code = run(sys.argv[1:])
    if "copilot" in sys.modules:
        _leave(code)
    return code


def _leave(code: int) -> None:
    """End at once: taking the SDK's modules apart would cost 0.3 s. Everything is closed by now."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
