"""Pairs of videos that may be copies, with the times at which one may begin in the other: a search over signatures.

A pair is a candidate if frames of both look alike at one and the same difference of their times. That alone proves
nothing: videos of one scene, or with the same intro, are candidates as well.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from py_image_dedup.model.events import never
from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.search.join import SearchIndex
from py_image_dedup.signature.arrays import Float64Array, Int8Array, Int64Array, PairBlock
from py_image_dedup.signature.distance import distances
from py_image_dedup.video.facts import VideoProfile

MAX_DISTANCE: Final = 0.32
"""Largest distance of the signatures of two frames that look alike; a caption or 0.2 seconds cost that much."""
_STILL: Final = 0.08
"""Distance up to which successive frames count as one that stands still."""
_WINDOW_SECONDS: Final = 0.5
"""Differences of times that are this near to each other are one."""
_MOST_PLACES: Final = 4
_MOST_VIDEOS: Final = 30
"""Other videos that a frame may lead to, the nearest first: black frames and logos are in many."""
_LEAST_SHARE: Final = 0.05
_FEW: Final = 3


@dataclass(frozen=True, slots=True)
class Placement:
    """A way in which one video may lie in another.

    Attributes:
        offset: Time in the left video at which the right one begins, seconds; negative if the right one begins earlier.
        orientation: The transform that makes the left video look like the right one.
        votes: Number of frames that agree with it.
    """

    offset: float
    orientation: Orientation
    votes: int = 0

    def reversed(self) -> Placement:
        """Return the same with left and right exchanged."""
        return Placement(-self.offset, self.orientation.inverse, self.votes)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two videos that may be copies.

    Attributes:
        left: Place of a video in the searched sequence.
        right: Place of another one, greater than ``left``.
        placements: How the right one may lie in the left one, the likeliest first; never empty.
    """

    left: int
    right: int
    placements: tuple[Placement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Shots:
    """The sampled frames of all videos, each still scene once.

    Attributes:
        signatures: int8, shape ``(n, 272)``.
        video: Place of the video of each frame, ascending.
        start: Time of the first sample that shows it, seconds.
        end: Time of the last one, seconds.
    """

    signatures: Int8Array
    video: Int64Array
    start: Float64Array
    end: Float64Array


def find_candidates(
    profiles: Sequence[VideoProfile], should_stop: Callable[[], bool] = never, *, first: int | None = None
) -> Iterator[Candidate]:
    """Yield the pairs of videos that may be copies, by their places in the sequence.

    Args:
        profiles: Profiles of the videos. Some hundred bytes for each sampled frame are in memory.
        should_stop: Returns whether to end early.
        first: Number of videos at the beginning of the sequence of which one has to be in each pair; by default all.
    """
    shots = _shots(profiles)
    if len(shots.signatures) == 0:
        return
    index = SearchIndex(shots.signatures)
    counts = np.bincount(shots.video, minlength=len(profiles))
    starts = np.searchsorted(shots.video, np.arange(len(profiles) + 1))
    for left in range(len(profiles) if first is None else first):
        if should_stop():
            return
        if not counts[left]:
            continue
        found = index.query(shots.signatures[starts[left] : starts[left + 1]], MAX_DISTANCE)
        for right, pairs in _by_video(found, shots, left):
            placements = _placements(pairs, shots, int(starts[left]))
            few = int(min(counts[left], counts[right]))
            needed = 1 if few <= _FEW else max(2, math.ceil(_LEAST_SHARE * few))
            placements = [each for each in placements if each.votes >= needed]
            if placements:
                yield Candidate(left, right, tuple(placements[:_MOST_PLACES]))


def _shots(profiles: Sequence[VideoProfile]) -> _Shots:
    signatures: list[Int8Array] = []
    videos: list[int] = []
    starts: list[float] = []
    ends: list[float] = []
    for place, profile in enumerate(profiles):
        kept: Int8Array | None = None
        for values, time in zip(profile.signatures, profile.times.tolist(), strict=True):
            if kept is not None and float(distances(kept, values[None])[0][0]) <= _STILL:
                ends[-1] = time
                continue
            kept = values
            signatures.append(values)
            videos.append(place)
            starts.append(time)
            ends.append(time)
    rows: Int8Array = np.array(signatures, dtype=np.int8).reshape(-1, SIGNATURE_LENGTH)
    return _Shots(rows, np.array(videos, np.int64), np.array(starts, np.float64), np.array(ends, np.float64))


def _by_video(found: PairBlock, shots: _Shots, left: int) -> Iterator[tuple[int, PairBlock]]:
    """Yield the pairs of frames with each later video; a frame leads to the nearest videos only."""
    videos = shots.video[found.right]
    reached: dict[int, set[int]] = defaultdict(set)
    kept = np.zeros(len(found), dtype=np.bool_)
    for place, (frame, video) in enumerate(zip(found.left.tolist(), videos.tolist(), strict=True)):
        if video == left:
            continue
        if video in reached[frame] or len(reached[frame]) < _MOST_VIDEOS:
            reached[frame].add(video)
            kept[place] = video > left
    pairs, videos = found.filter(kept), videos[kept]
    for right in np.unique(videos).tolist():
        yield int(right), pairs.filter(videos == right)


def _placements(pairs: PairBlock, shots: _Shots, first: int) -> list[Placement]:
    """Return the ways in which one video may lie in the other, those that most frames agree with first."""
    found: list[Placement] = []
    for orientation in np.unique(pairs.orientation).tolist():
        some = pairs.filter(pairs.orientation == orientation)
        left, right = some.left + first, some.right
        # A still scene begins and ends in both; frames that move begin and end at once.
        offsets = np.concatenate([shots.start[left] - shots.start[right], shots.end[left] - shots.end[right]])
        members = (np.concatenate([left, left]), np.concatenate([right, right]))
        found += _clusters(offsets, *members, Orientation(int(orientation)))
    return sorted(found, key=lambda each: (-each.votes, abs(each.offset)))


def _clusters(offsets: Float64Array, left: Int64Array, right: Int64Array, orientation: Orientation) -> list[Placement]:
    order = np.argsort(offsets, kind="stable")
    offsets, left, right = offsets[order], left[order], right[order]
    ends = np.searchsorted(offsets, offsets + _WINDOW_SECONDS, "right")
    scores = [
        min(len(set(left[at:end].tolist())), len(set(right[at:end].tolist()))) for at, end in enumerate(ends.tolist())
    ]
    found: list[Placement] = []
    for at in sorted(range(len(scores)), key=lambda place: -scores[place]):
        middle = float(np.median(offsets[at : ends[at]]))
        if all(abs(middle - each.offset) > _WINDOW_SECONDS for each in found):
            found.append(Placement(middle, orientation, scores[at]))
        if len(found) == _MOST_PLACES:
            break
    return found
