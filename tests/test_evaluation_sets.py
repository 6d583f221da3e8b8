"""Evaluation folders: what is read, and what a broken one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hybrid_search.errors import CatalogError
from hybrid_search.evaluation.sets import Query, read_set


def write_set(folder: Path, *, queries: str, qrels: str, products: str = '{"id": "a", "title": "Mug"}\n') -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "products.jsonl").write_text(products, encoding="utf-8", newline="\n")
    (folder / "queries.dev.jsonl").write_text(queries, encoding="utf-8", newline="\n")
    (folder / "qrels.dev.tsv").write_text(qrels, encoding="utf-8", newline="\n")
    return folder


def test_words_pictures_and_grades_are_read(tmp_path: Path) -> None:
    (tmp_path / "query_images_dev").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "query_images_dev" / "q2.jpg")
    queries = (
        '{"query_id": "q1", "text": " red\u2028mug ", "lang": "en", "kind": "colour"}\n'
        '{"query_id": "q2", "text": "", "image": "query_images_dev/q2.jpg"}\n'
    )
    found = read_set(write_set(tmp_path, queries=queries, qrels="query_id\tproduct_id\tgrade\nq1\ta\t2\nq1\tb\t0\nq2\ta\t1\n"), "dev")
    assert [p.id for p in found.products] == ["a"]
    assert found.queries[0] == Query("q1", "red\u2028mug", None, "en", "colour")
    assert found.queries[1].image == tmp_path / "query_images_dev/q2.jpg"
    assert [q.modality for q in found.queries] == ["text", "image"]
    assert found.qrels == {"q1": {"a": 2, "b": 0}, "q2": {"a": 1}}


def test_another_split_has_other_files(tmp_path: Path) -> None:
    write_set(tmp_path, queries='{"query_id": "q1", "text": "mug"}\n', qrels="q1\ta\t2\n")
    (tmp_path / "queries.secret.jsonl").write_text('{"query_id": "s1", "text": "cup"}\n')
    (tmp_path / "qrels.secret.tsv").write_text("s1\ta\t3\n")
    assert [q.id for q in read_set(tmp_path, "secret").queries] == ["s1"]


def test_a_missing_file_is_named_with_the_splits_there_are(tmp_path: Path) -> None:
    write_set(tmp_path, queries='{"query_id": "q1", "text": "mug"}\n', qrels="q1\ta\t2\n")
    (tmp_path / "qrels.dev.tsv").rename(tmp_path / "qrels.other.tsv")
    with pytest.raises(CatalogError, match=r"qrels\.dev\.tsv is missing.*Splits there: other"):
        read_set(tmp_path, "dev")


def test_rejected_rows_are_counted(tmp_path: Path) -> None:
    products = '{"id": "a", "title": "Mug"}\n{"id": "b", "price": "much"}\n'
    found = read_set(write_set(tmp_path, queries='{"query_id": "q1", "text": "mug"}\n', qrels="q1\ta\t2\n", products=products), "dev")
    assert (len(found.products), found.rejected) == (1, 1)


@pytest.mark.parametrize(
    ("queries", "qrels", "message"),
    [
        ("{]\n", "q1\ta\t2\n", r"queries\.dev\.jsonl, line 1: not a JSON object"),
        ('{"text": "mug"}\n', "q1\ta\t2\n", r"line 1: no query_id"),
        ('{"query_id": "q1"}\n', "q1\ta\t2\n", r"line 1: neither text nor image"),
        ('{"query_id": "q1", "text": "a"}\n{"query_id": "q1", "text": "b"}\n', "q1\ta\t2\n", r"line 2: query_id 'q1' was already given"),
        ('{"query_id": "q1", "image": "gone.jpg"}\n', "q1\ta\t2\n", r"line 1: its picture .*gone\.jpg is missing"),
        ('{"query_id": "q1", "text": "mug"}\n', "q1 a 2\n", r"qrels\.dev\.tsv, line 1: not query id"),
        ('{"query_id": "q1", "text": "mug"}\n', "q1\ta\tgood\n", r"qrels\.dev\.tsv, line 1"),
        ('{"query_id": "q1", "text": "mug"}\n', "q9\ta\t2\n", r"No query of queries\.dev\.jsonl is judged"),
        ("\n", "q1\ta\t2\n", r"queries\.dev\.jsonl holds no query"),
    ],
)
def test_a_broken_file_is_told_by_name_and_line(tmp_path: Path, queries: str, qrels: str, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        read_set(write_set(tmp_path, queries=queries, qrels=qrels), "dev")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="is not a folder"):
        read_set(tmp_path / "nowhere", "dev")
