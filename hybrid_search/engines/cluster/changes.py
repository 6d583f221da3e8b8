"""Changes of stored documents, as one script with parameters: compiled once, and what it does not name (vectors) never travels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]
"""Keys from the top of a document to a value."""

_SCRIPT = """
for (def path : params.remove) {
  def at = ctx._source;
  for (int i = 0; i < path.size() - 1 && at != null; i++) { at = at.get(path.get(i)); }
  if (at != null) { at.remove(path.get(path.size() - 1)); }
}
for (def change : params.set) {
  def path = change.get(0);
  def at = ctx._source;
  for (int i = 0; i < path.size() - 1; i++) {
    if (at.get(path.get(i)) == null) { at.put(path.get(i), new HashMap()); }
    at = at.get(path.get(i));
  }
  at.put(path.get(path.size() - 1), change.get(1));
}
"""


@dataclass(slots=True)
class Change:
    """What is to be set and removed in one document; a value that is set replaces what was there, with all that was in it."""

    set: dict[Path, Any] = field(default_factory=dict)
    remove: list[Path] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.set or self.remove)

    def script(self) -> dict[str, Any]:
        """The body of an ``update``."""
        params = {"remove": self.remove, "set": list(self.set.items())}
        return {"script": {"lang": "painless", "source": _SCRIPT, "params": params}}


def difference(old: Mapping[str, Any], new: Mapping[str, Any], above: Path = ()) -> Change:
    """The change from one object to the other, key by key; values are replaced whole."""
    change = Change()
    change.remove = [(*above, key) for key in old if key not in new]
    change.set = {(*above, key): value for key, value in new.items() if key not in old or old[key] != value}
    return change
