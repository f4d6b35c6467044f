"""What Tab inserts in the real shells, and that no name of a session or a file is ever run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdqctl.cli.shells import quoted, split
from sdqctl.model.session import session_id_for
from tests.architecture.test_house import HEAVY
from tests.bench import Bench
from tests.command import Done, sdqctl
from tests.sampling import each, some
from tests.terminal import Terminal

HOSTILE = "x$(touch${IFS}pwned)"
NAMES = [
    "my session", HOSTILE, "y`touch pwned`", "a:b:c", "it's", "bang!x", "😀 smile", "z&touch pwned",
    "semi;touch pwned", "back\\slash", "#hash", "~tilde", "star*", "<angle>", "br{a,b}ce",
    "tab 'q' x",
]  # fmt: skip
SHELLS = ("bash", "zsh", "fish")
RECORDER = """\
#!/bin/sh
if [ -n "$_SDQCTL_COMPLETE" ]; then exec '{python}' -m sdqctl "$@"; fi
{{ printf '%s\\0' "$@"; printf '\\n'; }} >> '{file}'
"""


def recorded(file: Path) -> list[str]:
    """The arguments of the last command that the recorder stood for."""
    return file.read_text().rpartition("\0\n")[0].rpartition("\0\n")[2].split("\0")


class Shell:
    """An interactive shell with the completion script, whose `sdqctl` records its arguments."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._record = folder / "record"
        self._record.touch()
        binary = folder / "bin" / "sdqctl"
        binary.parent.mkdir()
        binary.write_text(RECORDER.format(python=sys.executable, file=self._record))
        binary.chmod(0o755)
        script = sdqctl("completion", name).out
        path = f"{binary.parent}:{os.environ['PATH']}"
        arguments = {
            "bash": ["--noprofile", "--rcfile", str(folder / "rc"), "-i"],
            "zsh": ["-d", "-i"],
            "fish": ["--no-config", "--init-command", f"source {folder / 'rc'}"],
        }[name]
        rc = {
            "bash": f"PATH='{path}'\nPS1='ready> '\nset -o histexpand\n",
            "zsh": f"PATH='{path}'\nPS1='ready> '\nautoload -Uz compinit\ncompinit -u -D\n",
            "fish": f"set -x PATH {binary.parent} $PATH\n"
            "function fish_prompt; echo -n 'ready> '; end\n",
        }[name]
        (folder / "rc").write_text(rc + script)
        (folder / ".zshrc").write_text(rc + script)
        os.environ["ZDOTDIR"] = str(folder)
        self.terminal = Terminal(arguments, program=shutil.which(name), columns=200)

    def complete(self, typed: str) -> list[str]:
        """The arguments that the command gets when Tab and Enter are pressed after `typed`."""
        before = self._record.stat().st_size
        self.terminal.type(f"{typed}\t\r")
        self.terminal.wait_until(lambda: self._record.stat().st_size > before)
        self.terminal.wait_until(lambda: self._record.read_bytes().endswith(b"\0\n"))
        return recorded(self._record)


def add_session(bench: Bench, name: str) -> None:
    """One more session with this name, like the one that there is."""
    home = bench.home / "sdqctl" / "mock"
    like = next(folder for folder in home.iterdir() if folder.is_dir())
    folder = home / session_id_for(name)
    shutil.copytree(like, folder)
    change_session(folder, id=folder.name, name=name)


def change_session(folder: Path, **changes: str) -> None:
    file = folder / "session.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.fixture
def sessions(bench: Bench) -> Bench:
    """Sessions with difficult names, one of them in the trash; files with such names."""
    bench.run("PROMPT x\n", "--session-name", "thrown away")
    for name in NAMES:
        add_session(bench, name)
    assert sdqctl("sessions", "delete", "thrown away", "--force").code == 0
    bench.write("a b.conv", "PROMPT x\n")
    bench.write("c$(touch pwned).conv", "PROMPT x\n")
    bench.write("sub dir/d.conv", "PROMPT x\n")
    bench.write("the bundle.sdqctl", "")
    return bench


@pytest.fixture(params=each(3, SHELLS))
def shell(
    request: pytest.FixtureRequest,
    sessions: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shell]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed on this machine")
    monkeypatch.setenv("ZDOTDIR", "")
    folder = tmp_path / "shell"
    folder.mkdir()
    found = Shell(request.param, folder)
    with found.terminal:
        found.terminal.wait_for("ready>")
        yield found


