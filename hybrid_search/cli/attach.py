"""Commands that join a shop's own index: propose an attach file, check it, follow the index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search.cli.attach_options import ConfigOption
from hybrid_search.cli.attach_reindex import attach_reindex
from hybrid_search.console import HomeOption, JsonOption, emit, progress, say, settings

if TYPE_CHECKING:
    from hybrid_search.attach.check import AttachCheck
    from hybrid_search.attach.sync import SyncSummary
    from hybrid_search.engines.base import Engine
    from hybrid_search.settings import Settings

app = typer.Typer(invoke_without_command=True, help="Join a shop's own OpenSearch or Elasticsearch index.")


@app.callback()
def attach(
    context: typer.Context,
    url: Annotated[str, typer.Option("--url", help="Where the shop's server is, as in https://search.shop.example:9200.")] = "",
    index: Annotated[str, typer.Option("--index", help="Its index or alias.")] = "",
    engine: Annotated[str, typer.Option("--engine", help="opensearch or elasticsearch; found by asking when left out.")] = "",
    out: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("attach.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    check: Annotated[Path | None, typer.Option("--check", help="Check this attach file instead of writing one.")] = None,
    json: JsonOption = False,
) -> None:
    """Look at a shop's index, propose which field is what, and write a file that a person edits. Nothing is written to the index.

    Exit code 1 when a sampled document cannot become a product by the file.

    Examples:

        hybrid-search attach --url https://search.shop.example --index catalog --out attach.toml

        hybrid-search attach --check attach.toml

        hybrid-search attach sync --config attach.toml
    """
    if context.invoked_subcommand is not None:
        return
    from hybrid_search.errors import SettingsError

    configured = settings()
    if check is not None:
        raise typer.Exit(_check(configured, check, as_json=json))
    if not url or not index:
        missing = "--index" if url else "--url"
        raise SettingsError(f"{missing} is missing.", field=missing, remedy="Give --url and --index, or --check FILE.")
    if engine not in ("", "opensearch", "elasticsearch"):
        raise SettingsError(f"--engine is {engine!r}.", field="--engine", value=engine, remedy="Use opensearch or elasticsearch.")
    if out.exists() and not force:
        raise SettingsError(f"{out} exists.", field="--out", value=str(out), remedy="Name another file, or replace it with --force.")
    _propose(configured, url, index, engine or None, out)
    raise typer.Exit(_check(configured, out, as_json=json, url=url))


def _propose(configured: Settings, url: str, index: str, engine: Any, out: Path) -> None:
    from hybrid_search.attach.check import SAMPLE
    from hybrid_search.attach.connect import find_product, without_secrets
    from hybrid_search.attach.propose import propose
    from hybrid_search.attach.source import Source, describe
    from hybrid_search.attach.writing import attach_file
    from hybrid_search.errors import SettingsError

    transport, _ = find_product(configured, url, engine)
    try:
        told = describe(transport, index)
        sample = Source(transport, told).sample(SAMPLE)
    finally:
        transport.close()
    text = attach_file(without_secrets(url), told, propose(told, sample))
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as err:
        raise SettingsError(
            f"{out} cannot be written: {err.strerror}.", field="--out", value=str(out), remedy="Name another place."
        ) from err
    typer.echo(f"written: {out}", err=True)


def _check(configured: Settings, path: Path, *, as_json: bool, url: str = "") -> int:
    from hybrid_search.attach.check import check_attach
    from hybrid_search.attach.config import load_config
    from hybrid_search.attach.connect import open_source
    from hybrid_search.attach.source import Source, describe

    config = load_config(path)
    source = config.source.model_copy(update={"url": url}) if url else config.source
    transport = open_source(configured, source)
    try:
        told = check_attach(Source(transport, describe(transport, config.source.index), config.source.filter), config)
    finally:
        transport.close()
    emit(_as_json(told)) if as_json else _tell(told)
    return 0 if told.ok else 1


def sync(
    config: ConfigOption = Path("attach.toml"),
    once: Annotated[bool, typer.Option("--once", help="One round, then stop: what changed, and a comparison of ids.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Begin with reading everything, as the first time.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Keep a side index like the shop's index: read it once, then follow what changes; deletions are found by comparing ids.

    A change that does not touch the followed field is not seen: --full reads everything again.

    Only reads are sent to the shop's server. Where it stands is kept in the home folder (`attach/`), so that it goes on from there after
    a stop or a crash. Documents that cannot become products are listed in `attach/rejects.jsonl` there until they can, or are gone; with --once
    the exit code is 1 where none could, or a write failed.

    Examples:

        hybrid-search attach sync --config attach.toml --once

        hybrid-search attach sync --config attach.toml

        hybrid-search attach sync --config attach.toml --once --full
    """
    from hybrid_search.attach.config import load_config
    from hybrid_search.bootstrap import open_for_loading

    configured = settings(home=home)
    attached = load_config(config)
    ours, intake = open_for_loading(configured)
    try:
        summary = _follow(configured, attached, ours, intake, once=once, full=full, as_json=json)
    finally:
        ours.close()
    nothing_taken = summary.kind == "full" and summary.rejected and not summary.accepted
    raise typer.Exit(1 if nothing_taken or summary.errors else 0)


