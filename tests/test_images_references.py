"""Paths and data URLs: what is read, what is refused, and the content hash of each kind of reference."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from hybrid_search.catalog.images import ImageIntake, ImageLimits
from hybrid_search.errors import ImageError, SettingsError

BYTES = b"\x89PNG any bytes do: reading is not decoding"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """``shop/`` is the allowed folder; a secret lies beside it."""
    root = tmp_path / "shop"
    (root / "images").mkdir(parents=True)
    (root / "images" / "a.png").write_bytes(BYTES)
    (tmp_path / "secret.png").write_bytes(b"secret")
    return root


@pytest.fixture
def intake(shop: Path) -> ImageIntake:
    return ImageIntake(ImageLimits(roots=(shop,), max_bytes=1_000))


def reason_of(intake: ImageIntake, reference: str) -> str:
    with pytest.raises(ImageError) as caught:
        intake.read(reference)
    return caught.value.reason


def test_relative_and_absolute_paths_inside_a_root_are_read(intake: ImageIntake, shop: Path) -> None:
    assert intake.read("images/a.png") == BYTES
    assert intake.read(str(shop / "images" / "a.png")) == BYTES
    assert intake.read("images/../images/a.png") == BYTES


def test_each_root_is_tried(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    intake = ImageIntake(ImageLimits(roots=(tmp_path / "other", shop)))
    assert intake.read("images/a.png") == BYTES


def test_nothing_outside_the_roots_is_read(intake: ImageIntake, shop: Path) -> None:
    (shop / "link.png").symlink_to(shop.parent / "secret.png")
    (shop / "folder").symlink_to(shop.parent)
    for reference in (
        "../secret.png",
        "images/../../secret.png",
        str(shop.parent / "secret.png"),
        "/etc/passwd",
        "link.png",
        "folder/secret.png",
        "/proc/self/environ",
    ):
        assert reason_of(intake, reference) == "path_outside", reference


def test_without_roots_no_path_is_read(shop: Path) -> None:
    assert reason_of(ImageIntake(ImageLimits()), str(shop / "images" / "a.png")) == "path_outside"


def test_a_link_inside_the_root_is_followed(intake: ImageIntake, shop: Path) -> None:
    (shop / "b.png").symlink_to(shop / "images" / "a.png")
    assert intake.read("b.png") == BYTES


def test_what_is_no_readable_file_is_refused(intake: ImageIntake, shop: Path) -> None:
    os.mkfifo(shop / "pipe.png")
    (shop / "empty.png").touch()
    (shop / "large.png").write_bytes(bytes(1_001))
    (shop / "loop.png").symlink_to(shop / "loop.png")
    assert reason_of(intake, "pipe.png") == "path_unreadable"  # and it does not wait for a writer
    assert reason_of(intake, "images") == "path_unreadable"
    assert reason_of(intake, "loop.png") in ("path_unreadable", "path_missing")
    assert reason_of(intake, "images/none.png") == "path_missing"
    assert reason_of(intake, "x" * 5_000) == "path_unreadable"
    assert reason_of(intake, "empty.png") == "empty"
    assert reason_of(intake, "large.png") == "too_many_bytes"


@pytest.mark.parametrize("reference", ["", "  ", "a\0.png", "images/\ud800.png"])
def test_references_that_are_none_are_refused(intake: ImageIntake, reference: str) -> None:
    assert reason_of(intake, reference) == "reference"


@pytest.mark.parametrize(
    "reference",
    [
        "ftp://h/a.png",
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "gopher://h/",
        "javascript:1",
        "//h/a.png",
        "jar:http://h/",
        "unix:/run/x.sock",
    ],
)
def test_other_schemes_are_refused(intake: ImageIntake, reference: str) -> None:
    assert reason_of(intake, reference) == "scheme"


def test_data_urls_are_read(intake: ImageIntake) -> None:
    packed = base64.b64encode(BYTES).decode()
    for reference in (
        f"data:image/png;base64,{packed}",
        f"DATA:image/png;charset=x;BASE64,{packed}",
        f"data:;base64,{quote(packed)}",
        f"data:image/png;base64,{packed[:8]} {packed[8:]}",
        f"data:image/png,{quote(BYTES)}",
    ):
        assert intake.read(reference) == BYTES, reference


def test_bad_data_urls_are_refused(intake: ImageIntake) -> None:
    assert reason_of(intake, "data:image/png;base64") == "data_url"
    assert reason_of(intake, "data:image/png;base64,###") == "data_url"
    assert reason_of(intake, "data:image/png;base64,abc") == "data_url"
    assert reason_of(intake, "data:,") == "empty"
    assert reason_of(intake, "data:;base64," + base64.b64encode(bytes(1_001)).decode()) == "too_many_bytes"
    assert reason_of(intake, "data:," + "a" * 5_000) == "too_many_bytes"


def test_the_hash_is_that_of_the_bytes_or_of_the_url(intake: ImageIntake) -> None:
    of_bytes = hashlib.blake2b(BYTES, digest_size=16).hexdigest()
    assert intake.content_hash("images/a.png") == of_bytes
    assert intake.content_hash("data:;base64," + base64.b64encode(BYTES).decode()) == of_bytes
    url = "https://shop.example.com/a.png"
    assert intake.content_hash(url) == hashlib.blake2b(b"url:" + url.encode(), digest_size=16).hexdigest()


def test_the_hash_of_a_missing_file_changes_when_it_appears(intake: ImageIntake, shop: Path) -> None:
    missing = intake.content_hash("images/later.png")
    assert missing == intake.content_hash("images/later.png") != intake.content_hash("images/other.png")
    (shop / "images" / "later.png").write_bytes(BYTES)
    assert intake.content_hash("images/later.png") == hashlib.blake2b(BYTES, digest_size=16).hexdigest()


def test_long_references_are_cut_in_messages(intake: ImageIntake) -> None:
    with pytest.raises(ImageError) as caught:
        intake.read("data:image/png;base64," + "#" * 900)
    assert len(str(caught.value.value)) < 300


@pytest.mark.parametrize("proxy", ["socks5://p:1", "p:3128", "http://p", "http://u:secret@p:x"])
def test_a_proxy_that_is_none_is_refused_without_repeating_its_password(proxy: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ImageIntake(ImageLimits(proxy=proxy))
    assert "secret" not in f"{caught.value} {caught.value.value}"
