"""The net that the program `bwrap` makes; these tests exist where it is there and works."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdqctl.errors import SandboxError
from sdqctl.sandbox.choice import choose
from tests.sandbox.confined import SECRET, Place, place, shell_inside


def _works() -> bool:
    try:
        return choose("bubblewrap", "audit", dict(os.environ)) == "bubblewrap"
    except SandboxError:
        return False


if _works():

    @pytest.mark.parametrize("mode", ["audit", "implement"])
    @pytest.mark.parametrize(
        "way",
        [
            "cat {secret}",
            "ln -s {secret} link; cat link",
            "cat /proc/self/root{secret}",
            "cat /proc/$PPID/root{secret}",
            "cat /proc/{pid}/root{secret}",
            "mount --bind / /mnt && cat /mnt{secret}",
            "ls {outside}",
        ],
    )
    def test_no_way_leads_to_the_secret(way: str, mode: str, at: Place) -> None:
        script = way.format(secret=at.secret, outside=at.outside, pid=os.getpid())
        done = shell_inside(at.sandbox(mode, "bubblewrap"), script, at)
        assert SECRET not in done.stdout + done.stderr
        assert "secret.txt\n" not in done.stdout

    def test_a_reading_mode_writes_its_temporary_folder_alone(at: Place) -> None:
        sandbox = at.sandbox("audit", "bubblewrap")
        script = (
            "cat inside.txt; echo x > inside.txt; echo x > /usr/x; echo x > /x; echo t > $TMPDIR/t"
        )
        done = shell_inside(sandbox, script, at)
        assert done.stdout == "inside"
        assert (at.project / "inside.txt").read_text() == "inside"
        assert not Path("/usr/x").exists()
        assert (Path(sandbox.paths.writes[-1]) / "t").read_text() == "t\n"

    def test_a_writing_mode_writes_the_working_directory_and_not_what_belongs_to_sdqctl(
        at: Place,
    ) -> None:
        data = at.home / "sdqctl" / "ledger.db"
        data.write_text(SECRET)
        sandbox = at.sandbox("implement", "bubblewrap", folders=[str(at.home)])
        done = shell_inside(sandbox, f"echo x > made; cat {data}; echo y > {data}", at)
        assert (at.project / "made").read_text() == "x\n"
        assert SECRET not in done.stdout
        assert data.read_text() == SECRET

    def test_what_is_not_there_inside_is_recognised_as_refused(at: Place) -> None:
        sandbox = at.sandbox("audit", "bubblewrap")
        done = shell_inside(sandbox, f"cat {at.secret} {at.outside}/none", at)
        refused = sandbox.refusals(done.stderr, at.project)
        assert [refusal.path for refusal in refused] == [str(at.secret)]

    def test_a_project_in_shared_memory_is_seen_and_nothing_else_of_it(in_memory: Path) -> None:
        at = place(in_memory)
        with at.nets:
            script = f"cat inside.txt {at.secret}; echo x > made"
            done = shell_inside(at.sandbox("implement", "bubblewrap"), script, at)
        assert done.stdout == "inside"
        assert (at.project / "made").read_text() == "x\n"
