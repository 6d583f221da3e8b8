"""The tree's order: imports point one way, and each heavy library stays in its room."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ROOMS = {
    "flask": ("hybrid_search/api/",),
    "flask_openapi3": ("hybrid_search/api/",),
    "celery": ("workers/",),
    "kombu": ("workers/",),
    "torch": ("hybrid_search/encoders/",),
    "torchvision": ("hybrid_search/encoders/",),
    "onnxruntime": ("hybrid_search/encoders/",),
    "transformers": ("hybrid_search/encoders/",),
    "open_clip": ("hybrid_search/encoders/",),
    "prometheus_client": ("hybrid_search/telemetry/", "hybrid_search/api/metrics.py", "workers/metrics.py"),
    "structlog": ("hybrid_search/telemetry/",),
    "opentelemetry": ("hybrid_search/telemetry/", "hybrid_search/api/tracing.py", "workers/tracing.py"),
    "opensearchpy": ("hybrid_search/engines/opensearch/",),
    "sqlite3": ("hybrid_search/engines/embedded/",),
    "httpx": ("hybrid_search/catalog/images/", "hybrid_search/demo/"),
    "httpcore": ("hybrid_search/catalog/images/",),
}
"""Top-level library to the folders that may import it, early or late."""


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, node.lineno


@pytest.mark.parametrize("library", ROOMS)
def test_a_heavy_library_stays_in_its_room(library: str) -> None:
    strays = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in ("hybrid_search", "workers")
        for path in (ROOT / package).rglob("*.py")
        for name, line in _imports(path)
        if name.split(".")[0] == library and not str(path.relative_to(ROOT)).startswith(ROOMS[library])
    ]
    assert strays == []


def test_imports_point_one_way() -> None:
    done = subprocess.run([Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['hybrid-search', '--help']\n"
        "from hybrid_search.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'numpy', 'pydantic', 'flask', 'celery', 'onnxruntime', 'PIL', 'tantivy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
