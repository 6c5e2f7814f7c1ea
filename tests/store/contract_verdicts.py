"""The contract of features, visual words and verdicts, for every index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from py_image_dedup.features.visual_words import WordArray
from py_image_dedup.model.match import Evidence, MatchClass, Orientation, PairVerdict, Verdict
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.store.base import Store
from tests.store.contract_entries import StoreOpener
from tests.store.samples import digest_of, entry_of, random_signatures

MADE_WITH = Versions(media=1, signature=1, features=1)
VERSION = 7


def packed(plain: WordArray, mirrored: WordArray) -> bytes:
    return np.concatenate([np.array([len(plain)]), plain, mirrored]).astype("<u4").tobytes()


def vocabulary(seed: int, count: int = 100) -> WordArray:
    return np.unique(np.random.default_rng(seed).integers(0, 1 << 22, count).astype(np.uint32))


def featured(path: str, plain: WordArray, mirrored: WordArray | None = None) -> IndexEntry:
    """A photo with words; its features are its path."""
    entry = entry_of(path, signature=random_signatures(crc32(path.encode()), 1)[0])
    words = packed(plain, vocabulary(999_999, 10) if mirrored is None else mirrored)
    return replace(entry, versions=MADE_WITH, features=path.encode(), words=words)


def number_of(store: Store, path: str) -> int:
    digest = digest_of(path)
    return store.content_ids([digest])[digest]


class VerdictsContract:
    """Features, words and verdicts; mixed into the suite of each store."""

    def test_features_are_kept_by_content_and_do_not_come_with_entries(self, store: Store) -> None:
        entry = featured("/a/x.jpg", vocabulary(1))
        store.put([entry, entry_of("/a/bare.jpg")])
        bare = replace(entry, features=None, words=None)
        assert store.get(Path("/a/x.jpg")) == bare
        assert list(store.entries([Path("/a")]))[1] == bare
        assert store.known([digest_of("/a/x.jpg")]) == {digest_of("/a/x.jpg"): bare}
        number = number_of(store, "/a/x.jpg")
        assert store.features([number, number_of(store, "/a/bare.jpg"), 10**6]) == {number: b"/a/x.jpg"}

    def test_an_entry_that_came_out_of_the_index_keeps_its_features_when_it_is_put_again(self, store: Store) -> None:
        store.put([featured("/a/x.jpg", vocabulary(1))])
        entry = store.get(Path("/a/x.jpg"))
        assert entry is not None
        store.put([replace(entry, pixel_digest=b"p" * 32)])
        store.put([replace(entry, stat=entry_of("/b/y.jpg").stat)])
        store.remove([Path("/a/x.jpg")])
        number = number_of(store, "/a/x.jpg")
        assert store.features([number]) == {number: b"/a/x.jpg"}
        assert store.unverified(VERSION, [Path("/b")]) == [number]

    def test_an_entry_of_other_versions_without_features_has_none(self, store: Store) -> None:
        entry = featured("/a/x.jpg", vocabulary(1))
        store.put([entry])
        store.put([replace(entry, versions=Versions(1, 1, 0), features=None, words=None)])
        assert store.features([number_of(store, "/a/x.jpg")]) == {}
        assert store.unverified(VERSION, None) == []

    def test_candidates_share_words_or_mirrored_words_the_best_first(self, store: Store) -> None:
        words = vocabulary(1)
        half = np.union1d(words[:40], vocabulary(2))
        few = np.union1d(words[:4], vocabulary(3))
        hardly = np.union1d(words[4:5], vocabulary(6))
        store.put(
            [
                featured("/a/x.jpg", words, mirrored=vocabulary(4)),
                featured("/a/half.jpg", half),
                featured("/a/few.jpg", few),
                featured("/a/hardly.jpg", hardly),
                featured("/a/mirrored.jpg", vocabulary(4)),
                featured("/a/other.jpg", vocabulary(5)),
                entry_of("/a/bare.jpg"),
            ]
        )
        asked = [number_of(store, f"/a/{name}.jpg") for name in ("x", "other", "bare")]
        expected = [number_of(store, f"/a/{name}.jpg") for name in ("mirrored", "half", "few")]
        assert list(map(list, store.candidates(asked))) == [expected, [], []]

    def test_a_picture_that_is_not_in_the_index_is_compared_by_its_words(self, store: Store) -> None:
        words = vocabulary(1)
        store.put([featured("/a/x.jpg", words), featured("/a/y.jpg", vocabulary(5))])
        asked = [packed(np.union1d(words[:60], vocabulary(2)), vocabulary(3)), packed(vocabulary(6), vocabulary(7))]
        assert list(map(list, store.candidates_for(asked))) == [[number_of(store, "/a/x.jpg")], []]

    def test_what_are_no_words_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="words"):
            list(store.candidates_for([b"no words"]))

    def test_candidates_include_what_was_put_since_the_last_call(self, store: Store) -> None:
        store.put([featured("/a/x.jpg", vocabulary(1))])
        first = number_of(store, "/a/x.jpg")
        assert list(map(list, store.candidates([first]))) == [[]]
        store.put([featured("/a/y.jpg", vocabulary(1))])
        assert list(map(list, store.candidates([first]))) == [[number_of(store, "/a/y.jpg")]]

    def test_verified_contents_and_their_verdicts_are_stored(self, open_store: StoreOpener) -> None:
        seen = Evidence(("rotated 90°",), 12, 0.25, 1.0, 0.5, ("rotated 270°",))
        with open_store() as store:
            store.put([featured(f"/{folder}/x.jpg", vocabulary(place)) for place, folder in enumerate("abc")])
            numbers = [number_of(store, f"/{folder}/x.jpg") for folder in "abc"]
            assert store.unverified(VERSION, None) == sorted(numbers)
            assert store.unverified(VERSION, [Path("/b")]) == [numbers[1]]
            proof = PairVerdict(numbers[0], numbers[1], Verdict(MatchClass.PARTIAL, Orientation.ROTATE_90, seen))
            nothing = PairVerdict(numbers[1], numbers[2], None)
            store.keep_verdicts(VERSION, [proof, nothing], numbers[:2])
            assert store.unverified(VERSION, None) == [numbers[2]]
            assert store.unverified(VERSION + 1, None) == sorted(numbers)
        with open_store() as store:
            numbers = [number_of(store, f"/{folder}/x.jpg") for folder in "abc"]
            proof = PairVerdict(numbers[0], numbers[1], Verdict(MatchClass.PARTIAL, Orientation.ROTATE_90, seen))
            nothing = PairVerdict(numbers[1], numbers[2], None)
            assert {p.left: p for p in store.verdicts(VERSION)} == {proof.left: proof, nothing.left: nothing}
            assert list(store.verdicts(VERSION, [numbers[0]])) == [proof]
            assert list(store.verdicts(VERSION + 1)) == []
            assert store.unverified(VERSION, None) == [numbers[2]]

    def test_evidence_of_an_earlier_version_is_read_in_the_words_of_this_one(self, store: Store) -> None:
        store.put([featured(f"/{folder}/x.jpg", vocabulary(place)) for place, folder in enumerate("ab")])
        left, right = (number_of(store, f"/{folder}/x.jpg") for folder in "ab")
        seen = Evidence(("mirrored", "turned 90°"), words_reversed=("mirrored", "turned 270°"))
        verdict = Verdict(MatchClass.SIMILAR, Orientation.TRANSVERSE, seen)
        store.keep_verdicts(VERSION, [PairVerdict(left, right, verdict)])
        (read,) = (pair.seen_from(left) for pair in store.verdicts(VERSION))
        assert read is not None
        assert read.evidence.words == ("mirrored", "rotated 90°")
        assert read.evidence.words_reversed == ("mirrored", "rotated 270°")

    def test_those_of_some_contents_that_are_not_verified_are_returned(self, store: Store) -> None:
        store.put([featured(f"/a/{name}.jpg", vocabulary(name)) for name in range(3)] + [entry_of("/a/bare.jpg")])
        numbers = [number_of(store, f"/a/{name}.jpg") for name in (0, 1, 2, "bare")]
        store.keep_verdicts(VERSION, [], numbers[:1])
        assert store.unverified_among(VERSION, numbers[::-1]) == sorted(numbers[1:3])
        assert store.unverified_among(VERSION, numbers[2:]) == numbers[2:3]
        assert store.unverified_among(VERSION + 1, numbers[:1]) == numbers[:1]
        assert store.unverified_among(VERSION, [10**6]) == []
        assert store.unverified_among(VERSION, []) == []

    def test_a_content_that_was_absent_while_others_were_verified_is_not_verified(self, store: Store) -> None:
        moved, away, copied = (featured(f"/a/{name}.jpg", vocabulary(place)) for place, name in enumerate("xyz"))
        twin = replace(copied, stat=replace(copied.stat, path=Path("/a/twin.jpg")))
        store.put([moved, away, copied, twin])
        numbers = {name: number_of(store, f"/a/{name}.jpg") for name in "xyz"}
        proof = PairVerdict(numbers["x"], numbers["y"], Verdict(MatchClass.SIMILAR))
        store.keep_verdicts(VERSION, [proof], list(numbers.values()))
        store.remove([Path("/a/x.jpg"), Path("/a/y.jpg"), Path("/a/z.jpg")])
        elsewhere = replace(moved, stat=replace(moved.stat, path=Path("/b/x.jpg")))
        store.put([elsewhere])
        store.invalidate_orphans()
        store.put([away])
        found = [number_of(store, f"/a/{name}.jpg") for name in "xyz"]
        assert store.unverified_among(VERSION, found) == [found[1]]
        assert store.unverified(VERSION, None) == [found[1]]
        assert [{p.left, p.right} for p in store.verdicts(VERSION)] == [set(found[:2])]

    def test_a_content_that_was_absent_and_is_back_before_others_are_verified_stays_verified(
        self, store: Store
    ) -> None:
        photo = featured("/a/x.jpg", vocabulary(1))
        store.put([photo])
        store.keep_verdicts(VERSION, [], [number_of(store, "/a/x.jpg")])
        store.remove([Path("/a/x.jpg")])
        store.put([photo])
        store.invalidate_orphans()
        assert store.unverified(VERSION, None) == []

    def test_the_last_verdict_of_a_pair_stays_in_either_order_of_the_pair(self, store: Store) -> None:
        store.put([featured(f"/a/{name}.jpg", vocabulary(name)) for name in range(2)])
        one, two = (number_of(store, f"/a/{name}.jpg") for name in range(2))
        store.keep_verdicts(VERSION, [PairVerdict(one, two, Verdict(MatchClass.SIMILAR))])
        store.keep_verdicts(VERSION, [PairVerdict(two, one, Verdict(MatchClass.PARTIAL))])
        assert list(store.verdicts(VERSION)) == [PairVerdict(two, one, Verdict(MatchClass.PARTIAL))]

    def test_clearing_removes_words_and_verdicts(self, store: Store) -> None:
        library = [featured(f"/a/{name}.jpg", vocabulary(1)) for name in range(2)]
        store.put(library)
        one, two = (number_of(store, f"/a/{name}.jpg") for name in range(2))
        assert list(map(list, store.candidates([one]))) == [[two]]
        store.keep_verdicts(VERSION, [PairVerdict(one, two, Verdict(MatchClass.SIMILAR))], [one, two])
        store.clear()
        assert list(store.verdicts(VERSION)) == []
        store.put(library[:1])
        one = number_of(store, "/a/0.jpg")
        assert store.unverified(VERSION, None) == [one]
        assert list(map(list, store.candidates([one]))) == [[]]
