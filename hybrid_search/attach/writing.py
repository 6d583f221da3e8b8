"""The attach file as text: TOML with a comment on every guess, for a person to edit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_search.attach.names import TARGETS
from hybrid_search.attach.propose import Guess, Proposal, unused
from hybrid_search.attach.source import SourceIndex

_SHOWN_UNUSED = 40


def attach_file(url: str, index: SourceIndex, proposal: Proposal) -> str:
    """The content of an attach file. ``url`` must hold no password."""
    lines = [
        "# Written by `hybrid-search attach`. Every line may be edited; check it with `hybrid-search attach --check THIS_FILE`.",
        "# What each key means: docs/attach.md. Beside each field: how sure the guess is (0 to 1) and why.",
        *(f"# NOTE: {note}" for note in proposal.notes),
        "",
    ]
    if not proposal.attribute_pairs:
        lines += ['image_base = ""  # URL that relative picture names lie under']
    else:
        pairs = ", ".join(_inline({"name": pair.name, "value": pair.value}) for pair in proposal.attribute_pairs)
        lines += ['image_base = ""  # URL that relative picture names lie under', f"attribute_pairs = [{pairs}]"]
    if proposal.category_tree:
        lines += [f"category_tree = {_inline({'id': proposal.category_tree.id, 'parent': proposal.category_tree.parent})}"]
    lines += [
        "",
        "[source]",
        f"url = {_text(url)}",
        f"index = {_text(index.asked)}  # {index.documents} documents, {len(index.fields)} fields, {index.product} {index.version}",
        f"engine = {_text(index.product)}",
        f"filter = {_inline(proposal.filter)}  # query DSL: what of the index are products; empty for everything",
        '# user = ""  # sign-in of this server, where it is not that of the settings (server_user, server_password, server_api_key)',
        '# password_file = ""',
        "",
        "[fields]  # product field = path or list of paths in the foreign document",
    ]
    for target in _in_order(proposal.fields):
        lines += _field(target, proposal.fields[target])
        lines += [f"#   also possible: {g.path}  ({g.confidence:.2f}: {g.why})" for g in proposal.runners_up.get(target, ())[:3]]
    for target in sorted(proposal.runners_up.keys() - proposal.fields.keys()):
        lines += [f"# {target} = {_text(g.path)}  # {g.confidence:.2f}: {g.why}" for g in proposal.runners_up[target][:3]]
    others = unused(index, proposal)
    if others:
        named = ", ".join(list(others)[:_SHOWN_UNUSED])
        lines += [f"# Not used ({len(others)} text fields): {named}{', …' if len(others) > _SHOWN_UNUSED else ''}"]
    lines += _table("separators", proposal.separators, "between the values of one text")
    lines += _table("scales", proposal.scales, "factor on a number, as in 0.05 for a rating of 0 to 100")
    lines += _table("absent", proposal.absent, "values that mean nothing")
    lines += _table(
        "availability",
        proposal.availability,
        'their value, or a bound of a number as ">0", = in_stock, out_of_stock, preorder or backorder',
    )
    lines += ["", "[constants]  # what a document leaves empty", '# currency = "USD"']
    lines += _follow(proposal)
    return "\n".join(lines) + "\n"


def _in_order(fields: Mapping[str, Any]) -> list[str]:
    known = ["id", *TARGETS]
    return sorted(fields, key=lambda target: (known.index(target) if target in known else len(known), target))


def _field(target: str, guesses: Sequence[Guess]) -> list[str]:
    paths = [guess.path for guess in guesses]
    given = _text(paths[0]) if len(paths) == 1 else json.dumps(paths, ensure_ascii=False)
    why = " | ".join(f"{guess.confidence:.2f}: {guess.why}" for guess in guesses)
    return [f"{_key(target)} = {given}  # {_comment(why)}"]


def _follow(proposal: Proposal) -> list[str]:
    guess = proposal.follow
    return [
        "",
        "[follow]  # how changes are noticed; times in seconds",
        f"field = {_text(guess.path if guess else '')}  # {_comment(guess.why) if guess else 'none: everything is read each time'}",
        f"kind = {_text(proposal.follow_kind)}  # date, or number (then overlap is in its units)",
        f"overlap = {proposal.follow_overlap}  # read again this far back, for writes that came late",
        "every = 30.0  # between two looks at that field",
        "compare_every = 3600.0  # between two comparisons of all ids, which find deletions",
        "delete_at_most = 0.5  # share of our products that one comparison may remove",
    ]


def _table(name: str, content: Mapping[str, Any], comment: str) -> list[str]:
    return ["", f"[{name}]  # {comment}", *(f"{_key(key)} = {_value(value)}" for key, value in content.items())]


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and name.isascii() else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return _inline(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return str(value) if isinstance(value, float) else _text(str(value))


def _inline(table: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{_key(key)} = {_value(value)}" for key, value in table.items()) + "}"


def _text(text: str) -> str:
    """A TOML basic string: JSON's escapes are a part of TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
