"""Accuracy of verified matches: candidates by words and by signature, then the proof, as the find phase does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from ladder import LADDER, Edit

from measures.album import Album, Seen
from py_image_dedup.features.extract import unpack
from py_image_dedup.features.inverted_index import InvertedIndex
from py_image_dedup.features.visual_words import WordArray, pack_words, unpack_words
from py_image_dedup.model.match import MatchClass, Verdict
from py_image_dedup.signature.blas import single_threaded_blas
from py_image_dedup.signature.distance import distances
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.verify import verify

NEAREST = 50


class Library:
    """All photographs in one index: what a copy is compared with."""

    def __init__(self, photos: Sequence[Seen], max_distance: float) -> None:
        self.photos = photos
        self.max_distance = max_distance
        self.pictures = [_picture(photo) for photo in photos]
        self._signatures = np.stack([photo.signature for photo in photos])
        self._index = InvertedIndex()
        self._index.add(range(len(photos)), [_words(picture)[0] for picture in self.pictures])

    def suspects(self, photo: Seen, picture: Picture | None, own: int = -1) -> list[int]:
        """Return what a picture is to be compared with."""
        found = set(self._index.candidates(own, *_words(picture)))
        distance, _ = distances(photo.signature, self._signatures)
        near = np.flatnonzero(distance <= self.max_distance)
        found |= set(near[np.argsort(distance[near], kind="stable")][:NEAREST].tolist())
        return sorted(found - {own})

    def matches(self, picture: Picture | None, suspects: Iterable[int]) -> dict[int, Verdict]:
        """Return which of its suspects a picture matches."""
        verdicts = {other: _verify(self.pictures[other], picture) for other in suspects}
        return {other: verdict for other, verdict in verdicts.items() if verdict is not None}


def _picture(photo: Seen) -> Picture | None:
    return Picture(unpack(photo.features)) if photo.features else None


def _verify(one: Picture | None, other: Picture | None) -> Verdict | None:
    return None if one is None or other is None else verify(one, other)


def _words(picture: Picture | None) -> tuple[WordArray, WordArray]:
    """Return the words of a picture and of its mirror image, as the index has them."""
    nothing = np.empty(0, dtype=np.uint32)
    return (nothing, nothing) if picture is None else unpack_words(pack_words(picture.features))


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the copies of one photo, in the order of the ladder.

    Attributes:
        photo: Its name.
        classes: Of each copy's match with its original.
        suspected: Whether a copy was compared with its original at all.
        wrong: Copies that match another photo too: the edit, that photo, and as what.
    """

    photo: str
    classes: tuple[MatchClass | None, ...]
    suspected: tuple[bool, ...]
    wrong: tuple[tuple[str, str, MatchClass], ...]


_library: list[Library] = []


def report(
    albums: Mapping[str, Sequence[Album]],
    strangers: Mapping[str, Sequence[Seen]],
    max_distance: float,
    processes: int,
    *,
    exhaustive: bool,
    missed: bool,
) -> None:
    """Print the tables, in Markdown.

    Args:
        albums: Photos and their copies, by kind; the first kind is reported edit by edit.
        strangers: Everything in the index, by kind: the originals and photos of which no two are the same.
        max_distance: Signatures within it are candidates.
        processes: How many verify at a time.
        exhaustive: Also verify all pairs of strangers of a kind, whether they are candidates or not.
        missed: Also name every copy that was not found, and why.
    """
    everything = [photo for photos in strangers.values() for photo in photos]
    kinds = [kind for kind, photos in strangers.items() for _ in photos]
    place = {photo.path: number for number, photo in enumerate(everything)}
    _library[:] = [Library(everything, max_distance)]
    # Several threads in each process would only wait for one another.
    with ProcessPoolExecutor(processes, initializer=single_threaded_blas.__enter__) as pool:
        for kind, some in albums.items():
            tasks = [(album, place[album.original.path]) for album in some]
            found = list(pool.map(_look_up, tasks))
            _print_rows(kind, found)
            if missed:
                _print_missed(found)
        _print_false("candidates", kinds, pool.map(_neighbours, range(len(everything)), chunksize=8))
        if exhaustive:
            groups = [[n for n, of in enumerate(kinds) if of == kind] for kind in strangers]
            tasks = [(group[at], group[at + 1 :]) for group in groups for at in range(len(group))]
            _print_false("all pairs of a kind", kinds, pool.map(_compare_all, tasks, chunksize=8))


