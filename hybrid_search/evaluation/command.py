"""``hybrid-search evaluate``: how well the product searches a set with judgements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_CACHE = "hybrid-search/evaluate"


def evaluate(
    data: Annotated[Path, typer.Option(help="Folder with products.jsonl, queries.NAME.jsonl and qrels.NAME.tsv.")],
    split: Annotated[str, typer.Option(help="NAME of the queries and judgements.")],
    index: Annotated[
        str | None,
        typer.Option(
            help="Fields that reach the index, as in title,description,image; or all.", show_default="all that do not leak the answers"
        ),
    ] = None,
    fit_on: Annotated[
        Path | None,
        typer.Option(
            help="Another catalogue folder to fit the map from pictures to words on.", show_default="the set itself, cross-fitted"
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help="Engine that holds the throw-away index.")] = "embedded",
    text_encoder: Annotated[str | None, typer.Option(help="Text tower.", show_default="the setting text_encoder")] = None,
    image_encoder: Annotated[str | None, typer.Option(help="Image tower.", show_default="the setting image_encoder")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps what the towers computed.", show_default="~/.cache/hybrid-search/evaluate")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file as JSON, too; - is stdout, without the table.")] = None,
) -> None:
    """Measure the systems on a set with judgements: random, BM25, word vectors, words against pictures, pictures against pictures, the default blend.

    Every system retrieves from the whole catalogue. Identifiers and file names are never indexed; where queries were made from labels
    (kinds named colour or category), label fields are left out unless --index names them. Intervals are paired bootstraps over queries.

    Examples:

        hybrid-search evaluate --data sets/esci_us --split dev

        hybrid-search evaluate --data sets/magento_luma --split dev --index title,description,image --json luma.json

        hybrid-search evaluate --data sets/grocery_photos --split dev --fit-on sets/grocery_img2prod
    """
    from hybrid_search.evaluation.evaluate import Choices, evaluate_set

    evaluate_set(
        Choices(
            data=data,
            split=split,
            index=index,
            fit_on=fit_on,
            engine=engine,
            text_encoder=text_encoder,
            image_encoder=image_encoder,
            cache=cache or _default_cache(),
            json=json,
        )
    )


def _default_cache() -> Path:
    import os

    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _CACHE
