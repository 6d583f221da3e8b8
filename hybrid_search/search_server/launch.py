"""What is written and called to start one node: configuration files and the command line of each product."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from hybrid_search.search_server.products import Release
from hybrid_search.search_server.unpack import runner


@dataclass(frozen=True)
class NodePlan:
    """One node: where its files are, what it listens on, how much memory it gets."""

    release: Release
    home: Path
    java: Path
    folder: Path
    """Folder of this node alone: config, data, logs, tmp."""
    scrap: Path
    """What is deleted when the owner dies: ``folder`` or the one around it."""
    repository: Path
    """Folder that snapshots may be written to (``path.repo``), shared by the nodes of a cluster."""
    http_port: int
    transport_port: int
    heap: str
    name: str = "node-1"
    cluster: str = "hybrid-search"
    seeds: tuple[int, ...] = ()
    """Transport ports of all nodes of a cluster; empty for a single node."""
    names: tuple[str, ...] = ()
    """Names of all nodes of a cluster."""
    fast_start: bool = True
    """Half of the CPU while starting, slower queries at length: for tests, not for measurements."""
    settings: dict[str, str] = field(default_factory=dict)
    """Further settings of the node, as in its yml file."""


# What a product search uses, of those that the carrier has; each further one costs start-up time.
_ELASTICSEARCH_MODULES = (
    *("aggregations", "analysis-common", "ingest-common", "lang-painless", "parent-join", "reindex", "rest-root", "transport-netty4"),
    "x-pack-core",
)

_LOGGING = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


def write_files(plan: NodePlan) -> None:
    """Make the node's folders and write its configuration."""
    for folder in (plan.folder / "config", plan.folder / "data", plan.folder / "logs", plan.folder / "tmp", plan.repository):
        folder.mkdir(parents=True, exist_ok=True)
    config = plan.folder / "config"
    shipped = plan.home / "config"
    if plan.release.product == "opensearch":
        options = (shipped / "jvm.options").read_text().splitlines()
        # The shipped options size the heap and write logs into the home folder, which is not the node's to write to.
        kept = [line for line in options if not re.search(r"-Xm[sx]|logs/|data\b|^#|^$", line)]
        (config / "jvm.options").write_text("\n".join(kept) + "\n")
    (config / "log4j2.properties").write_text(_LOGGING)
    (config / f"{plan.release.product}.yml").write_text("".join(f"{key}: {value}\n" for key, value in _settings(plan).items()))


def _settings(plan: NodePlan) -> dict[str, str]:
    settings = {
        "cluster.name": plan.cluster,
        "node.name": plan.name,
        "path.data": f"{plan.folder}/data",
        "path.logs": f"{plan.folder}/logs",
        "path.repo": f'["{plan.repository}"]',
        "network.host": "127.0.0.1",
        "http.port": str(plan.http_port),
        "transport.port": str(plan.transport_port),
        # A development machine's disk is often fuller than a server's may be.
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }
    if plan.seeds:
        first = "cluster_manager" if plan.release.product == "opensearch" else "master"
        settings["discovery.seed_hosts"] = "[" + ", ".join(f'"127.0.0.1:{port}"' for port in plan.seeds) + "]"
        settings[f"cluster.initial_{first}_nodes"] = "[" + ", ".join(f'"{name}"' for name in plan.names) + "]"
    else:
        settings["discovery.type"] = "single-node"
    if plan.release.product == "elasticsearch":
        settings["xpack.security.enabled"] = "false"
    return settings | plan.settings


def command(plan: NodePlan) -> list[str]:
    """The command line that runs the node in the foreground."""
    return _opensearch_command(plan) if plan.release.product == "opensearch" else _elasticsearch_command(plan)


def environment(plan: NodePlan) -> dict[str, str]:
    """The node's environment: nothing of ours but the PATH."""
    base = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(plan.folder)}
    if plan.release.product == "elasticsearch":
        return base
    options = [f"-Xms{plan.heap}", f"-Xmx{plan.heap}", "-XX:-AlwaysPreTouch", "-XX:-UsePerfData", *_fast(plan)]
    return base | {
        "OPENSEARCH_JAVA_HOME": str(plan.java),
        "OPENSEARCH_PATH_CONF": str(plan.folder / "config"),
        "OPENSEARCH_TMPDIR": str(plan.folder / "tmp"),
        "OPENSEARCH_JAVA_OPTS": " ".join(options),
    }


def _fast(plan: NodePlan) -> list[str]:
    return ["-XX:TieredStopAtLevel=1"] if plan.fast_start else []


def _opensearch_command(plan: NodePlan) -> list[str]:
    return [str(plan.home / "bin" / "opensearch")]


def _elasticsearch_command(plan: NodePlan) -> list[str]:
    """The node in one JVM: its own launcher would start a second one and insist on files that the carrier leaves out."""
    lucene = "org.apache.lucene.core/org.apache.lucene"
    return [
        str(plan.java / "bin" / "java"),
        *(f"-Xms{plan.heap}", f"-Xmx{plan.heap}", "-Xss1m", "-XX:+UseG1GC", "-XX:-UsePerfData", *_fast(plan)),
        *(f"-Djava.io.tmpdir={plan.folder}/tmp", "-Djava.awt.headless=true", "-Dfile.encoding=UTF-8", "-Djava.locale.providers=CLDR"),
        *("-Dlog4j.shutdownHookEnabled=false", "-Dlog4j2.disable.jmx=true", "-Dio.netty.noUnsafe=true"),
        *("-Dio.netty.noKeySetOptimization=true", "-Dio.netty.recycler.maxCapacityPerThread=0"),
        *(f"-Des.path.home={plan.home}", "-Des.distribution.type=zip", f"-Des.modules={','.join(_ELASTICSEARCH_MODULES)}"),
        *("-Dorg.apache.lucene.vectorization.upperJavaFeatureVersion=25", "-Dorg.apache.lucene.store.defaultReadAdvice=normal"),
        *(f"--add-opens={lucene}.{name}=org.elasticsearch.server" for name in ("codecs.lucene99", "codecs.hnsw", "internal.vectorization")),
        *("--enable-native-access=org.elasticsearch.nativeaccess,org.apache.lucene.core", "--module-path", f"{plan.home}/lib"),
        *("--add-modules", "jdk.net,jdk.management.agent,jdk.incubator.vector,ALL-MODULE-PATH"),
        *("-cp", str(runner(plan.home)), "ElasticsearchNode", str(plan.home), str(plan.folder / "config"), plan.name),
    ]


def hand_over(folder: Path, uid: int) -> None:
    """Give a folder with all in it to the user the node runs as."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)
