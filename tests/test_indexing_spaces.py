"""Which spaces two towers need, and that asking twice makes none twice."""

from __future__ import annotations

from pathlib import Path

from hybrid_search.encoders.base import ModelCard
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.indexing.align import alignment_due
from hybrid_search.indexing.maps import MapShelf
from hybrid_search.indexing.spaces import add_version, default_spaces, ensure_spaces, share_a_space
from hybrid_search.types import Space
from tests.indexing_parts import CountingImage, CountingText

WORDS = ModelCard("words", 512, "text", "MIT", "1")
EYES = ModelCard("eyes", 512, "image", "MIT", "1")


def clip(modality: str, model: str = "open_clip:ViT-B-32/laion2b") -> ModelCard:
    return ModelCard(model, 512, modality, "MIT", "1")  # type: ignore[arg-type]


def test_two_towers_have_a_space_each() -> None:
    assert default_spaces(WORDS, EYES) == (
        Space("text", 1, 512, "text", "words", {"text": "words"}),
        Space("image", 1, 512, "image", "eyes", {"image": "eyes"}),
    )
    assert not share_a_space(WORDS, EYES)


def test_words_ask_the_image_space_of_a_pair() -> None:
    text, image = clip("text"), clip("image")
    assert default_spaces(text, image)[1].query_models == {"image": image.name, "text": text.name}
    assert default_spaces(text, image)[0].query_models == {"text": text.name}
    assert not share_a_space(text, clip("image", "open_clip:ViT-L-14/openai"))


def test_a_pair_needs_no_map(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, index=False)
    text, image = CountingText(card=clip("text")), CountingImage(card=clip("image"))
    ensure_spaces(engine, text.card, image.card)
    assert not alignment_due(engine.status(), engine.spaces(), text, image, MapShelf(tmp_path, engine), 0)
    engine.close()


def test_spaces_are_made_once_and_a_new_model_is_a_new_version(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, index=False)
    first = ensure_spaces(engine, WORDS, EYES)
    assert ensure_spaces(engine, WORDS, EYES) == first
    other = ModelCard("other-words", 384, "text", "MIT", "1")
    keys = [space.key for space in ensure_spaces(engine, other, EYES)]
    assert keys == ["text_1", "image_1", "text_2"]
    assert [space.key for space in ensure_spaces(engine, WORDS, EYES)] == keys, "two processes that disagree make no more"
    engine.close()


def test_somebody_else_may_take_the_version_first(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, index=False)
    wanted = Space("text", 1, 8, "text", "mine", {"text": "mine"})

    class Late:
        """Answers the first look at the list from before another process's write."""

        stale = True

        def spaces(self) -> tuple[Space, ...]:
            if self.stale:
                self.stale = False
                return ()
            return engine.spaces()

        def add_space(self, space: Space) -> None:
            engine.add_space(space)

    engine.add_space(Space("text", 1, 8, "text", "theirs", {"text": "theirs"}))
    assert add_version(Late(), wanted).key == "text_2"  # type: ignore[arg-type]
    engine.close()
