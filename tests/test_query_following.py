"""A serving process that follows a cut-over: models loaded ahead, the pinned version asked only when it can be, faults told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hybrid_search.bootstrap import Services, build
from hybrid_search.control import ControlReader, edit_control
from hybrid_search.encoders.base import ModelCard
from hybrid_search.encoders.registry import TEXT_ENCODERS, text_encoder
from hybrid_search.engines.presence import Presence, Roster
from hybrid_search.errors import EncoderError
from hybrid_search.indexing import lifecycle
from hybrid_search.query.parts import Encoders
from hybrid_search.settings import load_settings
from hybrid_search.types import FloatMatrix, Space
from tests.indexing_parts import DIM, CountingText

LATER = Space("text", 0, DIM, "text", "later-text", {"text": "later-text"})


@dataclass
class LateText(CountingText):
    """A model whose weights are missing until they are brought."""

    card: ModelCard = ModelCard("later-text", DIM, "text", "CC0-1.0", "1")
    missing: bool = False
    asked: list[str] = field(default_factory=list)

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        self.asked += texts
        if self.missing:
            raise EncoderError("The weights are not there.")
        return super().encode_queries(texts)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[LateText]:
    made = LateText()
    monkeypatch.setitem(TEXT_ENCODERS, "later", lambda spec: made)
    text_encoder.cache_clear()
    yield made
    text_encoder.cache_clear()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Services]:
    services = build(load_settings(home=tmp_path / "home", text_encoder="offline-use"), follow=True)
    yield services
    services.close()


def told(services: Services, condition: Callable[[Presence], bool]) -> Presence:
    """The process's line in the roster once ``condition`` holds of it."""
    deadline = time.monotonic() + 15.0
    while time.monotonic() < deadline:
        for line in Roster(services.engine).present("api"):
            if condition(line):
                return line
        time.sleep(0.05)
    raise AssertionError(Roster(services.engine).present("api"))


def asks(services: Services) -> str:
    parts = services.search_parts
    return parts.spaces.active(parts.control.current()[1].active_spaces)["text"].key


def test_a_model_is_loaded_before_its_version_is_asked(serving: Services, later: LateText) -> None:
    engine = serving.engine
    lifecycle.add(engine, LATER, "later:x", {"text": "text_1"})
    assert told(serving, lambda line: line.active == {"text": "text_1", "image": "image_1"}).prepared == ()
    assert later.asked == [], "a version that is only there costs no memory"
    edit_control(engine, lambda body: body.update(prepared_spaces=["text_2"]))
    assert told(serving, lambda line: "text_2" in line.prepared).active["text"] == "text_1"
    assert later.asked == ["ready"]
    edit_control(engine, lambda body: body.update(active_spaces={"text": "text_2"}, prepared_spaces=[]))
    told(serving, lambda line: line.active["text"] == "text_2")
    assert asks(serving) == "text_2"
    serving.close()
    assert Roster(engine).present("api") == []


def test_a_model_that_cannot_be_loaded_is_told_and_the_old_version_answers(serving: Services, later: LateText) -> None:
    later.missing = True
    lifecycle.add(serving.engine, LATER, "later:x", {"text": "text_1"})
    edit_control(serving.engine, lambda body: body.update(active_spaces={"text": "text_2"}))
    line = told(serving, lambda line: bool(line.faults))
    assert line.faults == {"text_2": "The weights are not there."}
    assert (line.active["text"], asks(serving)) == ("text_1", "text_1")
    asked = len(later.asked)
    told(serving, lambda line: True)
    assert len(later.asked) == asked == 1, "not tried again at every look"


def test_a_process_that_prepares_nothing_asks_the_pinned_version_it_can_make(serving: Services, later: LateText) -> None:
    lifecycle.add(serving.engine, LATER, "later:x", {"text": "text_1"})
    looking = build(serving.settings, index=False, make_spaces=False)
    assert asks(looking) == "text_1"
    edit_control(serving.engine, lambda body: body.update(active_spaces={"text": "text_2"}))
    looking.search_parts.control.read_now()
    assert asks(looking) == "text_2"
    looking.close()


def test_an_encoder_that_was_noted_a_moment_ago_is_found(tmp_path: Path, serving: Services, later: LateText) -> None:
    control = ControlReader(serving.engine, every=3_600.0)
    control.current()

    def specs(fresh: bool) -> Mapping[str, str]:
        return (control.read_now() if fresh else control.current())[1].encoders

    encoders = Encoders({}, {}, specs)
    edit_control(serving.engine, lambda body: body.update(encoders={"later-text": "later:x", "other-name": "later:x"}))
    assert encoders.text_encoder("later-text") is later
    with pytest.raises(EncoderError, match="'later:x' makes 'later-text' here, not 'other-name'"):
        encoders.text_encoder("other-name")
    with pytest.raises(EncoderError, match="No image encoder 'nobody' here"):
        encoders.image_encoder("nobody")
