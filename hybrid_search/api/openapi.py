"""The OpenAPI 3.1 description, made from the declared operations and the very models that validate."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from werkzeug.routing import Rule

from hybrid_search.api import problems
from hybrid_search.api.operations import Operation, operation_of

SCHEMA_PREFIX = "#/components/schemas/"
ALWAYS = (401, 403, 500, 503)

TAGS = {
    "search": "Find products by words, by pictures, by both, or by another product.",
    "products": "Put products in, read them, take them out.",
    "status": "What the service is doing, what failed, and whether it is well.",
    "control": "The one document that may change while everything runs.",
}

_Key = tuple[type[BaseModel], JsonSchemaMode]


def describe(app: Flask) -> dict[str, Any]:
    """The OpenAPI 3.1 document of all declared operations of ``app``."""
    operations = sorted(_operations(app), key=lambda item: (item[0], item[1]))
    references, schemas = _schemas([declared for _, _, declared, _ in operations])
    paths: dict[str, dict[str, Any]] = {}
    for path, method, declared, view in operations:
        paths.setdefault(path, {})[method] = _operation(path, method, declared, view, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hybrid-search",
            "version": version("hybrid-search"),
            "summary": "Hybrid cross-modal product search.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key. Not needed where no keys are configured."},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key in a header of its own."},
            },
        },
    }


def _operations(app: Flask) -> Iterator[tuple[str, str, Operation, Callable[..., Any]]]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        declared = operation_of(view)
        if declared and declared.documented:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield _path(rule), method.lower(), declared, view


def _path(rule: Rule) -> str:
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _schemas(operations: list[Operation]) -> tuple[dict[_Key, dict[str, Any]], dict[str, Any]]:
    """References by (model, direction) and the definitions they point to."""
    wanted: set[_Key] = {(problems.ProblemBody, "serialization")}
    for declared in operations:
        wanted |= {(model, "validation") for model in declared.bodies.values() if model}
        wanted |= {(model, "serialization") for model in declared.replies.values() if not isinstance(model, str)}
    ordered = sorted(wanted, key=lambda key: (key[0].__name__, key[1]))
    references, definitions = models_json_schema(ordered, ref_template=SCHEMA_PREFIX + "{model}")
    return {key: references[key] for key in ordered}, dict(definitions.get("$defs", {}))


def _operation(
    path: str, method: str, declared: Operation, view: Callable[..., Any], references: dict[_Key, dict[str, Any]]
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": view.__name__,
        "tags": [declared.tag],
        "summary": declared.summary,
        "description": inspect.cleandoc(view.__doc__ or ""),
        "parameters": [*_path_parameters(path), *_query_parameters(declared)],
        "responses": _replies(declared, references),
        "security": [{"bearer": []}, {"header": []}] if declared.scope else [],
    }
    if declared.scope:
        described["description"] += f"\n\nScope: `{declared.scope}`."
    if declared.bodies:
        content = {media: _media(media, model, references) for media, model in declared.bodies.items()}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _media(media: str, model: type[BaseModel] | None, references: dict[_Key, dict[str, Any]]) -> dict[str, Any]:
    if model is None:
        return {"schema": {"type": "string", "description": "Products as in PUT, one JSON object per line."}}
    reference = references[(model, "validation")]
    if media != "multipart/form-data":
        return {"schema": reference}
    picture = {"type": "array", "items": {"type": "string", "contentMediaType": "application/octet-stream"}, "maxItems": 5}
    form = {"type": "object", "properties": {"request": reference, "image": picture}}
    return {"schema": form, "encoding": {"request": {"contentType": "application/json"}}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "minimum": 0} if name == "number" else {"type": "string"},
        }
        for name in re.findall(r"{([^}]+)}", path)
    ]


def _query_parameters(declared: Operation) -> list[dict[str, Any]]:
    if declared.query is None:
        return []
    schema = declared.query.model_json_schema()
    required = set(schema.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "description": prop.pop("description", ""), "schema": prop}
        for name, prop in schema["properties"].items()
    ]


def _replies(declared: Operation, references: dict[_Key, dict[str, Any]]) -> dict[str, Any]:
    replies: dict[str, Any] = {}
    for status, model in declared.replies.items():
        content = {model: {}} if isinstance(model, str) else {"application/json": {"schema": references[(model, "serialization")]}}
        replies[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    problem = {problems.MEDIA_TYPE: {"schema": references[(problems.ProblemBody, "serialization")]}}
    always = ALWAYS if declared.scope else (500,)
    for status in sorted({*declared.problems, *always} - set(declared.replies)):
        replies[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    return replies
