"""Which hosts and addresses an image may come from: everything that is not plainly a public unicast address is refused.

The tables follow IANA's special-purpose address registries (RFC 6890 and its updates); the metadata addresses are those that the
cloud providers document. Nothing here opens a socket.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias
from urllib.parse import quote, urlsplit

import idna

from hybrid_search.catalog.images.reasons import refuse

Address: TypeAlias = IPv4Address | IPv6Address

MAX_URL = 8_192
"""Longest URL, in characters."""

_V4_NEVER = {
    "0.0.0.0/8": "unspecified",
    "169.254.0.0/16": "link-local",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "reserved",
    "192.52.193.0/24": "reserved",
    "192.88.99.0/24": "6to4 relay",
    "192.175.48.0/24": "reserved",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    # Metadata services outside the link-local range: Azure, Alibaba.
    "168.63.129.16/32": "metadata",
    "100.100.100.200/32": "metadata",
}
_V4_OWN = {
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared (CGNAT)",
    "127.0.0.0/8": "loopback",
    "172.16.0.0/12": "private",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
}
_V6_NEVER = {
    # Metadata services of AWS and Google inside the private range.
    "fd00:ec2::/32": "metadata",
    "fd20:ce::/32": "metadata",
}
_V6_OWN = {
    "::1/128": "loopback",
    "fc00::/7": "private",
}
_V6_SPECIAL = {
    # Inside 2000::/3, and yet not public unicast.
    "2001::/23": "reserved (Teredo, ORCHID and other protocols)",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "reserved",
    "3ffe::/16": "6bone",
    "3fff::/20": "documentation",
}
_V6_PUBLIC = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = {0x00005EFE, 0x02005EFE}

V4_NEVER = tuple((IPv4Network(net), kind) for net, kind in _V4_NEVER.items())
V4_OWN = tuple((IPv4Network(net), kind) for net, kind in _V4_OWN.items())
V6_NEVER = tuple((IPv6Network(net), kind) for net, kind in _V6_NEVER.items())
V6_OWN = tuple((IPv6Network(net), kind) for net, kind in _V6_OWN.items())
V6_SPECIAL = tuple((IPv6Network(net), kind) for net, kind in _V6_SPECIAL.items())

_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff]")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_NUMBER = re.compile(r"[0-9]+\Z|0x[0-9a-f]*\Z")
_LOCAL_SUFFIXES = (
    "localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private", "svc", "consul", "home.arpa",
    "in-addr.arpa", "ip6.arpa", "onion", "test", "invalid", "example",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """One checked URL: ``host`` is lower-case ASCII without brackets, ``own`` says that the shop listed it as its own."""

    scheme: str
    host: str
    port: int
    path: str
    own: bool


def forbidden_kind(address: Address, *, own: bool = False) -> str | None:
    """The kind of special range an address lies in, or ``None`` for a public unicast address.

    With ``own``, private, shared and loopback ranges count as allowed; link-local, metadata, multicast and reserved ones never do.
    IPv6 forms that carry an IPv4 address (mapped, compatible, 6to4, Teredo, ISATAP) are refused; NAT64 is judged by what it carries.
    """
    if isinstance(address, IPv4Address):
        return _first(address, V4_NEVER) or (None if own else _first(address, V4_OWN))
    if address in _NAT64:
        kind = forbidden_kind(IPv4Address(int(address) & 0xFFFFFFFF))
        return f"NAT64 of {kind}" if kind else None
    if kind := _first(address, V6_NEVER):
        return kind
    if kind := _first(address, V6_OWN):
        return None if own else kind
    if address not in _V6_PUBLIC:
        return "reserved"
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return "ISATAP"
    return _first(address, V6_SPECIAL)


def _first(address: Address, table: Collection[tuple[IPv4Network | IPv6Network, str]]) -> str | None:
    return next((kind for net, kind in table if address in net), None)


def parse_url(url: str, *, allow_hosts: Collection[str] = (), ports: Collection[int] = (80, 443)) -> Target:
    """A URL taken apart and checked as far as that needs no lookup.

    Raises:
        ImageError: ``scheme``, ``url``, ``port`` or ``forbidden_address``.
    """
    if len(url) > MAX_URL or _UNSAFE.search(url):
        raise refuse("url", url, "it holds spaces, control characters or backslashes, or is too long")
    scheme, separator, rest = url.partition("://")
    if scheme.lower() not in ("http", "https") or not separator:
        raise refuse("scheme" if separator or ":" not in url else "url", url)
    if not rest or rest[0] in "/?#":
        raise refuse("url", url, "it names no host")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        raise refuse("url", url, str(err)) from err
    if "@" in parts.netloc:
        raise refuse("url", url, "it carries a user name")
    host = canonical_host(parts.netloc, url)
    port = port if port is not None else (443 if parts.scheme == "https" else 80)
    own = host in allow_hosts or f"{host}:{port}" in allow_hosts or f"[{host}]:{port}" in allow_hosts
    _check_literal(host, url, own)
    if not own and port not in ports:
        raise refuse("port", url, f"{port}; allowed are {', '.join(map(str, sorted(ports)))}")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = f"?{quote(parts.query, safe='/%:@!$&()*+,;=~-._?')}" if parts.query else ""
    return Target(parts.scheme, host, port, path + query, own)


def canonical_host(netloc: str, url: str) -> str:
    """The host of ``host[:port]`` in lower-case ASCII; one spelling per host, the others are refused.

    IPv4 must be four plain decimals, IPv6 stands in brackets without a zone, names use letters, digits, hyphens and underscores,
    other scripts must be valid IDNA 2008 as they stand (no full-width or other look-alike forms).
    """
    if netloc.startswith("["):
        text, bracket, tail = netloc[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")) or "%" in text:
            raise refuse("url", url, "its IPv6 address is malformed")
        try:
            return IPv6Address(text).compressed
        except ValueError as err:
            raise refuse("url", url, "its IPv6 address is malformed") from err
    host = netloc.partition(":")[0].lower()
    if not host.isascii():
        try:
            host = idna.encode(host, strict=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as err:
            raise refuse("url", url, "its host name is not valid IDNA") from err
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.match(label) for label in labels):
        raise refuse("url", url, "its host name is malformed")
    if _NUMBER.match(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError as err:
            raise refuse("url", url, "its IPv4 address is not four plain decimals") from err
    return host


def _check_literal(host: str, url: str, own: bool) -> None:
    """Refuses what can be refused by the host's text alone: special addresses and names that mean this machine or network."""
    address = literal(host)
    if address is not None:
        check_address(address, url, own)
    elif not own and ("." not in host or any(host == s or host.endswith(f".{s}") for s in _LOCAL_SUFFIXES)):
        raise refuse("forbidden_address", url, f"{host} is a local name", remedy=_REMEDY)


def literal(host: str) -> Address | None:
    """The address that a canonical host spells out, ``None`` for a name."""
    if ":" in host:
        return IPv6Address(host)
    return IPv4Address(host) if _NUMBER.match(host.rpartition(".")[2]) else None


_REMEDY = "If the host is the shop's own, list it in allow_hosts."


def check_address(address: Address, url: str, own: bool) -> None:
    """Raises ``ImageError("forbidden_address")`` unless a connection to ``address`` is allowed."""
    if kind := forbidden_kind(address, own=own):
        remedy = _REMEDY if forbidden_kind(address, own=True) is None else None
        raise refuse("forbidden_address", url, f"{address} is {kind}", remedy=remedy)
