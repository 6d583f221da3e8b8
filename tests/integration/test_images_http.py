"""Downloads from real servers on loopback (which are listed as the shop's own), from well-behaved to hostile."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hybrid_search.catalog.images import ImageIntake, ImageLimits
from hybrid_search.errors import ImageError

BODY = b"\xff\xd8\xff the bytes of a picture"
Answer = Callable[[socket.socket, bytes], None]


class Server(socketserver.ThreadingTCPServer):
    """Answers each connection by the function for its path; ``seen`` keeps the requests."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, routes: dict[str, Answer], context: ssl.SSLContext | None = None) -> None:
        self.routes = routes
        self.context = context
        self.seen: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Conversation)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str = "/") -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}{path}"


class _Conversation(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        with contextlib.suppress(OSError):
            wire: socket.socket = server.context.wrap_socket(self.request, server_side=True) if server.context else self.request
            request = b""
            while b"\r\n\r\n" not in request:
                if not (part := wire.recv(4_096)):
                    return
                request += part
            server.seen.append(request)
            path = request.split(b" ")[1].decode()
            server.routes.get(path, server.routes.get("*", reply(b"", status="404 Not Found")))(wire, request)
            wire.close()


def reply(body: bytes = BODY, *, status: str = "200 OK", headers: str = "", length: bool = True) -> Answer:
    head = f"HTTP/1.1 {status}\r\n{headers}{f'Content-Length: {len(body)}{chr(13)}{chr(10)}' if length else ''}\r\n"
    return lambda wire, _: wire.sendall(head.encode("latin-1") + body)


@contextlib.contextmanager
def serving(routes: dict[str, Answer], context: ssl.SSLContext | None = None) -> Iterator[Server]:
    with Server(routes, context) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def intake_for(**limits: object) -> ImageIntake:
    settings: dict[str, object] = {"allow_hosts": ("127.0.0.1",), "timeout": 5.0, **limits}
    return ImageIntake(ImageLimits(**settings))  # type: ignore[arg-type]


def refusal(intake: ImageIntake, url: str) -> tuple[str, bool]:
    with pytest.raises(ImageError) as caught:
        intake.read(url)
    return caught.value.reason, caught.value.transient


def test_a_plain_download_names_its_host_and_asks_for_no_compression() -> None:
    with serving({"/a.jpg?w=1": reply()}) as server:
        assert intake_for().read(server.url("/a.jpg?w=1")) == BODY
        request = server.seen[0].decode().lower()
    assert request.startswith("get /a.jpg?w=1 http/1.1\r\n")
    assert f"host: 127.0.0.1:{server.port}\r\n" in request
    assert "accept-encoding: identity\r\n" in request


def test_chunked_and_unmeasured_bodies_are_read() -> None:
    chunks = b"5\r\n" + BODY[:5] + b"\r\n" + f"{len(BODY) - 5:x}\r\n".encode() + BODY[5:] + b"\r\n0\r\n\r\n"
    with serving({"/c": reply(chunks, headers="Transfer-Encoding: chunked\r\n", length=False), "/u": reply(length=False)}) as server:
        assert intake_for().read(server.url("/c")) == BODY
        assert intake_for().read(server.url("/u")) == BODY


def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    routes = {f"/{n}": reply(b"", status="302 Found", headers=f"Location: /{n - 1}\r\n") for n in range(1, 5)} | {"/0": reply()}
    with serving(routes) as server:
        assert intake_for().read(server.url("/3")) == BODY
        assert refusal(intake_for(), server.url("/4")) == ("redirects", False)
        assert refusal(intake_for(max_redirects=0), server.url("/1")) == ("redirects", False)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.2/", "forbidden_address"),
        ("http://169.254.169.254/latest/meta-data/", "forbidden_address"),
        ("//localhost/", "forbidden_address"),
        ("file:///etc/passwd", "scheme"),
        ("http://2130706433/", "url"),
        ("http://[::1]/", "forbidden_address"),
        ("", "redirects"),
    ],
)
def test_redirects_are_checked_like_the_first_url(location: str, reason: str) -> None:
    with serving({"/": reply(b"", status="301 Moved", headers=f"Location: {location}\r\n")}) as server:
        assert refusal(intake_for(), server.url()) == (reason, False)


def test_statuses_say_whether_to_try_again() -> None:
    final = ["404 Not Found", "403 Forbidden", "204 No Content", "206 Partial Content"]
    codes = dict.fromkeys(final, False) | dict.fromkeys(["429 Slow Down", "500 Oops", "503 Busy"], True)
    with serving({f"/{code[:3]}": reply(b"", status=code) for code in codes}) as server:
        for code, transient in codes.items():
            assert refusal(intake_for(), server.url(f"/{code[:3]}")) == ("http_status", transient), code


def test_bodies_are_capped_whether_announced_or_not() -> None:
    def endless(wire: socket.socket, _: bytes) -> None:
        wire.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _number in range(2_000):
            wire.sendall(bytes(100_000))

    def endless_head(wire: socket.socket, _: bytes) -> None:
        wire.sendall(b"HTTP/1.1 200 OK\r\n")
        for _number in range(50_000):
            wire.sendall(b"X-A: " + b"a" * 500 + b"\r\n")

    routes = {"/said": reply(bytes(2_001)), "/over": reply(bytes(2_001), length=False), "/endless": endless, "/head": endless_head}
    with serving({**routes, "/fits": reply(bytes(2_000))}) as server:
        intake = intake_for(max_bytes=2_000)
        assert refusal(intake, server.url("/said"))[0] == "too_many_bytes"
        assert refusal(intake, server.url("/over"))[0] == "too_many_bytes"
        assert refusal(intake, server.url("/endless"))[0] == "too_many_bytes"
        assert refusal(intake, server.url("/head"))[0] in ("http_protocol", "too_many_bytes")
        assert len(intake.read(server.url("/fits"))) == 2_000


