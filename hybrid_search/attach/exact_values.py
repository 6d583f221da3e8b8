"""Values that shoppers give as clauses on a field of a foreign index. Pure.

A server refuses the whole search for a value that a field's type cannot hold: such a value is left out, no document has it.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hybrid_search.attach.schema import DATE_TYPES, NUMBER_TYPES, SourceField
from hybrid_search.engines.cluster.fields import Clause

NOTHING: Clause = {"match_none": {}}
_WHOLE = re.compile(r"(-?[0-9]{1,40})(\.0{1,40})?")
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?(e[+-]?[0-9]{1,3})?")
_WHOLE_NUMBERS = {
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "unsigned_long": (0, 2**64 - 1),
}
_LARGEST = {"half_float": 65_504.0, "float": 3.4028234e38, "scaled_float": 2.0**63, "double": math.inf}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NANOS = 2**63 // 10**6 - 1
"""The last millisecond of ``date_nanos``, which begins at 1970."""


def having(told: SourceField, values: Sequence[str]) -> Clause:
    """Documents that have one of ``values``; times are ISO 8601, UTC where they name no zone."""
    if not is_time(told):
        return {"terms": {told.exact: [value for value in values if can_hold(told, value)]}}
    times = [moment for value in values if (moment := _milliseconds(told, value)) is not None]
    spans: list[Clause] = [{"range": {told.exact: {"gte": one, "lt": one + 1, "format": "epoch_millis"}}} for one in times]
    return {"bool": {"should": spans}} if spans else NOTHING


def is_text(told: SourceField) -> bool:
    """Whether its exact values are text."""
    return told.exact != told.path or told.type not in NUMBER_TYPES | DATE_TYPES | {"boolean", "ip"}


def is_time(told: SourceField) -> bool:
    return told.exact == told.path and told.type in DATE_TYPES


def can_hold(told: SourceField, value: str) -> bool:
    """Whether a field of that type can be asked for ``value``."""
    if is_text(told):
        return True
    if told.type == "boolean":
        return value in ("true", "false")
    if told.type == "ip":
        return _is_address(value)
    if told.type in DATE_TYPES:
        return _milliseconds(told, value) is not None
    if told.type in _WHOLE_NUMBERS:
        least, most = _WHOLE_NUMBERS[told.type]
        whole = _WHOLE.fullmatch(value)
        return whole is not None and least <= int(whole[1]) <= most
    return _NUMBER.fullmatch(value) is not None and math.isfinite(float(value)) and abs(float(value)) <= _LARGEST[told.type]


def shown_time(milliseconds: float) -> str:
    """A time since 1970 as ISO 8601, empty for one that no calendar here has."""
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def _milliseconds(told: SourceField, value: str) -> int | None:
    try:
        moment = datetime.fromisoformat(value)
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        return None
    milliseconds = found // timedelta(milliseconds=1)
    return milliseconds if told.type == "date" or 0 <= milliseconds <= _LAST_NANOS else None
