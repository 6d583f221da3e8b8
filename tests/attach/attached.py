"""A foreign index with our engine in it, towers that count, and a shop that goes on writing: shared by tests and scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from hybrid_search.attach.config import load_config
from hybrid_search.attach.connect import find_product
from hybrid_search.attach.in_place import InPlaceEngine, attach_in_place
from hybrid_search.attach.propose import propose
from hybrid_search.attach.source import Source, describe
from hybrid_search.attach.writing import attach_file
from hybrid_search.indexing.embed import EmbedLimits, embed_chunk
from hybrid_search.indexing.producers import Producers
from hybrid_search.indexing.spaces import ensure_spaces
from hybrid_search.settings import load_settings
from tests.attach.conftest import Server
from tests.attach.shops import SHOPS
from tests.indexing_parts import CountingImage, CountingText, OneTowerEach

SHOP = SHOPS["nested"]
QUERIES = ("kettle", "red scarf", "garden chair every day", "norda 12", "bottle model")


@dataclass
class LinkedPictures:
    """Every link is a picture of its own colour."""

    before: Callable[[], None] = lambda: None
    loads: list[str] = field(default_factory=list)

    def load(self, reference: str, *, min_side: int = 0) -> Image.Image:
        self.before()
        self.loads.append(reference)
        digest = hashlib.sha256(reference.encode()).hexdigest()
        return Image.new("RGB", (min_side, min_side), f"#{digest[:4]}01")

    def content_hash(self, reference: str) -> str:
        return hashlib.sha256(reference.encode()).hexdigest()[:32]


class Attached:
    """A foreign index with our engine in it, towers that count, and a shop that goes on writing."""

    def __init__(self, server: Server, count: int, folder: Path) -> None:
        self.server = server
        self.index = server.make(SHOP, count=count)
        told = describe(server.transport, self.index)
        path = folder / "attach.toml"
        path.write_text(attach_file(server.url, told, propose(told, Source(server.transport, told).sample(200))))
        self.config = load_config(path)
        self.pictures = LinkedPictures()
        self.text, self.image = CountingText(), CountingImage()
        self.engine = self.open()

    def open(self) -> InPlaceEngine:
        transport, _ = find_product(load_settings(), self.server.url)
        engine = attach_in_place(transport, self.config, self.pictures, prefix=f"{self.server.prefix}-ours")
        ensure_spaces(engine, self.text.card, self.image.card)
        return engine

    def embed_all(self) -> int:
        """Products embedded until nothing is pending."""
        producers = Producers(OneTowerEach(self.text, self.image), None)  # type: ignore[arg-type]
        done = 0
        while chunks := self.engine.open_chunks(at_most=100, size=256):
            for chunk in chunks:
                done += len(chunk.product_ids)
                embed_chunk(chunk.id, self.engine, producers, self.pictures, EmbedLimits(write_every=64, beat_every=60.0, seconds=600.0))
        return done

    def states(self) -> dict[str, dict[str, int]]:
        return {key: {state.value: n for state, n in of.items() if n} for key, of in self.engine.status().states.items()}

    def calls(self) -> int:
        """Texts and pictures that towers were asked for, and pictures that were loaded."""
        return len(self.text.calls) + len(self.image.calls) + len(self.pictures.loads)

    def theirs_of(self, id_: str) -> dict[str, Any]:
        """Their part of one document."""
        source = self.server.transport.request("GET", f"/{self.index}/_doc/{id_}").body["_source"]
        return {key: value for key, value in source.items() if key != "hybrid"}

    def theirs(self) -> dict[str, Any]:
        """Their part of every document."""
        found = self.server.transport.request("POST", f"/{self.index}/_search", {"size": 10_000}).body["hits"]["hits"]
        return {hit["_id"]: {key: value for key, value in hit["_source"].items() if key != "hybrid"} for hit in found}

    def keyword_results(self, index: str = "") -> list[list[tuple[str, float]]]:
        """What the shop's own search gives, in this or another index, with scores."""
        index = index or self.index
        self.server.transport.request("POST", f"/{index}/_refresh")
        found = []
        for words in QUERIES:
            body = {"size": 100, "query": {"multi_match": {"query": words, "fields": ["title.en^2", "body.html"]}}, "_source": False}
            hits = self.server.transport.request("POST", f"/{index}/_search", body).body["hits"]["hits"]
            found.append(sorted((hit["_id"], hit["_score"]) for hit in hits))
        return found

    def versions(self, index: str) -> dict[str, int]:
        """How often each document was written, by id."""
        found = self.server.transport.request("POST", f"/{index}/_search", {"size": 10_000, "version": True, "_source": False}).body
        return {hit["_id"]: hit["_version"] for hit in found["hits"]["hits"]}

    def merge(self) -> None:
        """One segment without deleted documents, which count in the scores until then. Closing the index ends its claim on their history."""
        for step in ("_flush", "_close", "_open", "_forcemerge", "_refresh"):
            params = {"_open": {"wait_for_active_shards": "1"}, "_forcemerge": {"max_num_segments": "1"}}.get(step)
            self.server.transport.request("POST", f"/{self.index}/{step}", params=params)

    def close(self) -> None:
        self.engine.close()
