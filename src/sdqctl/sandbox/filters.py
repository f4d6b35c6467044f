"""A filter of system calls (seccomp) for what Landlock leaves open. Standard library only.

Always: no characters are pushed into a terminal (TIOCSTI, TIOCLINUX). Strict: no Unix sockets, by
which the services of the desktop do what they are asked outside of the net; no MPTCP and no TCP
Fast Open, which connect past Landlock's ports; no io_uring, whose requests no filter sees.
"""

from __future__ import annotations

import ctypes
import errno
import platform
from collections.abc import Callable

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CALLS = {
    "x86_64": {"socket": 41, "ioctl": 16, "sendto": 44, "sendmsg": 46, "sendmmsg": 307},
    "aarch64": {"socket": 198, "ioctl": 29, "sendto": 206, "sendmsg": 211, "sendmmsg": 269},
}
_IO_URING = (425, 426, 427)
_X32 = 0x40000000
_FILTER_MODE, _NO_SLOWER, _GET_SECCOMP = 1, 4, 21
_LOAD, _EQUAL, _AT_LEAST, _ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_AF_UNIX, _IPPROTO_MPTCP, _MSG_FASTOPEN = 1, 262, 0x20000000
_TERMINAL = (0x5412, 0x541C)

_Line = tuple[int, int, int, int]


class _Filter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("true", ctypes.c_uint8),
        ("false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.POINTER(_Filter)))


def is_supported() -> bool:
    """Whether the kernel filters, and the numbers of this machine's system calls are known."""
    known = platform.machine() in _CALLS
    return known and ctypes.CDLL(None).prctl(_GET_SECCOMP, 0, 0, 0, 0) >= 0


def filtering(*, strict: bool) -> Callable[[], None]:
    """What a new process calls, under no_new_privs, to be filtered: a system call only."""
    if not is_supported():
        return lambda: None
    lines = _program(platform.machine(), strict=strict)
    table = (_Filter * len(lines))(*(_Filter(*line) for line in lines))
    program = _Program(len(lines), table)
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(_SECCOMP[platform.machine()])

    def enter() -> None:
        if libc.syscall(number, _FILTER_MODE, _NO_SLOWER, ctypes.byref(program)):
            raise OSError(ctypes.get_errno(), "the filter of system calls is refused")

    return enter


def _program(machine: str, *, strict: bool) -> list[_Line]:
    """The filter in classic BPF over `struct seccomp_data` (number, architecture, arguments).

    Programs for another architecture (32 bits) are let be, and do not run in a strict one.
    """
    calls = _CALLS[machine]
    lines: list[_Line] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS if strict else _ALLOW),
        (_LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":
        lines += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    lines += _refused(calls["ioctl"], 1, _EQUAL, _TERMINAL, errno.EPERM)
    if strict:
        lines += _refused(calls["socket"], 0, _EQUAL, (_AF_UNIX,), errno.EACCES)
        lines += _refused(calls["socket"], 2, _EQUAL, (_IPPROTO_MPTCP,), errno.EPROTONOSUPPORT)
        for name, place in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
            lines += _refused(calls[name], place, _ANY, (_MSG_FASTOPEN,), errno.EOPNOTSUPP)
        for number in _IO_URING:
            lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def _refused(
    number: int, place: int, test: int, values: tuple[int, ...], error: int
) -> list[_Line]:
    """Refuse a call whose argument at `place` (its low half) passes a test against a value."""
    body: list[_Line] = [(_LOAD, 0, 0, 16 + 8 * place)]
    for value in values:
        body += [(test, 0, 1, value), (_RETURN, 0, 0, _ERROR | error)]
    body.append((_LOAD, 0, 0, 0))
    return [(_EQUAL, 0, len(body), number), *body]
