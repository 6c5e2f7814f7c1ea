from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import IndexEntry, Signature
from py_image_dedup.signature.arrays import Int8Array
from py_image_dedup.signature.distance import distances
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_signature
from py_image_dedup.store.base import Store
from py_image_dedup.store.elastic import ElasticStore
from py_image_dedup.store.elastic import pairs as pairs_module
from py_image_dedup.store.elastic import search as search_module
from py_image_dedup.store.elastic.document import pack_values, unpack_values
from py_image_dedup.store.elastic.orientation_invariants import invariant_radius, invariants
from tests.servers.sites import Site
from tests.store.samples import Model, altered, entry_of, expected_pairs, family, found_pairs, random_signatures

any_values = st.integers(0, 2**32).map(lambda seed: random_signatures(seed, 1)[0])


@settings(max_examples=200, deadline=None)
@given(
    any_values
    | st.binary(min_size=272, max_size=272).map(lambda some: np.maximum(np.frombuffer(some, dtype=np.int8), -127)),
    st.integers(0, 2**32),
    st.integers(0, 272),
    st.sampled_from(ORIENTATIONS),
)
def test_invariants_are_within_the_radius_of_the_distance_in_any_orientation(
    values: Int8Array, seed: int, changes: int, orientation: Orientation
) -> None:
    other = altered(values, seed, changes, orientation)
    (apart,) = distances(values, other[None])[0]
    one, two = invariants(np.stack([values, other])).astype(np.int64)
    assert np.linalg.norm(one - two) <= invariant_radius(apart)


@settings(max_examples=200, deadline=None)
@given(any_values, any_values, st.integers(0, 272), st.integers(1, 60))
def test_invariants_are_within_the_radius_of_signatures_of_other_lengths(
    values: Int8Array, other: Int8Array, shared: int, shown: int
) -> None:
    mixed = np.concatenate([values[:shared], other[shared:]])
    short = np.where(np.arange(272) % 60 < shown, mixed, 0).astype(np.int8)
    (apart,) = distances(values, short[None])[0]
    one, two = invariants(np.stack([values, short])).astype(np.int64)
    assert np.linalg.norm(one - two) <= invariant_radius(apart)


def test_a_signature_of_zeros_has_invariants_too() -> None:
    assert not invariants(np.zeros((1, 272), dtype=np.int8)).any()


def test_no_turn_changes_the_invariants() -> None:
    values = random_signatures(7, 20)
    for orientation in ORIENTATIONS:
        assert invariants(orient_signature(values, orientation)).tolist() == invariants(values).tolist()


@pytest.mark.parametrize("max_distance", [0.1, 0.2, 0.3])
def test_invariants_distinguish_dissimilar_pictures(max_distance: float) -> None:
    compact = invariants(random_signatures(7, 200)).astype(np.int64)
    apart = np.linalg.norm(compact[:, None] - compact[None], axis=2)[np.triu_indices(200, 1)]
    assert (apart > invariant_radius(max_distance)).mean() > 0.999


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=272, max_size=272) | any_values.map(lambda values: values.tobytes()), max_size=5))
def test_signatures_of_any_bytes_come_out_of_the_packing_as_they_went_in(signatures: list[bytes]) -> None:
    values = np.frombuffer(b"".join(signatures), dtype=np.int8).reshape(len(signatures), 272)
    packed = pack_values(values)
    assert [row.tobytes() for row in unpack_values(packed)] == signatures


def test_a_signature_takes_a_third_of_its_bytes() -> None:
    assert [len(packed) for packed in pack_values(random_signatures(1, 2))] == [91, 91]


