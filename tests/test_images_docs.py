"""docs/images.md names every reason code and every limit."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from hybrid_search.catalog.images import REASONS, ImageLimits

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "images.md").read_text(encoding="utf-8")


def test_the_table_of_reasons_is_that_of_the_code() -> None:
    section = PAGE.split("## Reason codes")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(REASONS)


def test_the_table_of_limits_is_that_of_the_code() -> None:
    section = PAGE.split("## Limits")[1].split("\n## ")[0]
    assert set(re.findall(r"`(\w+)`(?:, `\w+`)* \|", section)) == {field.name for field in dataclasses.fields(ImageLimits)}
