"""Which field of a foreign index is which field of a product: a proposal with a confidence and the reason, for a person to judge.

The same index and sample always give the same proposal. Work grows with the number of fields, never with their square.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hybrid_search.attach.availability import STOCK_NUMBER
from hybrid_search.attach.config import ATTRIBUTE, DOCUMENT_ID, AttributePair, CategoryTree
from hybrid_search.attach.names import (
    ATTRIBUTES,
    NO_ATTRIBUTES,
    PAIR_NAMES,
    PAIR_VALUES,
    SEQUENCES,
    TARGETS,
    Kind,
    NamePattern,
    TargetNames,
    match,
    normal,
)
from hybrid_search.attach.paths import as_text, leaves, values_at
from hybrid_search.attach.schema import DATE_TYPES, NUMBER_TYPES, TEXT_TYPES, VECTOR_TYPES, SourceField
from hybrid_search.attach.source import SourceDocument, SourceIndex
from hybrid_search.attach.values import STATES, UNMAPPED, fits_type, share_fitting
from hybrid_search.catalog.values import availability

LEAST = 0.3
"""Confidence below which nothing is proposed."""
SURE = 0.5
"""Confidence from which a second field joins the first one."""
FOLLOWED = 0.9
"""Share of the documents that must hold a field for it to be followed."""
MOST_ATTRIBUTES = 60
PAGE_OF_NAMES = 5_000
"""Fields looked at, at most; the first ones in path order."""


@dataclass(frozen=True, slots=True)
class Guess:
    """``path`` for a product field, how sure (0 to 1) and why."""

    path: str
    confidence: float
    why: str


@dataclass(slots=True)
class Proposal:
    """Everything that can be told of a foreign index without asking a person."""

    fields: dict[str, list[Guess]] = field(default_factory=dict)
    runners_up: dict[str, list[Guess]] = field(default_factory=dict)
    separators: dict[str, str] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    absent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    availability: dict[str, str] = field(default_factory=dict)
    category_tree: CategoryTree | None = None
    attribute_pairs: list[AttributePair] = field(default_factory=list)
    filter: dict[str, Any] = field(default_factory=dict)
    follow: Guess | None = None
    follow_kind: str = "date"
    follow_overlap: float = 120.0
    notes: list[str] = field(default_factory=list)


class _Seen:
    """Fields of mapping and sample, with the values that the sample holds."""

    def __init__(self, index: SourceIndex, sample: Sequence[SourceDocument]) -> None:
        self.size = len(sample)
        self.values: dict[str, list[Any]] = {}
        self.documents: Counter[str] = Counter()
        for document in sample:
            of_document: dict[str, list[Any]] = {}
            for path, value in leaves(document.source):
                of_document.setdefault(path, []).append(value)
            for path, values in of_document.items():
                self.documents[path] += 1
                self.values.setdefault(path, []).extend(values)
        known = {path: f for path, f in index.fields.items() if f.type not in VECTOR_TYPES}
        extra = {path: SourceField(path, UNMAPPED) for path in self.values if path not in known}
        together = dict(sorted({**known, **extra}.items()))
        self.left_out = max(0, len(together) - PAGE_OF_NAMES)
        # Fields that the sample holds come first, so that a limit costs the least.
        order = sorted(together, key=lambda path: (path not in self.values, path))[:PAGE_OF_NAMES]
        self.fields = {path: together[path] for path in sorted(order)}

    def example(self, path: str) -> str:
        text = " ".join(str(self.values[path][0]).split())
        return text if len(text) <= 40 else text[:39] + "…"


def propose(index: SourceIndex, sample: Sequence[SourceDocument]) -> Proposal:
    """What the fields of ``index`` seem to be, judged by name, type and the sample's values."""
    seen = _Seen(index, sample)
    made = Proposal()
    if seen.left_out:
        made.notes.append(
            f"{seen.left_out} of {seen.left_out + len(seen.fields)} fields were not looked at: none of the sample holds them."
        )
    made.fields["id"] = [_id(seen, sample)]
    guesses = sorted(
        (
            (guess, target)
            for target, names in TARGETS.items()
            for guess in (*_guesses(seen, names, names.kind, names.patterns), *_guesses(seen, names, "stock", names.stock))
        ),
        key=lambda pair: (-pair[0].confidence, pair[0].path.count("."), pair[0].path, pair[1]),
    )
    taken = _pairs(seen, made)
    for guess, target in guesses:
        chosen = made.fields.setdefault(target, [])
        room = len(chosen) < TARGETS[target].several and (not chosen or guess.confidence >= SURE)
        if guess.path not in taken and room and not _same_values(seen, [g.path for g in chosen], guess.path):
            chosen.append(guess)
            taken[guess.path] = target
        elif taken.get(guess.path) != target:
            made.runners_up.setdefault(target, []).append(guess)
    made.fields = {target: chosen for target, chosen in made.fields.items() if chosen}
    _attributes(seen, made, set(taken))
    _details(seen, made)
    made.filter = _filter(seen)
    _follow(index, seen, made)
    return made


