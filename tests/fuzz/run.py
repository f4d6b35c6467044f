"""`make fuzz`: judge made lines for some minutes; 1 when an allowed one ran something else.

The seed is printed; `make fuzz SEED=7 SECONDS=60` repeats it, and ends after so many seconds.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.judging import Finding, Fuzz

_BATCH = 1000


def main() -> int:
    """Run until the time is over; print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--lines", type=int, default=10**9, help="end after so many lines")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    begin = time.monotonic()
    found: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        fuzz = Fuzz(options.seed, Path(folder))
        while time.monotonic() - begin < options.seconds and fuzz.count.made < options.lines:
            for finding in fuzz.batch(_BATCH):
                found.append(finding)
                print(f"FOREIGN {sorted(finding.what)} under {finding.kind!r}: {finding.line!r}")
                print(f"    sh is {finding.sh}, values are {finding.value!r}", flush=True)
            while fuzz.odd:
                print(f"odd: {fuzz.odd.pop()!r} is allowed, and no other reader can parse it")
    seconds = time.monotonic() - begin
    count = fuzz.count
    print(
        f"{count.made} lines in {seconds:.0f} s ({count.made / seconds:.0f} a second): "
        f"{count.allowed} allowed, {count.ran} run, {count.foreign} ran what was not allowed"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
