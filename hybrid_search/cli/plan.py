"""``hybrid-search plan``: what a shop of a given size needs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search.console import JsonOption, emit, say

if TYPE_CHECKING:
    from hybrid_search.planning.model import Machines, Plan, Shop

GB = 1e9
EMBEDDED_PRODUCTS = 250_000
"""What the embedded engine was measured to carry (docs/embedded-engine.md)."""


def plan(
    products: Annotated[int, typer.Option(min=1, help="Products in the catalogue.")],
    qps: Annotated[float, typer.Option(min=0, help="Searches per second at the busiest hour.")],
    images: Annotated[float, typer.Option(min=0, help="Pictures per product, on average.")] = 1.0,
    replicas: Annotated[int, typer.Option(min=0, help="Copies of each shard beside the first: 1 survives the loss of a node.")] = 1,
    changed: Annotated[float, typer.Option(min=0, max=1, help="Share of products whose words or pictures change in a day.")] = 0.01,
    text_dim: Annotated[int, typer.Option(min=1, help="Dimensions of the text encoder.")] = 384,
    image_dim: Annotated[int, typer.Option(min=1, help="Dimensions of the image encoder.")] = 1_536,
    cross_dim: Annotated[int, typer.Option(min=0, help="Dimensions in which words meet pictures; 0 where one model does both.")] = 384,
    node_ram: Annotated[float, typer.Option(min=1, help="Memory of a search node, in GB.")] = 64.0,
    node_disk: Annotated[float, typer.Option(min=1, help="Disk of a search node, in GB.")] = 1_000.0,
    node_cores: Annotated[int, typer.Option(min=1, help="Cores of a search node.")] = 16,
    workers: Annotated[int, typer.Option(min=1, help="Worker machines.")] = 4,
    worker_cores: Annotated[int, typer.Option(min=1, help="Cores of a worker machine.")] = 8,
    gpu_images: Annotated[float, typer.Option(min=0, help="Pictures per second of one worker's GPU, as you measured; 0 for none.")] = 0.0,
    gpu_words: Annotated[float, typer.Option(min=0, help="Texts per second of one worker's GPU; 0 for none.")] = 0.0,
    constants: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="JSON file with your own measurements (benchmarks/capacity.py writes one)."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Nodes, shards, memory, disk, workers and days for a shop of a given size, on OpenSearch.

    The constants were measured on one small machine; what lies beyond its sizes is extrapolated by the formulas of docs/planning.md.

    Examples:

        hybrid-search plan --products 1000000 --qps 50

        hybrid-search plan --products 20000000 --qps 400 --images 4 --workers 10 --gpu-images 900 --gpu-words 4000

        hybrid-search plan --products 5000000 --qps 100 --constants capacity.json --json
    """
    import orjson

    from hybrid_search.errors import SettingsError
    from hybrid_search.planning.constants import Constants
    from hybrid_search.planning.model import Machines, Shop
    from hybrid_search.planning.model import plan as make

    given: object = {}
    if constants is not None:
        try:
            given = orjson.loads(constants.read_bytes())
        except ValueError as err:
            raise SettingsError(
                f"{constants} is no JSON: {err}.", field="constants", value=str(constants), remedy="Give a JSON object."
            ) from err
    if not isinstance(given, dict):
        raise SettingsError(f"{constants} is no JSON object.", field="constants", value=str(constants), remedy="Give name: number pairs.")
    shop = Shop(products, qps, images, text_dim, image_dim, cross_dim, replicas, changed)
    machines = Machines(node_ram * GB, node_disk * GB, node_cores, worker_cores, workers, gpu_images, gpu_words)
    measured = Constants().replaced(given)
    try:
        found = make(shop, machines, measured)
    except (OverflowError, ValueError) as err:
        raise SettingsError("A number is too large to count with.", field="plan", value=str(shop), remedy="Give finite numbers.") from err
    if json:
        emit({"shop": asdict(shop), "machines": asdict(machines), "constants": asdict(measured), "plan": asdict(found)})
    else:
        _show(shop, machines, found)


def _show(shop: Shop, machines: Machines, found: Plan) -> None:
    rows = (
        ("search nodes", f"{found.nodes}", f"decided by {found.bound_by}"),
        ("shards", f"{found.shards} × {1 + found.replicas} copies", f"{found.index_bytes / found.shards / GB:,.1f} GB each"),
        ("disk", f"{found.disk_bytes / GB:,.0f} GB", "all nodes, with deleted documents and room to merge"),
        ("memory", f"{found.page_cache_bytes / GB:,.1f} GB", "page cache for vectors and words, all nodes"),
        ("heap", f"{found.heap_bytes_per_node / GB:,.1f} GB", "per node"),
        ("a search", f"{found.search_cpu_ms:,.0f} ms of CPU", f"{found.search_cores:,.1f} cores at {shop.peak_qps:g} a second"),
        ("indexing", f"{found.index_hours:,.1f} hours", "to write it once"),
        ("embedding", f"{found.backfill_days:,.2f} days", f"to embed it once with {machines.workers} workers"),
        ("workers", f"{found.workers_to_keep_up}", f"to keep up with {shop.changed_per_day:.1%} changed a day"),
    )
    if shop.products <= EMBEDDED_PRODUCTS:
        say(f"Up to {EMBEDDED_PRODUCTS:,} products the embedded engine on one machine does it: no search server is needed. On servers:")
    for name, figure, meaning in rows:
        say(f"{name:>14}  [bold]{figure:<18}[/bold] [dim]{meaning}[/dim]")
