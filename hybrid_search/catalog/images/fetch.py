"""Downloads one image over HTTP: names are resolved once, checked, and the checked address is the one connected to.

The environment's proxies are never used. One deadline covers lookups, connections, redirects and the body, byte by byte.
"""

from __future__ import annotations

import base64
import http.client
import io
import socket
import ssl
import threading
import time
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import unquote, urljoin, urlsplit

from hybrid_search.catalog.images.addresses import Address, Target, check_address, literal, parse_url
from hybrid_search.catalog.images.limits import ImageLimits
from hybrid_search.catalog.images.reasons import refuse
from hybrid_search.errors import ImageError, SettingsError

_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "hybrid-search", "Connection": "close"}
_REDIRECTS = {301, 302, 303, 307, 308}
_LATER = {408, 425, 429}
_BLOCK = 65_536
_OVERHEAD = 262_144
"""Bytes that headers and chunk framing may take besides the body."""


class _Wire(Protocol):
    """The part of a connected socket that is used here (plain and TLS sockets have it)."""

    def settimeout(self, value: float | None, /) -> None: ...
    def recv_into(self, buffer: memoryview, /) -> int: ...
    def sendall(self, data: bytes, /) -> None: ...


class _Budget:
    """What is left of a fetch: seconds until its deadline, and bytes that may still arrive."""

    def __init__(self, url: str, limits: ImageLimits) -> None:
        self.url = url
        self.limits = limits
        self.deadline = time.monotonic() + limits.timeout
        self.bytes = limits.max_bytes + _OVERHEAD * (limits.max_redirects + 1)

    def seconds(self, at_most: float | None = None) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise refuse("timeout", self.url, f"{self.limits.timeout:g} s", transient=True)
        return left if at_most is None else min(left, at_most)

    def spend(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise refuse("too_many_bytes", self.url, f"over {self.limits.max_bytes:,} bytes")


class _TimedReader(io.RawIOBase):
    """Reads a socket within a budget: a server that sends one byte a second gains nothing by it."""

    def __init__(self, wire: _Wire, budget: _Budget) -> None:
        self._wire = wire
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        self._wire.settimeout(self._budget.seconds())
        count = self._wire.recv_into(buffer)
        self._budget.spend(count)
        return count


class _TimedSocket:
    """A connected socket as ``http.client`` expects one, within a budget."""

    def __init__(self, wire: _Wire, budget: _Budget) -> None:
        self._wire = wire
        self._budget = budget

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._wire, self._budget))

    def sendall(self, data: bytes) -> None:
        self._wire.settimeout(self._budget.seconds())
        self._wire.sendall(data)

    def close(self) -> None:
        """Nothing: ``http.client`` calls it while the body is still to be read; whoever connected closes the wire."""


def fetch(url: str, limits: ImageLimits, context: ssl.SSLContext) -> bytes:
    """The body that a URL answers with, after at most ``max_redirects`` redirects.

    Raises:
        ImageError: with a reason of the reference or transfer group; transient for time-outs, failed lookups and connections,
            and the statuses 408, 425, 429 and 5xx.
    """
    budget = _Budget(url, limits)
    for _ in range(limits.max_redirects + 1):
        target = parse_url(url, allow_hosts=limits.allow_hosts, ports=limits.ports)
        body, url = _exchange(target, url, budget, context)
        if body is not None:
            return body
    raise refuse("redirects", budget.url, f"more than {limits.max_redirects}")


def _exchange(target: Target, url: str, budget: _Budget, context: ssl.SSLContext) -> tuple[bytes | None, str]:
    """One request: the body, or ``None`` and the URL that it redirects to."""
    wire = _connect(target, url, budget, context)
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.auto_open = 0  # it must never connect by itself, past the checks
    connection.default_port = 443 if target.scheme == "https" else 80
    try:
        connection.sock = _TimedSocket(wire, budget)
        connection.request("GET", target.path, headers=_HEADERS)
        with connection.getresponse() as response:
            if response.status in _REDIRECTS:
                return None, _location(response, url)
            return _body(response, url, budget), url
    except TimeoutError as err:
        raise refuse("timeout", url, f"{budget.limits.timeout:g} s", transient=True) from err
    except (http.client.HTTPException, OSError, ValueError) as err:
        raise refuse("http_protocol", url, type(err).__name__, transient=True) from err
    finally:
        wire.close()


def _location(response: http.client.HTTPResponse, url: str) -> str:
    location = response.getheader("Location")
    if not location:
        raise refuse("redirects", url, "no Location")
    try:
        return urljoin(url, location)
    except ValueError as err:
        raise refuse("redirects", url, "malformed Location") from err


