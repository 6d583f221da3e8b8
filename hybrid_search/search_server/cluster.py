"""Several OpenSearch nodes on this machine that form one cluster, for tests of what happens when one of them is gone."""

from __future__ import annotations

import os
import shutil
from types import TracebackType

from hybrid_search.search_server.java import find_java
from hybrid_search.search_server.launch import NodePlan
from hybrid_search.search_server.node import SearchServer, free_port, node_folder
from hybrid_search.search_server.products import release
from hybrid_search.search_server.progress import Progress, silent
from hybrid_search.search_server.provision import provision


class Cluster:
    """Nodes that have met; any of them may be killed, paused and restarted. As a context manager they end with the block."""

    def __init__(self, nodes: tuple[SearchServer, ...]) -> None:
        self.nodes = nodes
        self.repository = nodes[0].plan.repository
        """Folder that every node may write snapshots to."""

    @property
    def url(self) -> str:
        """All nodes, as the setting ``opensearch_url`` takes them."""
        return ",".join(node.url for node in self.nodes)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all nodes and delete their data. Safe to call twice."""
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.nodes[0].plan.scrap, ignore_errors=True)


def start_cluster(
    size: int = 3, version: str | None = None, *, heap: str = "512m", owner: int | None = None, progress: Progress = silent
) -> Cluster:
    """A running OpenSearch cluster of ``size`` nodes; arguments and errors as of ``start_node``."""
    wanted = release("opensearch", version)
    home, java, folder = provision("opensearch", version, progress=progress), find_java(wanted), node_folder()
    names = tuple(f"node-{number}" for number in range(1, size + 1))
    ports: set[int] = set()
    while len(ports) < 2 * size:
        ports.add(free_port())
    transport_ports, http_ports = tuple(sorted(ports)[:size]), tuple(sorted(ports)[size:])
    nodes = tuple(
        SearchServer(
            NodePlan(
                release=wanted,
                home=home,
                java=java,
                folder=folder / name,
                scrap=folder,
                repository=folder / "snapshots",
                http_port=http_port,
                transport_port=transport_port,
                heap=heap,
                name=name,
                cluster=folder.name,
                seeds=transport_ports,
                names=names,
            ),
            owner=os.getpid() if owner is None else owner,
        )
        for name, http_port, transport_port in zip(names, http_ports, transport_ports, strict=True)
    )
    cluster = Cluster(nodes)
    progress(f"{wanted.product} {wanted.version}: starting {size} nodes")
    try:
        for node in nodes:
            node.launch()
        for node in nodes:
            node.wait(nodes=size)
    except BaseException:
        cluster.close()
        raise
    return cluster
