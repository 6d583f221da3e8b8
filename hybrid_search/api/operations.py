"""What a view does, said once: the scope that is enforced and the models that are documented come from the same line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Flask, current_app, request
from pydantic import BaseModel

from hybrid_search.api.auth import require_scope
from hybrid_search.settings import Scope, Settings

View = TypeVar("View", bound=Callable[..., Any])

_ATTRIBUTE = "hybrid_search_operation"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address.

    ``scope`` is needed to call it (``None``: nobody is asked). ``bodies`` are request models by media type, ``None`` for raw bytes;
    ``query`` is the model of its query parameters; ``replies`` are models (or a media type) by status; ``documented`` is false for
    pages, which the OpenAPI description leaves out.
    """

    scope: Scope | None
    summary: str = ""
    tag: str = ""
    bodies: Mapping[str, type[BaseModel] | None] = field(default_factory=dict)
    query: type[BaseModel] | None = None
    replies: Mapping[int, type[BaseModel] | str] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    documented: bool = True


def operation(
    scope: Scope | None,
    summary: str,
    tag: str,
    *,
    bodies: Mapping[str, type[BaseModel] | None] | None = None,
    query: type[BaseModel] | None = None,
    replies: Mapping[int, type[BaseModel] | str],
    problems: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """Declare an API view."""
    return _declare(Operation(scope, summary, tag, bodies or {}, query, replies, problems))


def page(scope: Scope | None) -> Callable[[View], View]:
    """Declare a view that answers people: enforced like the others, but no part of the OpenAPI description."""
    return _declare(Operation(scope, documented=False))


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """What ``view`` was declared as."""
    found = getattr(view, _ATTRIBUTE, None)
    return found if isinstance(found, Operation) else None


def register_scopes(app: Flask, settings: Settings) -> None:
    """Ask every request for the scope that its view declares; a view that declares nothing needs ``admin``."""

    @app.before_request
    def _check() -> None:
        if request.endpoint is None or request.endpoint == "static":
            return
        declared = operation_of(current_app.view_functions[request.endpoint])
        scope: Scope | None = declared.scope if declared else "admin"
        if scope is not None:
            require_scope(settings.api_keys, scope)


def _declare(declared: Operation) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, _ATTRIBUTE, declared)
        return view

    return mark
