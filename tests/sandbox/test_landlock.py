"""What a process cannot do inside, tried by real programs on this machine's kernel."""

from __future__ import annotations

import errno
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sdqctl.model.sandbox import SandboxNeeds
from sdqctl.sandbox import landlock
from sdqctl.sandbox.temporary import make_temporary
from tests.sandbox.confined import (
    SECRET,
    Place,
    place,
    python_inside,
    run_inside,
    shell_inside,
)

MODES = ["audit", "implement"]
REFUSED = f"PermissionError {errno.EACCES}"
NOT_PERMITTED = f"PermissionError {errno.EPERM}"


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("mode", MODES)
def test_a_file_outside_is_neither_read_nor_written_nor_made_nor_removed(
    mode: str, at: Place
) -> None:
    script = (
        f"cat {at.secret}; echo x > {at.secret}; echo x > {at.outside}/new; rm {at.secret}; "
        f"mkdir {at.outside}/d; ls {at.outside}; mv {at.secret} {at.outside}/moved"
    )
    done = shell_inside(at.sandbox(mode), script, at)
    assert SECRET not in done.stdout + done.stderr
    assert [path.name for path in at.outside.iterdir()] == ["secret.txt"]
    assert at.secret.read_text() == SECRET


def test_a_reading_mode_writes_nothing_but_its_temporary_folder(at: Place) -> None:
    sandbox = at.sandbox("audit")
    script = "cat inside.txt; echo x > inside.txt; echo x > new; rm inside.txt; echo t > $TMPDIR/t"
    done = shell_inside(sandbox, script, at)
    assert done.stdout == "inside"
    assert [path.name for path in at.project.iterdir()] == ["inside.txt"]
    assert (at.project / "inside.txt").read_text() == "inside"
    assert [path.name for path in Path(sandbox.paths.writes[-1]).iterdir()] == ["t"]


def test_a_writing_mode_makes_moves_links_and_removes_in_the_working_directory(at: Place) -> None:
    script = (
        "set -e; mkdir -p a/b; echo x > a/b/f; mv a/b/f g; ln g hard; ln -s g soft; mkfifo p; "
        "truncate -s 0 inside.txt; rm inside.txt; mv a c; echo y | tee c/b/h"
    )
    done = shell_inside(at.sandbox("implement"), script, at)
    assert (done.returncode, done.stderr) == (0, "")
    names = sorted(str(path.relative_to(at.project)) for path in at.project.rglob("*"))
    assert names == ["c", "c/b", "c/b/h", "g", "hard", "p", "soft"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "way",
    [
        "ln -s {secret} link; cat link",
        "cat /proc/self/root{secret}",
        "cat /proc/self/cwd/../outside/secret.txt",
        "cat /proc/$PPID/root{secret}",
        "cd {outside} && cat secret.txt",
        "ln {secret} hard && cat hard",
        "mv {outside} here && cat here/secret.txt",
        "mv {secret} here && cat here",
        "cp -r {outside} copy && cat copy/secret.txt",
        "mkdir m; mount --bind {outside} m && cat m/secret.txt",
        "exec 9< {secret}; cat <&9",
        "unshare -r cat {secret}",
        "tar cf - {outside} | tar xf - --to-stdout",
    ],
)
def test_no_way_around_leads_to_the_secret(way: str, mode: str, at: Place) -> None:
    script = way.format(secret=at.secret, outside=at.outside)
    done = shell_inside(at.sandbox(mode), script, at)
    assert SECRET not in done.stdout + done.stderr
    assert at.secret.read_text() == SECRET


def test_a_folder_is_not_moved_out_of_the_working_directory(at: Place) -> None:
    shell_inside(at.sandbox("implement"), f"mkdir d; mv d {at.outside}/d", at)
    assert not (at.outside / "d").exists()


