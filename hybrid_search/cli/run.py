"""Commands that run something until it is stopped: the API, workers, the indexer, the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search.console import HomeOption, JsonOption, require_redis, settings

if TYPE_CHECKING:
    from hybrid_search.bootstrap import Services
    from hybrid_search.settings import Settings


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to serve on; anything but loopback needs api_keys.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to serve on; 0 takes a free one.", show_default="8080")] = None,
    home: HomeOption = None,
) -> None:
    """Serve the API and the search page.

    Examples:

        hybrid-search serve

        hybrid-search serve --port 9000 --home /var/lib/shop-search
    """
    from hybrid_search.api.server import serve as run

    run(settings(host=host, port=port, home=home), build_services=_serving)


def _serving(configured: Settings) -> Services:
    """The parts of a serving process: its writes ask the workers to begin at once."""
    from hybrid_search.bootstrap import build
    from workers.app import feed_requester

    return build(configured, request_feed=feed_requester(configured), follow=True)


def worker(
    beat: Annotated[bool, typer.Option("--beat", help="Also run the scheduler. Exactly one worker of a shop should.")] = False,
    processes: Annotated[int | None, typer.Option(help="Children; 0 is one per core.", show_default="0")] = None,
    home: HomeOption = None,
) -> None:
    """Run a Celery worker that embeds what is pending.

    Examples:

        REDIS_URL=redis://127.0.0.1:6379/0 hybrid-search worker --beat

        hybrid-search worker --processes 4
    """
    configured = settings(worker_processes=processes, home=home)
    require_redis(configured)
    from workers.worker import start_worker

    start_worker(configured, beat=beat)


def beat() -> None:
    """Run the scheduler alone, instead of `worker --beat`: for installations in which workers come and go.

    It opens neither the index nor a model. Exactly one should run; a second one does no harm.

    Example:

        REDIS_URL=redis://127.0.0.1:6379/0 hybrid-search beat
    """
    configured = settings()
    require_redis(configured)
    from workers.beat import start_beat

    start_beat(configured)


def indexer(home: HomeOption = None) -> None:
    """Keep the embedded engine's search structures up to date, in a process of its own.

    The API does it itself when nobody else does; a process of its own keeps the work off the API's core. One process indexes a folder
    at a time: a second one says so, waits, and takes over when the first one ends.

    Example:

        hybrid-search indexer
    """
    import signal
    import threading

    from hybrid_search.bootstrap import open_engine
    from hybrid_search.telemetry.logs import configure_logging

    configured = settings(home=home)
    configure_logging(configured)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    engine = open_engine(configured)
    try:
        stop.wait()
    finally:
        engine.close()


def demo(
    catalog: Annotated[
        Path | None,
        typer.Option(help="A catalogue file or folder to show instead of the built-in one.", envvar="CATALOG", show_default="built in"),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Run three searches, print the hits, stop. Exit code 0 when all found what they should.")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            help="`embedded`, `opensearch` or `elasticsearch`; a server is fetched and started where no address is set.",
            show_default="the setting `engine`",
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the search page; 0 takes a free one.", show_default="8080")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Everything at once on this machine: Redis, workers, scheduler, API, a catalogue with pictures.

    A second run starts from what the first one embedded.

    Examples:

        hybrid-search demo

        hybrid-search demo --catalog my-products.csv

        hybrid-search demo --once --json

        hybrid-search demo --engine opensearch
    """
    from hybrid_search.demo.run import run_demo

    code = run_demo(catalog=catalog, once=once, port=port, home=home, engine=engine, as_json=json)
    raise typer.Exit(code)
