"""A program inside a net, and what it could do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdqctl.model.sandbox import Sandbox
from sdqctl.sandbox.nets import Nets
from sdqctl.sandbox.profile import Wanted

SECRET = "TOP-SECRET"


@dataclass(frozen=True)
class Place:
    """A project, and beside it a folder that no net lets through."""

    project: Path
    outside: Path
    home: Path
    nets: Nets = field(default_factory=Nets)

    @property
    def secret(self) -> Path:
        """The file that must not be read or changed."""
        return self.outside / "secret.txt"

    def wanted(self, mode: str, **more: object) -> Wanted:
        """What a profile is worked out from."""
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        return Wanted(
            mode=mode,
            cwd=self.project,
            environment=environment,
            hidden=(self.home / "sdqctl",),
            **more,  # type: ignore[arg-type]
        )

    def sandbox(self, mode: str, kind: str = "landlock", **more: object) -> Sandbox:
        """The net of a runtime in this mode."""
        return self.nets.make(kind, self.wanted(mode, **more), None).runtime

    def of_commands(self, mode: str) -> Sandbox:
        """The net of RUN commands in this mode."""
        wanted = self.wanted(mode)
        return self.nets.make("landlock", wanted, wanted).commands


def place(folder: Path) -> Place:
    """The folders, with a secret in the one outside."""
    found = Place(folder / "project", folder / "outside", folder / "home")
    for path in (found.project, found.outside, found.home, found.home / "sdqctl"):
        path.mkdir(parents=True)
    found.secret.write_text(SECRET)
    (found.project / "inside.txt").write_text("inside")
    return found


def run_inside(
    sandbox: Sandbox,
    arguments: Sequence[str],
    cwd: Path,
    *,
    stdin: int = subprocess.DEVNULL,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run a program in a net, to its end."""
    variables = {**os.environ, **environment}
    with sandbox.confine(arguments, variables) as inside:
        return subprocess.run(
            inside.arguments,
            env=inside.environment,
            preexec_fn=inside.enter,
            cwd=cwd,
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def shell_inside(sandbox: Sandbox, script: str, at: Place) -> subprocess.CompletedProcess[str]:
    """Run lines of bash in a net."""
    return run_inside(sandbox, ("bash", "-c", script), at.project, HOME=str(at.home))


def python_inside(
    sandbox: Sandbox, script: str, at: Place, *arguments: object, stdin: int = subprocess.DEVNULL
) -> str:
    """Run lines of Python in a net; what they print, with the error's name for one that raises."""
    lines = "import sys\ntry:\n" + "".join(f"    {line}\n" for line in script.splitlines())
    lines += "except OSError as error:\n    print(type(error).__name__, error.errno)\n"
    words = map(str, arguments)
    done = run_inside(sandbox, (sys.executable, "-c", lines, *words), at.project, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
