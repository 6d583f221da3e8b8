"""Checks of a search server: reachable, well, room on its disks, snapshots, clocks, and how we talk to it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from hybrid_search.doctor.finding import Finding, Level, clock, is_loopback
from hybrid_search.engines.cluster.bulk_loading import unfinished_loading
from hybrid_search.engines.cluster.layout import Indices
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.settings import Settings

_HIDDEN = (400, 401, 403, 404, 410)
"""Hosted servers do not tell everything."""
_UNITS = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40, "pb": 2**50}
_MARKS = ("low", "high", "flood_stage")


def check_health(transport: Transport) -> Iterator[Finding]:
    """Cluster health: what is red cannot be searched, what is yellow has no copy."""
    told = transport.request("GET", "/_cluster/health").body
    colour, nodes, unassigned = told["status"], told["number_of_data_nodes"], told["unassigned_shards"]
    if colour == "green":
        yield Finding("server.health", "ok", f"The cluster is green with {nodes} data nodes.")
    elif colour == "yellow":
        alone = (
            "A single node cannot hold copies: set index.number_of_replicas to 0, or add a node."
            if nodes == 1
            else "Wait for recovery, or see GET /_cluster/allocation/explain."
        )
        yield Finding("server.health", "warn", f"The cluster is yellow: {unassigned} copies of shards are nowhere.", alone)
    else:
        yield Finding(
            "server.health", "fail", f"The cluster is {colour}: {unassigned} shards are missing.", "See GET /_cluster/allocation/explain."
        )


def check_disks(transport: Transport) -> Iterator[Finding]:
    """How full the nodes' disks are against the server's own watermarks."""
    told = transport.request("GET", "/_cluster/settings", params={"include_defaults": "true", "flat_settings": "true"}, ignore=_HIDDEN)
    fs = transport.request("GET", "/_nodes/stats/fs", ignore=_HIDDEN)
    if not told.ok or not fs.ok:
        yield Finding("server.disks", "ok", "The server does not tell about its disks: its provider watches them.")
        return
    given = {**told.body.get("defaults", {}), **told.body.get("persistent", {}), **told.body.get("transient", {})}
    prefix = "cluster.routing.allocation.disk."
    if str(given.get(f"{prefix}threshold_enabled", "true")) == "false":
        yield Finding(
            "server.disks.guard",
            "warn",
            "The disk watermarks are switched off: a full disk would damage indices.",
            f"Set {prefix}threshold_enabled to true.",
        )
    for node in fs.body["nodes"].values():
        total, free = node["fs"]["total"]["total_in_bytes"], node["fs"]["total"]["available_in_bytes"]
        over = [mark for mark in _MARKS if _is_over(str(given.get(f"{prefix}watermark.{mark}", "")), total, free)]
        shown = f"{node['name']}: {100 * (total - free) / total:.0f} % of {total / 1e9:.0f} GB used"
        if not over:
            yield Finding("server.disks", "ok", f"{shown}.")
        else:
            level: Level = "fail" if over[-1] != "low" else "warn"
            yield Finding(
                "server.disks",
                level,
                f"{shown}, over the {over[-1]} watermark.",
                "Free space or add a node; at flood_stage indices become read-only.",
            )


def _is_over(mark: str, total: int, free: int) -> bool:
    """Whether a disk passed a watermark, as in ``85%`` or ``50gb`` (left free)."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)%", mark):
        return 100 * (total - free) / total >= float(match[1])
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)([kmgtp]?b)", mark.lower()):
        return free <= float(match[1]) * _UNITS[match[2]]
    return False


def check_clocks(transport: Transport) -> Iterator[Finding]:
    """Every node's clock against ours."""
    before = time.time()
    told = transport.request("GET", "/_nodes/stats/os", ignore=_HIDDEN)
    ours = (before + time.time()) / 2
    if not told.ok:
        yield Finding("server.clock", "ok", "The server does not tell its time.")
        return
    for node in told.body["nodes"].values():
        yield clock("server.clock", f"the search server's node {node['name']}", node["timestamp"] / 1_000 - ours)


def check_snapshots(transport: Transport) -> Iterator[Finding]:
    """Whether there is somewhere to keep snapshots."""
    told = transport.request("GET", "/_snapshot", ignore=_HIDDEN)
    if told.ok and not told.body:
        yield Finding(
            "server.snapshots",
            "warn",
            "No snapshot repository is registered.",
            "Register one (PUT /_snapshot/<name>) and take snapshots on a schedule.",
        )
    else:
        yield Finding(
            "server.snapshots",
            "ok",
            f"Snapshot repositories: {', '.join(told.body)}." if told.ok else "The server does not tell its repositories.",
        )


def check_access(settings: Settings, urls: str) -> Iterator[Finding]:
    """How we reach the server: TLS, certificates, sign-in. Asks nobody."""
    for url in (part.strip() for part in urls.split(",") if part.strip()):
        parts = urlsplit(url)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            yield Finding(
                "server.tls",
                "warn",
                f"{parts.hostname} is reached over plain http: products, queries and passwords can be read on the way.",
                "Use https and set server_ca if its certificate is your own.",
            )
        else:
            yield Finding(
                "server.tls",
                "ok",
                f"{parts.hostname} is reached over {parts.scheme}{'' if parts.scheme == 'https' else ' on this machine'}.",
            )
        if parts.scheme == "https" and not settings.server_verify:
            yield Finding(
                "server.certificate",
                "warn",
                "The server's certificate is not checked.",
                "Set server_verify to true, and server_ca for an authority of your own.",
            )
        signed = settings.server_user or parts.username or settings.server_api_key.get_secret_value() or settings.server_sigv4_region
        if not signed and not is_loopback(parts.hostname or ""):
            yield Finding(
                "server.sign_in",
                "warn",
                f"{parts.hostname} is used without signing in.",
                "Switch its security on; set server_user and server_password, or server_api_key.",
            )
    yield Finding("server.at_rest", "ok", "Servers of both products do not encrypt what they store: encrypt the disks they are on.")


def check_blocks(transport: Transport, indices: Indices) -> Iterator[Finding]:
    """Whether indices in use refuse writes, or are still under the settings of a load that died. (One kept by a reindex is blocked for good.)"""
    names = f"{indices.products},{indices.chunks},{indices.meta},{indices.towers}"
    told = transport.request("GET", f"/{names}/_settings", params={"flat_settings": "true", "ignore_unavailable": "true"}, ignore=(404,))
    blocked = False
    for index, given in sorted((told.body if told.ok else {}).items()):
        for name in ("read_only_allow_delete", "read_only", "write"):
            if str(given["settings"].get(f"index.blocks.{name}", "false")) == "true":
                blocked = True
                flooded = name == "read_only_allow_delete"
                why = "the disk passed the flood_stage watermark" if flooded else f"index.blocks.{name} is set"
                remedy = f'{"Free space, then " if flooded else ""}PUT /{index}/_settings {{"index.blocks.{name}": null}}'
                yield Finding("indices.blocks", "fail", f"{index} refuses writes: {why}.", remedy)
    if not blocked:
        yield Finding("indices.blocks", "ok", "No index of ours refuses writes.")
    if told.ok and told.body and (loading := unfinished_loading(transport, indices.products)) is not None:
        yield Finding(
            "indices.loading",
            "warn",
            f"A first load has been under way for {time.time() - loading.since:.0f} s: changes are not searchable until its end.",
            "If it died, run hybrid-search ingest --first again: equal products cost nothing, and the settings are put back.",
        )
