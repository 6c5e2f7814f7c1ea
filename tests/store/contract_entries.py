"""The contract of the index as tests, first part: entries, folders and streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.store.base import Store
from tests.store import samples
from tests.store.samples import (
    Model,
    altered,
    digest_of,
    entry_of,
    failed_entry,
    found_pairs,
    full_entry,
    random_signatures,
)

StoreOpener: TypeAlias = Callable[[], Store]


class OneStore:
    """Opens the store of a test."""

    examples: ClassVar[int] = 25
    """How many random cases a property is tried with."""

    @pytest.fixture
    def store(self, open_store: StoreOpener) -> Iterator[Store]:
        with open_store() as store:
            yield store


class EntriesContract(OneStore):
    """What every store keeps."""

    # Entries

    def test_an_entry_comes_back_as_it_was_put(self, store: Store) -> None:
        @settings(max_examples=self.examples, deadline=None)
        @given(samples.libraries())
        def check(library: list[IndexEntry]) -> None:
            store.clear()
            store.put(library)
            assert [store.get(entry.stat.path) for entry in library] == library
            assert list(store.entries(None)) == sorted(library, key=lambda entry: entry.stat.raw_path)

        check()

    def test_what_was_put_is_there_after_reopening(self, open_store: StoreOpener) -> None:
        entry = full_entry("/a/x.jpg")
        with open_store() as store:
            store.put([entry])
        with open_store() as store:
            assert store.get(Path("/a/x.jpg")) == entry

    def test_an_unknown_path_has_no_entry(self, store: Store) -> None:
        store.put([entry_of("/a/x.jpg")])
        assert store.get(Path("/a/x.jpg/y.jpg")) is None
        assert store.get(Path("/a")) is None

    def test_putting_a_path_again_replaces_all_of_its_entry(self, store: Store) -> None:
        store.put([full_entry("/a/x.jpg")])
        later = failed_entry("/a/x.jpg")
        store.put([later])
        assert list(store.entries(None)) == [later]

    def test_putting_a_content_again_replaces_what_is_known_of_it(self, store: Store) -> None:
        full = full_entry("/a/x.jpg")
        bare = replace(full, signature=None, pixel_digest=None, facts=None, versions=Versions(3, 3, 0))
        for entry in (full, bare, full):
            store.put([entry])
            assert store.get(entry.stat.path) == entry

    def test_of_two_entries_of_one_path_in_a_batch_the_last_wins(self, store: Store) -> None:
        first, last = entry_of("/a/x.jpg", content=1), entry_of("/a/x.jpg", content=2)
        store.put([first, entry_of("/a/y.jpg"), last])
        assert store.get(Path("/a/x.jpg")) == last
        assert store.count(None) == 2

    def test_putting_nothing_changes_nothing(self, store: Store) -> None:
        store.put([])
        assert store.count(None) == 0

    @pytest.mark.parametrize("field", ["facts", "signature", "pixel_digest", "image_data_digest", "features", "words"])
    def test_what_describes_a_picture_needs_a_digest(self, store: Store, field: str) -> None:
        full = replace(full_entry("/a/x.jpg"), features=b"points", words=b"words")
        wrong = replace(failed_entry("/a/x.jpg"), **{field: getattr(full, field)})
        with pytest.raises(ValueError, match="digest"):
            store.put([entry_of("/a/good.jpg"), wrong])
        assert store.count(None) == 0

    def test_removing_forgets_and_counts_what_was_there(self, store: Store) -> None:
        store.put([entry_of(f"/a/{number}.jpg") for number in range(3)])
        assert store.remove([Path("/a/0.jpg"), Path("/a/2.jpg"), Path("/a"), Path("/b/0.jpg")]) == 2
        assert [entry.stat.path.name for entry in store.entries(None)] == ["1.jpg"]
        assert store.remove([]) == 0

    def test_many_paths_are_removed_in_one_go(self, store: Store) -> None:
        library = [entry_of(f"/a/{number:05d}.jpg") for number in range(2500)]
        store.put(library)
        assert store.remove(entry.stat.path for entry in library[100:]) == 2400
        assert list(store.entries(None)) == library[:100]

    def test_clearing_forgets_everything(self, store: Store) -> None:
        photo = random_signatures(1, 1)[0]
        copies = [entry_of(f"/a/{number}.jpg", "same", photo) for number in range(2)]
        store.put([*copies, entry_of("/a/x.jpg", "near", altered(photo, 1, 5)), failed_entry("/a/y.jpg")])
        assert found_pairs(store, 0.2, None)
        store.clear()
        assert store.count(None) == 0
        assert list(store.stamps(None)) == list(store.entries(None)) == list(store.failed(None)) == []
        assert list(store.identical(None)) == []
        assert found_pairs(store, 0.2, None) == {}
        assert store.known([digest_of("same")]) == {}
        store.put([copies[0]])
        assert found_pairs(store, 0.2, None) == {}

    def test_the_size_is_in_bytes_or_unknown(self, store: Store) -> None:
        store.put([entry_of("/a/x.jpg")])
        size = store.size()
        assert size is None or size > 0

    # Folders

    def test_under_means_below_and_nothing_twice(self, store: Store) -> None:
        @settings(max_examples=self.examples, deadline=None)
        @given(st.sets(samples.paths(), max_size=10), st.data())
        def check(paths: set[Path], data: st.DataObject) -> None:
            # Names of what is there and of the folders above, and others that begin or end like them.
            known = sorted({folder for path in paths for folder in (path, *path.parents)})
            near = [folder.with_name(folder.name + "0") for folder in known if folder.name]
            folders = data.draw(st.lists(st.sampled_from([*known, *near, Path("/nowhere")]), max_size=4))
            model = Model.of(map(entry_of, paths))
            store.clear()
            store.put(list(model.by_path.values()))
            for under in (None, folders):
                expected = model.under(under)
                assert list(store.entries(under)) == expected
                assert store.count(under) == len(expected)
                stamps = [(e.stat.raw_path, e.stat.stamp, e.versions) for e in expected]
                assert sorted(store.stamps(under), key=itemgetter(0)) == stamps

        check()

    def test_a_folder_holds_what_is_below_it_and_not_what_begins_like_it(self, store: Store) -> None:
        names = ["/a/b", "/a/b.jpg", "/a/b/c.jpg", "/a/b0.jpg", "/a/bc/d.jpg", "/a/b-/e.jpg", "/a/b/d/f.jpg"]
        store.put([entry_of(name) for name in names])
        below = ["/a/b/c.jpg", "/a/b/d/f.jpg"]
        assert [str(entry.stat.path) for entry in store.entries([Path("/a/b")])] == below
        assert store.count([Path("/a/b"), Path("/a"), Path("/a/b/d"), Path("/a")]) == len(names)
        assert store.count([Path("/")]) == len(names)
        assert store.count([Path("/a/b/c.jpg"), Path("/A")]) == 0

    def test_under_no_folder_is_nothing_in_every_answer(self, store: Store) -> None:
        signature = random_signatures(1, 1)[0]
        store.put([entry_of("/a/x.jpg", 1, signature), entry_of("/a/y.jpg", 1, signature), failed_entry("/a/z.jpg")])
        store.put([entry_of("/a/v.jpg", 2, altered(signature, 1, 5))])
        (number,) = {n.content_id for n in store.similar([samples.signature_of(signature)], 0.0, None)[0]}
        assert store.count([]) == 0
        assert list(store.stamps([])) == list(store.entries([])) == list(store.failed([])) == []
        assert list(store.identical([])) == []
        assert found_pairs(store, 0.3, []) == {}
        assert [list(some) for some in store.similar([samples.signature_of(signature)], 0.3, [])] == [[]]
        assert store.contents([number], []) == {}

    # Streams

    def test_entries_come_in_the_order_of_raw_paths(self, store: Store) -> None:
        raw = [b"/a/\xff.jpg", "/a/\u00e9.jpg".encode(), b"/a/Z.jpg", b"/a/z.jpg", b"/a/b/c.jpg", b"/a/b.jpg"]
        store.put([entry_of(os.fsdecode(path)) for path in raw])
        assert [entry.stat.raw_path for entry in store.entries(None)] == sorted(raw)

    def test_equal_versions_in_stamps_are_one_object(self, store: Store) -> None:
        versions = [Versions(1, 1), Versions(1, 1), Versions(1, 2), Versions(1, 1)]
        store.put([replace(entry_of(f"/a/{n}.jpg"), versions=some) for n, some in enumerate(versions)])
        seen = [found for _, _, found in sorted(store.stamps(None), key=itemgetter(0))]
        assert seen == versions
        assert len({id(found) for found in seen}) == 2

    def test_long_streams_are_whole(self, store: Store) -> None:
        library = [entry_of(f"/a/{number // 1000}/{number:05d}.jpg") for number in range(3001)]
        store.put(library)
        folders = [Path("/a/3"), Path("/a/1"), Path("/a/1")]
        assert list(store.entries(None)) == library
        assert sorted(raw for raw, _, _ in store.stamps(None)) == [entry.stat.raw_path for entry in library]
        assert list(store.entries(folders)) == library[1000:2000] + library[3000:]

    def test_the_caller_may_put_and_remove_while_it_reads_a_stream(self, store: Store) -> None:
        library = [entry_of(f"/a/{number:05d}.jpg", content=number // 2) for number in range(2400)]
        store.put(library)
        seen = []
        for place, entry in enumerate(store.entries(None)):
            seen.append(entry)
            if place % 600 == 0:
                store.remove([library[place + 1].stat.path])
                store.put([entry_of(f"/a/{place:05d}-new.jpg"), library[place]])
        new = {entry for entry in seen if entry.stat.path.stem.endswith("-new")}
        touched = {library[place + step] for place in range(0, 2400, 600) for step in (0, 1)}
        assert [e for e in seen if e not in new | touched] == [e for e in library if e not in touched]
        assert len(set(seen)) == len(seen)

    def test_a_stream_that_is_not_read_to_its_end_holds_nothing_back(self, store: Store) -> None:
        store.put([entry_of(f"/a/{number}.jpg", "same") for number in range(3)])
        streams = [store.stamps(None), store.entries(None), store.identical(None)]
        for stream in streams:
            next(stream)
        store.clear()
        store.put([entry_of("/b/x.jpg")])
        assert store.count(None) == 1

    # What is known of contents

    def test_a_known_digest_gives_an_entry_that_has_it(self, store: Store) -> None:
        photo = random_signatures(1, 1)[0]
        library = [entry_of("/b/x.jpg", 1, photo), entry_of("/a/y.jpg", 1, photo)]
        other = entry_of("/c/z.jpg", 2)
        store.put([*library, other, failed_entry("/d/w.jpg", FailureReason.CORRUPT, content=3)])
        known = store.known([digest_of(1), digest_of(2), digest_of(3), digest_of(4), digest_of(1)])
        assert set(known) == {digest_of(1), digest_of(2), digest_of(3)}
        assert known[digest_of(1)] in library
        assert known[digest_of(2)] == other
        assert known[digest_of(3)] == failed_entry("/d/w.jpg", FailureReason.CORRUPT, content=3)
        assert store.known([]) == {}

    def test_nothing_is_known_after_a_clear(self, store: Store) -> None:
        store.put([entry_of(f"/a/{number}.jpg", number) for number in range(20)])
        assert len(list(store.entries(None))) == 20
        store.clear()
        assert store.known(digest_of(number) for number in range(20)) == {}

    def test_many_digests_are_looked_up_in_one_go(self, store: Store) -> None:
        library = [entry_of(f"/a/{number}.jpg", number) for number in range(2000)]
        store.put(library)
        wanted = [digest_of(number) for number in range(500, 3000)]
        assert store.known(iter(wanted)) == {entry.digest: entry for entry in library[500:]}

    def test_a_known_content_outlives_an_old_name_and_takes_a_new_one(self, store: Store) -> None:
        old = entry_of("/a/old.jpg", "moved", random_signatures(1, 1)[0])
        store.put([old])
        store.remove([old.stat.path])
        gone = store.known([digest_of("moved")])
        # A store may forget what no file has any more; what it does return is right.
        assert gone in ({}, {digest_of("moved"): old})
        new = entry_of("/a/new.jpg", "moved", random_signatures(1, 1)[0])
        store.put([new])
        assert store.known([digest_of("moved")]) == {digest_of("moved"): new}
        assert list(store.entries(None)) == [new]

    def test_the_failed_are_those_that_have_a_failure(self, store: Store) -> None:
        unread = failed_entry("/a/unread.jpg")
        corrupt = [failed_entry(f"/{root}/corrupt.jpg", FailureReason.CORRUPT, content=1) for root in "ab"]
        store.put([corrupt[1], entry_of("/a/good.jpg"), unread, corrupt[0]])
        assert list(store.failed(None)) == [corrupt[0], unread, corrupt[1]]
        assert list(store.failed([Path("/b")])) == [corrupt[1]]
        store.put([entry_of("/a/unread.jpg")])
        assert list(store.failed([Path("/a")])) == [corrupt[0]]

    def test_unsigned_entries_are_decoded_whole_and_have_no_signature(self, store: Store) -> None:
        flat = [entry_of(f"/{root}/flat.jpg", 1) for root in "ab"]
        signed = entry_of("/a/signed.jpg", 2, random_signatures(1, 1)[0])
        corrupt = failed_entry("/a/corrupt.jpg", FailureReason.CORRUPT, content=3)
        store.put([flat[1], signed, corrupt, failed_entry("/a/unread.jpg"), flat[0]])
        assert list(store.unsigned(None)) == flat
        assert list(store.unsigned([Path("/b")])) == [flat[1]]
        assert list(store.unsigned([])) == []
        store.put([replace(flat[0], signature=signed.signature)])
        assert flat[0] not in list(store.unsigned(None))

    def test_identical_files_have_one_digest(self, store: Store) -> None:
        one = [entry_of(f"/{root}/one.jpg", 1) for root in ("a", "a.b", "a/b", "c")]
        two = [entry_of(f"/a/two{number}.jpg", 2) for number in range(2)]
        store.put([*two, *one, entry_of("/a/single.jpg"), failed_entry("/a/v.jpg"), failed_entry("/a/w.jpg")])
        by_path = sorted(one, key=lambda entry: entry.stat.raw_path)
        found = list(store.identical(None))
        assert len(found) == 2
        assert set(found) == {tuple(by_path), tuple(two)}
        assert list(store.identical([Path("/a/b"), Path("/c")])) == [(one[2], one[3])]
        assert list(store.identical([Path("/c")])) == []
        store.remove([two[0].stat.path])
        assert list(store.identical([Path("/a")])) == [(one[2], one[0])]

    def test_contents_have_content_ids(self, store: Store) -> None:
        signatures = random_signatures(1, 2)
        copies = [entry_of(f"/{root}/x.jpg", 1, signatures[0]) for root in ("b", "a", "a/c")]
        other = entry_of("/a/y.jpg", 2, signatures[1])
        store.put([*copies, other])
        queries = [samples.signature_of(values) for values in signatures]
        numbers = [found[0].content_id for found in store.similar(queries, 0.0, None)]
        in_order = tuple(sorted(copies, key=lambda entry: entry.stat.raw_path))
        assert store.contents([*numbers, *numbers], None) == {numbers[0]: in_order, numbers[1]: (other,)}
        assert store.contents(numbers, [Path("/b")]) == {numbers[0]: (copies[0],)}
        assert store.contents([], None) == {}
