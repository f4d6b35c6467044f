"""`make fuzz`: judge made lines for some minutes, and give made values to workflows; 1 when a line
that was allowed ran something else or opened a denied file, or a value became more than a value.

The seed is printed; `make fuzz SEED=7 SECONDS=60` repeats it, and ends after so many seconds.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.denied_files import DeniedFile
from tests.fuzz.injection import play, values
from tests.fuzz.judging import Finding, Fuzz

_BATCH = 1000
_VALUES = 40
_SHARE = 0.15
"""Of the time, that values have, and that denied files have."""


def main() -> int:
    """Run until the time is over; print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--lines", type=int, default=10**9, help="end after so many lines")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    bad = _inject(options.seed, options.seconds * _SHARE)
    bad = _deny(options.seed, options.seconds * _SHARE) or bad
    begin = time.monotonic()
    found: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        fuzz = Fuzz(options.seed, Path(folder))
        seconds = options.seconds * (1 - 2 * _SHARE)
        while time.monotonic() - begin < seconds and fuzz.count.made < options.lines:
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
    return 1 if found or bad else 0


def _inject(seed: int, seconds: float) -> bool:
    """Give made values to workflows for so long; whether one became more than a value."""
    begin, number, bad = time.monotonic(), 0, False
    with tempfile.TemporaryDirectory() as name:
        home = Path(name, "home")
        home.mkdir()
        os.environ |= {"HOME": str(home), "SDQCTL_HOME": str(home / "sdqctl")}
        while time.monotonic() - begin < seconds:
            folder = Path(name, str(number))
            folder.mkdir()
            for problem in play(folder, values(seed + number, _VALUES)):
                bad = True
                print(f"VALUE (seed {seed + number}): {problem}", flush=True)
            number += 1
    print(f"{number * _VALUES} values in {number} workflows")
    return bad


def _deny(seed: int, seconds: float) -> bool:
    """Run lines beside a denied file for so long; whether one opened it."""
    begin, bad = time.monotonic(), False
    with tempfile.TemporaryDirectory() as name:
        fuzz = DeniedFile(seed, Path(name))
        while time.monotonic() - begin < seconds:
            for line in fuzz.batch(_BATCH // 10):
                bad = True
                print(f"OPENED {line!r}", flush=True)
    print(f"{fuzz.made} lines beside a denied file, {fuzz.ran} run")
    return bad


if __name__ == "__main__":
    sys.exit(main())