INSERTED = {
    "sdqctl resume my": ["resume", "my session"],
    "sdqctl resume 'my": ["resume", "my session"],
    'sdqctl resume "my': ["resume", "my session"],
    "sdqctl resume my\\ s": ["resume", "my session"],
    "sdqctl resume x": ["resume", HOSTILE],
    'sdqctl resume "x': ["resume", HOSTILE],
    "sdqctl resume 'x": ["resume", HOSTILE],
    "sdqctl resume y": ["resume", "y`touch pwned`"],
    'sdqctl resume "y': ["resume", "y`touch pwned`"],
    "sdqctl resume z": ["resume", "z&touch pwned"],
    "sdqctl resume sem": ["resume", "semi;touch pwned"],
    "sdqctl resume back": ["resume", "back\\slash"],
    "sdqctl resume a": ["resume", "a:b:c"],
    "sdqctl resume a:": ["resume", "a:b:c"],
    "sdqctl resume a:b:": ["resume", "a:b:c"],
    "sdqctl resume it": ["resume", "it's"],
    'sdqctl resume "it': ["resume", "it's"],
    "sdqctl resume bang": ["resume", "bang!x"],
    'sdqctl resume "bang': ["resume", "bang!x"],
    "sdqctl resume 😀": ["resume", "😀 smile"],
    "sdqctl resume star": ["resume", "star*"],
    "sdqctl resume br": ["resume", "br{a,b}ce"],
    "sdqctl resume tab": ["resume", "tab 'q' x"],
    "sdqctl sessions restore th": ["sessions", "restore", "thrown away"],
    "sdqctl run -a m": ["run", "-a", "mock"],
    "sdqctl run --mode im": ["run", "--mode", "implement"],
    "sdqctl sessions list --format=js": ["sessions", "list", "--format=json"],
    "sdqctl sessions list --format js": ["sessions", "list", "--format", "json"],
    "sdqctl help exi": ["help", "exit-codes"],
    "sdqctl comp": ["completion"],
    "sdqctl run a": ["run", "a b.conv"],
    "sdqctl run c": ["run", "c$(touch pwned).conv"],
    "sdqctl run sub\\ dir/d": ["run", "sub dir/d.conv"],
    "sdqctl run --cwd sub": ["run", "--cwd", "sub dir/"],
    "sdqctl sessions import the": ["sessions", "import", "the bundle.sdqctl"],
}


@pytest.mark.parametrize("third", some(1, range(3)))
def test_tab_inserts_what_the_command_then_gets_and_runs_nothing(shell: Shell, third: int) -> None:
    cases = dict([*INSERTED.items()][third::3])
    got = {typed: shell.complete(typed) for typed in cases}
    if shell.name == "zsh" and "sdqctl run --cwd sub" in got:
        got["sdqctl run --cwd sub"][-1] += "/"  # it takes it away again
    assert got == cases
    assert not list(Path.cwd().rglob("pwned"))


def test_a_name_that_would_drive_the_terminal_is_not_shown(shell: Shell) -> None:
    found = Path(os.environ["SDQCTL_HOME"]) / "mock" / session_id_for("my session")
    change_session(found, name="w\x1b]0;owned\x07\x1b[31m\nnext")
    assert shell.complete(f"sdqctl resume {found.name[:4]}") == ["resume", found.name]
    before = len(shell.terminal.raw)
    shell.terminal.type("sdqctl sessions show \t\t")
    shell.terminal.wait_for("semi")
    assert b"owned" not in shell.terminal.raw[before:]


def test_bash_goes_on_after_what_several_names_have_in_common(
    sessions: Bench, tmp_path: Path
) -> None:
    for name in ("do one", "do$two"):
        add_session(sessions, name)
    folder = tmp_path / "shell"
    folder.mkdir()
    shell = Shell("bash", folder)
    with shell.terminal:
        shell.terminal.wait_for("ready>")
        assert shell.complete("sdqctl resume do\t o") == ["resume", "do one"]
        assert shell.complete("sdqctl resume do\t$t") == ["resume", "do$two"]


@pytest.mark.parametrize("text", [*NAMES, "", "-x", "a\\", "é", 'd"q', "$", "!"])
def test_what_bash_is_given_it_reads_back(text: str) -> None:
    for quote in ("", "'", '"'):
        line = split(f"x {quote}{quoted(text, quote)}")
        assert (line.words, line.current) == (["x"], text)


def ask(shell: str, *arguments: str) -> Done:
    return sdqctl(*arguments, _SDQCTL_COMPLETE=shell)


def offered(shell: str, *arguments: str) -> list[str]:
    done = ask(shell, *arguments)
    assert (done.code, done.err) == (0, "")
    return [line.split("\t")[0] for line in done.out.splitlines()[1:]]


def test_a_description_comes_whole(home: Path) -> None:
    line = next(line for line in ask("fish", "stat").out.splitlines() if "\t" in line)
    assert line == "status\tShow what is installed, signed in, and kept."


def test_sessions_are_offered_without_case_and_each_once(sessions: Bench) -> None:
    assert offered("fish", "resume", "MY") == ["my session"]
    assert offered("bash", "sdqctl resume MY", "MY") == ["my\\ session"]
    more = offered("fish", "sessions", "delete", "my session", "")
    assert "my session" not in more
    assert "a:b:c" in more


