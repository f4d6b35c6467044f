"""Internet addresses of url rules and requests, in the forms that lead to the same host."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote, urlsplit

_UNSAFE = re.compile(r"[\\\s\x00-\x1f\x7f]")
_DROPPED = re.compile(r"[\t\r\n]|\A[\x00-\x20]+")
"""What browsers drop before they read an address (url.spec.whatwg.org, basic URL parser)."""
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(?!\d+(?:[/?#]|\Z))", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = "localhost"
_UNCLEAR_SIGNS = frozenset("ßς\u200c\u200d")
"""Names with these lead to different hosts in IDNA 2003 and 2008 (UTS 46, 7)."""
_MOST_DECODINGS = 4


@dataclass(frozen=True)
class Address:
    """An address in its parts."""

    scheme: str
    written: str
    """The host as it is written, in lower case."""
    names: frozenset[str]
    """The host as it is looked up; more than one where programs differ."""
    port: int | None
    path: str

    @property
    def host_forms(self) -> frozenset[str]:
        """The names of the host; all that lead to this machine share one."""
        return self.names | {_LOOPBACK} if any(map(_is_local, self.names)) else self.names

    @property
    def origin(self) -> str:
        """A rule's pattern for all below this host: the scheme only where it is not https."""
        host = f"[{self.written}]" if ":" in self.written else self.written
        port = "" if self.port is None else f":{self.port}"
        return ("" if self.scheme == "https" else f"{self.scheme}://") + host + port

    @property
    def effective_port(self) -> int | None:
        """The port that is connected to."""
        return self.port if self.port is not None else _PORTS.get(self.scheme)


def parse_address(text: str) -> Address | None:
    """An address, https when it names no scheme; None when programs may read it differently."""
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = parts.port
        written = (parts.hostname or "").removesuffix(".")
        names = _names(written)
    except ValueError:
        return None
    if not names or "@" in parts.netloc or _UNSAFE.search(text):
        return None
    if "://" not in text and _SCHEME.match(text):
        return None
    return Address(parts.scheme, written, names, port, parts.path)


def is_web(text: str) -> bool:
    """Whether an address without doubt is fetched by http or https."""
    text = _DROPPED.sub("", text)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return parse_address(text) is not None
    return scheme[1].lower() in _PORTS


def allows_address(rule: Address, wanted: Address) -> bool:
    """Whether an allow rule means an address: the same scheme, host and port, no path above."""
    certain = len(wanted.names) == 1 and _matches(wanted.names, rule.names)
    same_host = rule.written == wanted.written or certain
    same_port = rule.port is None or rule.port == wanted.effective_port
    if not same_host or not same_port or rule.scheme != wanted.scheme:
        return False
    folder = _folder(rule)
    unclear = ".." in wanted.path or "%" in wanted.path
    return not folder or (not unclear and _lies_below(wanted.path, folder))


def denies_address(rule: Address, wanted: Address, *, any_scheme: bool) -> bool:
    """Whether a deny rule may mean an address, in any of the ways to read it."""
    if not _matches(wanted.host_forms, rule.host_forms):
        return False
    if not any_scheme and rule.scheme != wanted.scheme:
        return False
    if rule.port is not None and rule.port != wanted.effective_port:
        return False
    folder = _folder(rule)
    if not folder:
        return True
    wholes = {form.lower() for form in _path_forms(folder)}
    return any(_lies_below(p.lower(), w) for w in wholes for p in _path_forms(wanted.path))


def _matches(hosts: frozenset[str], patterns: frozenset[str]) -> bool:
    return any(fnmatchcase(host, pattern) for pattern in patterns for host in hosts)


def _names(host: str) -> frozenset[str]:
    """A host's name as resolvers take it. Raises ValueError for what is no name."""
    if not host or "%" in host:
        return frozenset()
    if ":" in host:
        six = ipaddress.IPv6Address(host)
        return frozenset({str(_within(six) or six)})
    dotted = re.sub("[\u3002\uff0e\uff61]", ".", host)
    names = {_ascii(dotted)}
    if _UNCLEAR_SIGNS & set(dotted):
        names.add(".".join(map(_punycode, dotted.lower().split("."))))
    plain = (name.lower().rstrip(".") for name in names)
    return frozenset(str(_ipv4(name) or name) for name in plain)


def _is_local(name: str) -> bool:
    """Whether a name leads to this machine."""
    if name == _LOOPBACK or name.endswith(f".{_LOOPBACK}"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _within(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one carries (RFC 4291 2.5.5, RFC 6052, RFC 3056)."""
    if address.ipv4_mapped is not None or address.sixtofour is not None:
        return address.ipv4_mapped or address.sixtofour
    number = int(address)
    translated = number >> 32 == int(ipaddress.IPv6Address("64:ff9b::")) >> 32
    compatible = number >> 32 == 0 and number > 1
    return ipaddress.IPv4Address(number & 0xFFFFFFFF) if translated or compatible else None


def _ipv4(name: str) -> ipaddress.IPv4Address | None:
    """A number as inet_aton(3) and browsers read it: 1 to 4 parts, decimal, octal or hexadecimal.

    Raises ValueError for a name that ends like a number and is none: programs differ there.
    """
    parts = name.split(".")
    if not re.fullmatch(r"\d+|0x[0-9a-f]*", parts[-1]):
        return None
    if len(parts) > 4:
        raise ValueError("more than four numbers")
    *high, low = map(_number, parts)
    if any(part > 255 for part in high) or low >= 256 ** (5 - len(parts)):
        raise ValueError("a number is too large")
    value = low + sum(part << (24 - 8 * place) for place, part in enumerate(high))
    return ipaddress.IPv4Address(value)


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if len(text) > 1 and text.startswith("0") else 10)


def _ascii(host: str) -> str:
    """A name as it is looked up; labels with a wildcard stay as they are."""
    if host.isascii():
        return host
    return ".".join(x if "*" in x else x.encode("idna").decode() for x in host.split("."))


def _punycode(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode()


def _folder(rule: Address) -> str:
    return rule.path.rstrip("/*")


def _lies_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _path_forms(path: str) -> set[str]:
    """A path as it is, decoded, and with its dots and slashes resolved."""
    forms = {path}
    for _ in range(_MOST_DECODINGS):
        forms |= {unquote(form) for form in forms}
    forms |= {form.split(";")[0] for form in forms} | {f.replace("\\", "/") for f in forms}
    return forms | {posixpath.normpath(f"/{form.lstrip('/')}") for form in forms if form}
