"""``spaces cutover``, ``rollback`` and ``drop``: which version of a space answers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search.cli.asking import KeyArgument, YesOption, active_keys, confirm, plain
from hybrid_search.cli.state import open_services
from hybrid_search.console import HomeOption, JsonOption, emit, progress, say

if TYPE_CHECKING:
    from hybrid_search.indexing.lifecycle import Switch


def cutover(
    key: KeyArgument,
    queries: Annotated[
        Path | None,
        typer.Option(help="Judged queries for the quality gate: queries.NAME.jsonl with qrels.NAME.tsv beside it, or their folder."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="NAME, where --queries is a folder.")] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="By how much nDCG@10 may fall.")] = 0.01,
    no_quality_gate: Annotated[bool, typer.Option("--no-quality-gate", help="Cut over without judged queries.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Cut over although too few products have vectors.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Let a version answer from now on, in all API processes, without restart.

    Gates first: 99.5 % of the products that have the part must have vectors, and nDCG@10 over judged queries must not fall, both versions
    asked on the live index. Then every API process loads the version's query models, and only when all have them the name is switched.

    Examples:

        hybrid-search spaces cutover text_2 --queries sets/shop --split dev

        hybrid-search spaces cutover text_2 --no-quality-gate
    """
    from hybrid_search.errors import ConflictError, SettingsError
    from hybrid_search.evaluation.live import check_quality, compare_versions, judged_queries
    from hybrid_search.indexing import lifecycle
    from hybrid_search.indexing.coverage import ENOUGH

    if queries is None and not no_quality_gate:
        raise SettingsError(
            "The quality gate was not run: no judged queries are given.",
            field="queries",
            remedy="Give --queries, or say --no-quality-gate.",
        )
    judged = judged_queries(queries, split) if queries is not None else None
    services = open_services(home, index=True)
    try:
        engine = services.engine
        target, active = lifecycle.find(engine, key), active_keys(services)
        before = active.get(target.name)
        if before == key and lifecycle.stored_control(engine).active_spaces.get(target.name) == key:
            raise ConflictError(f"{key} answers already.", field="space", value=key, remedy="See `hybrid-search spaces list`.")
        filled = lifecycle.check_coverage(engine, key, at_least=0.0 if force else ENOUGH)
        quality = None
        if judged is not None and before is not None and before != key:
            engine.refresh()
            with progress("asking judged queries", 2 * len(judged[0]), quiet=json) as advance:
                quality = compare_versions(services.search_parts, lifecycle.find(engine, before), target, *judged, on_progress=advance)
            check_quality(quality, tolerance=tolerance)
        with progress("API processes load the model", None, quiet=json) as advance:
            done = lifecycle.switch(engine, target, before, on_wait=advance)
    finally:
        services.close()
    if json:
        emit({**asdict(done), "coverage": filled.share, "quality": None if quality is None else asdict(quality)})
    else:
        say(
            f"coverage {filled.share:.2%}"
            + ("" if quality is None else f", nDCG@10 {quality.old:.4f} → {quality.new:.4f} ({quality.queries} queries)")
        )
        _tell_switch(done)
    raise typer.Exit(1 if done.late else 0)


def rollback(
    name: Annotated[str, typer.Argument(help="Name of the space: text, image or cross.", show_default=False)],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Return to the version that answered before the last cut-over, the same way. No gate stands in the way.

    Example:

        hybrid-search spaces rollback text
    """
    from hybrid_search.indexing import lifecycle
    from hybrid_search.indexing.coverage import coverage

    services = open_services(home, index=True)
    try:
        target = lifecycle.rollback_target(services.engine, name)
        filled = coverage(services.engine.status(), target.key)
        with progress("API processes load the model", None, quiet=json) as advance:
            done = lifecycle.switch(services.engine, target, active_keys(services).get(name), on_wait=advance)
    finally:
        services.close()
    if json:
        emit({**asdict(done), "coverage": filled.share})
    else:
        say(f"coverage {filled.share:.2%}")
        _tell_switch(done)
    raise typer.Exit(1 if done.late else 0)


def drop(key: KeyArgument, yes: YesOption = False, home: HomeOption = None, json: JsonOption = False) -> None:
    """Remove a version with its vectors. Refused while it answers, and for the only version of its name.

    What the model computed is kept by content: the same model added again is filled without it.

    Example:

        hybrid-search spaces drop text_1
    """
    from hybrid_search.indexing import lifecycle
    from hybrid_search.indexing.coverage import coverage

    services = open_services(home)
    try:
        lifecycle.find(services.engine, key)
        filled = coverage(services.engine.status(), key)
        confirm(f"Drop {key} with the vectors of {filled.ready} products?", yes=yes, json=json)
        lifecycle.drop(services.engine, key, active_keys(services))
    finally:
        services.close()
    emit({"dropped": key, "vectors_of": filled.ready}) if json else say(f"{key} is gone.")


def _tell_switch(done: Switch) -> None:
    say(
        f"[bold]{done.name}[/bold]: {done.before} → [bold]{done.now}[/bold] in {done.processes} API processes; "
        f"models loaded in {done.prepare_seconds:.1f} s, switched in {done.take_seconds:.1f} s"
    )
    for process in done.late:
        say(f"[yellow]{plain(process)} has not said that it switched[/yellow]")
