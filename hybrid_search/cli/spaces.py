"""Commands on versions of embedding spaces: add a new model, fill it, cut over, roll back, drop."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hybrid_search.cli.asking import KeyArgument, YesOption, active_keys, confirm, plain, request_feed
from hybrid_search.cli.state import open_services
from hybrid_search.cli.switching import cutover, drop, rollback
from hybrid_search.console import HomeOption, JsonOption, emit, progress, say

if TYPE_CHECKING:
    from hybrid_search.bootstrap import Services
    from hybrid_search.encoders.base import ImageEncoder, TextEncoder
    from hybrid_search.indexing.estimate import Estimate
    from hybrid_search.settings import Settings
    from hybrid_search.types import Space

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Versions of embedding spaces: move to a new model, and back, while everything runs.

The way of a new model (docs/spaces.md):

* `spaces add --model offline-use` — a new version; every change is embedded by both models from now on
* `spaces backfill text_2` — watch the workers fill it
* `spaces status` — coverage, rate, failures, who serves what
* `spaces cutover text_2 --queries sets/shop --split dev` — gates, then all API processes switch within two seconds
* `spaces rollback text` — back to the one before
* `spaces drop text_1` — when nobody misses it
""",
)


@app.command("list")
def list_spaces(home: HomeOption = None, json: JsonOption = False) -> None:
    """Every version: its model, who asks it, how far it is filled, whether it answers, how much it takes.

    Example:

        hybrid-search spaces list
    """
    from hybrid_search.indexing.coverage import coverage
    from hybrid_search.indexing.estimate import estimate

    services = open_services(home)
    try:
        status, active = services.engine.status(), active_keys(services)
        pinned = services.search_parts.control.current()[1].active_spaces
        storage = _storage(services.settings)
        lines: list[dict[str, Any]] = []
        for space in services.engine.spaces():
            filled, cost = coverage(status, space.key), estimate(services.engine, space.part, space.dim, storage)
            lines.append(
                {
                    "key": space.key,
                    "name": space.name,
                    "version": space.version,
                    "model": space.model,
                    "dim": space.dim,
                    "part": space.part,
                    "query_models": dict(space.query_models),
                    "active": active.get(space.name) == space.key,
                    "pinned": pinned.get(space.name) == space.key,
                    "ready": filled.ready,
                    "pending": filled.pending,
                    "failed": filled.failed,
                    "coverage": filled.share,
                    "ram_bytes": cost.ram,
                    "disk_bytes": cost.disk,
                }
            )
    finally:
        services.close()
    if json:
        emit({"spaces": lines})
        return
    for line in lines:
        mark = "[green]answers[/green]" if line["active"] else "       "
        asked = ", ".join(f"{modality} by {model}" for modality, model in line["query_models"].items())
        say(
            f"{mark} [bold]{line['key']:<10}[/bold] {plain(line['model'])}, {line['dim']} numbers from {line['part']}; asked with {plain(asked)}\n"
            f"        {line['coverage']:.2%}: ready {line['ready']}  pending {line['pending']}  failed {line['failed']}; about "
            f"{_bytes(line['ram_bytes'])} in memory, {_bytes(line['disk_bytes'])} on disk{'; pinned' if line['pinned'] else ''}"
        )


