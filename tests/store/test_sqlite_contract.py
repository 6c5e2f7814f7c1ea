"""The SQLite index keeps the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from py_image_dedup.store.sqlite import caches, pairs
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.store.contract import StoreContract, StoreOpener
from tests.store.contract_search import SearchContract


class TestSqliteStore(StoreContract):
    examples = 30

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> StoreOpener:
        return lambda: SqliteStore(tmp_path / "index.sqlite3")


class TestSqliteStoreWithSmallLimits(SearchContract):
    """The same results with small limits: of pairs per hub, of a step of the search, and of pairs per row."""

    examples = 30

    @pytest.fixture
    def open_store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreOpener:
        monkeypatch.setattr(pairs, "MAX_DEGREE", 2)
        monkeypatch.setattr(pairs, "_COLLECTED_PAIRS", 3)
        monkeypatch.setattr(pairs, "CONTENTS_A_STEP", 4)
        monkeypatch.setattr(pairs, "PAIRS_A_ROW", 4)
        monkeypatch.setattr(pairs, "_MANY_SMALL_ROWS", 2)
        monkeypatch.setattr(caches, "_ROWS_A_PAGE", 5)
        monkeypatch.setattr(caches, "_ADDED_AT_MOST", 3)
        return lambda: SqliteStore(tmp_path / "index.sqlite3")
