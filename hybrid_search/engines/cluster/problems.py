"""What a server says when it refuses, in a sentence that names the thing, with a remedy where there is a known one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST = 500
"""Characters of a server's reason that are shown: some echo the whole document."""

_REMEDIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile("flood-stage|read-only-allow-delete"),
        "The disk is nearly full: free space, then set index.blocks.read_only_allow_delete to null.",
    ),
    (re.compile(r"index read-only|index write \(api\)"), "Lift the block: set index.blocks.read_only and index.blocks.write to false."),
    (re.compile("total fields"), "Raise index.mapping.total_fields.limit, or drop embedding spaces that are no longer used."),
    (re.compile("no write index|more than one ind(ex|ices)|multiple write"), "Let the alias point to one index only."),
    (re.compile("require_alias"), "The alias is gone: open the engine again to have it made, or point it to the right index."),
    (
        re.compile("maximum shards open|cluster.max_shards_per_node"),
        "Raise cluster.max_shards_per_node, add a node, or delete old indices.",
    ),
    (re.compile("dimension"), "Make a new space for a model of another dimension."),
    (re.compile("zero (magnitude )?vector|zero vector|magnitude"), "A vector of zeros has no direction: check the model's output."),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error of a server: its type (``mapper_parsing_exception``), a sentence, and what to do where that is known."""

    type: str
    sentence: str
    remedy: str | None


def problem(body: Any) -> Problem:
    """The root cause of an error reply, of a bulk item's or msearch item's ``error``, or of whatever text a proxy sent."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        text = " ".join(str(error or "no reason given").split())[:_LONGEST]
        return Problem("", text, _remedy(text))
    chain = [error]
    while isinstance(cause := chain[-1].get("caused_by"), Mapping):
        chain.append(cause)
    roots = [root for root in error.get("root_cause", ()) if isinstance(root, Mapping)]
    named = [*roots[:1], *chain]
    reasons = dict.fromkeys(str(one["reason"]) for one in named if one.get("reason"))
    text = "; ".join(" ".join(reason.split()) for reason in reasons)[:_LONGEST] or str(error.get("type", "no reason given"))
    index = next((str(one["index"]) for one in named if one.get("index")), "")
    if index and index not in text:
        text = f"{index}: {text}"
    return Problem(str(named[0].get("type", "")), text, _remedy(text))


def _remedy(text: str) -> str | None:
    return next((remedy for pattern, remedy in _REMEDIES if pattern.search(text)), None)
