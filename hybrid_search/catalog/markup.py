"""HTML in product texts becomes plain text."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

_BLOCK_NAMES = (
    "address|article|aside|blockquote|br|dd|div|dl|dt|fieldset|figcaption|figure|footer|form|h1|h2|h3|h4|h5|h6|header|hr|li|main|nav|ol|p|pre|"
    "section|table|tbody|td|tfoot|th|thead|tr|ul"
)
_UNSEEN_NAMES = "script|style|head|template|noscript|iframe|object"
_INLINE_NAMES = "a|abbr|b|big|body|cite|code|del|em|font|html|i|img|ins|kbd|mark|meta|link|q|s|small|span|strike|strong|sub|sup|tt|u|var|video|wbr|button"
_BLOCKS = frozenset(_BLOCK_NAMES.split("|"))
_UNSEEN = frozenset(_UNSEEN_NAMES.split("|"))
_TAG = re.compile(rf"</?(?:{_BLOCK_NAMES}|{_UNSEEN_NAMES}|{_INLINE_NAMES})(?:\s[^<>]*)?/?>|<!--|<!doctype", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,31}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")


class _Text(HTMLParser):
    """Collects the text that a browser would show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._hidden += 1
        elif tag in _BLOCKS:
            self.parts.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _BLOCKS:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def plain_text(text: str) -> str:
    """``text`` without markup: known HTML tags go (block tags leave a space), scripts and styles go with their content, entities are read.

    Text that holds no HTML tag is left as it is apart from entities, so that ``a < b`` and ``<3`` survive.
    """
    if "<" in text and _TAG.search(text):
        parser = _Text()
        parser.feed(text)
        parser.close()
        return " ".join("".join(parser.parts).split())
    if "&" in text and _ENTITY.search(text):
        return html.unescape(text)
    return text
