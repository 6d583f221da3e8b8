"""Fixtures that every suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = ["tests.servers"]

ROOT = Path(__file__).resolve().parents[1]
DATA_DIR = Path(os.environ.get("HYBRID_SEARCH_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the packed evaluation sets; tests that need it are skipped where it is absent."""
    if not DATA_DIR.is_dir():
        pytest.skip(
            f"no evaluation data at {DATA_DIR}: set HYBRID_SEARCH_TEST_DATA to the folder that holds magento_luma.tar.gz and the others"
        )
    return DATA_DIR
