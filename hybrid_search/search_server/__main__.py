"""``python -m hybrid_search.search_server``: fetch servers ahead of time, or run one for yourself until Ctrl-C."""

from __future__ import annotations

import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated

import typer

from hybrid_search.errors import HybridSearchError, SettingsError
from hybrid_search.search_server.java import find_java, remedy
from hybrid_search.search_server.node import start_node
from hybrid_search.search_server.products import Product, product_named, release
from hybrid_search.search_server.progress import shown
from hybrid_search.search_server.provision import is_provisioned, provision

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)

Products = Annotated[list[str], typer.Argument(help="opensearch, elasticsearch or both")]
VersionOption = Annotated[str | None, typer.Option("--version", help="Another version than the default; one for all products named.")]


@app.command()
def check(products: Products, version: VersionOption = None) -> None:
    """Say what is missing to fetch and run them; status 1 when something is."""
    for product in map(product_named, products):
        find_java(release(product, version))
        if not is_provisioned(product, version) and shutil.which("mvn") is None:
            raise SettingsError(f"Maven, which fetches {product}, is not on the PATH.", field="PATH", remedy=remedy(product))


@app.command()
def fetch(products: Products, version: VersionOption = None) -> None:
    """Fetch them into the cache folder, both at once; nothing is done for what is there."""
    with shown() as progress, ThreadPoolExecutor(len(products)) as threads:
        for home in threads.map(lambda product: provision(product, version, progress=progress), map(product_named, products)):
            typer.echo(home)


@app.command()
def run(
    product: Annotated[Product, typer.Argument(help="opensearch or elasticsearch")],
    version: VersionOption = None,
    heap: Annotated[str, typer.Option(help="Memory of its JVM.")] = "1g",
) -> None:
    """Run one with empty data, print its URL, end it with Ctrl-C."""
    with shown() as progress:
        server = start_node(product, version, heap=heap, fast_start=False, progress=progress)
    with server:
        typer.echo(f"{product.upper()}_URL={server.url}")
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    try:
        app()
    except HybridSearchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
