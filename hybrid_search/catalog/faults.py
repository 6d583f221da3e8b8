"""Why a product was refused, in words that name the remedy instead of the validator's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hybrid_search.catalog.rows import Fault

_NUMBER = "must be a number such as 19.99 (decimal point, no thousands separator, no unit)"
_WHOLE = "must be a whole number such as 12"
_TIME = "must be a time such as 2024-05-31T12:00:00Z, or seconds since 1970"
_PATTERNS = {
    "gtin": "must have 8, 12, 13 or 14 digits and nothing else",
    "currency": "must be an ISO 4217 code of three capitals such as USD",
    "language": "must be a language tag such as en or zh-Hans",
}
_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is no field of a product: put it into attributes",
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "int_parsing": _WHOLE,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": _WHOLE,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of names to values",
    "model_type": "must be a mapping of field names to values",
    "model_attributes_type": "must be a mapping of field names to values",
}


def faults_of(error: ValidationError) -> list[Fault]:
    """One fault per refused value, in the order of the product's fields; a field inside another is named ``reviews.3.rating``."""
    return [_fault(dict(detail)) for detail in error.errors(include_url=False)]


def _fault(detail: Mapping[str, Any]) -> Fault:
    kind, location = detail["type"], detail["loc"]
    name = ".".join(str(part) for part in location)
    field = str(location[0]) if location else ""
    if kind == "string_pattern_mismatch" and field in _PATTERNS:
        reason = _PATTERNS[field]
    elif kind == "value_error":
        reason = str(detail["ctx"]["error"])
    elif kind in ("string_too_long", "too_long"):
        reason = f"is too long: at most {detail['ctx']['max_length']} {'characters' if isinstance(detail['input'], str) else 'values'}"
    else:
        reason = _REASONS.get(kind) or str(detail["msg"]).replace("Input should be", "must be")
    return Fault(name, None if kind == "missing" else detail["input"], reason)
