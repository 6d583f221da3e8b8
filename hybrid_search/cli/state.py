"""Commands that ask and mend a running or resting index: search, status, failures, the picture map, the control document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search.console import HomeOption, JsonOption, emit, progress, say, settings

if TYPE_CHECKING:
    from hybrid_search.bootstrap import Services
    from hybrid_search.engines.base import Engine, Failure


def open_services(home: Path | None, *, index: bool = False) -> Services:
    """The parts for looking: nothing is made or written by opening them; with ``index`` this process indexes when nobody else does."""
    from hybrid_search.bootstrap import build
    from hybrid_search.errors import SettingsError

    configured = settings(home=home)
    if configured.engine == "embedded" and configured.attach is None and not configured.home.is_dir():
        raise SettingsError(
            f"There is no index at {configured.home}.",
            field="home",
            value=str(configured.home),
            remedy="Set home, or load a catalogue with ingest.",
        )
    return build(configured, index=index, make_spaces=False)


def search(
    query: Annotated[str, typer.Argument(help="Words to search with.")] = "",
    image: Annotated[Path | None, typer.Option(help="A picture to search with, alone or together with words.")] = None,
    like: Annotated[str | None, typer.Option(help="A product id: more like this one.")] = None,
    size: Annotated[int, typer.Option(help="Hits to show.", min=1, max=100)] = 10,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Search from the terminal.

    Examples:

        hybrid-search search "red mug"

        hybrid-search search --image photo.jpg

        hybrid-search search "in blue" --image photo.jpg --json
    """
    import base64
    from contextlib import suppress

    from hybrid_search.errors import EncoderError, QueryError
    from hybrid_search.query.pipeline import search as run
    from hybrid_search.query.request import ImageInput, SearchRequest, validated

    images: tuple[ImageInput, ...] = ()
    if image is not None:
        try:
            images = (validated(ImageInput, {"base64": base64.b64encode(image.read_bytes()).decode()}),)
        except OSError as err:
            raise QueryError(f"{image}: {err.strerror}.", field="image", value=str(image), remedy="Give the path of a picture.") from err
    request = validated(SearchRequest, {"q": query, "images": images, "like": like, "size": size, "explain": True})
    services = open_services(home, index=True)
    try:
        services.engine.refresh()
        if query:  # what is told as the search's time is not to be that of loading models
            for encoder in services.encoders.text.values():
                with suppress(EncoderError):
                    encoder.encode_queries([query])
        reply = run(request, services.search_parts)
    finally:
        services.close()
    if json:
        emit(reply.model_dump(mode="json"))
        return
    for hit in reply.hits:
        legs = ", ".join(f"{name} {leg.contribution:.3f}" for name, leg in (hit.explain.legs if hit.explain else {}).items())
        title = hit.product.get("title") or "(no title)"
        say(
            f"{hit.rank:>3}. [bold]{_plain(title)}[/bold]  [dim]{_plain(hit.id)}  {'' if hit.score is None else format(hit.score, '.3f')}  {legs}[/dim]"
        )
    say(f"[dim]{reply.total} products match, {reply.took_ms:.0f} ms[/dim]")
    for what in reply.degraded:
        say(f"[yellow]left out: {_plain(what)}[/yellow]")


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Keep watching: rate and remaining time, until nothing is pending.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Count products and embeddings by state; with --watch also their rate and the time left.

    Examples:

        hybrid-search status

        hybrid-search status --watch
    """
    from hybrid_search.cli.watching import show_status, watch_status

    services = open_services(home)
    try:
        if watch:
            watch_status(services.engine)
        show_status(services.engine, as_json=json)
    finally:
        services.close()


def failures(
    retry: Annotated[bool, typer.Option("--retry", help="Make failed products pending again: those named, or all.")] = False,
    ids: Annotated[list[str] | None, typer.Argument(help="Only these products.")] = None,
    limit: Annotated[int, typer.Option(help="Lines to show.", min=1)] = 100,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List products that could not be embedded, with the reason; --retry tries them again.

    Examples:

        hybrid-search failures

        hybrid-search failures --retry
    """
    services = open_services(home)
    try:
        listed = services.engine.failures(limit=limit) if not ids else _failures_of(services.engine, ids)
        retried = services.engine.retry_failures(ids or None) if retry else 0
    finally:
        services.close()
    if json:
        emit({"failures": [_failure(f.product_id, f.entry) for f in listed], "retried": retried})
        return
    for failure in listed:
        say(
            f"{_plain(failure.product_id)}  [dim]{failure.entry.space}[/dim]  {failure.entry.attempts} tries  {_plain(failure.entry.error or '')}"
        )
    say(f"[dim]{len(listed)} listed{f', {retried} pending again' if retry else ''}[/dim]")


def _failures_of(engine: Engine, ids: list[str]) -> list[Failure]:
    from hybrid_search.engines.base import Failure

    documents = [document for document in engine.fetch(ids) if document is not None]
    return [Failure(d.id, entry) for d in documents for entry in d.ledger.values() if entry.state == "failed"]


def _failure(product_id: str, entry: Any) -> dict[str, Any]:
    return {"id": product_id, "space": entry.space, "attempts": entry.attempts, "error": entry.error, "updated": entry.updated}


def align(home: HomeOption = None, json: JsonOption = False) -> None:
    """Fit the map from pictures to words again, from the catalogue's own pairs, as a new version of its space.

    The workers fill the new version from kept tower outputs; searches use it once it is complete.

    Example:

        hybrid-search align
    """
    from hybrid_search.errors import ConflictError
    from hybrid_search.indexing.align import fit_alignment
    from hybrid_search.indexing.maps import MapShelf

    services = open_services(home)
    try:
        (text,), (image,) = services.encoders.text.values(), services.encoders.image.values()
        with progress("fitting the picture map", None, quiet=json):
            space = fit_alignment(
                services.engine, text, image, MapShelf(services.settings.home, services.engine), pairs=services.settings.align_pairs
            )
    finally:
        services.close()
    if space is None:
        raise ConflictError("Another process is fitting a map now.", remedy="Wait for it, then look at `hybrid-search status`.")
    told = {"space": space.key, "model": space.model, "dim": space.dim}
    emit(told) if json else say("\n".join(f"{key}: {value}" for key, value in told.items()))


def control(
    set_: Annotated[
        list[str] | None, typer.Option("--set", help='KEY=JSON to change, as in weights=\'{"bm25": 1, "text": 1}\'. May be repeated.')
    ] = None,
    home: HomeOption = None,
) -> None:
    """Show, or change, what may change while everything runs: weights, fusion, active spaces. Running processes follow within about a second.

    Examples:

        hybrid-search control

        hybrid-search control --set fusion='"rrf"'
    """
    import orjson

    from hybrid_search.control import parse_control
    from hybrid_search.errors import QueryError

    services = open_services(home)
    try:
        version, body = services.engine.read_control()
        changes: dict[str, Any] = {}
        for change in set_ or ():
            key, equals, value = change.partition("=")
            try:
                changes[key] = orjson.loads(value)
            except orjson.JSONDecodeError as err:
                raise QueryError(
                    f"--set {change}: the value is not JSON.", field=key, value=value, remedy="Quote it: --set fusion='\"rrf\"'."
                ) from err
        if changes:
            body = {**body, **changes}
            parse_control(body)
            version = services.engine.write_control(body, expected_version=version)
        emit({"version": version, **parse_control(body).model_dump(mode="json")})
    finally:
        services.close()


def _plain(text: str) -> str:
    """Text that is no markup."""
    from rich.markup import escape

    return escape(text)