def test_no_device_is_made_and_the_size_of_no_file_outside_is_changed(at: Place) -> None:
    sandbox = at.sandbox("implement")
    assert shell_inside(sandbox, "mknod disk b 8 0", at).returncode != 0
    cut = python_inside(sandbox, f"import os; os.truncate({str(at.secret)!r}, 0)", at)
    assert cut == REFUSED
    assert at.secret.read_text() == SECRET


@pytest.mark.parametrize("mode", MODES)
def test_what_belongs_to_sdqctl_is_hidden_also_below_the_working_directory(
    mode: str, at: Place
) -> None:
    data = at.project / "deep" / "data"
    data.mkdir(parents=True)
    (data / "ledger.db").write_text(SECRET)
    (at.project / "deep" / "seen.txt").write_text("seen")
    wanted = at.wanted(mode)
    hiding = at.nets.make("landlock", replace(wanted, hidden=(data,)), None).runtime
    done = shell_inside(
        hiding, "cat deep/data/ledger.db; echo x > deep/data/new; cat inside.txt deep/seen.txt", at
    )
    assert done.stdout == "insideseen"
    assert [path.name for path in data.iterdir()] == ["ledger.db"]


def test_nobody_outside_is_signalled_or_looked_into(at: Place) -> None:
    sandbox = at.sandbox("implement")
    script = "import os; os.kill(int(sys.argv[1]), 0); print('signalled')"
    assert python_inside(sandbox, script, at, os.getpid()) == NOT_PERMITTED
    script = "print(len(open(f'/proc/{sys.argv[1]}/environ').read()))"
    assert python_inside(sandbox, script, at, os.getpid()) == REFUSED
    script = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.ptrace(16, int(sys.argv[1]), 0, 0), ctypes.get_errno())"
    )
    assert python_inside(sandbox, script, at, os.getpid()) == f"-1 {errno.EPERM}"


def test_one_outside_may_end_what_is_inside(at: Place) -> None:
    with at.sandbox("audit").confine(("sleep", "60"), os.environ) as inside:
        process = subprocess.Popen(
            inside.arguments, env=inside.environment, preexec_fn=inside.enter
        )
    process.terminate()
    assert process.wait(120) == -signal.SIGTERM


def test_no_file_that_was_open_outside_comes_along(at: Place) -> None:
    handle = os.open(at.secret, os.O_RDONLY)
    try:
        os.set_inheritable(handle, True)
        done = shell_inside(at.sandbox("audit"), f"cat <&{handle}; cat /proc/self/fd/{handle}", at)
    finally:
        os.close(handle)
    assert SECRET not in done.stdout


def test_abstract_sockets_of_others_are_not_reached(at: Place) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        name = f"\0sdqctl-test-{os.getpid()}"
        server.bind(name)
        server.listen()
        script = "import socket; socket.socket(socket.AF_UNIX).connect(chr(0) + sys.argv[1])"
        said = python_inside(at.sandbox("implement"), script, at, name[1:])
    assert said == NOT_PERMITTED


def test_a_reading_mode_reaches_no_socket_of_a_service_and_no_mode_is_told_the_agents(
    at: Place,
) -> None:
    path = at.outside / "agent"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        script = "import socket; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        assert python_inside(at.sandbox("audit"), script, at, path) == REFUSED
    for mode in MODES:
        done = run_inside(at.sandbox(mode), ("env",), at.project, SSH_AUTH_SOCK=str(path))
        assert "SSH_AUTH_SOCK" not in done.stdout


def test_a_pair_of_sockets_between_own_processes_works_in_a_reading_mode(at: Place) -> None:
    script = "import socket; a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))"
    assert python_inside(at.sandbox("audit"), script, at) == "b'x'"


CONNECT = """
import socket
family, kind, protocol, fast = socket.AF_INET, socket.SOCK_STREAM, int(sys.argv[2]), sys.argv[3]
made = socket.socket(family, kind, protocol)
place = ("127.0.0.1", int(sys.argv[1]))
made.sendto(b"x", 0x20000000, place) if fast == "fast" else made.connect(place)
print("connected")
""".strip()


