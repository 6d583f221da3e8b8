"""One evaluation from folder to report."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import orjson
from rich.console import Console

from hybrid_search.console import progress, settings
from hybrid_search.encoders.registry import image_encoder, text_encoder
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.errors import SettingsError
from hybrid_search.evaluation.fields import FIELDS, fair_fields, parse_fields
from hybrid_search.evaluation.index import Towers, built_index
from hybrid_search.evaluation.remember import RememberingImages, RememberingText
from hybrid_search.evaluation.report import show, summary
from hybrid_search.evaluation.sets import read_products, read_set
from hybrid_search.evaluation.systems import run_systems


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of ``hybrid-search evaluate``; ``None`` is the default of each."""

    data: Path
    split: str
    cache: Path
    index: str | None = None
    fit_on: Path | None = None
    engine: str = "embedded"
    text_encoder: str | None = None
    image_encoder: str | None = None
    json: Path | None = None


def evaluate_set(choices: Choices) -> None:
    """Read, index, ask, measure, print.

    Raises:
        CatalogError: the folder, or the one to fit on, cannot be read.
        QueryError: an unknown field.
        SettingsError: an unknown engine, or a folder or file that cannot be written.
        EncoderError: a model cannot be loaded.
    """
    to_stdout = str(choices.json) == "-"
    if choices.json is not None and not to_stdout and not choices.json.parent.is_dir():
        raise SettingsError(
            f"--json: the folder {choices.json.parent} does not exist.", field="json", value=str(choices.json), remedy="Create it."
        )
    configured = settings(text_encoder=choices.text_encoder, image_encoder=choices.image_encoder)
    text, image = text_encoder(configured.text_encoder), image_encoder(configured.image_encoder)
    fields = None if choices.index is None else parse_fields(choices.index)
    with progress("reading", 100) as advance:
        evaluation = read_set(choices.data, choices.split, progress=lambda done: advance(int(100 * done)))
    fit_on = None if choices.fit_on is None else read_products(choices.fit_on)[0]
    chosen = fair_fields(evaluation) if fields is None else fields
    with closing(EmbeddedEngine(choices.cache, index=False)) as memory:
        towers = Towers(RememberingText(text, memory), RememberingImages(image, memory))
        with built_index(evaluation, chosen, towers, engine=choices.engine, fit_on=fit_on) as built:
            outcomes = run_systems(built, evaluation)
            notes = built.notes
    figures = orjson.dumps(summary(outcomes), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if to_stdout:
        sys.stdout.write(figures.decode())
        return
    console = Console()
    show(evaluation, outcomes, console)
    left_out = [field for field in FIELDS if field not in chosen]
    console.print(f"[dim]indexed: {', '.join(chosen)}{'; left out: ' + ', '.join(left_out) if left_out else ''}[/dim]", highlight=False)
    console.print(f"[dim]encoders: {text.card.name}, {image.card.name}; engine: {choices.engine}[/dim]", highlight=False)
    for note in (*((f"{evaluation.rejected} rows of the catalogue were refused",) if evaluation.rejected else ()), *notes):
        console.print(f"[yellow]{note}[/yellow]", highlight=False)
    if choices.json is not None:
        try:
            choices.json.write_bytes(figures)
        except OSError as err:
            raise SettingsError(
                f"--json: {choices.json} cannot be written: {err.strerror}.", field="json", value=str(choices.json)
            ) from err
