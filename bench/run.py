"""The benchmark: every figure is a ratio to a yardstick measured in the same run.

`make bench` writes bench/results.json and docs/performance.md; `make bench-quick` prints alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results.json"
Rows = dict[str, dict[str, object]]
sys.path.insert(0, str(ROOT))

from bench.cases import Bench, Case, cases  # noqa: E402
from bench.measure import load, time_all  # noqa: E402
from sdqctl.testing.loopback import LoopbackModel  # noqa: E402


def main() -> int:
    """Measure, print, write; 1 when a bound is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few runs, small sizes, nothing kept")
    parser.add_argument(
        "--only", action="append", help="only cases whose name holds this, or this; others stay"
    )
    parser.add_argument("--times", type=int, help="runs of each; default 5, quick 2")
    options = parser.parse_args()
    times = options.times or (2 if options.quick else 5)
    results: Rows = {} if options.quick else earlier()
    measured = []
    with tempfile.TemporaryDirectory() as folder, LoopbackModel() as model:
        bench = Bench(Path(folder), model, quick=options.quick)
        for case in cases(bench):
            if options.only and not any(part in case.name for part in options.only):
                continue
            rounds = min(times, case.rounds or times)
            time_all(case.timed, rounds, bench.environment, warm_up=case.warm_up)
            results[case.name] = record(case)
            measured.append(case.name)
            print(line(case), flush=True)
            if not options.quick:
                write(results)
    if not options.quick and not options.only:
        write({name: results[name] for name in measured})
    broken = [name for name in measured if results[name]["kept"] is False]
    if broken:
        print(f"bounds not kept: {', '.join(broken)}")
    return 1 if broken and not options.quick else 0


def earlier() -> Rows:
    """The rows of the last run."""
    found = json.loads(RESULTS.read_text())
    return {row["name"]: {"measured_at": found["measured_at"], **row} for row in found["cases"]}


def record(case: Case) -> dict[str, object]:
    """One case for the results."""
    return {
        "name": case.name,
        "measured_at": now(),
        "ours": case.ours.record(),
        "yardsticks": {
            yardstick.name: {
                **yardstick.record(),
                "note": yardstick.note,
                "ratio": round(case.ours.median / yardstick.median, 3),
            }
            for yardstick in case.yardsticks
        },
        "bound": case.bound,
        "kept": case.kept,
    }


def line(case: Case) -> str:
    """One case for a reader."""
    parts = [f"{case.name:<34} {case.ours.median:8.4f}"]
    for yardstick in case.yardsticks:
        ratio = case.ours.median / yardstick.median
        parts.append(f"{ratio:6.3f} x {yardstick.name} ({yardstick.median:.4f})")
    if case.bound is not None:
        parts.append(f"bound {case.bound:g}: {'kept' if case.kept else 'NOT KEPT'}")
    return "   ".join(parts)


def now() -> str:
    """The moment, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(results: Rows) -> None:
    """The results as data and as a page."""
    found: dict[str, object] = {
        "measured_at": now(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_after": load(),
        "cases": [*results.values()],
    }
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    (ROOT / "docs" / "performance.md").write_text(page(found))


def page(found: dict[str, object]) -> str:
    """docs/performance.md."""
    lines = [
        "# Performance",
        "",
        "Written by `make bench`: medians, each as a ratio to a yardstick that was measured in",
        f"turn with it in the same run ({found['cores']} cores, Python {found['python']},",
        f"{found['system']}, {found['measured_at']}). Ratios carry over to other machines; seconds",
        "do not. Minimum and maximum are in `bench/results.json`, and when each row was measured.",
        "Peaks of memory are sampled twenty times a second, so that those of very short commands",
        "are too low.",
        "",
        "| what | median | ratio | of the yardstick | bound | own peak MB | runtime peak MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    cases_found = found["cases"]
    assert isinstance(cases_found, list)
    notes: dict[str, str] = {}
    for case in cases_found:
        ours = case["ours"]
        for number, (name, yardstick) in enumerate(case["yardsticks"].items()):
            first = number == 0
            if note := yardstick.get("note"):
                notes.setdefault(name, note)
            fields = (
                case["name"] if first else "",
                _value(ours),
                yardstick["ratio"],
                f"{name} ({_value(yardstick)})",
                case["bound"] if first and case["bound"] is not None else "",
                ours.get("own_peak_mb", ""),
                ours.get("runtime_peak_mb", ""),
            )
            lines.append(f"| {' | '.join(map(str, fields))} |")
    lines += ["", "## The yardsticks", ""]
    lines += [f"- **{name}**: {note}" for name, note in notes.items()]
    return "\n".join(lines) + "\n"


def _value(figure: dict[str, object]) -> str:
    unit = next(unit for unit in ("s", "ms", "MB", "x") if f"median_{unit}" in figure)
    return f"{figure[f'median_{unit}']} {unit}"


if __name__ == "__main__":
    sys.exit(main())
