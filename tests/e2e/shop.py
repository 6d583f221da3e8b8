"""A small shop to test against: a catalogue embedded in this process by the real encoders, served by the real server."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw

from hybrid_search.bootstrap import Services
from hybrid_search.catalog.read import read_catalog
from hybrid_search.indexing.align import fit_alignment
from hybrid_search.indexing.embed import EmbedLimits, embed_chunk
from hybrid_search.indexing.ingest import IngestSummary, ingest
from hybrid_search.indexing.maps import MapShelf
from hybrid_search.indexing.producers import Producers
from hybrid_search.indexing.spaces import ensure_spaces

COLOURS = {"Red": "#c5283d", "Blue": "#2457c5", "Green": "#2a9134", "Yellow": "#f2c230", "Black": "#222222", "Purple": "#7b3fa0"}
THINGS = {
    "Ball": "Round and bouncy.",
    "Box": "Keeps small things.",
    "Tent": "Sleeps two.",
    "Rug": "Striped, for the hall.",
    "Ring": "Worn on a finger.",
}
CATEGORIES = {
    "Ball": ("Toys", "Balls"),
    "Box": ("Home", "Storage"),
    "Tent": ("Outdoor", "Camping"),
    "Rug": ("Home", "Textiles"),
    "Ring": ("Jewellery",),
}
BROKEN = "broken-1"
"""A product whose picture is no picture."""


def write_catalogue(folder: Path) -> Path:
    """31 products: five shapes in six colours, one with a broken picture; a Chinese title on the yellow ones."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, (thing, words) in enumerate(THINGS.items()):
        for place, (colour, paint) in enumerate(COLOURS.items()):
            name = f"{thing}-{colour}".lower()
            draw_thing(thing, paint).save(folder / "images" / f"{name}.png")
            chinese = colour == "Yellow" and thing == "Ball"
            row = {
                "id": name,
                "title": "黄色皮球" if chinese else f"{colour} {thing}",
                "description": words,
                "category": list(CATEGORIES[thing]),
                "brand": ("Acme", "Nord")[place % 2],
                "color": colour,
                "price": 10 + 5 * number + place,
                "currency": "EUR",
                "rating": 1 + place * 0.8,
                "rating_count": 3 + place,
                "language": "zh" if chinese else "en",
                "images": [f"images/{name}.png"],
                "created": f"2026-01-{1 + number * 6 + place:02d}T00:00:00Z",
            }
            rows.append(row)
    (folder / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n, and nothing more")
    broken = {"id": BROKEN, "title": "Lampshade", "color": "White", "availability": "out_of_stock", "images": ["images/broken.png"]}
    lines = [json.dumps(row, ensure_ascii=False) for row in (*rows, broken)]
    (folder / "products.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def draw_thing(thing: str, paint: str, *, background: str = "white", side: int = 320) -> Image.Image:
    """A flat picture of a thing in a colour."""
    image = Image.new("RGB", (side, side), background)
    draw = ImageDraw.Draw(image)
    low, high, middle = side * 0.15, side * 0.85, side / 2
    if thing == "Ball":
        draw.ellipse((low, low, high, high), fill=paint)
        draw.arc((low, low, high, high), 20, 200, fill="white", width=6)
    elif thing == "Box":
        draw.rectangle((low, middle * 0.8, high, high), fill=paint)
        draw.polygon(((low, middle * 0.8), (middle, low), (high, middle * 0.8)), fill="#d8c7a8")
    elif thing == "Tent":
        draw.polygon(((middle, low), (low * 0.6, high), (side - low * 0.6, high)), fill=paint)
        draw.polygon(((middle, middle), (middle * 0.8, high), (middle * 1.2, high)), fill="#333333")
    elif thing == "Rug":
        draw.rectangle((low * 0.6, low, side - low * 0.6, high), fill=paint)
        for stripe in range(5):
            draw.line((low * 0.6, low * 1.5 + stripe * 45, side - low * 0.6, low * 1.5 + stripe * 45), fill="white", width=10)
    else:
        draw.ellipse((low, low * 1.6, high, side - low * 0.4), outline=paint, width=26)
        draw.polygon(((middle, low * 0.4), (middle * 0.8, low * 1.4), (middle, low * 2), (middle * 1.2, low * 1.4)), fill="#8fd3e8")
    return image


def load_shop(services: Services, catalogue: Path, *, pairs: int = 10) -> IngestSummary:
    """Put a catalogue in, embed all of it here and fit the picture map; returns when everything is searchable."""
    engine, settings = services.engine, services.settings
    text, image = next(iter(services.encoders.text.values())), next(iter(services.encoders.image.values()))
    ensure_spaces(engine, text.card, image.card)
    summary = ingest(engine, read_catalog(catalogue), services.intake)
    maps = MapShelf(settings.home, engine)
    producers = Producers(services.encoders, maps)
    embed_pending(services, producers)
    fit_alignment(engine, text, image, maps, pairs=pairs)
    embed_pending(services, producers)
    engine.refresh()
    return summary


def embed_pending(services: Services, producers: Producers) -> None:
    """Work off every chunk that the feeder would send."""
    while chunks := services.engine.open_chunks(at_most=10, size=64):
        for chunk in chunks:
            embed_chunk(chunk.id, services.engine, producers, services.intake, EmbedLimits())
