"""What every index must do with what comparing pairs of files in full found."""

from __future__ import annotations

from py_image_dedup.store.base import Store
from tests.store.contract_entries import StoreOpener
from tests.store.samples import digest_of

A, B, C = digest_of("a"), digest_of("b"), digest_of("c")


class InspectionContract:
    """Inspections; mixed into the suite of each store."""

    def test_inspections_are_remembered_by_both_digests_in_their_order(self, open_store: StoreOpener) -> None:
        with open_store() as store:
            store.keep_inspections(1, {(A, B): b"covered", (A, C): b"edited"})
        with open_store() as store:
            assert store.inspections(1, [(A, B), (B, A), (A, C)]) == {(A, B): b"covered", (A, C): b"edited"}

    def test_an_inspection_of_another_version_is_none(self, store: Store) -> None:
        store.keep_inspections(1, {(A, B): b"covered"})
        assert store.inspections(2, [(A, B)]) == {}
        store.keep_inspections(2, {(A, B): b"edited"})
        assert store.inspections(2, [(A, B)]) == {(A, B): b"edited"}

    def test_thousands_of_pairs_are_answered_at_once(self, store: Store) -> None:
        pairs = {(digest_of(f"left {number}"), digest_of(f"right {number}")): b"x" for number in range(3000)}
        store.keep_inspections(1, pairs)
        assert store.inspections(1, pairs.keys()) == pairs

    def test_clearing_forgets_inspections(self, store: Store) -> None:
        store.keep_inspections(1, {(A, B): b"covered"})
        store.clear()
        assert store.inspections(1, [(A, B)]) == {}

    def test_all_inspections_of_a_version_are_streamed(self, store: Store) -> None:
        pairs = {
            (digest_of(f"left {number % 7}"), digest_of(f"right {number}")): b"%d" % number for number in range(2500)
        }
        store.keep_inspections(1, pairs)
        store.keep_inspections(2, {(A, B): b"covered"})
        assert dict(store.all_inspections(1)) == pairs
        assert list(store.all_inspections(2)) == [((A, B), b"covered")]
        assert list(store.all_inspections(3)) == []