def test_a_reading_mode_connects_to_the_ports_it_was_given_alone(at: Place, listening: int) -> None:
    assert python_inside(at.sandbox("audit"), CONNECT, at, listening, 0, "") == REFUSED
    needs = SandboxNeeds(ports=(listening,))
    given = at.sandbox("audit", needs=needs)
    assert python_inside(given, CONNECT, at, listening, 0, "") == "connected"
    ruled = at.sandbox("audit", ports=(listening,))
    assert python_inside(ruled, CONNECT, at, listening, 0, "") == "connected"
    assert python_inside(at.sandbox("implement"), CONNECT, at, listening, 0, "") == "connected"


def test_a_reading_mode_does_not_connect_by_what_the_kernel_does_not_hold_to_ports(
    at: Place, listening: int
) -> None:
    sandbox = at.sandbox("audit")
    multipath = python_inside(sandbox, CONNECT, at, listening, 262, "")
    assert multipath == f"OSError {errno.EPROTONOSUPPORT}"
    fast = python_inside(sandbox, CONNECT, at, listening, 0, "fast")
    assert fast == f"OSError {errno.EOPNOTSUPP}"


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_typed_into_a_terminal_and_no_terminal_is_opened(mode: str, at: Place) -> None:
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    try:
        sandbox = at.sandbox(mode)
        script = "import fcntl; fcntl.ioctl(0, 0x5412, b'x'); print('typed')"
        assert python_inside(sandbox, script, at, stdin=theirs) == NOT_PERMITTED
        script = f"open({name!r}, 'w').write('x'); print('written')"
        assert python_inside(sandbox, script, at) == REFUSED
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("abi", range(1, 8))
def test_a_net_for_every_version_of_the_kernel_keeps_the_secret(abi: int, at: Place) -> None:
    rules = [
        ("/usr", landlock.READ),
        ("/bin", landlock.READ),
        ("/lib", landlock.READ),
        ("/lib64", landlock.READ),
        ("/etc", landlock.READ),
        (str(at.project), landlock.WRITE),
    ]
    ruleset = landlock.make_ruleset(rules, (), abi)
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", f"cat {at.secret}; mkdir d; echo x > f; cat f; mv f d/f; ls d"],
            cwd=at.project,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=landlock.entry(ruleset, lambda: None),
        )
    finally:
        os.close(ruleset)
    assert done.stdout.splitlines()[0] == "x", done.stderr
    assert SECRET not in done.stdout
    assert (at.project / "d" / "f").read_text() == "x\n"  # below version 2 mv copies


