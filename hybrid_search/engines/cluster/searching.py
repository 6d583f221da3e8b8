"""A plan answered by a server: one ``_msearch`` of its legs and its counts.

A second request follows only where one cannot do: on an index of several shards, each of which gives its own k nearest, and where the
k-th neighbour ties with the next, the match set is counted from the hits' ids; where products have several values of a counted
attribute and not all are shown, ``others`` is counted by itself; and what a failing shard spoilt is asked once more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from hybrid_search.engines.cluster.counting import Counts, counting_body, match_set, others_body, read_counts
from hybrid_search.engines.cluster.dialect import Dialect
from hybrid_search.engines.cluster.fields import Clause, Fields
from hybrid_search.engines.cluster.filters import filter_clauses
from hybrid_search.engines.cluster.legs import LegSearch, Searchable, leg_search, no_hits, read_hits
from hybrid_search.engines.cluster.replies import Searches
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.errors import EngineUnavailable
from hybrid_search.types import EngineReply, Facet, LegHits, SearchPlan, VectorLeg

COUNTS = "counts"
"""Key in ``EngineReply.failed`` when legs were answered but not counted."""


def answer(transport: Transport, dialect: Dialect, searchable: Searchable, plan: SearchPlan, seq: int) -> EngineReply:
    """``Engine.search``.

    Args:
        seq: the newest change that is known to be searchable.

    Raises:
        QueryError: unknown field or space, or a vector of another dimension.
        EngineUnavailable: the server cannot be reached, or answers nothing of the plan for another reason than time.
    """
    filters = filter_clauses(plan.filters, plan.exclude_ids, searchable.fields)
    legs = [leg_search(leg, filters, searchable, dialect) for leg in plan.legs]
    asking = _Asking(Searches(transport, searchable.index, plan.timeout), plan, filters, searchable.shards, searchable.fields)
    counts = asking.first(legs)
    if not asking.hits and asking.failed and not all(reason.startswith("timeout:") for reason in asking.failed.values()):
        raise EngineUnavailable(
            f"No leg of the search could be answered: {'; '.join(asking.failed.values())}.",
            remedy="Look at the search server's log and health.",
        )
    if counts is None:
        counts = asking.recount(legs)
    if counts is None:
        seen = {id_ for hits in asking.hits.values() for id_ in hits.ids}
        return EngineReply(asking.hits, len(seen), "gte", (), () if plan.sort else None, seq, asking.failed, asking.seconds)
    facets = asking.with_others(counts, legs)
    return EngineReply(asking.hits, counts.total, "eq", facets, counts.sorted_ids, seq, asking.failed, asking.seconds)


@dataclass(slots=True)
class _Asking:
    """What one search has asked and learnt so far."""

    searches: Searches
    plan: SearchPlan
    filters: Sequence[Clause]
    shards: int
    fields: Fields
    hits: dict[str, LegHits] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    recounted: Clause | None = None

    def first(self, legs: Sequence[LegSearch]) -> Counts | None:
        """The request of every search. ``None`` where its counts are missing or are not those of its hits."""
        sent = [search for search in legs if search.body is not None]
        near = any(isinstance(search.leg, VectorLeg) for search in sent)
        counted = self.shards == 1 or not near
        bodies = [search.body for search in sent if search.body is not None]
        # written out in either case: a field that cannot be counted is told before anything is sent
        counting = counting_body(
            self.plan, match_set([search.matches for search in sent], self.filters), shards=self.shards, fields=self.fields
        )
        answers = self.searches.run([*bodies, counting] if counted else bodies)
        tied = False
        for search, one in zip(sent, answers, strict=False):
            if one.failed:
                self.failed[search.leg.name] = one.failed
                continue
            self.seconds[search.leg.name] = one.body.get("took", 0) / 1_000
            self.hits[search.leg.name], ties = read_hits(search, one.body)
            tied |= ties and isinstance(search.leg, VectorLeg)
        self.hits |= {search.leg.name: no_hits(search.leg) for search in legs if search.body is None}
        if self.failed or tied or not counted or answers[-1].failed:
            return None
        return read_counts(self.plan, answers[-1].body, self.fields)

    def recount(self, legs: Sequence[LegSearch]) -> Counts | None:
        """Counts of what the legs answered, vector hits by their ids; ``None``, with the reason in ``failed``, when that fails too."""
        clauses: list[Clause] = []
        for search in legs:
            if search.leg.name in self.hits and search.body is not None:
                near = isinstance(search.leg, VectorLeg)
                clauses.append({"terms": {"id": list(self.hits[search.leg.name].ids)}} if near else search.matches)
        self.recounted = match_set(clauses, self.filters)
        (counted,) = self.searches.run([counting_body(self.plan, self.recounted, shards=self.shards, fields=self.fields)])
        if counted.failed:
            if self.hits:
                self.failed[COUNTS] = counted.failed
            return None
        return read_counts(self.plan, counted.body, self.fields)

    def with_others(self, counts: Counts, legs: Sequence[LegSearch]) -> tuple[Facet, ...]:
        """The facets, with ``others`` counted where products have several values."""
        if not counts.unsure:
            return counts.facets
        matches = self.recounted or match_set([search.matches for search in legs if search.body is not None], self.filters)
        facets = list(counts.facets)
        answers = self.searches.run([others_body(facets[number], matches, self.fields) for number in counts.unsure])
        for number, one in zip(counts.unsure, answers, strict=True):
            if one.failed:
                self.failed[COUNTS] = one.failed
            else:
                facets[number] = dataclasses.replace(facets[number], others=one.body["hits"]["total"]["value"])
        return tuple(facets)
