"""Real OpenSearch and Elasticsearch servers on this machine, for tests, demos and trials: fetched once by Maven, started on free ports."""

from hybrid_search.search_server.cluster import Cluster, start_cluster
from hybrid_search.search_server.node import SearchServer, start_node
from hybrid_search.search_server.products import Product, Release, release
from hybrid_search.search_server.provision import provision

__all__ = ["Cluster", "Product", "Release", "SearchServer", "provision", "release", "start_cluster", "start_node"]