def test_the_launcher_is_the_same_net_for_a_process_that_others_start(at: Place) -> None:
    script = f"cat {at.secret}; echo x > new; cat inside.txt; kill -0 {os.getpid()}"
    started = at.sandbox("audit").launcher(("/bin/sh", "-c", script), os.environ)
    done = subprocess.run(
        started.arguments,
        env=started.environment,
        cwd=at.project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "inside"
    assert done.returncode != 0
    assert not (at.project / "new").exists()
    assert started.arguments[0] == sys.executable


@pytest.mark.thorough
def test_programs_of_builds_work_in_a_writing_mode() -> None:
    """On a disk: a project in shared memory gets nothing else of that."""
    with TemporaryDirectory() as folder:
        _build(place(Path(folder).resolve()))


def _build(at: Place) -> None:
    script = (
        "set -e; git init -q; git config user.name n; git config user.email e@x; git add -A; "
        "git commit -qm first; git log --oneline | wc -l; "
        "mkdir t; printf 'def test_it():\\n    assert True\\n' > t/test_it.py; "
        f"{sys.executable} -m pytest -q -p no:cacheprovider t | tail -1; "
        "npm init -y > out.json; npm pkg get name; node -p 1+1; "
        f"{sys.executable} -c 'import multiprocessing; multiprocessing.Lock(); print(3)'"
    )
    done = shell_inside(at.sandbox("implement"), script, at)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1"
    assert "1 passed" in done.stdout
    assert done.stdout.splitlines()[-3:] == ['"project"', "2", "3"]


def test_a_worktree_commits_into_its_repository(at: Place) -> None:
    git = ["git", "-C", str(at.project), "-c", "user.name=n", "-c", "user.email=e@x"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    tree = at.outside / "tree"
    subprocess.run([*git, "worktree", "add", "-q", str(tree)], check=True, capture_output=True)
    wanted = replace(at.wanted("implement"), cwd=tree)
    sandbox = at.nets.make("landlock", wanted, None).runtime
    script = "echo x > f; git add f; git -c user.name=n -c user.email=e@x commit -qm second"
    done = run_inside(sandbox, ("bash", "-c", script), tree, HOME=str(at.home))
    assert (done.returncode, done.stderr) == (0, "")
    log = subprocess.run(
        [*git, "log", "--oneline", "tree"], check=True, capture_output=True, text=True
    )
    assert len(log.stdout.splitlines()) == 2
    reading = at.nets.make("landlock", replace(wanted, mode="audit"), None).runtime
    assert run_inside(reading, ("git", "log"), tree, HOME=str(at.home)).returncode == 0
    git_here = ("git", "-c", "user.name=n", "-c", "user.email=e@x")
    refused = run_inside(
        reading, (*git_here, "commit", "--allow-empty", "-m", "x"), tree, HOME=str(at.home)
    )
    assert "Permission denied" in refused.stderr


def test_the_folder_of_a_killed_run_is_removed_by_a_later_one() -> None:
    script = "from sdqctl.sandbox.temporary import make_temporary as m; print(m(), flush=True)"
    with closing(open(os.devnull)) as nothing:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{script}; import time; time.sleep(60)"],
            stdin=nothing,
            stdout=subprocess.PIPE,
            text=True,
        )
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    alive = make_temporary()
    assert left.is_dir()
    process.kill()
    process.wait()
    process.stdout.close()
    again = make_temporary()
    assert not left.exists()
    for folder in (alive, again):
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        os.rmdir(folder)


@pytest.mark.parametrize("mode", ["audit", "implement"])
def test_a_link_beside_what_is_hidden_leads_nowhere(mode: str, at: Place) -> None:
    """What lies around a hidden folder is opened name by name, and a name may be a link."""
    data = at.home / "sdqctl" / "ledger.db"
    data.write_text(SECRET)
    (at.home / "own.txt").write_text("own")
    (at.home / "alias.txt").symlink_to("own.txt")
    (at.home / "data").symlink_to("sdqctl")
    (at.home / "there").symlink_to(at.outside)
    (at.home / "stream").symlink_to("/proc/self/fd/0")
    sandbox = at.sandbox(mode, folders=[str(at.home)])
    home, script = at.home, "cat own.txt alias.txt data/ledger.db sdqctl/ledger.db there/secret.txt"
    done = shell_inside(sandbox, f"cd {home}; {script}; echo x > data/ledger.db", at)
    assert done.stdout == "ownown"
    assert data.read_text() == SECRET


def test_a_folder_that_became_a_link_after_the_net_was_worked_out_opens_nothing(at: Place) -> None:
    """A net is worked out once, and entered by each command of a run."""
    for folder in (at.project, at.outside):
        (folder / "a" / "b").mkdir(parents=True)
    sandbox = at.sandbox("audit", writes=("a/b/**",))
    assert shell_inside(sandbox, "echo x > a/b/new", at).returncode == 0
    (at.project / "a").rename(at.project / "c")
    (at.project / "a").symlink_to(at.outside / "a")
    assert shell_inside(sandbox, "echo x > a/b/new", at).returncode != 0
    assert not [*(at.outside / "a" / "b").iterdir()]