def _body(response: http.client.HTTPResponse, url: str, budget: _Budget) -> bytes:
    limit = budget.limits.max_bytes
    status = response.status
    if status != 200:
        raise refuse("http_status", url, f"status {status}", transient=status >= 500 or status in _LATER)
    encoding = response.getheader("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):
        raise refuse("content_encoding", url, encoding)
    if response.length is not None and response.length > limit:
        raise refuse("too_many_bytes", url, f"{response.length:,} bytes; allowed are {limit:,}")
    body = bytearray()
    while block := response.read(_BLOCK):
        body += block
        if len(body) > limit:
            raise refuse("too_many_bytes", url, f"over {limit:,} bytes")
    if response.length:
        raise refuse("http_protocol", url, f"{response.length:,} bytes are missing", transient=True)
    if not body:
        raise refuse("empty", url)
    return bytes(body)


# --- connecting ------------------------------------------------------------------------------------------------------


def _connect(target: Target, url: str, budget: _Budget, context: ssl.SSLContext) -> socket.socket:
    """A socket to the first address of the target that answers; every address was checked before the first is tried."""
    addresses = _resolve(target, url, budget)
    for number, address in enumerate(addresses, start=1):
        try:
            return _open(address, target, url, budget, context)
        except ImageError:
            if number == len(addresses):
                raise
    raise refuse("dns", url, "no address", transient=True)


def _open(address: Address, target: Target, url: str, budget: _Budget, context: ssl.SSLContext) -> socket.socket:
    patience = budget.limits.connect_timeout
    wire: socket.socket | None = None
    try:
        if budget.limits.proxy:
            wire = _tunnel(budget.limits.proxy, address, target.port, url, budget)
        else:
            family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
            wire = socket.socket(family, socket.SOCK_STREAM)
            wire.settimeout(budget.seconds(patience))
            wire.connect((str(address), target.port))
        if target.scheme == "https":
            wire.settimeout(budget.seconds(patience))
            wire = context.wrap_socket(wire, server_hostname=target.host)
        return wire
    except BaseException as err:
        if wire is not None:
            wire.close()
        if isinstance(err, TimeoutError):
            raise refuse("timeout", url, f"connecting to {address}", transient=True) from err
        if isinstance(err, ssl.SSLError):
            raise refuse("tls", url, err.reason or type(err).__name__, transient=not isinstance(err, ssl.SSLCertVerificationError)) from err
        if isinstance(err, OSError):
            raise refuse("connect", url, f"{address}: {err.strerror or err}", transient=True) from err
        raise


def _resolve(target: Target, url: str, budget: _Budget) -> tuple[Address, ...]:
    """The target's addresses, IPv4 first. One forbidden address among them forbids the host: such answers are attacks or mistakes."""
    spelled = literal(target.host)
    found = (spelled,) if spelled is not None else _lookup(target.host, target.port, url, budget)
    for address in found:
        check_address(address, url, target.own)
    return found


def _lookup(host: str, port: int, url: str, budget: _Budget) -> tuple[Address, ...]:
    """Asks the system's resolver once, in a thread, because it knows no time limit."""
    answers: list[tuple[Address, ...] | OSError] = []

    def ask() -> None:
        try:
            lines = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            found = dict.fromkeys(ip_address(str(line[4][0]).partition("%")[0]) for line in lines)
            answers.append(tuple(sorted(found, key=lambda address: address.version)))
        except (OSError, UnicodeError) as err:
            answers.append(err if isinstance(err, OSError) else OSError(str(err)))

    thread = threading.Thread(target=ask, name="image-lookup", daemon=True)
    thread.start()
    thread.join(budget.seconds(budget.limits.connect_timeout))
    answer = answers[0] if answers else TimeoutError("no answer in time")
    if isinstance(answer, OSError):
        raise refuse("dns", url, f"{host}: {answer.strerror or answer}", transient=True) from answer
    return answer


def _tunnel(proxy: str, address: Address, port: int, url: str, budget: _Budget) -> socket.socket:
    """A socket through the proxy to the checked address; the proxy never resolves a name for us."""
    parts = parse_proxy(proxy)
    wire = socket.create_connection((parts.host, parts.port), timeout=budget.seconds(budget.limits.connect_timeout))
    try:
        wire.settimeout(budget.seconds(budget.limits.connect_timeout))
        place = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
        wire.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{parts.authorization}\r\n".encode("ascii"))
        status = _proxy_status(wire, budget)
        if status != 200:
            raise refuse("connect", url, f"the proxy answered {status}", transient=True)
        return wire
    except BaseException:
        wire.close()
        raise


def _proxy_status(wire: socket.socket, budget: _Budget) -> int:
    """Reads the proxy's answer byte by byte up to its empty line, so that nothing of the tunnel is swallowed."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        wire.settimeout(budget.seconds())
        byte = wire.recv(1)
        if not byte or len(head) > _BLOCK:
            raise OSError("the proxy's answer is malformed")
        head += byte
    try:
        return int(head.split(b" ", 2)[1][:3])
    except (IndexError, ValueError) as err:
        raise OSError("the proxy's answer is malformed") from err


class _Proxy:
    """Where the proxy is, and the header that logs in to it (empty without a user)."""

    def __init__(self, host: str, port: int, authorization: str) -> None:
        self.host = host
        self.port = port
        self.authorization = authorization


def parse_proxy(proxy: str) -> _Proxy:
    """Takes ``http://[user:password@]host:port`` apart.

    Raises:
        SettingsError: when it is anything else (the value is not repeated: it may hold a password).
    """
    try:
        parts = urlsplit(proxy)
        if parts.scheme != "http" or not parts.hostname or parts.port is None:
            raise ValueError(proxy)
    except ValueError as err:
        raise SettingsError(
            "The image proxy is not understood.", field="proxy", remedy="Write http://host:port or http://user:password@host:port."
        ) from err
    if parts.username is None:
        return _Proxy(parts.hostname, parts.port, "")
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return _Proxy(parts.hostname, parts.port, f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode('ascii')}\r\n")
