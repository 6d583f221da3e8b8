"""What the intake accepts: its limits as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hybrid_search.errors import SettingsError


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Bounds of the intake. Sizes in bytes or pixels, times in seconds.

    Args:
        max_bytes: largest file, encoded, whatever way it comes.
        max_redirects: redirects followed per URL; each target is checked like the first.
        timeout: for a whole fetch: resolving, connecting, all redirects and the body.
        connect_timeout: for one connection, encryption included; also for one name lookup.
        max_jpeg_pixels: width × height of a JPEG, which is decoded at a reduced scale.
        max_decoded_bytes: width × height × channels of every other format.
        max_output_pixels: width × height of a decoded picture; larger ones are scaled down by a whole factor.
        allow_hosts: a shop's own hosts, ``host`` or ``host:port``, that may have private or loopback addresses and any port.
        ports: ports that other hosts may be asked on.
        proxy: ``http://[user:password@]host:port`` of a proxy that allows ``CONNECT``; the environment's proxies are never used.
        roots: folders that paths may lie in, after symbolic links; relative paths are looked up in each. None: no paths are read.
        min_side: pictures with a shorter side, in pixels, are refused.
        sandbox_memory: address space that decoding one picture may add in the child process; it bounds WEBP to 13 and AVIF to 20 megapixels.
        decode_timeout: for decoding one picture.
        decoders: child processes that decode at the same time.
    """

    max_bytes: int = 10_000_000
    max_redirects: int = 3
    timeout: float = 10.0
    connect_timeout: float = 3.0
    max_jpeg_pixels: int = 200_000_000
    max_decoded_bytes: int = 100_000_000
    max_output_pixels: int = 8_000_000
    allow_hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    proxy: str | None = None
    roots: tuple[Path, ...] = ()
    min_side: int = 2
    sandbox_memory: int = 200_000_000
    decode_timeout: float = 1.5
    decoders: int = 2

    def __post_init__(self) -> None:
        for name in (
            "max_bytes",
            "timeout",
            "connect_timeout",
            "max_jpeg_pixels",
            "max_decoded_bytes",
            "max_output_pixels",
            "min_side",
            "sandbox_memory",
            "decode_timeout",
            "decoders",
        ):
            value = getattr(self, name)
            if value <= 0:
                raise SettingsError(
                    f"{name} is {value}, but must be positive.", field=name, value=value, remedy="Leave it out to use the default."
                )
        if self.max_redirects < 0:
            raise SettingsError(
                f"max_redirects is {self.max_redirects}, but must not be negative.",
                field="max_redirects",
                value=self.max_redirects,
                remedy="Use 0 to follow none.",
            )