def library(seed: int, count: int) -> list[IndexEntry]:
    """Two folders; every photo of the first has a lightly edited copy in one of them, most have others far off."""
    photos = family(seed, count // 2)
    edited = [altered(one, place, 10, ORIENTATIONS[place % 8]) for place, one in enumerate(photos)]
    return [entry_of(f"/{'ab'[place % 2]}/{place}.jpg", signature=one) for place, one in enumerate([*photos, *edited])]


@pytest.mark.elasticsearch
class TestPairs:
    @pytest.fixture
    def store(self, elastic_site: Site, emptied_index: str) -> Iterator[Store]:
        with ElasticStore(elastic_site.options(emptied_index)) as store:
            yield store

    @pytest.mark.parametrize("max_distance", [0.1, 0.3])
    def test_asking_the_server_finds_the_pairs_that_joining_finds(
        self, elastic_site: Site, emptied_index: str, store: Store, max_distance: float
    ) -> None:
        entries = library(3, 120)
        entries += [replace(entry, stat=entry_of(f"/b/copy{n}.jpg").stat) for n, entry in enumerate(entries[:20])]
        store.put(entries)
        model = Model.of(entries)
        asking = replace(elastic_site.options(emptied_index), memory_bytes=0)
        with ElasticStore(asking) as other:
            for under in (None, [Path("/b")]):
                joined = found_pairs(store, max_distance, under)
                asked = found_pairs(other, max_distance, under)
                assert joined == expected_pairs(model, max_distance, under, joined)
                assert asked == expected_pairs(model, max_distance, under, asked)
                assert {frozenset(pair) for pair in joined} == {frozenset(pair) for pair in asked}
                assert len(joined) > 10

    def test_a_later_pass_searches_what_is_new_and_finds_what_a_whole_one_would(
        self,
        elastic_site: Site,
        emptied_index: str,
        store: Store,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        joined: list[int] = []
        join = pairs_module.join_contents

        def counted(numbers: object, values: Int8Array, max_distance: float) -> object:
            joined.append(len(values))
            return join(numbers, values, max_distance)

        monkeypatch.setattr(pairs_module, "join_contents", counted)
        keeping = replace(elastic_site.options(emptied_index), cache_directory=tmp_path)
        entries = library(4, 60)
        expected_joins = []
        for step, distance, searched in [(40, 0.3, 40), (40, 0.3, None), (50, 0.3, 10), (60, 0.2, 10), (60, 0.3, 60)]:
            store.put(entries[:step])
            with ElasticStore(keeping) as other:
                found = found_pairs(other, distance, None)
            assert found == expected_pairs(Model.of(entries[:step]), distance, None, found)
            expected_joins += [searched] if searched else []
        assert joined == expected_joins

    def test_an_entry_that_is_gone_takes_its_pairs_along(
        self, elastic_site: Site, emptied_index: str, store: Store, tmp_path: Path
    ) -> None:
        keeping = replace(elastic_site.options(emptied_index), cache_directory=tmp_path)
        entries = library(5, 40)
        store.put(entries)
        with ElasticStore(keeping) as other:
            assert len(found_pairs(other, 0.4, None)) > 5
            other.remove(entry.stat.path for entry in entries[::2])
            found = found_pairs(other, 0.4, None)
        assert found == expected_pairs(Model.of(entries[1::2]), 0.4, None, found)


@pytest.mark.elasticsearch
class TestSimilar:
    @pytest.mark.parametrize("max_distance", [0.1, 0.3])
    def test_an_answer_longer_than_a_page_is_continued_until_it_is_whole(
        self,
        elastic_site: Site,
        emptied_index: str,
        max_distance: float,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(search_module, "FIRST_LIMIT", 5)
        monkeypatch.setattr(search_module, "MAX_LIMIT", 20)
        values = random_signatures(9, 1)[0]
        near = [altered(values, seed, 8, ORIENTATIONS[seed % 8]) for seed in range(150)]
        entries = [entry_of(f"/a/near/{place}.jpg", signature=one) for place, one in enumerate(near)]
        copies = [replace(entries[0], stat=entry_of(f"/a/copy{place}.jpg").stat) for place in range(60)]
        with ElasticStore(elastic_site.options(emptied_index)) as store:
            store.put([*entries, *copies, *library(10, 30)])
            (found,) = store.similar([Signature(values.tobytes())], max_distance, [Path("/a")])
            names = store.contents([neighbour.content_id for neighbour in found], None)
        assert {same[0].digest for same in names.values()} >= {entry.digest for entry in entries}
        assert len({neighbour.content_id for neighbour in found}) == len(found)
        assert [neighbour.distance for neighbour in found] == sorted(neighbour.distance for neighbour in found)

    def test_more_queries_than_a_batch_are_answered_in_their_order(
        self, elastic_site: Site, emptied_index: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search_module, "_SIGNATURES_A_REQUEST", 7)
        values = random_signatures(11, 25)
        with ElasticStore(elastic_site.options(emptied_index)) as store:
            store.put([entry_of(f"/a/{place}.jpg", signature=one) for place, one in enumerate(values)])
            found = store.similar([Signature(one.tobytes()) for one in values], 0.1, None)
            names = [store.contents([n.content_id for n in neighbours], None) for neighbours in found]
        assert [[e.stat.path.name for same in each.values() for e in same] for each in names] == [
            [f"{place}.jpg"] for place in range(25)
        ]

    def test_a_distance_of_one_finds_every_content_with_a_signature(
        self, elastic_site: Site, emptied_index: str
    ) -> None:
        entries = library(12, 20)
        with ElasticStore(elastic_site.options(emptied_index)) as store:
            store.put([*entries, entry_of("/a/flat.jpg")])
            (found,) = store.similar([Signature(random_signatures(13, 1).tobytes())], 1.0, None)
        assert len(found) == 20
