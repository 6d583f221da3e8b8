"""``hybrid-search reconcile``: ledger and index compared, and mended."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hybrid_search.cli.asking import plain, request_feed
from hybrid_search.cli.state import open_services
from hybrid_search.console import HomeOption, JsonOption, emit, progress, say


def reconcile(
    mend: Annotated[bool, typer.Option("--mend", help="Make pending again what is wrong; without it nothing is written.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Compare the ledger with the index, product by product: content hashes, missing and orphaned vectors, wrong dimensions.

    Run it where the catalogue's pictures can be read; what the ledger says of pictures that cannot be read here is believed. Exit code 1
    when something was found and not mended.

    Examples:

        hybrid-search reconcile

        hybrid-search reconcile --mend --json
    """
    from hybrid_search.errors import ImageError
    from hybrid_search.indexing.reconcile import reconcile as run

    services = open_services(home)

    def readable(reference: str) -> bool:
        if reference[:4].lower() == "http":
            return True  # compared by its address
        try:
            services.intake.read(reference)
        except ImageError:
            return False
        return True

    try:
        total = services.engine.status().products
        with progress("comparing", total, quiet=json) as advance:
            report = run(services.engine, services.intake, readable=readable, mend=mend, on_progress=advance)
    finally:
        services.close()
    if mend and report.mended:
        request_feed(services.settings)
    found: list[dict[str, Any]] = [
        {"finding": finding.value, "space": key, "count": count, "examples": report.examples[finding, key]}
        for (finding, key), count in sorted(report.counts.items())
    ]
    if json:
        emit(
            {
                "products": report.products,
                "unreadable": report.unreadable,
                "found": found,
                "mended": report.mended,
                "skipped": report.skipped,
            }
        )
    else:
        for line in found:
            say(f"{line['count']:>8} {line['space']:<10} {line['finding']}  [dim]{plain(', '.join(line['examples']))}[/dim]")
        unread = f", {report.unreadable} with pictures that cannot be read here" if report.unreadable else ""
        mended = f", {report.mended} products made pending" if mend else ""
        say(f"{report.products} products compared{unread}, {report.found} findings{mended}.")
    raise typer.Exit(1 if report.found and (not mend or report.skipped) else 0)