def _follow(configured: Settings, attached: Any, ours: Engine, intake: Any, *, once: bool, full: bool, as_json: bool) -> SyncSummary:
    import time

    from hybrid_search.attach.connect import open_source
    from hybrid_search.attach.position import PositionFile
    from hybrid_search.attach.source import Source, describe
    from hybrid_search.attach.sync import Follower
    from hybrid_search.errors import EngineError, NotFoundError

    positions = PositionFile(configured.home, attached.source.url, attached.source.index)
    transport = open_source(configured, attached.source)
    try:
        with positions.hold():
            while True:
                try:
                    theirs = Source(transport, describe(transport, attached.source.index), attached.source.filter)
                    follower = Follower(theirs, ours, attached, intake, positions)
                    with progress(f"reading {attached.source.index}", None, quiet=as_json or not once) as advance:
                        summary = follower.round(compare=True if once else None, full=full, on_progress=advance)
                    full = False
                    if summary.listed and (summary.rejected or summary.compared):
                        summary.warnings.append(f"{summary.listed} documents cannot become products: see {positions.rejects}.")
                    _say_round(summary, as_json=as_json)
                except (EngineError, NotFoundError) as err:  # their alias may be gone for a moment
                    if once:
                        raise
                    typer.echo(f"error: {err}", err=True)
                if once:
                    return summary
                time.sleep(attached.follow.every)
    except KeyboardInterrupt:
        typer.echo("stopped: nothing is lost, the next attach sync goes on with what was not read yet.", err=True)
        raise
    finally:
        transport.close()


app.command()(sync)


def in_place(
    config: ConfigOption = Path("attach.toml"),
    once: Annotated[bool, typer.Option("--once", help="Compare every document once, then stop.")] = False,
    home: HomeOption = None,
) -> None:
    """Keep vectors inside the shop's own index: add our fields to its mapping, notice documents that are new, changed or written anew.

    Run it beside workers and API that have the setting `attach` set to the same file. Nothing outside `hybrid` is ever written. On
    OpenSearch the index must have been made with index.knn.

    Examples:

        hybrid-search attach in-place --config attach.toml
    """
    import time

    from hybrid_search.attach.config import load_config
    from hybrid_search.attach.in_place import InPlaceEngine
    from hybrid_search.bootstrap import open_for_loading
    from hybrid_search.errors import EngineError, NotFoundError

    attached = load_config(config)
    engine, _ = open_for_loading(settings(home=home, attach=config))
    assert isinstance(engine, InPlaceEngine)
    follow = attached.follow
    back = follow.overlap * (1_000 if follow.kind == "date" else 1)
    since: Any = None
    compared = 0.0
    try:
        while True:
            try:
                newest = engine.newest_change()
                whole = once or time.monotonic() - compared >= follow.compare_every or not compared
                told = engine.look_at_all() if whole else engine.notice(since=since)
                compared = time.monotonic() if whole else compared
                since = None if newest is None else int(newest - back)
                say(f"{told.read} documents looked at, {told.changed} ledgers written, {told.rejected} no products")
                for warning in engine.warnings():
                    typer.echo(f"warning: {warning}", err=True)
            except (EngineError, NotFoundError) as err:  # their alias may be gone for a moment
                if once:
                    raise
                typer.echo(f"error: {err}", err=True)
            if once:
                return
            time.sleep(follow.every)
    finally:
        engine.close()


app.command("in-place")(in_place)


app.command("reindex")(attach_reindex)


def _say_round(summary: SyncSummary, *, as_json: bool) -> None:
    if as_json:
        emit(
            {name: getattr(summary, name) for name in (*_COUNTS, "listed", "kind", "compared", "errors", "warnings")}
            | {"seconds": round(summary.seconds, 3)}
        )
        return
    counts = ", ".join(f"{getattr(summary, name)} {name}" for name in _COUNTS)
    say(f"{'everything' if summary.kind == 'full' else 'changes'} read: {counts}, {summary.seconds:.1f} s")
    for warning in summary.warnings:
        typer.echo(f"warning: {warning}", err=True)


_COUNTS = ("created", "updated", "unchanged", "deleted", "rejected")


def _as_json(told: AttachCheck) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "ok": told.ok,
        "documents": told.documents,
        "accepted": told.summary.accepted,
        "rejected": told.summary.rejected,
        "rejected_by_field": dict(told.summary.by_field),
        "filled": dict(told.filled),
        "rejects": [asdict(reject) for reject in told.rejects],
        "first": told.first.body() if told.first else None,
        "problems": told.problems,
        "warnings": told.warnings,
        "in_place": told.in_place or "possible",
    }


def _tell(told: AttachCheck) -> None:
    from rich.markup import escape

    say(
        f"[bold]{told.documents}[/bold] documents; of {told.summary.accepted + told.summary.rejected} sampled {told.summary.accepted} can become products."
    )
    filled = ", ".join(f"{name} {count}" for name, count in told.filled.most_common())
    say(f"filled: {escape(filled)}")
    if told.first:
        say(f"the first one: {escape(str(told.first.body()))}")
    for problem in told.problems:
        say(f"[red]{escape(problem)}[/red]")
    if told.summary.rejected:
        by_field = ", ".join(f"{name or 'whole document'} {count}" for name, count in told.summary.by_field.most_common())
        say(f"[red]{told.summary.rejected} cannot[/red], by field: {escape(by_field)}")
    for reject in told.rejects:
        say(f"  {escape(reject.id)}  {escape(reject.field)} = {escape(reject.value)}: {escape(reject.reason)}")
    for warning in told.warnings:
        say(f"[yellow]{escape(warning)}[/yellow]")
    say(f"in place: {escape(told.in_place or 'possible')}")
