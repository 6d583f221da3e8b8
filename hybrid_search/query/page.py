"""Pages of a frozen ranking. What follows the first page is carried on in an opaque, signed cursor, so that later pages neither repeat
nor skip a product while the catalogue is being written, and nothing has to be stored between requests.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Literal

import orjson
from itsdangerous import BadSignature, SignatureExpired, TimestampSigner
from pydantic import BaseModel, ConfigDict

from hybrid_search.errors import QueryError
from hybrid_search.query.reply import Explain, Interpreted

MAX_AGE = 15 * 60
"""Seconds that a cursor is good for."""

MAX_CURSOR = 10_000
"""Largest cursor, in characters; a longer ranking is cut at its end."""

_REMEDY = "Search again from the first page."


class Ranked(BaseModel):
    """One place of the frozen ranking: a product, its fused score (none where a field sorts) and, when asked for, why."""

    model_config = ConfigDict(frozen=True)

    id: str
    score: float | None = None
    explain: Explain | None = None


class Ranking(BaseModel):
    """A ranking from some rank on, with what every page of it repeats."""

    model_config = ConfigDict(frozen=True)

    query_id: str
    shown: int
    """Rank of the last product already shown, 0 on the first page."""
    places: tuple[Ranked, ...]
    total: int
    relation: Literal["eq", "gte"]
    interpreted: Interpreted
    degraded: tuple[str, ...] = ()

    def split(self, size: int) -> tuple[tuple[Ranked, ...], Ranking]:
        """The next ``size`` places, and the ranking that follows them."""
        rest = self.model_copy(update={"shown": self.shown + min(size, len(self.places)), "places": self.places[size:]})
        return self.places[:size], rest


def pack(ranking: Ranking, secret: bytes) -> str | None:
    """The cursor of what is left of a ranking, ``None`` when that is nothing."""
    keep = len(ranking.places)
    while keep:
        cursor = _seal(ranking.model_copy(update={"places": ranking.places[:keep]}), secret)
        if len(cursor) <= MAX_CURSOR:
            return cursor
        keep = min(keep - 1, int(keep * MAX_CURSOR / len(cursor)))
    return None


def unpack(cursor: str, secret: bytes) -> Ranking:
    """The ranking in a cursor. Raises ``QueryError`` when it is forged, damaged or older than ``MAX_AGE``."""
    try:
        packed = _signer(secret).unsign(cursor.encode("utf-8", "replace"), max_age=MAX_AGE)
    except SignatureExpired as err:
        raise QueryError("next has expired.", field="next", value=cursor[:40], remedy=_REMEDY) from err
    except BadSignature as err:
        raise QueryError("next is not a cursor of this service.", field="next", value=cursor[:40], remedy=_REMEDY) from err
    # Only what this service signed is ever decompressed.
    return Ranking.model_validate(orjson.loads(zlib.decompress(base64.urlsafe_b64decode(packed))))


def _seal(ranking: Ranking, secret: bytes) -> str:
    packed = zlib.compress(orjson.dumps(ranking.model_dump(mode="json", exclude_none=True)), 9)
    return _signer(secret).sign(base64.urlsafe_b64encode(packed)).decode("ascii")


def _signer(secret: bytes) -> TimestampSigner:
    return TimestampSigner(secret, salt="hybrid-search.page", digest_method=hashlib.sha256)
