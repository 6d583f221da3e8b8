"""Commands on catalogues: check one, load one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search.console import HomeOption, JsonOption, emit, progress, say, settings

if TYPE_CHECKING:
    from hybrid_search.catalog.mappings import ColumnMapping
    from hybrid_search.catalog.rows import CatalogSummary, Reject

app = typer.Typer(no_args_is_help=True, help="Check a catalogue before it is loaded.")

FileArgument = Annotated[Path, typer.Argument(help="A file, or a folder with products.jsonl and its pictures.", show_default=False)]
MappingOption = Annotated[str | None, typer.Option("--mapping", help="A mapping file (TOML or JSON), or a ready one: shopify, magento.")]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="jsonl, json, csv, tsv, parquet or xml (Google Merchant); by default from the file's ending.")
]
RejectsOption = Annotated[Path | None, typer.Option("--rejects", help="Where refused rows are listed, one JSON object a line.")]


@app.command()
def check(
    file: FileArgument, mapping: MappingOption = None, format: FormatOption = None, rejects: RejectsOption = None, json: JsonOption = False
) -> None:
    """Read and validate a catalogue without writing to any index. Exit code 1 when a row was refused.

    Examples:

        hybrid-search catalog check products.jsonl

        hybrid-search catalog check export.csv --mapping shopify --rejects refused.jsonl
    """
    from contextlib import nullcontext

    from hybrid_search.catalog.read import read_catalog
    from hybrid_search.catalog.rows import CatalogSummary, Reject, RejectsFile

    summary = CatalogSummary()
    first: list[Reject] = []
    with progress(f"checking {file.name}", 100, quiet=json) as advance, RejectsFile(rejects) if rejects else nullcontext() as out:
        for row in summary.watch(read_catalog(file, mapping=_mapping(mapping), format=format, progress=lambda f: advance(int(f * 100)))):
            if isinstance(row, Reject):
                if len(first) < 10:
                    first.append(row)
                if out is not None:
                    out.write(row)
    if json:
        emit(_as_json(summary, first))
    else:
        _tell(summary, first)
    raise typer.Exit(1 if summary.rejected else 0)


def ingest(
    file: FileArgument,
    mapping: MappingOption = None,
    format: FormatOption = None,
    rejects: RejectsOption = None,
    first: Annotated[
        bool, typer.Option("--first", help="A first load on a search server: faster, and searchable only at its end (bulk-load.json).")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Load a catalogue into the index. Products are keyword-searchable at once; the workers embed them.

    Rows that cannot be used are listed in a rejects file and never stop the load; exit code 1 says that there were some. Loading the
    same file again changes nothing.

    Examples:

        hybrid-search ingest products.jsonl

        hybrid-search ingest feed.xml.gz

        hybrid-search ingest export.csv --mapping shopify --home /var/lib/shop-search
    """
    from contextlib import nullcontext
    from dataclasses import asdict

    from rich.markup import escape

    from hybrid_search.bootstrap import first_load, image_roots, open_for_loading
    from hybrid_search.catalog.files import find_catalog
    from hybrid_search.catalog.read import read_catalog
    from hybrid_search.catalog.rows import RejectsFile
    from hybrid_search.indexing.ingest import ingest as load

    configured = settings(home=home)
    find_catalog(file, format)
    engine, intake = open_for_loading(configured)
    target = rejects or configured.home / "rejects.jsonl"
    try:
        image_roots(configured).add(file if file.is_dir() else file.parent)
        with progress(f"reading {file.name}", 100, quiet=json) as advance, RejectsFile(target) as out:
            rows = read_catalog(file, mapping=_mapping(mapping), format=format, progress=lambda f: advance(int(f * 100)))
            with first_load(engine, configured) if first else nullcontext():
                summary = load(engine, rows, intake, rejects=out)
    finally:
        engine.close()
    if json:
        emit({**asdict(summary), "by_field": dict(summary.by_field), "rejects_file": str(target)})
    else:
        say(f"{summary.accepted} products read, {summary.rejected} more refused{f' (see {target})' if summary.rejected else ''}.")
        for product_id, reason in summary.errors:
            say(f"[red]not written:[/red] {escape(product_id)}: {escape(reason)}")
        say("Start a worker to embed them: [bold]hybrid-search worker --beat[/bold]; watch with [bold]hybrid-search status --watch[/bold].")
    raise typer.Exit(1 if summary.rejected or summary.errors else 0)


def _mapping(name: str | None) -> ColumnMapping | None:
    from hybrid_search.catalog.mappings import load_mapping

    return None if name is None else load_mapping(name)


def _as_json(summary: CatalogSummary, first: list[Reject]) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(summary), "by_field": dict(summary.by_field), "first_rejects": [asdict(reject) for reject in first]}


def _tell(summary: CatalogSummary, first: list[Reject]) -> None:
    from rich.markup import escape

    say(
        f"[bold]{summary.accepted}[/bold] products can be loaded: {summary.with_text} with words, {summary.with_images} with pictures ({summary.images})."
    )
    if summary.missing_images:
        say(f"[yellow]{summary.missing_images} pictures are named and not there.[/yellow]")
    if summary.rejected:
        by_field = ", ".join(f"{field or 'whole row'} {count}" for field, count in summary.by_field.most_common())
        say(f"[red]{summary.rejected} rows cannot[/red], by field: {escape(by_field)}. The first:")
    for reject in first:
        say(f"  line {reject.line}  {escape(reject.field or 'row')} = {escape(reject.value)}: {escape(reject.reason)}")