def _guesses(seen: _Seen, names: TargetNames, kind: Kind, patterns: tuple[NamePattern, ...]) -> list[Guess]:
    found: dict[str, Guess] = {}
    for path, told in seen.fields.items():
        matched = match(patterns, path, names.never_in)
        if matched is None:
            continue
        named, sure, _ = matched
        values = seen.values.get(path, [])
        fitting = share_fitting(kind, values)
        confidence = sure * (1.0 if fits_type(kind, told.type) else 0.3)
        coverage = seen.documents[path] / seen.size if seen.size else 0.0
        confidence *= fitting * (0.7 + 0.3 * coverage) if values else 0.3
        if kind == "category" and normal(path).startswith("name_category_"):
            path = path[: len("name_category_")] + "*"
        dialect = f"the name is {named.dialect}'s" if named.dialect != "common" else "a common name for it"
        held = f"{seen.documents[told.path]} of {seen.size} sampled hold it" if values else "no sampled document holds it"
        example = f", as in {seen.example(told.path)!r}" if values else ""
        misfit = f", {round(100 * (1 - fitting))} % of the values do not fit" if values and fitting < 1 else ""
        guess = Guess(path, round(confidence, 2), f"{dialect}; {told.type}; {held}{example}{misfit}")
        if guess.confidence >= LEAST and (path not in found or found[path].confidence < guess.confidence):
            found[path] = guess
    return list(found.values())


def _same_values(seen: _Seen, chosen: Sequence[str], path: str) -> bool:
    """Whether a field only repeats one that is chosen already, as multi-typed copies do."""
    return any(seen.values.get(path) is not None and seen.values.get(path) == seen.values.get(other) for other in chosen)


def _id(seen: _Seen, sample: Sequence[SourceDocument]) -> Guess:
    """A field that repeats the document's own id; else the id itself; for ids that a server made up, a field that tells products apart."""
    if not sample:
        return Guess(DOCUMENT_ID, 0.5, "the document's own id; the index is empty")
    own = [document.id for document in sample]
    for path, told in seen.fields.items():
        if told.exact and [[str(v) for v in values_at(d.source, path)] for d in sample] == [[id_] for id_ in own]:
            return Guess(path, 0.99, f"equal to the document's own id in all {seen.size} sampled; {told.type}")
    made_up = all(len(id_) == 20 and not id_.isdigit() for id_ in own)
    if made_up:
        for wanted in ("id", "product_id", "sku", "entity_id", "item_id"):
            for path in (path for path in seen.fields if normal(path) == wanted and seen.fields[path].exact):
                values = [str(v) for v in seen.values.get(path, [])]
                if len(set(values)) == len(values) == seen.size:
                    return Guess(path, 0.8, f"different in all {seen.size} sampled, and the documents' own ids seem made up by the server")
    return Guess(DOCUMENT_ID, 0.6 if made_up else 0.95, "the document's own id")


def _pairs(seen: _Seen, made: Proposal) -> dict[str, str]:
    """Finds arrays of name and value; returns the paths they take."""
    taken: dict[str, str] = {}
    for path in sorted(seen.values):
        parent, _, step = path.rpartition(".")
        value_step = next((v for v in PAIR_VALUES if f"{parent}.{v}" in seen.values), None)
        told = any(word in normal(parent) for word in ("attribute", "spec", "propert", "feature", "facet"))
        if (
            parent
            and normal(step) in PAIR_NAMES
            and value_step
            and told
            and parent not in {p.name.rpartition(".")[0] for p in made.attribute_pairs}
        ):
            made.attribute_pairs.append(AttributePair(name=path, value=f"{parent}.{value_step}"))
            taken |= {path: "attributes", f"{parent}.{value_step}": "attributes"}
    return taken


def _attributes(seen: _Seen, made: Proposal, taken: set[str]) -> None:
    for path in sorted(seen.values):
        matched = match(ATTRIBUTES, path)
        if matched is None or path in taken or len([t for t in made.fields if t.startswith(ATTRIBUTE)]) >= MOST_ATTRIBUTES:
            continue
        if share_fitting("word", [str(v) for v in seen.values[path]]) < 0.9:
            continue
        named, sure, found = matched
        name = found[1]
        if name in NO_ATTRIBUTES:
            continue
        held = f"{seen.documents[path]} of {seen.size} sampled hold it, as in {seen.example(path)!r}"
        made.fields[ATTRIBUTE + name] = [Guess(path, sure, f"an attribute as {named.dialect} names one; {held}")]
    for target in made.fields.keys() & TARGETS.keys():  # what is a field of its own is no attribute besides
        made.fields.pop(ATTRIBUTE + target, None)


