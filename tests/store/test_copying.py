from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.signature.codebook import FEATURES_VERSION
from py_image_dedup.signature.features import extract, pack
from py_image_dedup.signature.words import pack_words
from py_image_dedup.store import copying
from py_image_dedup.store.copying import copy_entries
from py_image_dedup.store.sqlite import SqliteStore
from tests.photographs import grey, photograph
from tests.store import samples
from tests.store.samples import entry_of, random_signatures


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


def test_features_and_words_are_copied(tmp_path: Path) -> None:
    pictures = [extract(grey(photograph(seed))) for seed in range(2)]
    entries = [
        replace(
            entry_of(f"/a/{number}.jpg", signature=random_signatures(number, 1)[0]),
            versions=Versions(1, 1, FEATURES_VERSION),
            features=pack(features),
            words=pack_words(features),
        )
        for number, features in enumerate([*pictures, pictures[0]])
    ]
    with SqliteStore(tmp_path / "one") as source, SqliteStore(tmp_path / "two") as target:
        source.put([*entries, entry_of("/a/bare.jpg")])
        copy_entries(source, target)
        numbers = target.numbers([entry.digest or b"" for entry in entries])
        wanted = {numbers[entry.digest or b""]: entry.features for entry in entries}
        assert target.features(numbers.values()) == wanted
        first, _, third = (numbers[entry.digest or b""] for entry in entries)
        assert list(map(list, target.suspects([first]))) == [[third]]
