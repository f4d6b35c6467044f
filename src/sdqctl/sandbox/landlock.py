"""Landlock by its system calls alone. Standard library only: it also runs as a program of its own.

Facts: landlock(7), and include/uapi/linux/landlock.h for the bits of each version (ABI). The
numbers of the calls are the same on every architecture. openat2(2) is older than all of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_OPENAT2, _HERE, _NO_SYMLINKS = 437, -100, 4
_NO_NEW_PRIVILEGES, _DROP_CAPABILITY = 38, 24
_CAPABILITIES = 64
_KEPT_BY_ROOT = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31})
"""What containers usually leave to root (capabilities(7)), without mknod. The others see into the
memory of processes outside, mount, trace, or reach devices.
"""
_VERSION = 1
_PATH_RULE, _PORT_RULE = 1, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_SOCK, _MAKE_FIFO, _MAKE_SYM = 1 << 9, 1 << 10, 1 << 12
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15

READ = EXECUTE | READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK
WRITE |= _MAKE_FIFO | _MAKE_SYM | _REFER | _TRUNCATE
DEVICE = READ_FILE | WRITE_FILE | _TRUNCATE | _IOCTL
"""Devices are never made: who is root would reach a disk by that."""
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL
_CONNECT_TCP = 2
HOLDS_PORTS = 4
"""The version from which on connections are held to ports."""
_SCOPES = 3
"""Abstract Unix sockets, and signals."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

Rule = tuple[str, int]


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("access", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """The kernel's Landlock version, 0 when it has none or it is switched off."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, _call(_CREATE, None, 0, _VERSION))


def make_ruleset(rules: Iterable[Rule], ports: Iterable[int] | None, abi: int) -> int:
    """A ruleset as a file descriptor, which the caller closes; it skips paths that are not there,
    and those with a link in them.

    `ports` None: every TCP port may be connected to. Raises OSError.
    """
    handled = _handled(abi)
    net = _CONNECT_TCP if ports is not None and abi >= HOLDS_PORTS else 0
    attributes = _Ruleset(handled, net, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _checked(_call(_CREATE, ctypes.byref(attributes), size, 0))
    try:
        for path, access in rules:
            _add_path(ruleset, path, access & handled)
        for port in ports if ports is not None and net else ():
            rule = _PortRule(_CONNECT_TCP, port)
            _checked(_call(_ADD, ruleset, _PORT_RULE, ctypes.byref(rule), 0))
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def entry(ruleset: int, filtered: Callable[[], None]) -> Callable[[], None]:
    """What a new process calls to enter: system calls only. It raises OSError, and then ends.

    `filtered` is called after it, under no_new_privs. Root loses what would lead out.
    """
    lost = [n for n in range(_CAPABILITIES) if n not in _KEPT_BY_ROOT] if os.geteuid() == 0 else []

    def enter() -> None:
        for number in lost:
            _LIBC.prctl(_DROP_CAPABILITY, number, 0, 0, 0)  # the kernel does not know all of them
        if _LIBC.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or _LIBC.syscall(_RESTRICT, ruleset, 0):
            raise OSError(ctypes.get_errno(), "the sandbox cannot be entered")
        filtered()

    return enter


def _handled(abi: int) -> int:
    """The accesses to files that a version of the kernel bounds: all that it knows."""
    bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)
    return (1 << bits) - 1


def _add_path(ruleset: int, path: str, access: int) -> None:
    """Add a rule for what is there under this name: a link opens nothing, its target has a name."""
    try:
        handle = _open(path)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            access &= _OF_FILES
        if access:
            rule = _PathRule(access, handle)
            _checked(_call(_ADD, ruleset, _PATH_RULE, ctypes.byref(rule), 0))
    finally:
        os.close(handle)


def _open(path: str) -> int:
    """A handle of what is there under a whole path, none of whose parts is a link: a tool may have
    put one there since the path was worked out. Raises OSError.
    """
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, _NO_SYMLINKS)
    size = ctypes.sizeof(how)
    return _checked(_call(_OPENAT2, _HERE, os.fsencode(path), ctypes.byref(how), size))


def _call(number: int, *arguments: object) -> int:
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(_LIBC.syscall(ctypes.c_long(number), *wide))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def main(arguments: list[str]) -> None:
    """Enter the net that `LandlockSandbox.launcher` describes, and become a program in it."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import filters  # type: ignore[import-not-found]

    net = json.loads(arguments[0])
    rules = [(str(path), int(access)) for path, access in net["rules"]]
    ruleset = make_ruleset(rules, net["ports"], version())
    entry(ruleset, filters.filtering(strict=net["strict"]))()
    os.close(ruleset)
    os.execv(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
