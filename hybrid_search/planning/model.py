"""The planner's model: pure formulas from a shop's figures to machines. Every formula is in ``docs/planning.md`` under the same name."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybrid_search.planning.constants import Constants

DEAD = 1.3
"""Deleted copies of documents that wait for a merge, as a share of disk."""
MERGING = 1.4
"""Free disk that a merge of the largest segments needs, and what keeps a node below its 85 % watermark."""
LOAD = 0.6
"""Share of its cores that a node may spend on searches in steady state: the rest is for writes, merges and peaks."""
SHARD_BYTES = 30e9
"""A shard is kept below this: moving and recovering larger ones takes too long."""
SHARD_PRODUCTS = 20_000_000
"""Products per shard, nested picture documents not counted (Lucene's own limit is 2.1 billion documents)."""
LARGEST_HEAP = 31e9
"""Beyond it Java's object pointers double in size."""


@dataclass(frozen=True, slots=True)
class Shop:
    """What is planned for. ``peak_qps`` are searches per second at the worst hour; ``changed_per_day`` the share of products whose
    words or pictures change in a day."""

    products: int
    peak_qps: float
    images: float = 1.0
    text_dim: int = 384
    image_dim: int = 1_536
    cross_dim: int = 384
    replicas: int = 1
    changed_per_day: float = 0.01


@dataclass(frozen=True, slots=True)
class Machines:
    """What a node and a worker are."""

    node_ram: float = 64e9
    node_disk: float = 1e12
    node_cores: int = 16
    worker_cores: int = 8
    workers: int = 4
    gpu_images_per_second: float = 0.0
    gpu_words_per_second: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer; bytes and counts over the whole cluster unless a name says otherwise."""

    index_bytes: float
    disk_bytes: float
    page_cache_bytes: float
    heap_bytes_per_node: float
    shards: int
    replicas: int
    nodes: int
    bound_by: str
    """What decided the number of nodes: ``disk``, ``memory``, ``searches`` or ``availability``."""
    search_cpu_ms: float
    search_cores: float
    embed_core_seconds: float
    backfill_days: float
    index_hours: float
    workers_to_keep_up: int


def plan(shop: Shop, machines: Machines, constants: Constants) -> Plan:
    """Size a cluster for a shop. Pure."""
    copies = 1 + shop.replicas
    index_bytes = shop.products * product_bytes(shop, constants)
    disk_bytes = copies * index_bytes * DEAD * MERGING
    page_cache = copies * shop.products * searched_bytes(shop, constants)
    shards = max(1, math.ceil(index_bytes * DEAD / SHARD_BYTES), math.ceil(shop.products / SHARD_PRODUCTS))
    cpu_ms = search_cpu_ms(shop.products, shards, constants)
    cores = shop.peak_qps * cpu_ms / 1_000 / LOAD
    heap_total = copies * shop.products * constants.heap_bytes_per_product
    wanted = {
        "disk": math.ceil(disk_bytes / machines.node_disk),
        "memory": _memory_nodes(page_cache, heap_total, machines, constants),
        "searches": math.ceil(cores / machines.node_cores),
        "availability": 3 if shop.replicas else 1,
    }
    bound_by = max(wanted, key=lambda name: wanted[name])
    nodes = max(wanted[bound_by], 1)
    work = embed_core_seconds(shop, constants)
    return Plan(
        index_bytes=index_bytes,
        disk_bytes=disk_bytes,
        page_cache_bytes=page_cache,
        heap_bytes_per_node=min(_heap(heap_total / nodes, constants), LARGEST_HEAP),
        shards=shards,
        replicas=shop.replicas,
        nodes=nodes,
        bound_by=bound_by,
        search_cpu_ms=cpu_ms,
        search_cores=cores,
        embed_core_seconds=work,
        backfill_days=backfill_seconds(shop, machines, constants) / 86_400,
        index_hours=copies * shop.products / (constants.index_per_core_second * nodes * machines.node_cores / 2) / 3_600,
        workers_to_keep_up=max(1, math.ceil(work * shop.changed_per_day / 86_400 / LOAD / machines.worker_cores)),
    )


def product_bytes(shop: Shop, constants: Constants) -> float:
    """Disk bytes of one product in one copy: its document, and each vector with its graph."""
    dims = shop.text_dim + shop.images * (shop.image_dim + shop.cross_dim)
    vectors = 1 + 2 * shop.images
    return constants.document_bytes + dims * constants.vector_bytes_per_dim + vectors * constants.graph_bytes


def searched_bytes(shop: Shop, constants: Constants) -> float:
    """Bytes of one product in one copy that searches touch: vectors, graph, and a third of the document's own (words and columns)."""
    dims = shop.text_dim + shop.images * (shop.image_dim + shop.cross_dim)
    vectors = 1 + 2 * shop.images
    return dims * constants.search_bytes_per_dim + vectors * constants.graph_bytes + constants.document_bytes / 3


def search_cpu_ms(products: int, shards: int, constants: Constants) -> float:
    """CPU milliseconds of one search over all shards: a part per shard, and a part that grows with the products."""
    return constants.search_base_ms * shards + constants.search_ms_per_million * products / 1e6


def embed_core_seconds(shop: Shop, constants: Constants) -> float:
    """Core seconds to embed the whole catalogue once."""
    return shop.products * (1 / constants.words_per_core_second + shop.images / constants.images_per_core_second)


def backfill_seconds(shop: Shop, machines: Machines, constants: Constants) -> float:
    """Seconds until every product has its vectors, with all workers on it."""
    cores = machines.workers * machines.worker_cores
    words = machines.workers * machines.gpu_words_per_second or cores * constants.words_per_core_second
    images = machines.workers * machines.gpu_images_per_second or cores * constants.images_per_core_second
    return shop.products * (1 / words + shop.images / images)


def _memory_nodes(page_cache: float, heap_total: float, machines: Machines, constants: Constants) -> int:
    """The least number of nodes whose memory holds the heap and the page cache; the system keeps a tenth."""
    nodes = 1
    while nodes * machines.node_ram * 0.9 < page_cache + nodes * _heap(heap_total / nodes, constants):
        nodes += 1
        if nodes > 10_000:
            break
    return nodes


def _heap(documents: float, constants: Constants) -> float:
    """Heap of a node: twice what it holds, so that collections stay short."""
    return 2 * (constants.heap_base_bytes + documents)
