from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.store import copying
from py_image_dedup.store.copying import copy_entries
from py_image_dedup.store.sqlite import SqliteStore
from tests.store import samples
from tests.store.samples import entry_of


def test_everything_that_is_known_arrives(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "one") as source, SqliteStore(tmp_path / "two") as target:

        @settings(max_examples=15, deadline=None)
        @given(samples.libraries())
        def check(library: list[IndexEntry]) -> None:
            source.clear()
            target.clear()
            source.put(library)
            assert copy_entries(source, target) == len(library)
            assert list(target.entries(None)) == list(source.entries(None))

        check()


def test_what_the_target_knows_besides_stays(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "one") as source, SqliteStore(tmp_path / "two") as target:
        source.put([entry_of("/a/x.jpg", content=1)])
        target.put([entry_of("/a/x.jpg", content=2), entry_of("/b/y.jpg")])
        copy_entries(source, target)
        assert list(target.entries(None)) == [entry_of("/a/x.jpg", content=1), entry_of("/b/y.jpg")]


def test_a_stopped_copy_is_completed_by_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ENTRIES_AT_ONCE", 10)
    told: list[int] = []
    with SqliteStore(tmp_path / "one") as source, SqliteStore(tmp_path / "two") as target:
        source.put([entry_of(f"/a/{number:03d}.jpg") for number in range(35)])
        assert copy_entries(source, target, should_stop=lambda: sum(told) >= 20, on_copied=told.append) == 20
        assert told == [10, 10]
        assert target.count(None) == 20
        assert copy_entries(source, target) == 35
        assert target.count(None) == 35
