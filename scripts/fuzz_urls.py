"""Asks the image intake for forbidden URLs and watches the sockets.

    python scripts/fuzz_urls.py          # every form, directly and as the target of a redirect
    python scripts/fuzz_urls.py --list   # only print the forms

Proof is taken at the socket, not from what the intake returns: Python's audit events report every ``connect`` and ``sendto`` of this
process before it happens, and a listener on loopback, which many forms point at, counts whoever arrives. One permitted download at the
start shows that both would notice. Names are answered by a table in this script, as a hostile name server would answer them.
Exit code 1 when any connection was tried, when a form was not refused, or when there are fewer than 250 forms.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import ipaddress
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator

from hybrid_search.catalog.images import REASONS, ImageIntake, ImageLimits
from hybrid_search.errors import ImageError

LEAST = 250
PUBLIC = "93.184.215.14"
TARGETS = (
    "127.0.0.1",
    "169.254.169.254",
    "10.0.0.1",
    "192.168.0.1",
    "172.16.0.1",
    "100.64.0.1",
    "0.0.0.0",
    "100.100.100.200",
    "168.63.129.16",
)
NETWORKS = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
ADDRESSES6 = (
    "::", "::1", "0:0:0:0:0:0:0:1", "0000:0000:0000:0000:0000:0000:0000:0001", "::ffff:7f00:1", "::ffff:0:127.0.0.1", "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "64:ff9b:1:ffff::a00:1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe", "2002:7f00:1::", "2002:a9fe:a9fe::", "2002:a00:1::1", "fc00::1", "fd00::1", "fd00:ec2::254",
    "fd20:ce::254", "fe80::1", "fe80::a9fe:a9fe", "fec0::1", "ff02::1", "ff0e::1", "3fff::1", "5f00::1", "2600:1::5efe:7f00:1",
    "2600:1::200:5efe:a00:1", "::127.0.0.1", "::7f00:1", "1::1", "4000::1", "e000::1",
)  # fmt: skip
NAMES = (
    "localhost", "LOCALHOST", "LocalHost", "localhost.", "a.localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback",
    "printer.local", "db.internal", "metadata", "metadata.google.internal", "metadata.google.internal.", "instance-data", "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local", "redis", "opensearch", "host.docker.internal", "gateway.docker.internal", "router.lan", "nas.home",
    "wiki.corp", "wiki.intranet", "x.home.arpa", "1.0.0.127.in-addr.arpa", "hidden.onion", "ｌｏｃａｌｈｏｓｔ", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "loc\u00adalhost",
    "localhost\u3002", "local\u200bhost", "ʟocalhost", "%6c%6f%63%61%6c%68%6f%73%74",
)  # fmt: skip
ANSWERS: dict[str, tuple[str, ...]] = {
    "loopback.evil.com": ("127.0.0.1",),
    "loopback6.evil.com": ("::1",),
    "metadata.evil.com": ("169.254.169.254",),
    "metadata6.evil.com": ("fd00:ec2::254",),
    "private.evil.com": ("10.1.2.3",),
    "private6.evil.com": ("fd12:3456::1",),
    "shared.evil.com": ("100.64.1.1",),
    "mapped.evil.com": ("::ffff:127.0.0.1",),
    "compatible.evil.com": ("::7f00:1",),
    "nat64.evil.com": ("64:ff9b::a00:1",),
    "sixtofour.evil.com": ("2002:7f00:1::",),
    "teredo.evil.com": ("2001:0:4136:e378:8000:63bf:80ff:fffe",),
    "zero.evil.com": ("0.0.0.0",),
    "broadcast.evil.com": ("255.255.255.255",),
    "multicast.evil.com": ("224.0.0.251",),
    "linklocal6.evil.com": ("fe80::1",),
    "both.evil.com": (PUBLIC, "127.0.0.1"),
    "both-turned.evil.com": ("10.0.0.1", PUBLIC),
    "both6.evil.com": (PUBLIC, "::1"),
    "azure.evil.com": ("168.63.129.16",),
    "alibaba.evil.com": ("100.100.100.200",),
    "127.0.0.1.evil.com": ("127.0.0.1",),
    "xn--bcher-kva.evil.com": ("192.168.1.1",),
    "under_score.evil.com": ("172.20.0.1",),
}
"""What the name server says; the first answer is followed by others only where a test is about that."""


def spellings(address: str) -> Iterator[str]:
    """The hosts under which an IPv4 address has reached servers before."""
    a, b, c, d = (int(part) for part in address.split("."))
    whole = int(ipaddress.IPv4Address(address))
    yield address
    yield str(whole)
    yield hex(whole)
    yield f"0{whole:o}"
    yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"{a:03}.{b:03}.{c:03}.{d:03}"
    yield f"{a}.{b}.{c * 256 + d}"
    yield f"{a}.{whole & 0xFFFFFF}"
    yield f"{a}.{b:#x}.0{c:o}.{d}"
    yield f"{a + 256}.{b}.{c}.{d}"
    yield f"{address}."
    yield address.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    yield address.replace(".", "\u3002")
    yield "".join(f"%{ord(letter):02x}" for letter in address)
    yield f"[::ffff:{address}]"
    yield f"[::{address}]"
    yield f"[64:ff9b::{address}]"
    yield f"[2002:{whole >> 16:x}:{whole & 0xFFFF:x}::]"
    yield f"shop.example.com@{address}"


def forms(port: int) -> list[str]:
    """Every forbidden reference; ``port`` is where a listener waits on loopback."""
    found = [f"http://{host}:{port}/" for target in TARGETS for host in spellings(target)]
    for network in map(ipaddress.IPv4Network, NETWORKS):
        found += [f"http://{network[1]}/", f"https://{network[-2]}/a.jpg"]
    found += [f"http://[{address}]:{port}/" for address in ADDRESSES6]
    found += [
        f"http://[fe80::1%25lo]:{port}/",
        f"http://[::1%lo]:{port}/",
        f"http://[::1]]:{port}/",
        f"http://[[::1]]:{port}/",
        f"http://[127.0.0.1]:{port}/",
    ]
    found += [f"http://{name}:{port}/" for name in NAMES]
    found += [f"http://{name}:{port}/a.jpg" for name in ANSWERS]
    local = f"127.0.0.1:{port}"
    schemes = "ftp ftps file gopher dict ldap ldaps tftp sftp ssh smtp imap telnet jar netdoc php phar expect ws wss blob javascript unix view-source feed"
    found += [f"{scheme}://{local}/" for scheme in schemes.split()]
    found += [
        "file:///etc/passwd",
        "file:/etc/passwd",
        "FILE:///proc/self/environ",
        f"//{local}/",
        f"http+unix://%2Fvar%2Frun%2Fdocker.sock/{local}",
        f"url:http://{local}/",
    ]
    found += [
        f"http:{local}/", f"http:/{local}/", f"http:///{local}/", f"http:////{local}/", f"http:\\\\{local}/", f"http:/\\{local}/", f"http://\\{local}/",
        f"http://{local}\\@shop.example.com/", f"http://shop.example.com\\@{local}/", f"http://shop.example.com@{local}/",
        f"http://shop.example.com:80@{local}/", f"http://{local}#@shop.example.com/", f"http://{local}?@shop.example.com/",
        f"http://@{local}/", f"http://:@{local}/", f"http://a:b@c@{local}/", f"http://shop.example.com%40{local}/", f"http://shop.example.com%00.{local}/",
        f"http://{local}%2f.shop.example.com/", f"http:// {local}/", f"http://{local} .shop.example.com/", f"http://\t{local}/", f"ht\ntp://{local}/",
        f"http://127.0.0.1\r\n:{port}/", f"http://127.0.0.1\u00a0:{port}/", f"http://127.0.0.1\u2028:{port}/", f"http://127.0.0.1\x7f:{port}/",
        f" http://{local}/", f"\thttp://{local}/", f"HTTP://{local}/", f"hTTps://{local}/", f"http://127.0.0.1:{port}:80/", f"http://127.0.0.1:0{port}/",
        f"http://127.0.0.1:+{port}/", "http://127.0.0.1:-1/", "http://127.0.0.1:65536/", f"http://127.0.0.1:{port}x/", "http://", "http://:80/", "http://./", "http://../",
        "http://*/", "http://-/", "http://a..b/", f"http://{'a' * 64}.com/", f"http://{'a.' * 130}com/", "http://\ud800.com/", "http://xn--/", "http://[/", "http://]/",
        f"http://[v1.127.0.0.1]:{port}/", f"http://shop.example.com,{local}/", f"http://shop.example.com;{local}/", f"http://(127.0.0.1):{port}/",
    ]  # fmt: skip
    found += [
        f"http://{PUBLIC}:{closed}/" for closed in (0, 21, 22, 23, 25, 53, 110, 389, 445, 2375, 3306, 5432, 6379, 8500, 9200, 11211, 27017)
    ]
    return list(dict.fromkeys(found))


class _Watch:
    """Connections tried by this process, but for those to the places that it may reach."""

    def __init__(self) -> None:
        self.allowed: set[tuple[object, ...]] = set()
        self.tried: list[str] = []
        self.expected = 0
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            place = args[1]
            if isinstance(place, tuple) and place[:2] in self.allowed:
                self.expected += 1
            else:
                self.tried.append(f"{event} {place}")


class _Redirects(http.server.BaseHTTPRequestHandler):
    """``/NUMBER`` redirects to the form of that number, ``/ok`` answers."""

    forms: list[str] = []

    def do_GET(self) -> None:
        name = self.path.strip("/")
        known = name.isdigit() and int(name) < len(self.forms)
        self.send_response(200 if name == "ok" else 302 if known else 404)
        if known:
            location = self.forms[int(name)].replace("\r", "").replace("\n", "").encode("utf-8", "surrogatepass")
            self.send_header("Location", location.decode("latin-1"))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: only the sockets count."""


