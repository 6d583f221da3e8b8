"""Pictures of every accepted kind come out upright, in RGB, on white and without metadata; expected pixels are computed here."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, features

from hybrid_search.catalog.images import REASONS, ImageIntake, ImageLimits
from hybrid_search.errors import ImageError, SettingsError

Pixels = npt.NDArray[np.uint8]
RED, WHITE = (220, 30, 40), (255, 255, 255)


@pytest.fixture(scope="module")
def intake() -> Iterator[ImageIntake]:
    made = ImageIntake(ImageLimits())
    yield made
    made.close()


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def ramp(width: int = 320, height: int = 240) -> Image.Image:
    """A smooth picture whose four corners differ, so that any wrong turn shows."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def pixels(image: Image.Image) -> Pixels:
    return np.asarray(image)


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera that gives its owner away"
    return exif.tobytes()


def reason_of(intake: ImageIntake, raw: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        intake.decode(raw)
    assert caught.value.reason in REASONS
    assert not caught.value.transient
    return caught.value.reason


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("JPEG", {"quality": 95, "restart_marker_rows": 1}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
        pytest.param(
            "AVIF", {"quality": 95}, marks=pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
        ),
    ],
)
def test_every_format_keeps_its_colours(intake: ImageIntake, form: str, options: dict[str, object]) -> None:
    image = intake.decode(encoded(ramp(), form, **options))
    assert (image.mode, image.size) == ("RGB", (320, 240))
    assert np.abs(pixels(image).astype(int) - pixels(ramp()).astype(int)).mean() < 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "RGBA"])
def test_every_mode_becomes_rgb(intake: ImageIntake, mode: str) -> None:
    source = ramp().convert(mode)
    image = intake.decode(encoded(source, "JPEG" if mode == "CMYK" else "PNG"))
    assert (image.mode, image.size) == ("RGB", (320, 240))
    assert np.abs(pixels(image).astype(int) - pixels(source.convert("RGB")).astype(int)).mean() < 4


def test_sixteen_bit_grey_keeps_its_brightness(intake: ImageIntake) -> None:
    levels = np.linspace(0, 65_535, 64 * 64).reshape(64, 64).astype(np.uint16)
    image = intake.decode(encoded(Image.fromarray(levels), "PNG"))
    assert np.abs(pixels(image)[..., 0].astype(int) - (levels >> 8)).max() <= 1


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_transparent_pixels_are_white(intake: ImageIntake, form: str) -> None:
    image = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    image.paste((*RED, 255), (0, 0, 30, 40))
    decoded = intake.decode(encoded(image, form, **({"lossless": True} if form == "WEBP" else {})))
    assert decoded.getpixel((50, 20)) == WHITE
    assert decoded.getpixel((10, 20)) == pytest.approx(RED, abs=3)


def test_half_transparent_pixels_are_mixed_with_white(intake: ImageIntake) -> None:
    decoded = intake.decode(encoded(Image.new("RGBA", (40, 40), (200, 0, 100, 128)), "PNG"))
    expected = [round(c * 128 / 255 + 255 * 127 / 255) for c in (200, 0, 100)]
    assert decoded.getpixel((5, 5)) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("options", [{"transparency": 0}, {"transparency": bytes([0, 128, 255])}])
def test_a_palettes_transparency_counts(intake: ImageIntake, options: dict[str, object]) -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([0, 0, 0, 10, 20, 30, *RED])
    image.paste(2, (10, 0, 20, 20))
    decoded = intake.decode(encoded(image, "PNG", **options))
    assert (decoded.getpixel((2, 2)), decoded.getpixel((15, 2))) == (WHITE, RED)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_turned_jpeg_comes_upright(intake: ImageIntake, orientation: int, options: dict[str, object]) -> None:
    upright = ramp(96, 64)
    # what a camera stores for each orientation, as the EXIF 2.32 table 6 words it: where row 0 and column 0 of the scene are
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.rotate(180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.rotate(90, expand=True),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.rotate(-90, expand=True),
    }[orientation]
    image = intake.decode(encoded(stored, "JPEG", quality=95, exif=exif_of(orientation), **options))
    assert image.size == (96, 64)
    assert np.abs(pixels(image).astype(int) - pixels(upright).astype(int)).mean() < 3


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_other_formats_come_upright_too(intake: ImageIntake, form: str) -> None:
    image = intake.decode(encoded(ramp(96, 64).rotate(90, expand=True), form, exif=exif_of(6)))
    assert image.size == (96, 64)
    assert np.abs(pixels(image).astype(int) - pixels(ramp(96, 64)).astype(int)).mean() < 4


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_no_metadata_is_left(intake: ImageIntake, form: str) -> None:
    raw = encoded(ramp(), form, exif=exif_of(1), icc_profile=b"profile" * 99, comment=b"secret")
    assert b"owner away" in raw
    image = intake.decode(raw)
    assert image.info == {}
    assert not image.getexif()
    small = intake.thumbnail(raw, 64)
    assert b"owner away" not in small and b"EXIF" not in small and b"ICCP" not in small


