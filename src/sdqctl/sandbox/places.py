"""Folders that programs need: the system's, those of toolchains, and the caches of builds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/proc",
    "/sys",
    "/nix",
    "/snap",
    "/run/current-system",
    "/etc/resolv.conf",
    "/etc/localtime",
)
"""Those that are links (resolv.conf often leads to /run) are resolved like all paths."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
SHARED_MEMORY = "/dev/shm"
CONFIGURATION = (
    ".gitconfig",
    ".config/git/config",
    ".config/git/ignore",
    ".config/git/attributes",
    ".gitignore",
    ".gitignore_global",
    ".config/pip",
    ".editorconfig",
    ".tool-versions",
    ".inputrc",
    ".terminfo",
)
"""Read under HOME. What usually holds keys is not: .npmrc, .netrc, .pypirc, .ssh, .config/gh."""
TOOLCHAINS = (
    ".local/bin",
    ".local/lib",
    ".local/share/fnm",
    ".local/share/mise",
    ".local/share/pipx",
    ".local/share/pnpm",
    ".local/share/uv",
    ".local/share/virtualenvs",
    ".local/pipx",
    ".asdf",
    ".bun",
    ".cargo/bin",
    ".cargo/config.toml",
    ".cargo/env",
    ".conda",
    ".deno",
    ".dotnet",
    ".fnm",
    ".goenv",
    ".jdks",
    ".jenv",
    ".nodenv",
    ".npm-global",
    ".nvm",
    ".pyenv",
    ".rbenv",
    ".rustup",
    ".rvm",
    ".sdkman",
    ".volta",
    "go",
    "miniconda3",
    "anaconda3",
)
_PROGRAMS = {
    ".npm": ("npm",),
    ".cargo/registry": ("cargo",),
    ".cargo/git": ("cargo",),
    ".m2/repository": ("mvn", "mvnw"),
    ".gradle/caches": ("gradle", "gradlew"),
    ".gradle/daemon": ("gradle", "gradlew"),
    ".gradle/native": ("gradle", "gradlew"),
    ".gradle/wrapper": ("gradlew",),
    "go/pkg": ("go",),
}
"""Caches that their program makes at its first use, which the net would keep it from."""
CACHES = (
    ".cache",
    *_PROGRAMS,
    ".bun/install/cache",
    ".bundle/cache",
    ".cargo/.global-cache",
    ".cargo/.package-cache",
    ".cargo/.package-cache-mutate",
    ".ccache",
    ".gem",
    ".gradle/.tmp",
    ".gradle/kotlin-profile",
    ".gradle/notifications",
    ".gradle/workers",
    ".ivy2/cache",
    ".local/share/NuGet",
    ".local/share/pnpm/store",
    ".local/share/uv",
    ".local/share/virtualenvs",
    ".nuget/packages",
    ".sbt/boot",
    ".yarn/berry",
)
_CERTIFICATES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
)
_OF_PROGRAMS = ("bin", "sbin", "shims")


def certificates(environment: Mapping[str, str]) -> list[str]:
    """The certificates that variables name."""
    return [environment[name] for name in _CERTIFICATES if environment.get(name)]


def own_places() -> list[str]:
    """Where this program, its Python and what it imports lie."""
    places = (sys.prefix, sys.base_prefix, Path(__file__).parents[1])
    return [os.path.realpath(path) for path in places]


def folders_of_programs(environment: Mapping[str, str], home: str) -> list[str]:
    """Where the programs of PATH and their libraries lie, and this program itself.

    A folder `bin` stands for the one that it lies in, unless that holds other things as well.
    """
    active = environment.get("VIRTUAL_ENV")
    found = [*own_places(), *([os.path.realpath(active)] if active else [])]
    for entry in environment.get("PATH", "").split(os.pathsep):
        if not entry.startswith("/"):
            continue
        found.append(entry)
        above = os.path.dirname(entry.rstrip("/"))
        mixed = {"/", home, f"{home}/.local", f"{home}/.cargo", f"{home}/.config"}
        if os.path.basename(entry.rstrip("/")) in _OF_PROGRAMS and above not in mixed:
            found.append(above)
    return found


def missing_caches(environment: Mapping[str, str], cwd: Path) -> Iterator[Path]:
    """The cache folders that are not there and whose program is: it could not make them inside."""
    home = environment.get("HOME")
    if not home:
        return
    places = [str(cwd), *environment.get("PATH", "").split(os.pathsep)]
    wanted = {program for programs in _PROGRAMS.values() for program in programs}
    there = {p for p in wanted if any(os.path.isfile(f"{place}/{p}") for place in places)}
    yield from _missing(Path(home), ".cache")
    for name, programs in _PROGRAMS.items():
        if not there.isdisjoint(programs):
            yield from _missing(Path(home), name)


def _missing(home: Path, name: str) -> Iterator[Path]:
    if home.is_dir() and not (home / name).exists():
        yield home / name