def answer(host: object, port: object, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, object]]]:
    """Stands in for the system's resolver: the table above, a public address for every other name."""
    return [
        (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
        for address in ANSWERS.get(str(host), (PUBLIC,))
    ]


def attempt(intake: ImageIntake, reference: str) -> str:
    try:
        intake.read(reference)
    except ImageError as err:
        return err.reason if err.reason in REASONS else "unknown reason"
    return "READ"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the forms and stop")
    options = parser.parse_args()
    watch = _Watch()
    with socket.create_server(("127.0.0.1", 0)) as listener, http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Redirects) as server:
        listener.setblocking(False)
        port, own = listener.getsockname()[1], server.server_address[1]
        listed = forms(port)
        if options.list:
            print("\n".join(repr(form) for form in listed))
            return 0
        _Redirects.forms = listed
        threading.Thread(target=server.serve_forever, daemon=True).start()
        watch.allowed.add(("127.0.0.1", own))
        socket.getaddrinfo = answer  # type: ignore[assignment]
        limits = ImageLimits(allow_hosts=(f"127.0.0.1:{own}",), ports=(80, 443, port), timeout=5)
        intake = ImageIntake(limits)
        control = attempt(intake, f"http://127.0.0.1:{own}/ok"), watch.expected
        direct = Counter(attempt(intake, form) for form in listed)
        redirected = Counter(attempt(intake, f"http://127.0.0.1:{own}/{number}") for number in range(len(listed)))
        open_control = ImageIntake(ImageLimits(allow_hosts=("127.0.0.1",), timeout=0.2))
        before = len(watch.tried)
        noticed = attempt(open_control, f"http://127.0.0.1:{port}/"), len(watch.tried) - before
        del watch.tried[before:]
        arrived = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()
                arrived += 1
        server.shutdown()
    report = {
        "forms": len(listed),
        "connections_tried": len(watch.tried),
        "tried": watch.tried[:20],
        "arrived_at_listener": arrived - 1,
        "control": {"permitted": control, "noticed": noticed},
        "direct": dict(direct.most_common()),
        "redirected": dict(redirected.most_common()),
    }
    print(json.dumps(report, indent=2))
    good = len(listed) >= LEAST and not watch.tried and arrived == 1 and control == ("READ", 1) and noticed[1] == 1
    return 0 if good and "READ" not in direct and "unknown reason" not in direct else 1


if __name__ == "__main__":
    sys.exit(main())
