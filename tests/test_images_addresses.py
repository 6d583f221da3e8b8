"""Which URLs are refused before anything is looked up. Ranges are compared with the standard library's and IANA's own lists."""

from __future__ import annotations

import ipaddress
import random

import pytest

from hybrid_search.catalog.images.addresses import forbidden_kind, parse_url
from hybrid_search.errors import ImageError


@pytest.mark.parametrize(
    "address",
    # RFC 6890 and its updates, one inside each range, and the metadata services of the clouds
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2620:4f:8000::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2600:1::5efe:a00:1",
        "4000::1",
    ],
)
def test_special_addresses_are_forbidden(address: str) -> None:
    assert forbidden_kind(ipaddress.ip_address(address)) is not None


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "93.184.215.14",
        "100.63.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "192.167.0.1",
        "2606:4700::6810:84e5",
        "64:ff9b::808:808",
    ],
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert forbidden_kind(ipaddress.ip_address(address)) is None


def test_nothing_that_the_standard_library_calls_local_is_allowed() -> None:
    rng = random.Random(3)
    for _ in range(20_000):
        four = ipaddress.IPv4Address(rng.getrandbits(32))
        six = ipaddress.IPv6Address(rng.getrandbits(128) if rng.random() < 0.5 else rng.getrandbits(40) | 0x2001 << 112)
        for address in (four, six):
            if not address.is_global or address.is_multicast:
                assert forbidden_kind(address) is not None, address


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "100.64.0.9", "fd12::1", "::1"])
def test_a_shops_own_host_may_be_private(address: str) -> None:
    assert forbidden_kind(ipaddress.ip_address(address), own=True) is None


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fe80::1", "224.0.0.1", "0.0.0.0", "::ffff:10.0.0.1"],
)
def test_not_even_a_shops_own_host_may_be_a_metadata_service(address: str) -> None:
    assert forbidden_kind(ipaddress.ip_address(address), own=True) is not None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://shop.example.com/a.jpg", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://shop.example.com/", "scheme"),
        ("http:/shop.example.com/a.jpg", "url"),
        ("http:///a.jpg", "url"),
        ("http://user@shop.example.com/a.jpg", "url"),
        ("http://shop.example.com:80@10.0.0.1/", "url"),
        ("http://shop.example.com\\@10.0.0.1/", "url"),
        ("http://shop.example.com /", "url"),
        ("http://shop.example.com\n/", "url"),
        ("http://shop.example.com./a.jpg", "url"),
        ("http://shop..example.com/", "url"),
        ("http://-shop.example.com/", "url"),
        ("http://shop.example.com:x/", "url"),
        ("http://shop.example.com:99999/", "url"),
        ("http://0177.0.0.1/", "url"),
        ("http://0x7f.0.0.1/", "url"),
        ("http://2130706433/", "url"),
        ("http://127.1/", "url"),
        ("http://127.0.0.1.1/", "url"),
        ("http://[::1/", "url"),
        ("http://[fe80::1%25eth0]/", "url"),
        ("http://%31%32%37.0.0.1/", "url"),
        ("http://１２７.0.0.1/", "url"),
        ("http://127。0。0。1/", "url"),
        ("http://ⓛocalhost/", "url"),
        ("http://shop.example.com/\ud800", "url"),
        ("http://shop.example.com/" + "a" * 9_000, "url"),
        ("http://shop.example.com:22/", "port"),
        ("http://127.0.0.1/", "forbidden_address"),
        ("http://localhost/", "forbidden_address"),
        ("http://a.localhost/", "forbidden_address"),
        ("http://metadata.google.internal/", "forbidden_address"),
        ("http://redis:6379/", "forbidden_address"),
        ("http://[::ffff:169.254.169.254]/", "forbidden_address"),
    ],
)
def test_forbidden_urls_are_refused_with_their_reason(url: str, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        parse_url(url)
    assert caught.value.reason == reason
    assert not caught.value.transient


def test_a_plain_url_is_taken_apart() -> None:
    target = parse_url("HTTPS://Shop.Example.COM/Bilder/ä b.jpg".replace(" ", "%20") + "?w=1&x=ü#top")
    assert (target.scheme, target.host, target.port, target.own) == ("https", "shop.example.com", 443, False)
    assert target.path == "/Bilder/%C3%A4%20b.jpg?w=1&x=%C3%BC"


def test_names_in_other_scripts_become_ascii() -> None:
    # RFC 5891's own example label
    assert parse_url("http://bücher.example.com/").host == "xn--bcher-kva.example.com"


@pytest.mark.parametrize("listed", ["redis", "redis:6379"])
def test_allow_hosts_lists_names_with_or_without_port(listed: str) -> None:
    assert parse_url("http://redis:6379/", allow_hosts=(listed,)).own
    with pytest.raises(ImageError, match="local"):
        parse_url("http://redis2:6379/", allow_hosts=(listed,))


def test_allow_hosts_with_a_port_allows_no_other() -> None:
    with pytest.raises(ImageError) as caught:
        parse_url("http://10.0.0.5:9200/", allow_hosts=("10.0.0.5:8000",))
    assert caught.value.reason == "forbidden_address"
    assert caught.value.remedy is not None and "allow_hosts" in caught.value.remedy