@app.command()
def add(
    model: Annotated[str, typer.Option(help="Encoder, as in the setting text_encoder: `offline-use`, `open_clip:…` (docs/encoders.md).")],
    part: Annotated[
        Literal["text", "image"] | None,
        typer.Option(help="What it embeds; needed where a model does both.", show_default="what the model does"),
    ] = None,
    yes: YesOption = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a new version of a space for another model. Workers fill it; searches stay with the version they use until a cut-over.

    The model is loaded and tried here first, and the memory and disk it will take are told before anything is made. Workers and API
    processes need no restart and no new settings: how the model is made is kept in the control document.

    Examples:

        hybrid-search spaces add --model offline-use

        hybrid-search spaces add --model "open_clip:ViT-B-32?pretrained=/models/shop.safetensors" --part image --yes
    """
    from hybrid_search.indexing import lifecycle
    from hybrid_search.indexing.estimate import estimate

    text, image = _encoders(model, part)
    seconds = _tried(text if part == "text" or image is None else None, image if part == "image" or text is None else None)
    chosen = part or ("text" if text is not None else "image")
    wanted = lifecycle.wanted_space((text.card if text else None, image.card if image else None), chosen)
    services = open_services(home)
    try:
        cost = estimate(services.engine, wanted.part, wanted.dim, _storage(services.settings))
        if not json:
            _tell_cost(wanted, cost, seconds)
        confirm(f"Add a version of {wanted.name!r} for {wanted.model}?", yes=yes, json=json)
        space = lifecycle.add(services.engine, wanted, model, active_keys(services))
    finally:
        services.close()
    request_feed(services.settings)
    if json:
        emit({"space": space.key, "model": space.model, "dim": space.dim, "seconds_per_item": seconds, "estimate": asdict(cost)})
    else:
        say(f"[bold]{space.key}[/bold] is made. Watch it with: hybrid-search spaces backfill {space.key}")


@app.command()
def backfill(
    key: KeyArgument,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Products per second that backfills are held to, for all spaces; 0 lifts it. Stays until it is changed.",
            show_default="as it is",
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait: the workers go on by themselves.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Watch a space being filled: done of total, rate, time left. Stopping this command stops nothing; calling it again goes on watching.

    Live changes always go first. Failed products are named at the end; exit code 1 says that there are some.

    Examples:

        hybrid-search spaces backfill text_2

        hybrid-search spaces backfill text_2 --rate 50 --detach
    """
    from hybrid_search.control import edit_control
    from hybrid_search.indexing import lifecycle
    from hybrid_search.indexing.coverage import coverage, failed_in

    services = open_services(home)
    try:
        lifecycle.find(services.engine, key)
        if rate is not None:
            edit_control(services.engine, lambda body: body.update(backfill_per_second=rate))
        request_feed(services.settings)
        if (nobody := lifecycle.unserved(services.engine).get(key)) and not json:
            say(f"[yellow]Nobody fills {key} now: {plain(nobody)}.[/yellow]")
        if not detach:
            _watch(services, key, quiet=json)
        filled = coverage(services.engine.status(), key)
        failed = [] if detach else failed_in(services.engine, key)
        limit = lifecycle.stored_control(services.engine).backfill_per_second
    finally:
        services.close()
    if json:
        failures = [{"id": failure.product_id, "error": failure.entry.error} for failure in failed]
        emit({**asdict(filled), "coverage": filled.share, "backfill_per_second": limit, "failures": failures})
    else:
        say(f"{key}: {filled.ready} of {filled.total} ready ({filled.share:.2%}), {filled.pending} pending, {filled.failed} failed")
        for failure in failed:
            say(f"  [red]{plain(failure.product_id)}[/red] {plain(failure.entry.error or '')}")
    raise typer.Exit(1 if filled.failed and not detach else 0)


@app.command()
def status(home: HomeOption = None, json: JsonOption = False) -> None:
    """Each space's states, rate, time left, failures, who embeds it and who answers with it, and whether it may be cut over to.

    Example:

        hybrid-search spaces status
    """
    import time

    from hybrid_search.cli.watching import SAMPLE_SECONDS
    from hybrid_search.engines.presence import Roster
    from hybrid_search.indexing import lifecycle
    from hybrid_search.indexing.coverage import ENOUGH, coverage, failed_in
    from hybrid_search.indexing.progress import Progress

    services = open_services(home)
    try:
        engine, active = services.engine, active_keys(services)
        keys = [space.key for space in engine.spaces()]
        watched = {key: Progress(space=key) for key in keys}
        readings = {key: watched[key].observe(engine.status()) for key in keys}
        if any(reading.pending for reading in readings.values()):
            time.sleep(SAMPLE_SECONDS)
            readings = {key: watched[key].observe(engine.status()) for key in keys}
        roster, found = Roster(engine), engine.status()
        apis, nobody = roster.present("api"), lifecycle.unserved(engine)
        control = lifecycle.stored_control(engine)
        lines = []
        for key in keys:
            filled = coverage(found, key)
            lines.append(
                {
                    **asdict(filled),
                    "coverage": filled.share,
                    "coverage_gate": filled.enough(ENOUGH),
                    "rate": readings[key].rate,
                    "eta": readings[key].eta,
                    "active": key in active.values(),
                    "asked_by": [api.process for api in apis if key in api.active.values()],
                    "unserved": nobody.get(key),
                    "query_faults": {api.process: api.faults[key] for api in apis if key in api.faults},
                    "failures": [{"id": f.product_id, "error": f.entry.error} for f in failed_in(engine, key, limit=5)],
                }
            )
    finally:
        services.close()
    if json:
        emit(
            {
                "spaces": lines,
                "api_processes": len(apis),
                "backfill_per_second": control.backfill_per_second,
                "previous_spaces": control.previous_spaces,
            }
        )
        return
    for line in lines:
        gate = "may be cut over to" if line["coverage_gate"] else "not filled enough to cut over to"
        say(
            f"[bold]{line['space']}[/bold]  {line['coverage']:.2%}: ready {line['ready']}  pending {line['pending']}  failed {line['failed']}; {gate}"
        )
        if line["pending"]:
            left = f"about {line['eta']:.0f} s left" if line["eta"] else "nothing moves"
            say(f"   {line['rate'] or 0:.1f} a second, {left}")
        if line["unserved"]:
            say(f"   [yellow]nobody embeds it: {plain(str(line['unserved']))}[/yellow]")
        for process, reason in line["query_faults"].items():
            say(f"   [yellow]{plain(process)} cannot encode queries: {plain(reason)}[/yellow]")
        say(f"   {'answers' if line['active'] else 'does not answer'}; API processes that ask it: {len(line['asked_by'])} of {len(apis)}")
        for failure in line["failures"]:
            say(f"   [red]{plain(failure['id'])}[/red] {plain(failure['error'] or '')}")
    if control.backfill_per_second:
        say(f"backfills are held to {control.backfill_per_second:g} products a second")


for _command in (cutover, rollback, drop):
    app.command()(_command)


def _encoders(model: str, part: str | None) -> tuple[TextEncoder | None, ImageEncoder | None]:
    """The text and the image side of an encoder, where it has them. Raises ``EncoderError`` where it has not what ``part`` asks for."""
    from hybrid_search.encoders.registry import IMAGE_ENCODERS, TEXT_ENCODERS, image_encoder, text_encoder
    from hybrid_search.encoders.spec import parse_spec
    from hybrid_search.errors import EncoderError

    name = parse_spec(model).name
    kind = f"{part} " if part else ""
    known = sorted({*(TEXT_ENCODERS if part != "image" else ()), *(IMAGE_ENCODERS if part != "text" else ())})
    if name not in known:
        raise EncoderError(f"Unknown {kind}encoder {name!r}.", field="model", value=model, remedy=f"Known: {', '.join(known)}.")
    text = text_encoder(model) if name in TEXT_ENCODERS else None
    image = image_encoder(model) if name in IMAGE_ENCODERS else None
    if part is None and text is not None and image is not None:
        raise EncoderError(f"{model!r} embeds words and pictures.", field="part", remedy="Say which: --part text or --part image.")
    return text, image


def _tried(text: TextEncoder | None, image: ImageEncoder | None) -> float:
    """Seconds that one item takes after loading, measured on a few. Raises ``EncoderError`` when the weights cannot be had."""
    import time

    from PIL import Image

    count = 8
    if text is not None:
        text.encode_documents(["a warm jacket"])
        started = time.perf_counter()
        text.encode_documents([f"A warm waterproof jacket for the mountains, number {i}" for i in range(count)])
    else:
        assert image is not None
        image.encode_documents([Image.new("RGB", (320, 320), "grey")])
        started = time.perf_counter()
        image.encode_documents([Image.new("RGB", (320, 320), (i, 9, 9)) for i in range(count)])
    return (time.perf_counter() - started) / count


def _tell_cost(wanted: Space, cost: Estimate, seconds: float) -> None:
    say(
        f"{wanted.name} by [bold]{plain(wanted.model)}[/bold]: {cost.vectors} vectors of {cost.products} products × {cost.dim} numbers, about "
        f"{_bytes(cost.ram)} of memory and {_bytes(cost.disk)} of disk; some {cost.vectors * seconds / 60:.1f} minutes of one core like this one."
    )


def _watch(services: Services, key: str, *, quiet: bool) -> None:
    """A progress bar until nothing is pending in the space."""
    import time

    from hybrid_search.indexing.progress import Progress

    watched = Progress(space=key)
    with progress(f"filling {key}", None, quiet=quiet) as advance:
        while True:
            now = watched.observe(services.engine.status())
            advance(now.done, now.total)
            if not now.pending:
                return
            time.sleep(0.5)


def _storage(configured: Settings) -> Any:
    from hybrid_search.indexing.estimate import Storage

    return Storage(configured.engine, configured.vector_dtype, configured.server_replicas)


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:.3g} {unit}"
        size /= 1_000
    return f"{size:.3g} TB"
