"""The filters of the page: what can be chosen, what is chosen, how many products each choice has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_search.api.cards import price_text
from hybrid_search.api.page_state import CHOICES, PageState, category_path
from hybrid_search.api.wording import Wording
from hybrid_search.product import CATEGORY_SEPARATOR
from hybrid_search.query.reply import FacetReply

SIZE = 24
SHOWN = 7
"""Choices that stand open; the rest unfolds."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One check box or radio button; ``depth`` indents a category below another."""

    value: str
    label: str
    count: int | None
    chosen: bool
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """One facet."""

    name: str
    title: str
    choices: tuple[Choice, ...]
    others: int = 0

    @property
    def open_choices(self) -> tuple[Choice, ...]:
        """Those that stand open: the first ones and whatever is chosen."""
        return tuple(c for number, c in enumerate(self.choices) if number < SHOWN or c.chosen)

    @property
    def folded_choices(self) -> tuple[Choice, ...]:
        return tuple(c for number, c in enumerate(self.choices) if number >= SHOWN and not c.chosen)


@dataclass(frozen=True, slots=True)
class Active:
    """A filter that is on, with the address without it."""

    label: str
    address: str


def facet_requests(names: tuple[str, ...] = ("category", *CHOICES)) -> list[dict[str, Any]]:
    """The facets of a search request."""
    return [{"field": name, "size": 100 if name == "category" else SIZE} for name in names]


def make_groups(facets: dict[str, FacetReply], state: PageState, t: Wording) -> list[Group]:
    """The facets that have something to choose, categories first."""
    groups = [_categories(facets["category"], state, t)] if "category" in facets else []
    for name in CHOICES:
        if name in facets:
            groups.append(_choices(facets[name], getattr(state, name), t))
    return [group for group in groups if len(group.choices) > 1 or any(c.chosen and c.value for c in group.choices)]


def active_filters(state: PageState, currency: str, t: Wording) -> list[Active]:
    """What is on, in the order of the page."""
    active: list[Active] = []
    if state.category:
        path = category_path(state.category)
        active.append(Active(" › ".join(path), state.without("category").address()))
    for name in CHOICES:
        active += [Active(value_text(value, t), state.without(name, value).address()) for value in getattr(state, name)]
    if state.price_min is not None or state.price_max is not None:
        without = state.without("price_min").without("price_max")
        active.append(Active(_price_range(state, currency, t), without.address()))
    if state.rating is not None:
        active.append(Active(t("facet.rating.from", stars=f"{state.rating:g}"), state.without("rating").address()))
    if state.available:
        active.append(Active(t("facet.available"), state.without("available").address()))
    return active


def value_text(value: str, t: Wording) -> str:
    """A value as shown: common colours and the like have words of their own in the table, all else stands as the shop wrote it."""
    return t.known(f"value.{value.lower()}", value)


def _price_range(state: PageState, currency: str, t: Wording) -> str:
    low, high = price_text(state.price_min, currency), price_text(state.price_max, currency)
    if not high:
        return t("facet.price.from", low=low)
    return t("facet.price.between", low=low, high=high) if low else t("facet.price.to", high=high)


def _choices(facet: FacetReply, chosen: tuple[str, ...], t: Wording) -> Group:
    choices = [Choice(b.value, value_text(b.value, t), b.count, b.value in chosen) for b in facet.buckets]
    listed = {choice.value for choice in choices}
    choices += [Choice(value, value_text(value, t), 0, True) for value in chosen if value not in listed]
    return Group(facet.field, t(f"facet.{facet.field}"), tuple(choices), facet.others)


def _categories(facet: FacetReply, state: PageState, t: Wording) -> Group:
    """The tree along the chosen path: its levels above, its children below, brothers where nothing is below."""
    counts: dict[tuple[str, ...], int] = {}
    for bucket in facet.buckets:
        path = tuple(category_path(bucket.value))
        counts[path] = bucket.count
    chosen = tuple(category_path(state.category))
    children = [path for path in counts if len(path) == len(chosen) + 1 and path[: len(chosen)] == chosen]
    above = [chosen[:depth] for depth in range(1, len(chosen) + 1)]
    choices = [Choice("", t("facet.category.all"), None, not chosen)]
    for path in (*above, *sorted(children, key=lambda p: (-counts[p], p))):
        value = f" {CATEGORY_SEPARATOR} ".join(path)
        choices.append(Choice(value, path[-1], counts.get(path), path == chosen, len(path) - 1))
    return Group("category", t("facet.category"), tuple(choices))
