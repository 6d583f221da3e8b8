"""The pages on running with search servers name what the code has: rooms, formulas, constants, settings, mapping files, indices."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from hybrid_search.engines.cluster.dialect import BUILDERS, OLDEST, Codec
from hybrid_search.engines.cluster.layout import Indices
from hybrid_search.engines.cluster.mappings import NAMES
from hybrid_search.planning import model
from hybrid_search.planning.constants import Constants
from hybrid_search.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in sorted(DOCS.glob("*.md")) if f"(docs/{path.name})" not in readme] == []


def test_the_architecture_names_every_room() -> None:
    table = page("architecture.md")
    rooms = [path.name for path in sorted((ROOT / "hybrid_search").iterdir()) if (path / "__init__.py").is_file()]
    assert [room for room in rooms if f"{room}/" not in table] == []


def test_every_formula_is_told_under_its_name() -> None:
    told = page("planning.md")
    functions = {name for name, _ in inspect.getmembers(model, inspect.isfunction) if not name.startswith("_")} - {"plan", "dataclass"}
    answers = {field.name for field in fields(model.Plan)} - {"replicas", "backfill_days"}
    assert functions and {name for name in functions | answers if f"`{name}`" not in told} == set()
    for name in ("DEAD", "MERGING", "LOAD"):
        assert f"`{name}` {getattr(model, name)}" in told
    assert f"`SHARD_BYTES` {model.SHARD_BYTES / 1e9:.0f} GB" in told
    assert f"`SHARD_PRODUCTS` {model.SHARD_PRODUCTS / 1e6:.0f} million" in told


@pytest.mark.parametrize("constant", [field.name for field in fields(Constants)])
def test_every_constant_is_told_with_its_value(constant: str) -> None:
    value = getattr(Constants(), constant)
    shown = f"{value / 1e6:.0f} MB" if value >= 1e6 else f"{value:,g}"
    assert f"| `{constant}` | {shown} |" in page("planning.md")


def test_every_mapping_file_is_explained() -> None:
    told = (ROOT / "mappings" / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}.json`" not in told] == []


@pytest.mark.parametrize("name", ["server-engines.md", "operations.md"])
def test_settings_that_a_page_names_exist(name: str) -> None:
    named = set(
        re.findall(r"`((?:server|opensearch|elasticsearch)_[a-z_]+|knn_exact_up_to|index_prefix|cursor_secret|image_roots)`", page(name))
    )
    assert named and named <= set(Settings.model_fields)


def test_indices_versions_and_codecs_are_those_of_the_code() -> None:
    told = page("server-engines.md")
    prefix = Settings.model_fields["index_prefix"].default
    indices = Indices(prefix)
    assert [name for name in (indices.products, indices.chunks, indices.meta, indices.towers) if f"`{name}`" not in told] == []
    assert all(f"{version[0]}.{version[1]} or newer" in told for version in OLDEST.values())
    assert all(f"| `{codec}`" in told for codec in Codec.__args__)  # type: ignore[attr-defined]
    for build in BUILDERS.values():
        for codec in build((9, 9, 0)).untested:
            assert re.search(rf"^\| `{codec}` \|.*\*\*not tested\*\*", told, re.M)
