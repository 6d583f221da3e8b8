"""The file that ``hybrid-search attach`` writes and a person edits: where the index is, which field is what, how it is followed."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hybrid_search.errors import SettingsError
from hybrid_search.product import Availability, Product

ATTRIBUTE = "attributes."
DOCUMENT_ID = "_id"
"""Stands for the document's own id instead of a field."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceTable(_Table):
    """Where the foreign index is."""

    url: str = Field(min_length=1)
    index: str = Field(min_length=1)
    engine: Literal["opensearch", "elasticsearch"]
    filter: dict[str, Any] = Field(default_factory=dict)
    user: str = ""
    password_file: Path | None = None
    api_key_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _no_secret_in_the_file(cls, value: str) -> str:
        if "@" in value:
            raise ValueError(
                "must not hold a user or password: use user and password_file, or the settings server_user and server_password"
            )
        return value


class FollowTable(_Table):
    """How changes of the foreign index are noticed. Times in seconds."""

    field: str = ""
    kind: Literal["date", "number"] = "date"
    overlap: float = Field(120.0, ge=0)
    every: float = Field(30.0, gt=0)
    compare_every: float = Field(3_600.0, gt=0)
    delete_at_most: float = Field(0.5, ge=0, le=1)


class CategoryTree(_Table):
    """Where the entries of a category list name themselves and their parents."""

    id: str
    parent: str


class AttributePair(_Table):
    """An array of objects that tells attributes as pairs of name and value."""

    name: str
    value: str


class AttachConfig(_Table):
    """The whole file. ``fields`` maps a product field, or ``attributes.<name>``, to paths in the foreign document."""

    source: SourceTable
    fields: dict[str, tuple[str, ...]]
    separators: dict[str, str] = Field(default_factory=dict)
    scales: dict[str, float] = Field(default_factory=dict)
    absent: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    constants: dict[str, Any] = Field(default_factory=dict)
    availability: dict[str, Availability] = Field(default_factory=dict)
    image_base: str = ""
    category_tree: CategoryTree | None = None
    attribute_pairs: tuple[AttributePair, ...] = ()
    follow: FollowTable = FollowTable()

    @field_validator("fields", "absent", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return {key: (given,) if isinstance(given, str) else given for key, given in value.items()} if isinstance(value, dict) else value

    @field_validator("fields", "separators", "scales", "absent", "constants")
    @classmethod
    def _known_targets(cls, value: dict[str, Any]) -> dict[str, Any]:
        for target in value:
            if target not in Product.model_fields and not (target.startswith(ATTRIBUTE) and len(target) > len(ATTRIBUTE)):
                raise ValueError(f"{target!r} is no product field: use one of {', '.join(Product.model_fields)}, attributes.<name>")
        return value

    @field_validator("fields")
    @classmethod
    def _has_an_id(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if len(value.get("id", ())) != 1:
            raise ValueError(f"id must name exactly one path, or {DOCUMENT_ID!r} for the document's own id")
        return value

    @property
    def id_path(self) -> str:
        return self.fields["id"][0]

    @property
    def reading(self) -> str:
        """Tells apart files that read other documents or read them differently; not those with another sign-in or rhythm."""
        told = self.model_dump_json(
            exclude={
                "source": {"url", "index", "engine", "user", "password_file", "api_key_file"},
                "follow": {"overlap", "every", "compare_every", "delete_at_most"},
            }
        )
        return hashlib.blake2b(told.encode(), digest_size=6).hexdigest()


def load_config(path: Path) -> AttachConfig:
    """Read the file. Raises ``SettingsError`` that names the wrong key."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise SettingsError(
            f"{path} cannot be read: {err.strerror}.",
            field="config",
            value=str(path),
            remedy="Write one with `hybrid-search attach --url … --index … --out …`.",
        ) from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise SettingsError(f"{path} is not valid TOML: {err}.", field="config", value=str(path), remedy="Correct that line.") from err
    try:
        return AttachConfig.model_validate(given)
    except ValidationError as err:
        lines = [f"{'.'.join(str(step) for step in e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in err.errors()]
        raise SettingsError(
            f"{path}: " + "; ".join(lines) + ".", field="config", value=str(path), remedy="See docs/attach.md for every key."
        ) from err
