"""Bulk bodies and bulk writes beside the clients' own: items per CPU second, bytes, and both on the same server, turn by turn.

    python benchmarks/server_bulk.py [--items 2000] [--dim 512] [--turns 5] [--opensearch URL] [--elasticsearch URL] [--json FILE]

Turns go A B B A, where A is opensearch-py's way (its default serializer, fed with ``row.tolist()``, which also stands in what is timed)
and B ours; a control runs A against A in the same way. Ratios are medians over the turns, of CPU time for bodies and of wall time on the
server. With the URL of a server both write the same documents into fresh indices on it: its client by ``helpers.streaming_bulk``, 500
items a request, the default; ours by ``stream_bulk``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import elasticsearch
import elasticsearch.helpers
import numpy as np
import opensearchpy
import opensearchpy.helpers
from opensearchpy.serializer import JSONSerializer

from hybrid_search.engines.cluster.bulk import Action, stream_bulk
from hybrid_search.engines.cluster.bulk_body import encode
from hybrid_search.engines.cluster.dialect import ProductName
from hybrid_search.engines.cluster.reaching import access
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.engines.elasticsearch.transport import ElasticsearchTransport
from hybrid_search.engines.opensearch.transport import OpenSearchTransport
from hybrid_search.types import FloatMatrix

INDEX = "bulkbench"
Run = Callable[[], float]
"""One turn; gives its seconds."""


def title(number: int) -> str:
    return f"Trail running shoe {number} with a light sole"


def theirs_bodies(rows: FloatMatrix) -> int:
    serializer, size = JSONSerializer(), 0
    for number, row in enumerate(rows):
        head = serializer.dumps({"create": {"_index": INDEX, "_id": str(number), "require_alias": True}})
        body = serializer.dumps({"title": title(number), "vec": row.tolist()})
        size += len(head.encode()) + len(body.encode()) + 2
    return size


def our_bodies(rows: FloatMatrix) -> int:
    return sum(len(encode(Action("create", INDEX, str(number), {"title": title(number), "vec": row}))) for number, row in enumerate(rows))


def cpu(work: Callable[[], object]) -> Run:
    def run() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return run


def turns(a: Run, b: Run, count: int) -> dict[str, float]:
    """A B B A ``count`` times; the ratio of each turn is A's time by B's."""
    a(), b()
    ratios, firsts, seconds = [], [], []
    for _ in range(count):
        one, two, three, four = a(), b(), b(), a()
        ratios.append((one + four) / (two + three))
        firsts.append((one + four) / 2)
        seconds.append((two + three) / 2)
    return {
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "a_seconds": statistics.median(firsts),
        "b_seconds": statistics.median(seconds),
    }


def on_server(product: ProductName, url: str, rows: FloatMatrix) -> tuple[Run, Run, Callable[[], dict[str, float]]]:
    client: Any
    transport: Transport
    streaming_bulk: Callable[..., Iterable[tuple[bool, Any]]]
    if product == "opensearch":
        client, transport = opensearchpy.OpenSearch(url, timeout=120), OpenSearchTransport(access(product, url))
        streaming_bulk = opensearchpy.helpers.streaming_bulk
    else:
        client, transport = elasticsearch.Elasticsearch(url, request_timeout=120), ElasticsearchTransport(access(product, url))
        streaming_bulk = elasticsearch.helpers.streaming_bulk
    cpu_seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
    made: dict[str, Any] = {
        "settings": {"number_of_replicas": 0, "refresh_interval": "-1"},
        "mappings": {"properties": {"title": {"type": "text"}, "vec": {"type": "float", "index": False, "doc_values": False}}},
        "aliases": {INDEX: {}},
    }

    def fresh() -> None:
        client.indices.delete(index=f"{INDEX}-000001", ignore_unavailable=True)
        transport.request("PUT", f"/{INDEX}-000001", made)

    def timed(name: str, write: Callable[[], int]) -> Run:
        def run() -> float:
            fresh()
            start, used = time.perf_counter(), time.process_time()
            written = write()
            seconds = time.perf_counter() - start
            cpu_seconds[name].append(time.process_time() - used)
            assert written == len(rows)
            client.indices.delete(index=f"{INDEX}-000001")
            return seconds

        return run

    def theirs() -> int:
        documents: Iterator[dict[str, Any]] = (
            {"_op_type": "create", "_index": INDEX, "_id": str(number), "_source": {"title": title(number), "vec": row.tolist()}}
            for number, row in enumerate(rows)
        )
        return sum(ok for ok, _ in streaming_bulk(client, documents))

    def ours() -> int:
        actions = (Action("create", INDEX, str(number), {"title": title(number), "vec": row}) for number, row in enumerate(rows))
        return sum(result.ok for result in stream_bulk(transport, actions))

    return timed("theirs", theirs), timed("ours", ours), lambda: {name: statistics.median(all_) for name, all_ in cpu_seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--opensearch", metavar="URL", help="an OpenSearch to write to")
    parser.add_argument("--elasticsearch", metavar="URL", help="an Elasticsearch to write to")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = np.random.default_rng(11).standard_normal((given.items, given.dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    a, b = cpu(lambda: theirs_bodies(rows)), cpu(lambda: our_bodies(rows))
    results: dict[str, Any] = {
        "bodies": turns(a, b, given.turns),
        "bodies, A/A control": turns(a, a, given.turns),
        "bytes ratio": our_bodies(rows) / theirs_bodies(rows),
    }
    servers: dict[ProductName, str | None] = {"opensearch": given.opensearch, "elasticsearch": given.elasticsearch}
    for product, url in servers.items():
        if url:
            theirs, ours, used = on_server(product, url, rows)
            results[product] = turns(theirs, ours, given.turns)
            results[f"{product}, client CPU seconds"] = used()
            results[f"{product}, A/A control"] = turns(theirs, theirs, given.turns)
    for name, result in results.items():
        shown = " ".join(f"{key} {value:.3f}" for key, value in result.items()) if isinstance(result, dict) else f"{result:.3f}"
        print(f"{name:32} {shown}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