def test_one_deadline_covers_servers_that_drip() -> None:
    def drip_body(wire: socket.socket, _: bytes) -> None:
        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _number in range(1_000):
            wire.sendall(b"x")
            time.sleep(0.05)

    def drip_head(wire: socket.socket, _: bytes) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Header: " + b"a" * 1_000:
            wire.sendall(bytes([byte]))
            time.sleep(0.05)

    def silent(wire: socket.socket, _: bytes) -> None:
        time.sleep(5)

    with serving({"/body": drip_body, "/head": drip_head, "/silent": silent}) as server:
        for path in ("/body", "/head", "/silent"):
            start = time.monotonic()
            assert refusal(intake_for(timeout=0.4), server.url(path)) == ("timeout", True)
            assert time.monotonic() - start < 3


def test_broken_answers_are_refused() -> None:
    def hang_up(wire: socket.socket, _: bytes) -> None:
        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

    routes: dict[str, Answer] = {
        "/half": hang_up,
        "/noise": lambda wire, _: wire.sendall(b"\x00\x01\x02\r\n\r\n"),
        "/nothing": lambda wire, _: None,
        "/chunks": reply(b"zz\r\nbody", headers="Transfer-Encoding: chunked\r\n", length=False),
        "/gzip": reply(headers="Content-Encoding: gzip\r\n"),
        "/empty": reply(b""),
    }
    with serving(routes) as server:
        for path in ("/half", "/noise", "/nothing", "/chunks"):
            assert refusal(intake_for(), server.url(path)) == ("http_protocol", True), path
        assert refusal(intake_for(), server.url("/gzip")) == ("content_encoding", False)
        assert refusal(intake_for(), server.url("/empty")) == ("empty", False)


def test_hosts_that_cannot_be_reached_or_resolved_may_be_tried_again() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert refusal(intake_for(), f"http://127.0.0.1:{port}/") == ("connect", True)
    assert refusal(intake_for(), "http://no-such-host-3f9c.example.com/") == ("dns", True)


def test_the_environments_proxy_is_not_used_and_the_configured_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def tunnel(wire: socket.socket, request: bytes) -> None:
        host, _, port = request.split(b" ")[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            wire.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            onward.sendall(wire.recv(65_536))
            while part := onward.recv(65_536):
                wire.sendall(part)

    with (
        serving({"/a": reply()}) as server,
        serving({"*": tunnel}) as proxy,
        serving({"*": reply(b"", status="407 Who are you")}) as closed,
    ):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, closed.url())
        assert intake_for().read(server.url("/a")) == BODY
        assert closed.seen == [] and proxy.seen == []
        assert intake_for(proxy=f"http://shop:s%20cret@127.0.0.1:{proxy.port}").read(server.url("/a")) == BODY
        assert proxy.seen[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode())
        assert b"Proxy-Authorization: Basic c2hvcDpzIGNyZXQ=\r\n" in proxy.seen[0]
        assert refusal(intake_for(proxy=closed.url().rstrip("/")), server.url("/a")) == ("connect", True)
        assert refusal(intake_for(proxy=proxy.url().rstrip("/")), "http://10.0.0.1/") == ("forbidden_address", False)
        assert len(proxy.seen) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, made by the openssl program."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=shop -addext subjectAltName=IP:127.0.0.1 -keyout {path} -out {path}.crt"
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl program")
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def test_certificates_are_verified(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving({"/a": reply()}, context) as server:
        assert refusal(intake_for(), server.url("/a")) == ("tls", False)
        assert server.seen == []
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate))
        assert intake_for().read(server.url("/a")) == BODY
        assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in server.seen[0]


def test_a_name_is_looked_up_once_and_its_checked_address_is_the_one_connected_to(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that changes its answer between the check and the connection gains nothing; Host and SNI stay the name."""
    asked: list[object] = []

    def resolver(host: object, port: object, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, object]]]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]

    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with serving({"/a": reply()}) as plain, serving({"/a": reply()}, context) as secure:
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        intake = intake_for(allow_hosts=("pictures.shop.test",))
        assert intake.read(f"http://pictures.shop.test:{plain.port}/a") == BODY
        assert asked == ["pictures.shop.test"]
        assert f"Host: pictures.shop.test:{plain.port}\r\n".encode() in plain.seen[0]
        assert refusal(intake, f"http://pictures.shop.test:{plain.port}/a") == ("forbidden_address", False)
        asked.clear()
        assert refusal(intake, f"https://pictures.shop.test:{secure.port}/a")[0] == "tls"  # the certificate is another's
        assert (names, asked) == (["pictures.shop.test"], ["pictures.shop.test"])


def test_one_forbidden_address_among_the_answers_forbids_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({"/a": reply()}) as server:
        answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port)) for address in ("127.0.0.1", "169.254.169.254")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        assert refusal(intake_for(allow_hosts=("pictures.shop.test",)), f"http://pictures.shop.test:{server.port}/a") == (
            "forbidden_address",
            False,
        )
        assert server.seen == []


def test_the_next_address_is_tried_when_the_first_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({"/a": reply()}) as server:
        answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port)) for address in ("127.0.0.9", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        assert intake_for(allow_hosts=("pictures.shop.test",)).read(f"http://pictures.shop.test:{server.port}/a") == BODY


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(10) and [])
    start = time.monotonic()
    try:
        assert refusal(intake_for(connect_timeout=0.2), "http://pictures.example.com/a") == ("dns", True)
        assert time.monotonic() - start < 5
    finally:
        released.set()
