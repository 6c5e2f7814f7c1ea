from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings

from py_image_dedup.features.codebook import FEATURES_VERSION
from py_image_dedup.features.extract import extract, pack
from py_image_dedup.features.visual_words import pack_words
from py_image_dedup.model.match import Evidence, MatchClass, Orientation, PairVerdict, Verdict
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.store import copying
from py_image_dedup.store.base import Store
from py_image_dedup.store.copying import copy_entries, copy_inspections, copy_verdicts
from py_image_dedup.store.elastic import ElasticStore
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.servers.sites import Site
from tests.store import samples
from tests.store.samples import entry_of, random_signatures
from tests.support.photographs import grey, photograph


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


def test_other_entries_of_the_target_stay(tmp_path: Path) -> None:
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
        numbers = target.content_ids([entry.digest or b"" for entry in entries])
        wanted = {numbers[entry.digest or b""]: entry.features for entry in entries}
        assert target.features(numbers.values()) == wanted
        first, _, third = (numbers[entry.digest or b""] for entry in entries)
        assert list(map(list, target.candidates([first]))) == [[third]]


VERSION = 7
SEEN = Evidence(("rotated 90°",), 12, 0.25, 1.0, 0.5, ("rotated 270°",))


def put_verdicts(store: Store, names: list[str]) -> None:
    """Each content matches the one after it, and all but the last are verified."""
    digests = [samples.digest_of(name) for name in names]
    numbers = store.content_ids(digests)
    own = [numbers[digest] for digest in digests]
    similar = [PairVerdict(*pair, Verdict(MatchClass.PARTIAL, Orientation.ROTATE_90, SEEN)) for pair in pairwise(own)]
    store.keep_verdicts(VERSION, [*similar, PairVerdict(own[0], own[-1], None)], own[:-1])


def verdicts_by_name(store: Store, names: list[str]) -> tuple[list[object], list[str]]:
    """The verdicts and the unverified contents, by name instead of content id."""
    numbers = store.content_ids([samples.digest_of(name) for name in names])
    named = {numbers[samples.digest_of(name)]: name for name in names}
    proofs = [(named[p.left], named[p.right], p.verdict) for p in store.verdicts(VERSION)]
    return sorted(proofs, key=repr), sorted(named[number] for number in store.unverified(VERSION, None))


def entry_with_features(name: str) -> IndexEntry:
    entry = entry_of(name, signature=random_signatures(len(name), 1)[0])
    features = extract(grey(photograph(1)))
    made_with = Versions(1, 1, FEATURES_VERSION)
    return replace(entry, versions=made_with, features=pack(features), words=pack_words(features))


def test_verdicts_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ENTRIES_AT_ONCE", 2)
    names = [f"/a/{number}.jpg" for number in range(5)]
    library = [*map(entry_with_features, names), entry_of("/a/bare.jpg")]
    with SqliteStore(tmp_path / "one") as source, SqliteStore(tmp_path / "two") as target:
        source.put(library)
        put_verdicts(source, names)
        target.put([entry_of("/b/first.jpg")])  # so that numbers differ
        copy_entries(source, target)
        assert target.unverified(VERSION, None) == sorted(target.content_ids(map(samples.digest_of, names)).values())
        assert copy_verdicts(source, target, VERSION) == 5
        assert verdicts_by_name(target, names) == verdicts_by_name(source, names)
        assert copy_verdicts(source, target, VERSION + 1) == 0


def test_a_pair_of_which_the_target_lacks_one_is_not_copied(tmp_path: Path) -> None:
    names = [f"/a/{number}.jpg" for number in range(3)]
    with SqliteStore(tmp_path / "one") as source, SqliteStore(tmp_path / "two") as target:
        source.put(list(map(entry_with_features, names)))
        put_verdicts(source, names)
        target.put(list(map(entry_with_features, names[:2])))
        assert copy_verdicts(source, target, VERSION) == 1
        assert verdicts_by_name(target, names[:2])[0] == verdicts_by_name(source, names)[0][:1]


def test_inspections_of_files_that_both_indices_have_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "ENTRIES_AT_ONCE", 2)
    first, second, third = (samples.digest_of(f"/a/{number}.jpg") for number in range(3))
    with SqliteStore(tmp_path / "one") as source, SqliteStore(tmp_path / "two") as target:
        source.put([entry_of(f"/a/{number}.jpg") for number in range(3)])
        target.put([entry_of(f"/a/{number}.jpg") for number in range(2)])
        source.keep_inspections(
            VERSION, {(first, second): b"covered", (second, first): b"more", (first, third): b"edited"}
        )
        assert copy_inspections(source, target, VERSION) == 2
        assert dict(target.all_inspections(VERSION)) == {(first, second): b"covered", (second, first): b"more"}
        assert copy_inspections(source, target, VERSION + 1) == 0
        assert copy_inspections(source, target, VERSION, should_stop=lambda: True) == 0


@pytest.mark.elasticsearch
def test_features_words_and_verdicts_go_to_a_server_and_come_back(
    tmp_path: Path, newest_site: Site, newest_emptied_index: str
) -> None:
    names = [f"/a/{number}.jpg" for number in range(4)]
    options = replace(newest_site.options(newest_emptied_index), cache_directory=tmp_path / "cache")
    with SqliteStore(tmp_path / "one") as source, ElasticStore(options) as server, SqliteStore(tmp_path / "two") as end:
        copy = replace(entry_with_features(names[0]), stat=entry_of("/a/copy.jpg").stat)
        source.put([*map(entry_with_features, names), entry_of("/a/bare.jpg"), copy])
        put_verdicts(source, names)
        inspected = (samples.digest_of(names[0]), samples.digest_of(names[1]))
        source.keep_inspections(VERSION, {inspected: b"covered"})
        for one, other in ((source, server), (server, end)):
            assert copy_entries(one, other) == 6
            assert copy_verdicts(one, other, VERSION) == 4
            assert copy_inspections(one, other, VERSION) == 1
        assert end.inspections(VERSION, [inspected]) == {inspected: b"covered"}
        assert list(end.entries(None)) == list(source.entries(None))
        assert verdicts_by_name(end, names) == verdicts_by_name(server, names) == verdicts_by_name(source, names)
        for store in (source, end):
            numbers = store.content_ids(map(samples.digest_of, names))
            assert len(store.features(numbers.values())) == 4
