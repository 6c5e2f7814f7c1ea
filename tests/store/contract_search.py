"""The contract of the index as tests, second part: the exact search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.signature.arrays import Int8Array
from py_image_dedup.signature.distance import distances
from py_image_dedup.store.base import Store
from tests.store.contract_entries import OneStore, StoreOpener
from tests.store.samples import (
    Model,
    altered,
    entry_of,
    expected_pairs,
    family,
    found_pairs,
    random_signatures,
    signature_of,
)

ROOTS = (Path("/a"), Path("/a/b"), Path("/c"), Path("/a.b"), Path("/d"))

STEPS = ("put", "put", "sign", "remove", "pairs", "pairs", "similar", "reopen")


def unders() -> st.SearchStrategy[list[Path] | None]:
    return st.none() | st.lists(st.sampled_from(ROOTS), max_size=3)


def some_distances() -> st.SearchStrategy[float]:
    return st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.3, 0.4]) | st.floats(0, 0.6)


def library_of(signatures: Int8Array, seed: int = 0) -> list[IndexEntry]:
    """A photo each, in the folders of ``ROOTS``; some have a copy elsewhere."""
    random = np.random.default_rng(seed)
    library = []
    for number, values in enumerate(signatures):
        for root in random.choice(len(ROOTS), 1 + int(random.random() < 0.2), replace=False):
            library.append(entry_of(ROOTS[root] / f"{number}.jpg", number, values))  # noqa: PERF401 - two loops
    return library


class SearchContract(OneStore):
    """What every store finds."""

    @pytest.mark.parametrize("orientation", Orientation)
    def test_a_pair_is_found_in_every_orientation(self, store: Store, orientation: Orientation) -> None:
        photo, other = random_signatures(1, 2)
        copy = altered(photo, 1, 30, orientation)
        library = [entry_of("/a/1.jpg", 1, photo), entry_of("/a/2.jpg", 2, other), entry_of("/c/3.jpg", 3, copy)]
        store.put(library)
        found = found_pairs(store, 0.2, None)
        assert found == expected_pairs(Model.of(library), 0.2, None, found)
        assert len(found) == 1
        ((_, told),) = found.values()
        first_is_the_photo = next(iter(found))[0] == library[0].digest
        quarters = {Orientation.ROTATE_90: Orientation.ROTATE_270, Orientation.ROTATE_270: Orientation.ROTATE_90}
        assert told == (orientation if first_is_the_photo else quarters.get(orientation, orientation))

    def test_pairs_are_exact(self, store: Store) -> None:
        @settings(max_examples=self.examples, deadline=None)
        @given(st.integers(0, 2**32), st.integers(0, 40), some_distances(), unders())
        def check(seed: int, count: int, max_distance: float, under: list[Path] | None) -> None:
            library = library_of(family(seed, count) if count else random_signatures(seed, 0), seed)
            store.clear()
            store.put(library)
            found = found_pairs(store, max_distance, under)
            assert found == expected_pairs(Model.of(library), max_distance, under, found)

        check()

    def test_the_greatest_distance_is_still_within(self, store: Store) -> None:
        photo = random_signatures(1, 1)[0]
        copy = altered(photo, 1, 25)
        exact = float(distances(photo, copy[None])[0][0])
        store.put([entry_of("/a/1.jpg", 1, photo), entry_of("/a/2.jpg", 2, copy)])
        below = float(np.nextafter(exact, 0))
        assert [len(found_pairs(store, bound, None)) for bound in (below, exact, below, exact)] == [0, 1, 0, 1]
        query = [signature_of(photo)]
        assert [len(store.similar(query, bound, None)[0]) for bound in (below, exact)] == [1, 2]

    def test_copies_of_a_file_are_one_content_and_no_pair(self, store: Store) -> None:
        photo = random_signatures(1, 1)[0]
        store.put([entry_of(f"/a/{number}.jpg", "same", photo) for number in range(5)])
        assert found_pairs(store, 0.5, None) == {}
        assert [len(found) for found in store.similar([signature_of(photo)], 0.5, None)] == [1]

    def test_contents_without_a_signature_are_in_no_pair(self, store: Store) -> None:
        photo = random_signatures(1, 1)[0]
        store.put([entry_of("/a/1.jpg", 1), entry_of("/a/2.jpg", 2), entry_of("/a/3.jpg", 3, photo)])
        assert found_pairs(store, 1.0, None) == {}

    def test_a_pair_needs_both_its_files_under_the_folders(self, store: Store) -> None:
        photo = random_signatures(1, 1)[0]
        store.put([entry_of("/a/1.jpg", 1, photo), entry_of("/c/2.jpg", 2, altered(photo, 1, 10))])
        counts = [len(found_pairs(store, 0.2, under)) for under in ([Path("/a")], [Path("/c")], list(ROOTS), None)]
        assert counts == [0, 0, 1, 1]
        # A copy brings the content under the folder.
        store.put([entry_of("/a/copy.jpg", 2, altered(photo, 1, 10))])
        assert len(found_pairs(store, 0.2, [Path("/a")])) == 1

    def test_a_content_with_another_signature_has_other_pairs(self, store: Store) -> None:
        photo, unlike = random_signatures(1, 2)
        store.put([entry_of("/a/1.jpg", 1, photo), entry_of("/a/2.jpg", 2, altered(photo, 1, 10))])
        assert len(found_pairs(store, 0.2, None)) == 1
        store.put([entry_of("/a/2.jpg", 2, unlike)])
        assert found_pairs(store, 0.2, None) == {}
        store.put([entry_of("/a/2.jpg", 2)])
        assert found_pairs(store, 0.2, None) == {}
        store.put([entry_of("/a/2.jpg", 2, altered(photo, 1, 10))])
        assert len(found_pairs(store, 0.2, None)) == 1

    def test_any_sequence_of_changes_and_searches_finds_what_a_new_index_would(self, open_store: StoreOpener) -> None:
        signatures = family(7, 24)

        @settings(max_examples=self.examples, deadline=None)
        @given(st.data())
        def check(data: st.DataObject) -> None:
            store, model = open_store(), Model({})
            store.clear()
            for _ in range(data.draw(st.integers(1, 8))):
                step = data.draw(st.sampled_from(STEPS))
                if step == "put":
                    numbers = data.draw(st.lists(st.integers(0, len(signatures) - 1), max_size=8))
                    roots = data.draw(st.lists(st.sampled_from(ROOTS), min_size=len(numbers), max_size=len(numbers)))
                    new = [
                        entry_of(root / f"{number}.jpg", number, signatures[number])
                        for number, root in zip(numbers, roots, strict=True)
                    ]
                    model.put(new)
                    store.put(new)
                elif step == "sign":
                    # A newer method makes another signature of the same bytes.
                    for entry in model.under(None)[:1]:
                        other = data.draw(st.sampled_from(range(len(signatures))))
                        again = entry_of(entry.stat.path, int(entry.stat.path.stem), signatures[other])
                        model.put([again])
                        store.put([e for e in model.under(None) if e.digest == again.digest])
                elif step == "remove":
                    gone = data.draw(st.lists(st.sampled_from([e.stat.path for e in model.under(None)] or ROOTS)))
                    model.remove(gone)
                    store.remove(gone)
                elif step == "reopen":
                    store.close()
                    store = open_store()
                elif step == "similar":
                    check_similar(store, model, signatures[:2], data.draw(some_distances()), data.draw(unders()))
                else:
                    max_distance, under = data.draw(some_distances()), data.draw(unders())
                    found = found_pairs(store, max_distance, under)
                    assert found == expected_pairs(model, max_distance, under, found)
            found = found_pairs(store, 0.4, None)
            assert found == expected_pairs(model, 0.4, None, found)
            store.close()

        check()

    def test_similar_is_exact(self, store: Store) -> None:
        @settings(max_examples=self.examples, deadline=None)
        @given(st.integers(0, 2**32), st.integers(1, 40), some_distances(), unders())
        def check(seed: int, count: int, max_distance: float, under: list[Path] | None) -> None:
            library = library_of(family(seed, count), seed)
            store.clear()
            store.put(library)
            queries = np.stack([*family(seed, 2), *random_signatures(seed + 1, 1)])
            check_similar(store, Model.of(library), queries, max_distance, under)

        check()

    def test_similar_of_nothing_is_nothing(self, store: Store) -> None:
        assert list(store.similar([], 0.3, None)) == []
        query = signature_of(random_signatures(1, 1)[0])
        assert [list(found) for found in store.similar([query, query], 0.3, None)] == [[], []]

    def test_similar_sees_what_was_put_and_removed_a_moment_ago(self, store: Store) -> None:
        photo = random_signatures(1, 1)[0]
        entry = entry_of("/a/1.jpg", 1, photo)
        counts = []
        for change in (store.put, lambda some: store.remove([e.stat.path for e in some]), store.put):
            change([entry])
            counts.append(len(store.similar([signature_of(photo)], 0.1, None)[0]))
        assert counts == [1, 0, 1]

    @pytest.mark.parametrize("max_distance", [-0.1, 1.1, float("nan")])
    def test_a_distance_is_from_0_to_1(self, store: Store, max_distance: float) -> None:
        store.put([entry_of("/a/1.jpg", 1, random_signatures(1, 1)[0])])
        with pytest.raises(ValueError, match="distance"):
            list(store.pairs(max_distance, None))
        with pytest.raises(ValueError, match="distance"):
            store.similar([signature_of(random_signatures(1, 1)[0])], max_distance, None)


def check_similar(
    store: Store, model: Model, queries: Int8Array, max_distance: float, under: list[Path] | None
) -> None:
    """Compare with every distance there is."""
    answers = store.similar([signature_of(values) for values in queries], max_distance, under)
    assert len(answers) == len(queries)
    numbers = {neighbour.content_id for answer in answers for neighbour in answer}
    digests = {number: entries[0].digest for number, entries in store.contents(numbers, under).items()}
    signatures = model.signatures(under)
    for values, answer in zip(queries, answers, strict=True):
        order = [(neighbour.distance, neighbour.content_id) for neighbour in answer]
        assert order == sorted(order)
        expected = {}
        for digest, other in signatures.items():
            (distance,), (orientation,) = distances(values, other[None])
            if distance <= max_distance:
                expected[digest] = (float(distance), Orientation(int(orientation)))
        assert {digests[n.content_id]: (n.distance, n.orientation) for n in answer} == expected
        assert len(answer) == len(expected)
