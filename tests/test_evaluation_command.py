"""``hybrid-search evaluate`` from the outside: a small set, its figures, and what it says of broken input."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image, ImageDraw

COLOURS = ("red", "green", "blue", "orange", "purple", "black", "yellow", "brown")
THINGS = ("mug", "lamp", "chair")


def evaluate(*arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "hybrid-search"), "evaluate", "--cache", str(cache), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("towers")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 plain things in eight colours, drawn; words and pictures ask for them."""
    folder = tmp_path_factory.mktemp("sets") / "things"
    (folder / "images").mkdir(parents=True)
    (folder / "query_images_try").mkdir()
    products: list[dict[str, str]] = []
    qrels: list[str] = []
    for thing in THINGS:
        for colour in COLOURS:
            id_ = f"x{len(products):02d}"
            draw(thing, colour, 224).save(folder / "images" / f"{id_}.jpg")
            products.append({"id": id_, "title": f"{colour} {thing}", "sku": f"SKU{id_}", "image": f"images/{id_}.jpg"})
    queries: list[dict[str, str]] = [
        {"query_id": f"t{i}", "text": p["title"], "lang": "en", "kind": "title"} for i, p in enumerate(products[::3])
    ]
    qrels += [f"t{i}\t{p['id']}\t2" for i, p in enumerate(products[::3])]
    for i, product in enumerate(products[::4]):
        colour, thing = product["title"].split()
        draw(thing, colour, 160).save(folder / "query_images_try" / f"p{i}.jpg")
        queries.append({"query_id": f"p{i}", "text": "", "image": f"query_images_try/p{i}.jpg", "lang": "none", "kind": "img"})
        qrels.append(f"p{i}\t{product['id']}\t2")
    queries.append({"query_id": "sku", "text": "SKUx07", "lang": "en", "kind": "title"})
    qrels.append("sku\tx07\t2")
    (folder / "products.jsonl").write_bytes(b"\n".join(map(orjson.dumps, products)))
    (folder / "queries.try.jsonl").write_bytes(b"\n".join(map(orjson.dumps, queries)))
    (folder / "qrels.try.tsv").write_text("query_id\tproduct_id\tgrade\n" + "\n".join(qrels))
    return folder


def draw(thing: str, colour: str, side: int) -> Image.Image:
    image = Image.new("RGB", (side, side), "white")
    pen, s = ImageDraw.Draw(image), side / 16
    boxes: dict[str, list[tuple[float, float, float, float]]] = {
        "mug": [(4, 5, 10, 13), (10, 7, 12, 11)],
        "lamp": [(5, 2, 11, 6), (7, 6, 9, 14)],
        "chair": [(4, 2, 5, 14), (4, 8, 12, 9), (11, 9, 12, 14)],
    }
    for box in boxes[thing]:
        pen.rectangle([v * s for v in box], fill=colour)
    return image


@pytest.fixture(scope="module")
def figures(shop: Path, cache: Path) -> dict[str, Any]:
    done = evaluate("--data", shop, "--split", "try", "--json", "-", "--text-encoder", "offline-use", cache=cache)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["systems"])


def test_every_system_that_the_set_allows_is_measured_on_the_queries_it_can_answer(figures: dict[str, Any]) -> None:
    assert {name: system["queries"] for name, system in figures.items()} == {
        "random": 15,
        "bm25": 9,
        "text": 9,
        "cross": 9,
        "image": 6,
        "hybrid": 15,
    }


def test_words_find_titles_and_never_identifiers(figures: dict[str, Any]) -> None:
    """Eight queries are titles and must be found at rank 1; the ninth is an SKU, which is not indexed."""
    assert figures["bm25"]["mrr"] == pytest.approx(8 / 9, abs=1e-3)
    assert figures["bm25"]["recall@100"] == pytest.approx(8 / 9, abs=1e-3)


def test_the_same_picture_at_another_size_is_found(figures: dict[str, Any]) -> None:
    assert figures["image"]["ndcg@10"] > 0.8 > figures["random"]["ndcg@10"]


def test_a_second_run_says_the_same(shop: Path, cache: Path, figures: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    done = evaluate("--data", shop, "--split", "try", "--json", path, "--text-encoder", "offline-use", cache=cache)
    assert done.returncode == 0, done.stderr
    assert json.loads(path.read_text())["systems"] == figures
    assert "things, try" in done.stdout


def test_without_words_and_pairs_only_pictures_are_left(shop: Path, cache: Path) -> None:
    done = evaluate("--data", shop, "--split", "try", "--index", "image", "--json", "-", "--text-encoder", "offline-use", cache=cache)
    assert done.returncode == 0, done.stderr
    systems = json.loads(done.stdout)["systems"]
    assert "bm25" not in systems
    assert "text" not in systems
    assert systems["image"]["worse_than_bm25"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "other"), "queries.other.jsonl is missing. Splits there: try."),
        (("--split", "try", "--index", "sku"), "--index: unknown field 'sku'"),
        (("--split", "try", "--engine", "nonesuch"), "Unknown engine 'nonesuch'"),
        (("--split", "try", "--text-encoder", "nonesuch"), "Unknown text encoder 'nonesuch'"),
        (("--split", "try", "--fit-on", "nowhere"), "nowhere is not a folder"),
        (("--split", "try", "--json", "/nowhere/at/all.json"), "the folder /nowhere/at does not exist"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(shop: Path, cache: Path, arguments: tuple[str, ...], message: str) -> None:
    done = evaluate("--data", shop, *arguments, cache=cache)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_floors_of_words_against_pictures(data_dir: Path, cache: Path, tmp_path: Path) -> None:
    """Shop items found by words through their pictures alone: ridge regression from the same features reached .738 nDCG@10."""
    with tarfile.open(data_dir / "magento_luma.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    done = evaluate("--data", tmp_path / "magento_luma", "--split", "dev", "--json", "-", cache=cache)
    assert done.returncode == 0, done.stderr
    systems = json.loads(done.stdout)["systems"]
    assert systems["cross"]["ndcg@10"] >= 0.728
    assert systems["text"]["ndcg@10"] >= 0.589
    assert systems["bm25"]["ndcg@10"] >= 0.308
    assert systems["hybrid"]["worse_than_bm25"] <= 0.05
