"""The errors a user can meet. Each message names what was wrong, with its value, and the remedy."""

from __future__ import annotations


class HybridSearchError(Exception):
    """Base of every error that is shown to a user instead of a traceback.

    Args:
        message: what is wrong, in one sentence, naming the key and the value.
        field: the setting, field, parameter or file at fault, if there is one.
        value: its value as given (shortened by whoever shows it).
        remedy: what to do about it, in one sentence.
    """

    def __init__(self, message: str, *, field: str | None = None, value: object = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.value = value
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class SettingsError(HybridSearchError):
    """A setting is missing, malformed or contradicts another."""


class CatalogError(HybridSearchError):
    """A catalogue as a whole cannot be read (a bad row is a reject, not an error)."""


class ImageError(HybridSearchError):
    """An image was refused or could not be read.

    ``reason`` is a stable code (``hybrid_search.catalog.images.REASONS``); ``transient`` says whether a later try may succeed.
    """

    def __init__(self, reason: str, message: str, *, transient: bool = False, value: object = None, remedy: str | None = None) -> None:
        super().__init__(message, field="image", value=value, remedy=remedy)
        self.reason = reason
        self.transient = transient


class EncoderError(HybridSearchError):
    """A model is unknown, cannot be loaded, or does not fit the space it is asked to fill."""


class EngineError(HybridSearchError):
    """The search engine refused a request."""


class EngineUnavailable(EngineError):
    """The search engine cannot be reached, or its folder cannot be written; a later try may succeed."""


class ConflictError(EngineError):
    """A conditional write met a newer version."""


class ReadOnlyError(EngineError):
    """Products are not written here: somebody else owns the index."""


class QueryError(HybridSearchError):
    """A search request cannot be answered as asked (unknown field, window too large, forged cursor …)."""


class NotFoundError(HybridSearchError):
    """A product, space or other named thing does not exist."""