def _details(seen: _Seen, made: Proposal) -> None:
    def values(target: str) -> list[Any]:
        return [value for guess in made.fields.get(target, ())[:1] for value in seen.values.get(guess.path, [])]

    texts = [value for value in values("category") if isinstance(value, str)]
    for separator in (">", "/", "|"):
        if texts and sum(separator in text for text in texts) > len(texts) / 2:
            made.separators["category"] = separator
            break
    if made.fields.get("category"):
        parent = made.fields["category"][0].path.rpartition(".")[0]
        for own in ("term_id", "id", "category_id"):
            for above in ("parent", "parent_id"):
                if parent and f"{parent}.{own}" in seen.values and f"{parent}.{above}" in seen.values:
                    made.category_tree = made.category_tree or CategoryTree(id=f"{parent}.{own}", parent=f"{parent}.{above}")
    states = {as_text(value): availability(value) for value in values("availability")}
    made.availability = {theirs: str(ours) for theirs, ours in sorted(states.items()) if ours in STATES}
    stocked = made.fields.get("availability")
    if stocked and match(TARGETS["availability"].stock, stocked[0].path) and share_fitting("stock", values("availability")):
        made.availability = dict(STOCK_NUMBER)
    ratings = [float(value) for value in values("rating") if share_fitting("number", [value])]
    if ratings and max(ratings) > 5:
        made.scales["rating"] = 0.5 if max(ratings) <= 10 else 0.05
    price = made.fields.get("price", ())
    if price and any(word in normal(price[0].path) for word in ("cents", "minor")):
        made.scales["price"] = 0.01
    meaningless = {
        "images": ("no_selection",),
        "group_id": ("0",),
        "created": ("0000-00-00 00:00:00",),
        "updated": ("0000-00-00 00:00:00",),
    }
    for target, nothing in meaningless.items():
        if any(str(value) in nothing for value in values(target)):
            made.absent[target] = nothing
    pictures = [str(value) for value in values("images") if value != "no_selection"]
    if pictures and not all(picture.startswith(("http://", "https://", "data:")) for picture in pictures):
        made.notes.append(f"Pictures are relative, as in {pictures[0]!r}: set image_base to the URL that they lie under.")
    if "title" not in made.fields:
        made.notes.append("No field looks like a title: name one under [fields].")


def _filter(seen: _Seen) -> dict[str, Any]:
    """What tells products from other documents of the same index."""
    for path in ("post_type", "type", "doc_type", "object_type"):
        kinds = {str(value) for value in seen.values.get(path, [])}
        told = seen.fields.get(path)
        if told and told.exact and len(kinds) <= 20 and "product" in kinds:
            return {"term": {told.exact: "product"}}
    return {}


def _follow(index: SourceIndex, seen: _Seen, made: Proposal) -> None:
    dated = [*made.fields.get("updated", ()), *made.runners_up.get("updated", ())]
    for guess in sorted(dated, key=lambda g: (-g.confidence, g.path)):
        told = seen.fields.get(guess.path)
        if told is not None and not told.nested and told.type in DATE_TYPES | NUMBER_TYPES and _nearly_all(seen, guess.path):
            made.follow = guess
            if without := seen.size - seen.documents[guess.path]:
                made.notes.append(f"{without} of {seen.size} sampled have no {guess.path}: documents without it are read at each look.")
            made.follow_kind = "date" if told.type in DATE_TYPES else "number"
            made.follow_overlap = 120.0 if told.type in DATE_TYPES else 120.0 * _per_second(seen.values.get(guess.path, []))
            return
    for path, told in seen.fields.items():
        if told.type in NUMBER_TYPES and not told.nested and SEQUENCES.fullmatch(normal(path)) and _nearly_all(seen, path):
            made.follow = Guess(path, 0.6, "a number that seems to grow with every change")
            made.follow_kind, made.follow_overlap = "number", 1_000.0
            return
    made.notes.append(
        "No time or number of the last change was found: changes are found by reading everything, or come by POST /v1/changes."
    )


def _nearly_all(seen: _Seen, path: str) -> bool:
    """Whether few documents lack the field: each of those is read at each look."""
    return seen.size > 0 and seen.documents[path] >= FOLLOWED * seen.size


def _per_second(values: Sequence[Any]) -> float:
    """Units per second of an epoch number, by its size."""
    largest = max((abs(float(value)) for value in values), default=0.0)
    return 1e9 if largest > 1e17 else 1e6 if largest > 1e14 else 1e3 if largest > 1e11 else 1.0


def unused(index: SourceIndex, made: Proposal) -> Mapping[str, str]:
    """Text fields that the proposal does not use, with their type: for a person to look at."""
    used = {guess.path for guesses in made.fields.values() for guess in guesses}
    return {path: told.type for path, told in index.fields.items() if told.type in TEXT_TYPES and path not in used}
