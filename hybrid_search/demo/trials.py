"""One try through the API, as a shopper's browser would do it, and how it is told."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import Any

import httpx
from rich.markup import escape

from hybrid_search.console import say
from hybrid_search.demo.queries import Trial
from hybrid_search.errors import HybridSearchError

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """A query's reply and whether it found what it should; ``hits`` are (id, title, score) of the first ones."""

    name: str
    asked: str
    expectation: str
    met: bool
    total: int
    took_ms: float
    degraded: tuple[str, ...]
    hits: tuple[tuple[str, str, float], ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ask(url: str, query: Trial) -> Outcome:
    """Run a query through ``POST /v1/search``. Raises ``HybridSearchError`` with the API's own words when it refuses."""
    body: dict[str, Any] = {"q": query.text, "size": 10}
    if query.image is not None:
        body["images"] = [{"base64": base64.b64encode(query.image.read_bytes()).decode("ascii")}]
    try:
        reply = httpx.post(f"{url}/v1/search", json=body, timeout=30.0, trust_env=False)
    except httpx.HTTPError as err:
        raise HybridSearchError(
            f"The search for {query.name} was not answered: {err}.", field="search", remedy="See logs/api.log."
        ) from err
    if reply.status_code != httpx.codes.OK:
        raise HybridSearchError(
            f"The search for {query.name} was answered with {reply.status_code}: {reply.text[:300]}", field="search", value=query.text
        )
    found = reply.json()
    asked = " + ".join(
        part for part in (f'"{query.text}"' if query.text else "", f"picture {query.image.name}" if query.image else "") if part
    )
    return Outcome(
        name=query.name,
        asked=asked,
        expectation=query.expectation,
        met=query.met([hit["id"] for hit in found["hits"]]) and not found["degraded"],
        total=found["total"],
        took_ms=found["took_ms"],
        degraded=tuple(found["degraded"]),
        hits=tuple((hit["id"], hit["product"].get("title", ""), hit["score"]) for hit in found["hits"][:_SHOWN]),
    )


def show(outcome: Outcome) -> None:
    """Print an outcome for people."""
    mark = "[green]found[/green]" if outcome.met else "[red]did not find[/red]"
    say(
        f"\n[bold]{outcome.name}[/bold]: {escape(outcome.asked)}  {mark} {escape(outcome.expectation)}  [dim]{outcome.total} match, {outcome.took_ms:.0f} ms[/dim]"
    )
    for at, (product_id, title, score) in enumerate(outcome.hits, 1):
        say(f"  {at}. {escape(title) or '(no title)'}  [dim]{escape(product_id)}  {score:.3f}[/dim]")
    for what in outcome.degraded:
        say(f"  [yellow]left out: {escape(what)}[/yellow]")
