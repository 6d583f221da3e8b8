"""The page's words: one small table per language under ``languages/``, chosen by address, cookie or ``Accept-Language``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from flask import Request

COOKIE = "hybrid_search_lang"
LANGUAGES = {"en": "English", "zh": "中文"}


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one language; calling it with a key fills the gaps of the sentence."""

    language: str
    words: dict[str, str]

    def __call__(self, key: str, /, **gaps: Any) -> str:
        """The words of ``key``; ``key.one`` instead where ``count`` is 1. Raises ``KeyError`` for an unknown key."""
        if gaps.get("count") == 1 and f"{key}.one" in self.words:
            key = f"{key}.one"
        return self.words[key].format(**gaps)

    def known(self, key: str, otherwise: str) -> str:
        """The words of ``key`` if the table has it: field and value names of a shop mostly are not there."""
        return self.words.get(key, otherwise)

    @property
    def tag(self) -> str:
        """BCP 47 tag for ``lang`` attributes."""
        return "zh-Hans" if self.language == "zh" else self.language


@cache
def wording(language: str) -> Wording:
    """The table of ``language``, one of ``LANGUAGES``."""
    text = (files("hybrid_search.api") / "languages" / f"{language}.json").read_text(encoding="utf-8")
    return Wording(language, json.loads(text))


def negotiate(request: Request) -> Wording:
    """The address' ``lang`` wins, then the cookie, then what the browser asks for, then English."""
    for asked in (request.args.get("lang", ""), request.cookies.get(COOKIE, "")):
        if asked in LANGUAGES:
            return wording(asked)
    return wording(request.accept_languages.best_match(list(LANGUAGES)) or "en")
