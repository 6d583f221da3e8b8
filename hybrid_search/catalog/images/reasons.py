"""Every reason for which an image is refused, and how a refusal is worded."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hybrid_search.errors import ImageError

REASONS: Mapping[str, str] = MappingProxyType(
    {
        # the reference
        "reference": "The reference is empty, too long, or holds control characters.",
        "scheme": "Only http and https URLs, data URLs and paths are read.",
        "url": "The URL is malformed or spells its host in an unusual way.",
        "port": "The URL names a port that is not allowed.",
        "forbidden_address": "The URL leads to a private, local, reserved or metadata address.",
        "data_url": "The data URL is malformed.",
        "path_outside": "The path lies outside the folders that images may be read from.",
        "path_missing": "There is no such file.",
        "path_unreadable": "The path is no regular file, or it may not be read.",
        # the transfer
        "dns": "The host's name could not be resolved.",
        "connect": "The host could not be reached.",
        "tls": "The host's certificate or encryption was refused.",
        "timeout": "The image did not arrive in time.",
        "http_status": "The host answered with an error.",
        "http_protocol": "The host's answer is not valid HTTP, or ended early.",
        "redirects": "The host redirects too often, or to nowhere.",
        "content_encoding": "The host compressed the answer although it was asked not to.",
        "too_many_bytes": "The file is larger than allowed.",
        "empty": "The file holds no bytes.",
        # the picture
        "format": "The file is no JPEG, PNG, WEBP, GIF or AVIF.",
        "too_small": "The picture is too small to show anything.",
        "too_large": "The picture has more pixels than allowed.",
        "too_complex": "The picture would cost too much time or memory to decode.",
        "truncated": "The file ends before its picture does.",
        "broken": "The file is damaged.",
        "decode_timeout": "Decoding took too long.",
        "decode_memory": "Decoding needed more memory than allowed.",
        "decoder_died": "The decoder crashed on this file.",
        "decoder_missing": "The decoder process could not be started.",
    }
)
"""Reason code to sentence. Codes are stable: they are stored in the ledger and shown by ``failures``."""

_SHOWN = 200


def shown(reference: object) -> str:
    """A reference shortened for messages: data URLs and long URLs are cut, bytes are only counted."""
    if isinstance(reference, bytes):
        return f"{len(reference)} bytes"
    text = str(reference)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def refuse(reason: str, reference: object = None, detail: str = "", *, transient: bool = False, remedy: str | None = None) -> ImageError:
    """The error for a reason code: its sentence, then the detail; the caller raises it."""
    sentence = REASONS[reason]
    return ImageError(
        reason,
        f"{sentence} ({detail})" if detail else sentence,
        transient=transient,
        value=None if reference is None else shown(reference),
        remedy=remedy,
    )
