"""What a request means, before anything is asked: pure functions, no I/O."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from hybrid_search.errors import QueryError
from hybrid_search.query.request import SearchRequest
from hybrid_search.types import Modality

_SPACES = re.compile(r"\s+")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")


@dataclass(frozen=True, slots=True)
class Understood:
    """A request's meaning: clean text, its language (``zh`` or ``en``), and what it is made of."""

    text: str
    language: str
    modalities: tuple[Modality, ...]
    like: str | None

    @property
    def asks_for_everything(self) -> bool:
        return not self.modalities and self.like is None


def clean_text(text: str) -> str:
    """NFKC (full-width forms become plain ones), control characters and lone surrogates out, white space collapsed."""
    folded = unicodedata.normalize("NFKC", text)
    kept = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn") else " " if c.isspace() else "" for c in folded)
    return _SPACES.sub(" ", kept).strip()


def language_of(text: str) -> str:
    """``zh`` when a Han character is in it, else ``en``: a shop's mixed queries ("nike 跑鞋") are read by Chinese rules too."""
    return "zh" if _HAN.search(text) else "en"


def understand(request: SearchRequest, *, max_query_chars: int) -> Understood:
    """Raises ``QueryError`` for a query that is too long."""
    if len(request.q) > max_query_chars:
        raise QueryError(
            f"q has {len(request.q)} characters; {max_query_chars} are allowed.",
            field="q",
            value=request.q[:80],
            remedy="Shorten the query.",
        )
    text = clean_text(request.q)
    modalities: tuple[Modality, ...] = (*(("text",) if text else ()), *(("image",) if request.images else ()))
    return Understood(text, language_of(text), modalities, request.like)