def test_what_begins_with_a_dash_is_offered_where_it_is_no_option(sessions: Bench) -> None:
    add_session(sessions, "-x")
    sessions.write("-d.conv", "PROMPT x\n")
    assert "-x" not in offered("bash", "sdqctl resume ", "")
    assert "-x" in offered("bash", "sdqctl resume -- ", "")
    assert "./-d.conv" in offered("bash", "sdqctl run ", "")
    assert "-d.conv" not in offered("bash", "sdqctl run ", "")


@pytest.mark.parametrize(
    "arguments", [("nosuch", ""), ("resume", "--nosuch", ""), ("sessions", "nosuch", "")]
)
def test_a_wrong_line_completes_nothing_in_silence(arguments: tuple[str, ...], home: Path) -> None:
    done = ask("zsh", *arguments)
    assert (done.code, done.err) == (0, "")


def test_another_shell_and_an_old_script_get_nothing(home: Path) -> None:
    for shell in ("bash_complete", "powershell", ""):
        assert ask(shell, "ses") == Done(0, "", "")


@pytest.mark.each(2)
@pytest.mark.parametrize(
    "arguments", [["resume", ""], ["run", ""], ["run", "-"], ["sessions", "delete", ""], [""]]
)
def test_tab_loads_nothing_heavy(arguments: list[str], sessions: Bench) -> None:
    script = (
        "import sys\nfrom sdqctl.cli.app import run\n"
        f"run({arguments!r})\n"
        "print('|'.join({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"_SDQCTL_COMPLETE": "zsh"},
    )
    records = {"msgspec"}  # sessions are read with it, as a list reads them
    assert not set(done.stderr.splitlines()[-1].split("|")) & (HEAVY - records)


@pytest.mark.parametrize("shell", SHELLS)
def test_its_help_says_how_to_install_it(shell: str, home: Path) -> None:
    assert f"sdqctl completion {shell}" in sdqctl("completion", shell, "--help").out


STARTUP = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/completions/sdqctl.fish"}


@pytest.mark.parametrize("name", each(3, SHELLS))
def test_installed_it_completes_in_a_shell_as_it_starts(
    name: str, sessions: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not on this machine")
    home = sessions.home / "user"
    home.mkdir()
    for variable, value in [("HOME", home), ("SDQCTL_HOME", sessions.home / "sdqctl")]:
        monkeypatch.setenv(variable, str(value))
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ZDOTDIR"):
        monkeypatch.delenv(variable, raising=False)
    first = home / STARTUP[name]
    if name == "fish":  # or it makes them in the background, and goes on when the test is over
        (home / ".local" / "share" / "fish" / "generated_completions").mkdir(parents=True)
    else:
        first.write_text("PS1='ready> '")
    done = sdqctl("completion", name, "--install")
    assert done.code == 0
    assert str(first) in done.out
    text = first.read_text()
    if name != "fish":
        assert text.startswith("PS1='ready> '\n")
    again = sdqctl("completion", name, "--install")
    assert (again.code, again.out) == (0, "")
    assert first.read_text() == text
    binary = home / "bin" / "sdqctl"
    binary.parent.mkdir()
    record = home / "record"
    record.touch()
    binary.write_text(RECORDER.format(python=sys.executable, file=record))
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:{os.environ['PATH']}")
    with Terminal(["-i"], program=shutil.which(name), columns=200) as terminal:
        if name != "fish":
            terminal.wait_for("ready>")
        terminal.type("sdqctl compl\t\r")
        terminal.wait_until(lambda: record.read_bytes().endswith(b"\0\n"))
    assert recorded(record) == ["completion"]


def test_installing_keeps_a_link_its_mode_and_the_lines_around(home: Path) -> None:
    dotfiles = home / "dotfiles"
    dotfiles.mkdir()
    real = dotfiles / "bashrc"
    real.write_text("one\n# >>> sdqctl completion >>>\nold\n# <<< sdqctl completion <<<\ntwo\n")
    real.chmod(0o640)
    (home / ".bashrc").symlink_to(real)
    assert sdqctl("completion", "bash", "--install", HOME=str(home)).code == 0
    assert (home / ".bashrc").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    lines = real.read_text().splitlines()
    assert (lines[0], lines[-1], "old" in lines) == ("one", "two", False)
    assert lines.count("# >>> sdqctl completion >>>") == 1


def test_a_start_up_file_that_cannot_be_read_is_left_alone(home: Path) -> None:
    (home / ".bashrc").mkdir()
    done = sdqctl("completion", "bash", "--install", HOME=str(home))
    assert done.code == 9
    assert "cannot be read" in done.err
    assert list((home / ".bashrc").iterdir()) == []
