"""What all tests share: homes of their own, and where the real runtime is."""

from __future__ import annotations

import gc
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from sdqctl.testing.loopback import LoopbackModel
from tests.bench import Bench

settings.register_profile("suite", max_examples=60, derandomize=True, database=None, deadline=None)
settings.register_profile("fuzz", max_examples=20_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = ROOT / "node_modules" / ".bin" / "copilot"
SHARED_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30
SHARED_CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME, SDQCTL_HOME and COPILOT_HOME of the test's own; the runtime's cache is shared."""
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        own = name.startswith(("COPILOT_", "SDQCTL_", "XDG_", "OTEL_", "TRACEPARENT"))
        if own or name.endswith("_TOKEN"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", SHARED_CACHE)
    monkeypatch.setenv("SDQCTL_HOME", str(home / "sdqctl"))
    monkeypatch.setenv("COPILOT_HOME", str(home / "copilot"))
    monkeypatch.setenv("COPILOT_CLI_PATH", str(RUNTIME))
    monkeypatch.setenv("COPILOT_OFFLINE", "true")
    return home


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working directory."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def model(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackModel]:
    """A loopback model that the environment points the runtime at."""
    with LoopbackModel() as model:
        for name, value in model.environment().items():
            monkeypatch.setenv(name, value)
        yield model


@pytest.fixture
def bench(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Workflows run on the mock."""
    monkeypatch.setenv("SDQCTL_ADAPTER", "mock")
    return Bench(home, project)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder in the system's shared memory, where people put what shall be fast."""
    if not SHARED_MEMORY.is_dir():
        pytest.skip("this system has no folder for shared memory")
    with TemporaryDirectory(dir=SHARED_MEMORY) as folder:
        yield Path(folder)


def pytest_configure() -> None:
    """Have the tests' files in memory where there is room for them: a disk costs a seventh."""
    if _has_room_in_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(SHARED_MEMORY))


def _has_room_in_memory() -> bool:
    """Whether shared memory is there, runs programs, and has room to spare."""
    try:
        found = os.statvfs(SHARED_MEMORY)
        memory = Path("/proc/meminfo").read_text()
    except OSError:
        return False
    available = re.search(r"^MemAvailable: +(\d+) kB", memory, re.MULTILINE)
    room = min(found.f_bavail * found.f_frsize, int(available[1]) * 1024 if available else 0)
    return room > _ROOM and not found.f_flag & os.ST_NOEXEC


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many random kills the crash suite makes, from which seed, and what else is tried."""
    parser.addoption("--kills", type=int, help="random kills of the crash suite, each time others")
    parser.addoption("--thorough", action="store_true", help="all cases of the long tables, too")
    parser.addoption("--crash-seed", type=int, help="repeat the kills of this seed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs more than a run of the suite may take, unless it is asked for; what
    takes long goes first, so that no worker is left with it at the end.
    """
    items.sort(key=lambda item: item.get_closest_marker("crash") is None)
    places = Counter[object]()
    for item in items:
        marker = item.get_closest_marker("each")
        if marker is not None and item.get_closest_marker("thorough") is None:
            table = (item.parent, item.name.partition("[")[0] if marker in item.own_markers else "")
            if places[table] % marker.args[0]:
                item.add_marker(pytest.mark.thorough)
            places[table] += 1
    if config.getoption("--thorough") or config.getoption("--kills"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """What collecting made stays to the end: the collector of garbage need not look at it again."""
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: a third of the time a test waits for others."""
    known = hasattr(os, "sched_getaffinity")  # Linux: those that this process may use
    return 2 * (len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1)
