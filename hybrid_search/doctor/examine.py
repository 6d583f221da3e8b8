"""All checks in their order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from hybrid_search.attach.check import check_attach
from hybrid_search.attach.config import load_config
from hybrid_search.attach.connect import open_source
from hybrid_search.attach.in_place import InPlaceIndices
from hybrid_search.attach.source import Source, describe
from hybrid_search.doctor.broker import check_redis
from hybrid_search.doctor.finding import Check, Finding, run
from hybrid_search.doctor.indices import check_aliases, check_analyzers, check_mappings, check_templates
from hybrid_search.doctor.installation import check_home, check_keys, check_secrets
from hybrid_search.doctor.models import check_models
from hybrid_search.doctor.server import check_access, check_blocks, check_clocks, check_disks, check_health, check_snapshots
from hybrid_search.doctor.work import check_queue, check_spaces
from hybrid_search.encoders.registry import image_encoder, text_encoder
from hybrid_search.engines.base import Engine
from hybrid_search.engines.cluster.dialect import ProductName
from hybrid_search.engines.cluster.indices import greet
from hybrid_search.engines.cluster.layout import Indices
from hybrid_search.engines.cluster.mappings import load_mappings
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.settings import Settings

GROUPS = ("home", "keys", "secrets", "redis", "models", "server", "indices", "work", "attach")
FAILING = 0.05
"""Share of sampled documents without a product from which an attach file is taken to be wrong; below, the documents."""


def examine(
    settings: Settings,
    *,
    open_transport: Callable[[], Transport],
    open_engine: Callable[[], Engine | None],
    attach: Path | None = None,
    skip: Collection[str] = (),
) -> Iterator[Finding]:
    """Run all checks but those of the groups in ``skip``; nothing is made or changed anywhere.

    Args:
        open_transport: to the search server of the settings; only called when they name one.
        open_engine: the engine without making anything; ``None`` where there is none yet.
        attach: an attach file to check as well.
    """
    groups: dict[str, Callable[[], Iterator[Finding]]] = {
        "home": partial(check_home, settings),
        "keys": partial(check_keys, settings),
        "secrets": partial(check_secrets, settings),
        "redis": partial(check_redis, settings),
        "models": partial(check_models, settings),
    }
    for name, check in groups.items():
        if name not in skip:
            yield from run(name, check)
    usable = True
    on_server = settings.engine != "embedded" or settings.attach is not None
    if on_server and not {"server", "indices"} <= set(skip):
        for finding in run("server.reachable", partial(_server, settings, open_transport, skip)):
            usable = usable and finding.check != "server.reachable" or finding.level == "ok"
            yield finding
    attach = attach or settings.attach
    if "work" not in skip and usable:
        yield from run("engine", partial(_work, settings, open_engine))
    if attach is not None and "attach" not in skip:
        yield from run("attach", partial(check_attached, settings, attach))


def _place(settings: Settings) -> tuple[ProductName, str, Indices]:
    """Product and address of the search server, and the indices that are used there."""
    if settings.attach is not None:
        source = load_config(settings.attach).source
        return source.engine, source.url, InPlaceIndices(settings.index_prefix, source.index)
    product: ProductName = "elasticsearch" if settings.engine == "elasticsearch" else "opensearch"
    return product, settings.opensearch_url if product == "opensearch" else settings.elasticsearch_url, Indices(settings.index_prefix)


def _server(settings: Settings, open_transport: Callable[[], Transport], skip: Collection[str]) -> Iterator[Finding]:
    product, urls, indices = _place(settings)
    if "server" not in skip:
        yield from check_access(settings, urls)
    transport = open_transport()
    try:
        dialect = greet(transport, product)
        yield Finding("server.reachable", "ok", f"{dialect.server} answers at {transport.url}.")
        files = load_mappings(product, settings.index_prefix, settings.server_mappings)
        checks: dict[str, Check] = {
            "server.health": partial(check_health, transport),
            "server.disks": partial(check_disks, transport),
            "server.clock": partial(check_clocks, transport),
            "server.snapshots": partial(check_snapshots, transport),
            "indices.aliases": partial(check_aliases, transport, indices),
            "indices.blocks": partial(check_blocks, transport, indices),
        }
        of_our_products: dict[str, Check] = {
            "indices.mappings": partial(check_mappings, transport, indices, files),
            "indices.templates": partial(check_templates, transport, indices, files),
            "indices.analyzers": partial(check_analyzers, transport, indices),
        }
        if settings.attach is None:  # else mapping and analysis are the shop's
            checks |= of_our_products
        for name, check in checks.items():
            if name.partition(".")[0] not in skip:
                yield from run(name, check)
    finally:
        transport.close()


def _work(settings: Settings, open_engine: Callable[[], Engine | None]) -> Iterator[Finding]:
    engine = open_engine()
    if engine is None:
        remedy = "Load a catalogue with hybrid-search ingest." if settings.attach is None else "Run hybrid-search attach in-place."
        yield Finding("engine", "warn", "There is no index with anything of ours yet.", remedy)
        return
    try:
        yield from check_queue(engine, settings)
        models = {text_encoder(settings.text_encoder).card.name, image_encoder(settings.image_encoder).card.name}
        yield from check_spaces(engine, models)
    finally:
        engine.close()


def check_attached(settings: Settings, path: Path) -> Iterator[Finding]:
    """Whether an attach file fits the index it names, and which ways in are open."""
    config = load_config(path)
    transport = open_source(settings, config.source)
    try:
        told = check_attach(Source(transport, describe(transport, config.source.index), config.source.filter), config)
    finally:
        transport.close()
    for problem in told.problems:
        yield Finding("attach", "fail", problem, f"Edit {path}.")
    for warning in told.warnings:
        yield Finding("attach.paths", "warn", warning, f"Edit {path} if it is wrong.")
    if told.summary.rejected:
        by_field = ", ".join(f"{field or 'whole document'} {count}" for field, count in told.summary.by_field.most_common())
        share = told.summary.rejected / (told.summary.rejected + told.summary.accepted)
        yield Finding(
            "attach.products",
            "fail" if share >= FAILING else "warn",
            f"{told.summary.rejected} of {told.summary.rejected + told.summary.accepted} sampled documents cannot become products: {by_field}.",
            f"See hybrid-search attach --check {path}.",
        )
    else:
        yield Finding("attach.products", "ok", f"All {told.summary.accepted} sampled documents become products.")
    if told.in_place:
        yield Finding("attach.in_place", "ok", f"A side index only: {told.in_place}")
    else:
        yield Finding("attach.in_place", "ok", "Vectors can be added to the index itself, or kept in a side index.")
