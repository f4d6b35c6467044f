"""Makes what a released version leaves on disk: `python -m tests.released.generate VERSION`.

VERSION is `0.1`, `0.2`, ... It runs the sdqctl that is first on PYTHONPATH, so check the released
commit out beside this one and put its `src` there. Folders of this machine are written as
`/released/...`; ids of processes go.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from sdqctl.testing.loopback import LoopbackModel

HERE = Path(__file__).resolve().parent
PLACE = "/released"
WORKFLOWS = {
    "done": "PROMPT first [[reply: one]]\nRUN echo line\n"
    "PROMPT second [[tool: write note.txt text]] [[reply: two]]\nCOMPACT\nCHECKPOINT half\n"
    "PROMPT third [[reply: three]]\n",
    "paused": "PROMPT first [[reply: one]]\nPAUSE look at it\nPROMPT second [[reply: two]]\n",
    "consulted": "PROMPT first [[reply: one]]\nCONSULT which way\nPROMPT second [[reply: two]]\n",
    "failed": "PROMPT first [[reply: one]]\nPROMPT second [[fail: request x1]] [[reply: two]]\n",
    "signalled": "PROMPT first [[reply: one]]\nPROMPT second\n",
    "unsent": "PROMPT first [[reply: one]]\nPROMPT second [[reply: two]]\n",
    "unanswered": "PROMPT first [[reply: one]]\nPROMPT second [[reply: two]]\n",
    "answered": "PROMPT first [[reply: one]]\nPROMPT second [[reply: two]]\n",
    "acted": "PROMPT first [[reply: one]]\n"
    "PROMPT second [[tool: write note.txt text]] [[reply: two]]\nPROMPT third [[reply: three]]\n",
    "commanded": "PROMPT first [[reply: one]]\nRUN echo line\nPROMPT second [[reply: two]]\n",
    "moving": "SESSION-MODE fresh\nMAX-CYCLES 2\nPROMPT first [[reply: one]]\n",
    "moved": "SESSION-MODE fresh\nMAX-CYCLES 2\nPROMPT first [[reply: one]]\n"
    "PROMPT second [[reply: two]]\n",
}
SINCE_0_2 = {
    "asked": 'PROMPT first [[reply: one]]\nASK go "On?" choice(yes|no)\nPROMPT second {{go}}\n',
    "looped": "FOR word IN ['first', 'second', 'third']\nPROMPT {{word}} [[reply: said]]\nEND\n",
    "calling": "CALL called.conv WITH word=first AS said\nPROMPT second {{said}} [[reply: two]]\n",
}
CALLED = "INPUT word\nPROMPT {{word}} [[reply: one]]\nCAPTURE text\nRETURN text\n"
KILLS = {
    "unsent": "ledger.begin.after:2",
    "unanswered": "mock.stored:2",
    "answered": "mock.answered:2",
    "acted": "mock.tool.after:1",
    "commanded": "ledger.finish.before:2",
    "moving": "ledger.run.after:3",
    "moved": "ledger.begin.after:4",
    "looped": "mock.answered:2",
    "calling": "mock.answered:2",
}
BUNDLES = {
    "0.1": ("paused", "acted", "carried"),
    "0.2": ("paused", "asked", "looped", "carried"),
}
ON_THE_RUNTIME = """\
SESSION-NAME carried
MODE implement
PROMPT first [[reply: one]]
PROMPT second [[tool: bash {"command": "echo done", "description": "say"}]] [[reply: two]]
PAUSE look at it
PROMPT third [[reply: three]]
"""


def main(version: str) -> None:
    """Make the folder of one version anew; `plans.json` only where it is not there yet."""
    target = HERE / version
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for name in ("project", "home"):
            (base / name).mkdir()
        environment = _environment(base)
        workflows = WORKFLOWS if version == "0.1" else {**WORKFLOWS, **SINCE_0_2}
        _run_all(base, environment, workflows)
        bundles = target / "bundles"
        for made in (bundles, target / "home"):
            shutil.rmtree(made, ignore_errors=True)
        bundles.mkdir(parents=True)
        for name in BUNDLES[version]:
            file = f"{name}.zip"
            _sdqctl(base, environment, "sessions", "export", name, "--format=bundle", "-o", file)
            _strip_bundle(base / "project" / file, bundles / f"{name}.sdqctl", base)
        _sdqctl(base, environment, "sessions", "delete", "carried", "--force", "--purge")
        _keep_home(base, target / "home")
        for path in sorted((base / "project").glob("*.conv")):
            shutil.copy(path, target / "home" / "project" / path.name)
    if not (target / "plans.json").exists():
        lines = ",\n".join(json.dumps(plan) for plan in _plans())
        (target / "plans.json").write_text(f"[\n{lines}\n]\n", "utf-8")


def _plans() -> Iterator[dict[str, object]]:
    """The digests that the example workflows have."""
    from sdqctl.model.options import RunOptions
    from sdqctl.workflow import check_workflow
    from sdqctl.workflow.plan import build_plan

    examples = HERE.parent.parent / "examples"
    for path in sorted(examples.glob("*.conv")):
        text = path.read_text("utf-8")
        called = [other for other in examples.glob("*.conv") if f"CALL {other.name}" in text]
        steps = build_plan(check_workflow(path), RunOptions()).steps
        yield {
            "text": text,
            "files": {other.name: other.read_text("utf-8") for other in called},
            "steps": [[step.kind, step.digest] for step in steps],
        }


def _sdqctl(base: Path, environment: dict[str, str], *arguments: str, **more: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "sdqctl", *arguments],
        cwd=base / "project",
        env={**environment, **more},
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _environment(base: Path) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "PYTHONPATH") if key in os.environ}
    return {
        **kept,
        "HOME": str(base / "home"),
        "SDQCTL_HOME": str(base / "home" / "sdqctl"),
        "COPILOT_HOME": str(base / "home" / "copilot"),
        "COPILOT_CLI_PATH": str(HERE.parent.parent / "node_modules" / ".bin" / "copilot"),
        "XDG_CACHE_HOME": str(Path("~/.cache").expanduser()),
        "IN": str(base / "project"),
    }


def _run_all(base: Path, environment: dict[str, str], workflows: dict[str, str]) -> None:
    for name, text in workflows.items():
        head = f"ADAPTER mock\nMODE implement\nSESSION-NAME {name}\n"
        (base / "project" / f"{name}.conv").write_text(head + text)
    if "calling" in workflows:
        (base / "project" / "called.conv").write_text(CALLED)
    for name in workflows:
        if name == "signalled":
            _interrupt(base, environment)
        else:
            kill = {"SDQCTL_CRASH_AT": KILLS[name]} if name in KILLS else {}
            _sdqctl(base, environment, "run", f"{name}.conv", **kill)
    _sdqctl(base, environment, "resume", "done", "--prompt", "aside [[reply: beside]]")
    _sdqctl(base, environment, "sessions", "keep", "done")
    _sdqctl(base, environment, "sessions", "fork", "paused", "forked")
    (base / "project" / "carried.conv").write_text(ON_THE_RUNTIME)
    with LoopbackModel() as model:
        _sdqctl(base, environment, "run", "carried.conv", **model.environment())


def _interrupt(base: Path, environment: dict[str, str]) -> None:
    """Ctrl-C while the second prompt is being answered."""
    script, journal = base / "script.json", base / "home/sdqctl/mock/signalled/events.jsonl"
    script.write_text(json.dumps([{"match": "second", "orders": "[[stall]]"}]))
    process = subprocess.Popen(
        [sys.executable, "-m", "sdqctl", "run", "signalled.conv"],
        cwd=base / "project",
        env={**environment, "SDQCTL_MOCK_SCRIPT": str(script)},
    )
    while not journal.exists() or "second" not in journal.read_text():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.wait()


def _strip(data: bytes, base: Path) -> bytes:
    return data.replace(str(base).encode(), PLACE.encode())


def _strip_bundle(source: Path, target: Path, base: Path) -> None:
    """The same bundle without this machine's folders, and with the checksums that then hold."""
    with zipfile.ZipFile(source) as bundle:
        files = {name: _strip(bundle.read(name), base) for name in bundle.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    for name, data in files.items():
        manifest["files"][name] = {"size": len(data), "sha256": sha256(data).hexdigest()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        for name, data in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
            bundle.writestr(name, data)


def _keep_home(base: Path, target: Path) -> None:
    home = base / "home" / "sdqctl"
    (target / "project").mkdir(parents=True)
    for path in sorted(home.rglob("*")):
        kept = path.relative_to(home).parts[0] in ("mock", "commands")
        if kept and path.is_file() and not path.name.startswith("inuse."):
            copy = target / "sdqctl" / path.relative_to(home)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(_strip(path.read_bytes(), base))
    ledger = sqlite3.connect(home / "ledger.db")
    for table, columns in {"runs": ("workflow_path", "cwd"), "sessions": ("cwd",)}.items():
        for column in columns:
            ledger.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(base), PLACE)
            )
    ledger.execute("UPDATE runs SET pid = NULL")
    ledger.commit()
    ledger.execute("VACUUM INTO ?", (str(target / "sdqctl" / "ledger.db"),))
    ledger.close()


if __name__ == "__main__":
    main(sys.argv[1])
