"""How an encoder is named in settings: ``name``, ``name:argument`` or ``name:argument?key=value&key=value``.

Values may be percent-encoded, as in ``query_prefix=query:%20`` (a space at the end would not survive most configuration files).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from hybrid_search.errors import EncoderError


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    text: str
    """As it was written."""
    name: str
    argument: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def expect(self, *, argument: str | None, options: tuple[str, ...]) -> EncoderSpec:
        """Itself, if it has an argument exactly when ``argument`` (its meaning) is given, and no other options than ``options``."""
        if argument is None and self.argument:
            raise EncoderError(
                f"The encoder {self.name!r} takes no argument, got {self.argument!r}.", value=self.text, remedy=f"Write {self.name!r}."
            )
        if argument and not self.argument:
            raise EncoderError(
                f"The encoder {self.name!r} lacks its {argument}.", value=self.text, remedy=f"Write '{self.name}:<{argument}>'."
            )
        if unknown := sorted(set(self.options) - set(options)):
            known = f"Known: {', '.join(options)}." if options else "It has none."
            raise EncoderError(f"Unknown option {unknown[0]!r} of the encoder {self.name!r}.", value=self.text, remedy=known)
        return self

    def integer(self, option: str, default: int) -> int:
        """A positive whole number among the options."""
        given = self.options.get(option)
        if given is None:
            return default
        if not given.isdecimal() or int(given) == 0:
            raise EncoderError(
                f"The option {option!r} of the encoder {self.name!r} must be a positive whole number, got {given!r}.", value=self.text
            )
        return int(given)

    def choice(self, option: str, known: tuple[str, ...], default: str) -> str:
        """One of ``known`` among the options."""
        given = self.options.get(option, default)
        if given not in known:
            raise EncoderError(
                f"The option {option!r} of the encoder {self.name!r} cannot be {given!r}.",
                value=self.text,
                remedy=f"Use one of: {', '.join(known)}.",
            )
        return given


def parse_spec(text: str) -> EncoderSpec:
    """The parts of an encoder's name. Raises ``EncoderError`` for an option without ``=`` or given twice."""
    head, _, query = text.partition("?")
    name, _, argument = head.partition(":")
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        key, equals, value = pair.partition("=")
        if not equals or key in options:
            fault = "given twice" if equals else "without a value"
            raise EncoderError(
                f"The option {key!r} is {fault} in the encoder {text!r}.", value=text, remedy="Write key=value, joined by '&'."
            )
        options[key] = unquote(value)
    return EncoderSpec(text=text, name=name.strip(), argument=argument.strip(), options=options)
