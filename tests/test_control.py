"""The control document: validation, and a reader that never fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hybrid_search.control import Control, ControlReader, edit_control, parse_control, replace_control
from hybrid_search.errors import ConflictError, EngineUnavailable, QueryError


class Shelf:
    """A control store in memory that can be put out of order, as an engine over a network can."""

    def __init__(self) -> None:
        self.version, self.body, self.broken = 0, {}, False  # type: tuple[int, Mapping[str, Any], bool]

    def read_control(self) -> tuple[int, Mapping[str, Any]]:
        if self.broken:
            raise EngineUnavailable("The engine is down.")
        return self.version, self.body

    def write_control(self, body: Mapping[str, Any], *, expected_version: int) -> int:
        self.version, self.body = self.version + 1, body
        return self.version


def test_a_change_is_seen_at_the_next_poll_and_a_failure_keeps_the_last_one() -> None:
    shelf = Shelf()
    reader = ControlReader(shelf, every=0.0)
    assert reader.current() == (0, Control())
    shelf.write_control({"fusion": "rrf"}, expected_version=0)
    assert reader.current() == (1, Control(fusion="rrf"))
    shelf.broken = True
    assert reader.current() == (1, Control(fusion="rrf"))
    assert reader.error is not None and "down" in reader.error
    shelf.broken = False
    shelf.write_control({"fusion": "no such method"}, expected_version=1)
    assert reader.current() == (1, Control(fusion="rrf"))
    assert reader.error is not None and "fusion" in reader.error
    shelf.write_control({}, expected_version=2)
    assert reader.current() == (3, Control())
    assert reader.error is None


def test_between_polls_nothing_is_read_unless_it_is_asked_for() -> None:
    shelf = Shelf()
    reader = ControlReader(shelf, every=3_600.0)
    reader.current()
    shelf.write_control({"fusion": "rrf"}, expected_version=0)
    assert reader.current() == (0, Control())
    assert reader.read_now() == reader.current() == (1, Control(fusion="rrf"))


def test_an_edit_starts_over_when_somebody_else_wrote() -> None:
    class Contested(Shelf):
        """Somebody else writes between the reading and the first two writes."""

        others = 2

        def write_control(self, body: Mapping[str, Any], *, expected_version: int) -> int:
            if self.others:
                self.others -= 1
                self.version, self.body = self.version + 1, {**self.body, "candidates": 100 + self.version}
            if expected_version != self.version:
                raise ConflictError("Somebody else wrote.")
            return super().write_control(body, expected_version=expected_version)

    shelf = Contested()
    version, control = edit_control(shelf, lambda body: body.update(fusion="rrf"))
    assert (version, control.fusion, control.candidates) == (3, "rrf", 101)
    assert edit_control(shelf, lambda body: None)[0] == 3, "no change, no new version"
    with pytest.raises(QueryError, match="fusion"):
        edit_control(shelf, lambda body: body.update(fusion="best"))


def test_replacing_the_document_undoes_no_cut_over() -> None:
    shelf = Shelf()
    switched = {"active_spaces": {"text": "text_2"}, "previous_spaces": {"text": "text_1"}, "encoders": {"m": "tiny:m"}}
    shelf.write_control({**switched, "backfill_per_second": 50.0, "fusion": "rrf", "candidates": 50}, expected_version=0)
    version, control = replace_control(shelf, Control(weights={"bm25": 1.0}))
    assert (version, control) == (shelf.version, parse_control(shelf.body))
    assert shelf.body == {**switched, "backfill_per_second": 50.0, "weights": {"bm25": 1.0}}, "what is left out returns to its default"
    replace_control(shelf, Control(active_spaces={}, backfill_per_second=0.0), expected_version=2)
    assert shelf.body == {**switched, "active_spaces": {}, "backfill_per_second": 0.0}


@pytest.mark.parametrize("expected_version", [None, 1])
def test_a_document_that_would_not_be_read_is_not_written(expected_version: int | None) -> None:
    shelf = Shelf()
    shelf.write_control({"backfill_per_second": -1.0}, expected_version=0)  # kept, since it is not named
    with pytest.raises(QueryError, match="backfill_per_second"):
        replace_control(shelf, Control(fusion="rrf"), expected_version=expected_version)
    assert (shelf.version, shelf.body) == (1, {"backfill_per_second": -1.0})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"weights": {"bm25": -1}}, "weights"),
        ({"weights": {"bm25": float("nan")}}, "weights"),
        ({"candidates": 0}, "candidates"),
        ({"no_such": 1}, "no_such"),
        ({"fusion": "best"}, "fusion"),
        ({"field_weights": {"titel": 1}}, "field_weights"),
        ({"weights": {"bm52": 1}}, "weights"),
        ({"minimum_should_match": "abc"}, "minimum_should_match"),
        ({"minimum_should_match": "2<"}, "minimum_should_match"),
    ],
)
def test_a_wrong_document_is_refused_with_the_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_control(body)
    assert caught.value.field is not None and caught.value.field.startswith(field)


def test_every_member_is_described() -> None:
    assert [name for name, info in Control.model_fields.items() if not info.description] == []