def _look_up(task: tuple[Album, int]) -> Found:
    """Compare each copy of a photo with what it is suspected to be."""
    album, original = task
    classes: list[MatchClass | None] = []
    suspected: list[bool] = []
    wrong: list[tuple[str, str, MatchClass]] = []
    for edit, copy in zip(LADDER, album.copies, strict=True):
        picture = _picture(copy)
        suspects = _library[0].suspects(copy, picture)
        matches = _library[0].matches(picture, suspects)
        verdict = matches.pop(original, None)
        classes.append(None if verdict is None else verdict.match_class)
        suspected.append(original in suspects)
        for other, another in matches.items():
            wrong.append((edit.name, _library[0].photos[other].path.name, another.match_class))
    return Found(album.original.path.name, tuple(classes), tuple(suspected), tuple(wrong))


def _neighbours(number: int) -> list[tuple[int, int, MatchClass]]:
    library = _library[0]
    picture = library.pictures[number]
    matches = library.matches(picture, library.suspects(library.photos[number], picture, number))
    return [(number, other, verdict.match_class) for other, verdict in matches.items() if other > number]


def _compare_all(task: tuple[int, Sequence[int]]) -> list[tuple[int, int, MatchClass]]:
    number, others = task
    pictures = _library[0].pictures
    verdicts = ((other, _verify(pictures[number], pictures[other])) for other in others)
    return [(number, other, verdict.match_class) for other, verdict in verdicts if verdict is not None]


def _print_missed(found: Sequence[Found]) -> None:
    for photo in found:
        for edit_name, other, match_class in photo.wrong:
            print(f"- {edit_name}: {photo.photo}: {match_class} of {other}, which it was not made from")
    print("\nMissed:\n")
    for number, edit in enumerate(LADDER):
        for photo in found:
            if photo.classes[number] is None:
                print(f"- {edit.name}: {photo.photo}: {'not proven' if photo.suspected[number] else 'not suspected'}")


def _print_rows(kind: str, found: Sequence[Found]) -> None:
    print(f"\n{kind}: {len(found)} photos\n\n| copy | found | as the class it is |\n| --- | --- | --- |")
    shares = {}
    for number, edit in enumerate(LADDER):
        classes = [photo.classes[number] for photo in found]
        right = [each for each in classes if each is not None]
        shares[edit] = (len(right) / len(classes), sum(each == edit.expected for each in right) / max(1, len(right)))
        mark = "" if edit.required else " (extreme)"
        print(f"| {edit.name}{mark} | {_percent(shares[edit][0])} | {edit.expected} {_percent(shares[edit][1])} |")
    classes_right = ", ".join(f"{kind} {_mean(shares, kind, 1)}" for kind in ("similar", "partial"))
    print(f"| **mean** | **{_mean(shares, None, 0)}** | {classes_right} |")
    required = {edit: share for edit, share in shares.items() if edit.required}
    print(f"| **mean without the extreme ones** | **{_mean(required, None, 0)}** | |")
    wrong = {(photo.photo, edit_name) for photo in found for edit_name, _, _ in photo.wrong}
    print(f"\nCopies that also match a photo they were not made from: {len(wrong)}")


def _mean(shares: Mapping[Edit, tuple[float, float]], expected: str | None, column: int) -> str:
    values = [share[column] for edit, share in shares.items() if expected in {None, edit.expected}]
    return _percent(sum(values) / len(values))


def _print_false(title: str, kinds: Sequence[str], pairs: Iterable[list[tuple[int, int, MatchClass]]]) -> None:
    counts: dict[tuple[str, str], int] = {}
    for left, right, match_class in (pair for some in pairs for pair in some):
        kind = kinds[left] if kinds[left] == kinds[right] else f"{kinds[left]} with {kinds[right]}"
        counts[kind, match_class.value] = counts.get((kind, match_class.value), 0) + 1
    print(f"\n| different pictures ({title}) | photos | similar | partial |\n| --- | --- | --- | --- |")
    for kind in dict.fromkeys([*kinds, *(kind for kind, _ in counts)]):
        similar, partial_ = (counts.get((kind, match_class), 0) for match_class in ("similar", "partial"))
        print(f"| {kind} | {kinds.count(kind) or ''} | {similar} | {partial_} |")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
