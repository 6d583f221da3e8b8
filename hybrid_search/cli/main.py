"""The commands, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import sys

import typer

from hybrid_search import __version__
from hybrid_search.cli import attach, catalog, doctor, plan, reconcile, reindex, run, spaces, state
from hybrid_search.errors import HybridSearchError
from hybrid_search.evaluation.command import evaluate

app = typer.Typer(
    name="hybrid-search",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Hybrid product search: words, pictures and vectors in one ranking.

Start here:

* `hybrid-search demo` — everything at once, with a catalogue of its own
* `hybrid-search catalog check products.jsonl` — can your catalogue be read?
* `hybrid-search ingest products.jsonl` — load it
* `hybrid-search worker --beat` and `hybrid-search serve` — embed it, and serve the search page
""",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", callback=_version, is_eager=True),
) -> None:
    return None


app.add_typer(catalog.app, name="catalog")
app.add_typer(attach.app, name="attach")
app.add_typer(spaces.app, name="spaces")
app.command()(catalog.ingest)
app.command()(run.demo)
app.command()(run.serve)
app.command()(run.worker)
app.command()(run.beat)
app.command()(run.indexer)
app.command()(state.search)
app.command()(state.status)
app.command()(state.failures)
app.command()(reconcile.reconcile)
app.command()(reindex.reindex)
app.command()(state.align)
app.command()(state.control)
app.command()(doctor.doctor)
app.command()(evaluate)
app.command()(plan.plan)


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 done but not all well, 2 wrong input or settings, 130 interrupted."""
    try:
        app()
    except HybridSearchError as err:
        typer.echo(f"error: {err}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
