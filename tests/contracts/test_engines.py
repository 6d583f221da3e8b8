"""The truth side of every engine."""

from __future__ import annotations

from tests.contracts.engine_catalog import CatalogContract
from tests.contracts.engine_ledger import AttemptsContract, ChunksContract, FailuresContract, text_engine
from tests.contracts.engine_mending import BoundedBackfillContract, MendingContract, PostponedContract
from tests.contracts.engine_vectors import BlobsContract, ControlContract, VectorsContract

__all__ = ["text_engine"]


class TestCatalog(CatalogContract): ...


class TestVectors(VectorsContract): ...


class TestControl(ControlContract): ...


class TestBlobs(BlobsContract): ...


class TestChunks(ChunksContract): ...


class TestAttempts(AttemptsContract): ...


class TestFailures(FailuresContract): ...


class TestPostponed(PostponedContract): ...


class TestBoundedBackfill(BoundedBackfillContract): ...


class TestMending(MendingContract): ...
