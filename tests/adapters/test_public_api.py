"""The documented Python API does what its page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import sdqctl.adapters
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "adapters.md"


def test_the_example_of_the_page_prints_what_the_page_says(home: Path, project: Path) -> None:
    text = PAGE.read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (printed,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=True
    )
    assert done.stdout == printed


def test_every_public_name_can_be_imported() -> None:
    for name in sdqctl.adapters.__all__:
        assert getattr(sdqctl.adapters, name) is not None
