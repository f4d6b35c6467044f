"""What starts a runtime beside any run: the program may be one that an earlier tool has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdqctl.testing.loopback import LoopbackModel
from tests.command import sdqctl

COMMANDS = [
    ("status", "--adapters"),
    ("doctor",),
    ("sessions", "rename", "s", "t"),
    ("sessions", "fork", "s", "copy"),
    ("sessions", "delete", "s", "--force", "--purge"),
]


@pytest.mark.each(2)
@pytest.mark.runtime
@pytest.mark.parametrize("net", ["auto", "none"])
def test_a_changed_runtime_reaches_nothing_outside(
    net: str, home: Path, project: Path, model: LoopbackModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "work.conv").write_text("SESSION-NAME s\nPROMPT a [[reply: A]]\n")
    assert sdqctl("run", "work.conv").code == 0
    secret, made = home / "key", home / "made"
    secret.write_text("TOP-SECRET")
    changed = home / "bin" / "copilot"
    changed.parent.mkdir()
    stolen = home / "copilot" / "stolen"
    changed.write_text(f"#!/bin/sh\necho $* >> {made}\ncat {secret} >> {stolen}\necho 1.0.0\n")
    changed.chmod(0o700)
    monkeypatch.setenv("COPILOT_CLI_PATH", str(changed))
    config = home / "user.toml"
    config.write_text(f'sandbox = "{net}"\n')
    monkeypatch.setenv("SDQCTL_CONFIG", str(config))
    reached = []
    for command in COMMANDS:
        made.unlink(missing_ok=True)
        sdqctl(*command)
        reached += [command] if made.exists() else []
    assert reached == (COMMANDS if net == "none" else [])
    assert ("TOP-SECRET" in stolen.read_text()) is (net == "none")