@pytest.mark.parametrize(
    ("width", "height", "min_side"), [(1000, 1000, 224), (3000, 1200, 224), (500, 900, 260), (230, 300, 224), (100, 90, 224)]
)
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_scaled_decoding_keeps_the_shortest_side_and_the_picture(
    intake: ImageIntake, form: str, width: int, height: int, min_side: int
) -> None:
    raw = encoded(ramp(width, height), form)
    image = intake.decode(raw, min_side=min_side)
    assert min(image.size) >= min(min_side, width, height)
    assert image.width / image.height == pytest.approx(width / height, rel=0.01)
    whole = Image.open(io.BytesIO(raw)).convert("RGB").resize((50, 50), Image.Resampling.BOX)
    assert np.abs(pixels(image.resize((50, 50), Image.Resampling.BOX)).astype(int) - pixels(whole).astype(int)).mean() < 2


def test_large_jpegs_are_scaled_down_while_decoding(intake: ImageIntake) -> None:
    raw = encoded(Image.new("RGB", (3_000, 2_400), RED), "JPEG")
    assert intake.decode(raw, min_side=200).size == (375, 300)  # an eighth, which leaves 1.5 times what is needed
    assert intake.decode(raw, min_side=201).size == (750, 600)
    assert intake.decode(raw, min_side=601).size == (1_500, 1_200)
    assert intake.decode(raw, min_side=1_201).size == (3_000, 2_400)


def test_a_huge_jpeg_is_read_at_a_scale_that_fits(intake: ImageIntake) -> None:
    image = intake.decode(encoded(Image.new("L", (12_000, 9_000), 77), "JPEG"))
    assert image.size == (3_000, 2_250)
    assert image.getpixel((5, 5)) == pytest.approx((77, 77, 77), abs=2)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(intake: ImageIntake, form: str) -> None:
    later = Image.new("RGB", (64, 64), (0, 0, 255))
    raw = encoded(Image.new("RGB", (64, 64), RED), form, save_all=True, append_images=[later, later])
    assert intake.decode(raw).getpixel((9, 9)) == pytest.approx(RED, abs=4)


def png_claiming(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(1_000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, body, b"IEND")
    )


def test_refusals_name_their_reason(intake: ImageIntake) -> None:
    jpeg, png = encoded(ramp(), "JPEG"), encoded(ramp(), "PNG")
    frame = jpeg.index(b"\xff\xc0")
    cases = {
        b"": "empty",
        b"GIF89a": "broken",
        b"<svg/>": "format",
        encoded(ramp(), "BMP"): "format",
        encoded(ramp(), "TIFF"): "format",
        jpeg[: len(jpeg) // 2]: "truncated",
        jpeg[:300]: "truncated",
        png[: len(png) // 2]: "truncated",
        png[:60] + bytes(9) + png[69:]: "broken",
        encoded(ramp(1, 1), "PNG"): "too_small",
        encoded(ramp(1, 1), "JPEG"): "too_small",
        png_claiming(6_000, 6_000): "too_large",
        png_claiming(2**31 - 1, 2**31 - 1): "too_large",
        jpeg[: frame + 5] + struct.pack(">HH", 14_143, 14_143) + jpeg[frame + 9 :]: "too_large",
        jpeg[:2] + b"\xff\xfe\0\x04ab" * 5_000 + jpeg[2:]: "too_complex",
        bytes(10_000_001): "too_many_bytes",
    }
    assert [reason_of(intake, raw) for raw in cases] == list(cases.values())


def test_the_limits_can_be_set() -> None:
    intake = ImageIntake(ImageLimits(max_decoded_bytes=1_000, max_jpeg_pixels=2_000, min_side=50))
    try:
        assert reason_of(intake, encoded(ramp(20, 20), "PNG")) == "too_large"
        assert reason_of(intake, encoded(ramp(60, 60), "JPEG")) == "too_large"
        assert reason_of(intake, encoded(ramp(40, 40), "JPEG")) == "too_small"
    finally:
        intake.close()
    with pytest.raises(SettingsError, match="max_bytes is 0"):
        ImageLimits(max_bytes=0)


def test_a_progressive_jpeg_of_endless_scans_is_refused(intake: ImageIntake) -> None:
    raw = encoded(Image.new("RGB", (3_000, 3_000), RED), "JPEG", progressive=True)
    last = raw.rindex(b"\xff\xda")
    assert reason_of(intake, raw[:last] + raw[last:-2] * 200 + raw[-2:]) == "too_complex"


def test_of_a_phones_double_file_the_first_picture_counts(intake: ImageIntake) -> None:
    """A second JPEG behind the first (MPO, depth maps) is not looked at."""
    raw = encoded(Image.new("RGB", (64, 64), RED), "JPEG") + encoded(Image.new("RGB", (999, 9), WHITE), "JPEG")
    image = intake.decode(raw)
    assert image.size == (64, 64)
    assert image.getpixel((5, 5)) == pytest.approx(RED, abs=4)
