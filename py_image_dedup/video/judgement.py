"""What two related videos are to each other, and whether one of them has everything that is in the other.

The video that is judged to be redundant is gone afterwards, so whatever is in doubt is something that the keeper lacks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from py_image_dedup.model.inspection import Inspection, Outcome, Region, RegionKind
from py_image_dedup.model.match import Evidence, MatchClass, Orientation
from py_image_dedup.video.comparison import Comparison, Relation
from py_image_dedup.video.facts import PictureArea, Track, VideoFacts

_MORE_PIXELS: Final = 1.05
_MORE_FRAMES: Final = 1.1
_MORE_BITS: Final = 1.1
_LEAST_BITS: Final = 0.5
"""Bit rates, as shares of that of a smaller video, by which one has less detail although it has more pixels."""
_SAME_SIZE: Final = 1.1
_EFFICIENCY: Final = {
    "mpeg1video": 0.4, "mpeg2video": 0.5, "mpeg4": 0.65, "h263": 0.5, "mjpeg": 0.2, "h264": 1.0, "vp8": 0.9,
    "vp9": 1.5, "hevc": 1.6, "av1": 1.9, "prores": 0.15, "dnxhd": 0.15, "dvvideo": 0.15,
}  # fmt: skip
"""Detail for a bit rate, as a multiple of that of H.264; rounded from what comparisons of codecs agree on."""
_LEAST_TOLERANCE: Final = 0.15
_WHOLE: Final = 1.0


@dataclass(frozen=True, slots=True)
class VideoPair:
    """Facts of two videos and the result of comparing them.

    Attributes:
        left: Facts of the keeper.
        right: Facts of the other one.
        left_area: The part of the keeper's frames that is no black bar.
        right_area: That of the other one.
        comparison: The comparison of their frames.
        same_packets: Whether the encoded pictures are equal.
        sounds_equal: Whether the sound is the same, as far as both have any.
        same_frames: Whether every decoded frame is equal, though the encoded pictures differ.
    """

    left: VideoFacts
    right: VideoFacts
    left_area: PictureArea
    right_area: PictureArea
    comparison: Comparison
    same_packets: bool = False
    sounds_equal: bool = True
    same_frames: bool = False

    @property
    def same_pictures(self) -> bool:
        """Whether both show exactly the same pictures."""
        return self.same_packets or self.same_frames


@dataclass(frozen=True, slots=True)
class Judgement:
    """The relation of two videos.

    Attributes:
        match_class: Class of the match.
        orientation: The transform that makes the keeper look like the other one.
        evidence: Evidence for the user.
        inspection: Whether the other one may go, and why not.
        difference: Mean difference of the frames, 0 to 1.
        overlay_is_right: Whether something was drawn over the other one; false for the keeper, ``None`` for neither or
            if that is unclear.
    """

    match_class: MatchClass
    orientation: Orientation
    evidence: Evidence
    inspection: Inspection
    difference: float = 0.0
    overlay_is_right: bool | None = None


def judge(pair: VideoPair) -> Judgement | None:
    """Return what the right video is to the left one, the keeper; ``None`` if they are different videos."""
    comparison = pair.comparison
    if comparison.relation is Relation.DIFFERENT:
        return None
    times = _Times.of(pair)
    lacks = _lacks(pair, times)
    evidence = Evidence(
        tuple(_words(pair, times)),
        inliers=comparison.points,
        coverage_left=times.coverage_left,
        coverage_right=times.coverage_right,
        words_reversed=tuple(_words(_reversed(pair), times.reversed())),
    )
    if pair.same_pictures:
        match_class = MatchClass.SAME_PIXELS
    elif comparison.relation is Relation.OVERLAID:
        match_class = MatchClass.EDITED
    elif times.is_whole:
        match_class = MatchClass.SIMILAR
    else:
        match_class = MatchClass.PARTIAL
    found = _inspection(pair, times, lacks)
    drawn = comparison.overlay_is_right if comparison.relation is Relation.OVERLAID else None
    return Judgement(match_class, comparison.orientation, evidence, found, comparison.difference, drawn)


def _reversed(pair: VideoPair) -> VideoPair:
    turned = pair.comparison.reversed()
    return VideoPair(
        pair.right,
        pair.left,
        pair.right_area,
        pair.left_area,
        turned,
        pair.same_packets,
        pair.sounds_equal,
        pair.same_frames,
    )


@dataclass(frozen=True, slots=True)
class _Times:
    """What of the film is in which of the two videos; differences that are rounding are 0.

    Attributes:
        at_start: Seconds by which the right one begins later; negative if it begins earlier.
        at_end: Seconds by which the right one ends earlier; negative if it ends later.
        coverage_left: Share of the left one that is in the right one as well.
        coverage_right: Share of the right one that is in the left one as well.
    """

    at_start: float
    at_end: float
    coverage_left: float
    coverage_right: float

    @classmethod
    def of(cls, pair: VideoPair) -> _Times:
        left, right = pair.left.seconds, pair.right.seconds
        slowest = min(each.frame_rate for each in (pair.left, pair.right)) or 1.0
        tolerance = max(_LEAST_TOLERANCE, 2.0 / slowest)
        start = pair.comparison.offset
        end = left - right - start
        start, end = (0.0 if abs(each) <= tolerance else each for each in (start, end))
        shared = max(0.0, left - max(0.0, start) - max(0.0, end))
        return cls(
            start,
            end,
            _WHOLE if start <= 0 and end <= 0 else min(_WHOLE, shared / left),
            _WHOLE if start >= 0 and end >= 0 else min(_WHOLE, shared / right),
        )

    @property
    def is_whole(self) -> bool:
        return self.at_start == self.at_end == 0.0

    @property
    def right_has_more(self) -> bool:
        return self.at_start < 0 or self.at_end < 0

    def reversed(self) -> _Times:
        return _Times(-self.at_start, -self.at_end, self.coverage_right, self.coverage_left)


def _words(pair: VideoPair, times: _Times) -> list[str]:
    """Return what the right video is, seen from the left one."""
    left, right, seen = pair.left, pair.right, pair.comparison
    words = [
        f"{_duration(abs(seconds))} {'shorter' if seconds > 0 else 'longer'} at the {place}"
        for seconds, place in ((times.at_start, "start"), (times.at_end, "end"))
        if seconds
    ]
    if seen.orientation is not Orientation.UPRIGHT:
        words.append(seen.orientation.label)
    if (right.width, right.height) != (left.width, left.height) and seen.orientation not in _TURNED:
        words.append(f"{right.width} x {right.height}")
    if pair.right_area.share < pair.left_area.share - 0.02:
        words.append("with black bars")
    if abs(right.frame_rate - left.frame_rate) > 0.05 * left.frame_rate:
        words.append(f"{right.frame_rate:.3g} frames per second")
    if right.codec != left.codec:
        words.append(right.codec)
    if seen.relation is Relation.OVERLAID:
        words.append("with something drawn over" if seen.overlay_is_right is not False else "parts of it differ")
    if left.audio and not right.audio:
        words.append("without sound")
    if not pair.sounds_equal:
        words.append("with other sound")
    return words


_TURNED: Final = frozenset(
    {Orientation.TRANSPOSE, Orientation.ROTATE_90, Orientation.TRANSVERSE, Orientation.ROTATE_270}
)


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def _lacks(pair: VideoPair, times: _Times) -> tuple[str, ...]:
    """Return what the left video lacks that is in the right one, as words for the user."""
    left, right = pair.left, pair.right
    mine, theirs = left.pixels * pair.left_area.share, right.pixels * pair.right_area.share
    conditions = (
        ("length", times.right_has_more),
        ("resolution", not pair.same_pictures and theirs > _MORE_PIXELS * mine),
        ("detail", not pair.same_pictures and _has_more_detail(right, theirs, left, mine)),
        ("frame rate", not pair.same_pictures and right.frame_rate > _MORE_FRAMES * left.frame_rate),
        ("bit depth", right.bits > left.bits),
        ("high dynamic range", right.is_hdr and not left.is_hdr),
        ("sound", not pair.sounds_equal or bool(_missing(left.audio, right.audio))),
        ("sound channels", _channels(right.audio) > _channels(left.audio)),
        ("subtitles", bool(_missing(left.subtitles, right.subtitles))),
        ("chapters", right.chapters > left.chapters),
    )
    return tuple(name for name, is_lacking in conditions if is_lacking)


def _has_more_detail(right: VideoFacts, theirs: float, left: VideoFacts, mine: float) -> bool:
    """Return whether the right video has clearly more bits for its pictures than the left one.

    A smaller one has less detail in any case, unless the larger one was made from it or is squeezed.
    """
    their_bits, my_bits = detail_bits(right), detail_bits(left)
    if theirs <= mine / _SAME_SIZE:
        return my_bits < _LEAST_BITS * their_bits
    return their_bits > _MORE_BITS * my_bits


def detail_bits(facts: VideoFacts) -> float:
    """Return the bit rate that H.264 would need for the detail of a video, bits per second; a rough estimate."""
    return facts.bit_rate * _EFFICIENCY.get(facts.codec, 1.0)


def _missing(mine: tuple[Track, ...], theirs: tuple[Track, ...]) -> Counter[str]:
    """Return the languages of tracks that only the second video has; an unknown language may be any."""
    extra = Counter(track.language for track in theirs) - Counter(track.language for track in mine)
    unknown = sum(not track.language for track in mine)
    return extra if len(theirs) > len(mine) or extra.total() > unknown + extra[""] else Counter()


def _channels(tracks: tuple[Track, ...]) -> int:
    return max((track.channels for track in tracks), default=0)


def _inspection(pair: VideoPair, times: _Times, lacks: tuple[str, ...]) -> Inspection:
    seen = pair.comparison
    if seen.relation is Relation.STILL and not pair.same_pictures:
        return Inspection(
            Outcome.UNDECIDED,
            "Nothing moves in the two videos, or too little: another take of the same scene would look the same.",
            lacks=lacks,
        )
    if seen.relation is Relation.PARTLY:
        places = ", ".join(_clock(at) for at in seen.differs_at[:5])
        return Inspection(Outcome.UNDECIDED, f"The videos agree, but not everywhere: look at {places}.", lacks=lacks)
    if seen.relation is Relation.OVERLAID:
        return Inspection(
            Outcome.EDITED,
            "It is the same film, and in one of the two something is drawn over it, such as subtitles.",
            _regions(pair),
            lacks,
        )
    if not lacks and times.is_whole:
        what = "The same film from the first to the last frame"
        if pair.same_pictures:
            what = "The encoded pictures are equal" if pair.same_packets else "Every frame is equal, pixel by pixel"
        return Inspection(Outcome.COVERED, f"{what}, and the keeper has at least its resolution, length and sound.")
    if not times.is_whole and (not lacks or lacks == ("length",)):
        more = "the other one" if times.right_has_more else "the keeper"
        return Inspection(Outcome.PARTIAL, f"It is the same film, and {more} shows more of it.", lacks=lacks)
    mine = _lacks(_reversed(pair), times.reversed())
    both = " Each has something that the other one lacks." if mine else ""
    return Inspection(
        Outcome.BOTH_HAVE_MORE if mine else Outcome.MORE,
        f"It has what the keeper lacks: {', '.join(lacks)}.{both}",
        lacks=lacks,
    )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _regions(pair: VideoPair) -> tuple[Region, ...]:
    """Return the place that was drawn over, in pixels of the keeper; none if one of the two is turned."""
    box = pair.comparison.overlay
    if box is None or pair.comparison.orientation is not Orientation.UPRIGHT:
        return ()
    left, area = pair.left, pair.left_area
    x = round((area.left + box[0] * (area.right - area.left)) * left.width)
    y = round((area.top + box[1] * (area.bottom - area.top)) * left.height)
    width = max(1, round((box[2] - box[0]) * (area.right - area.left) * left.width))
    height = max(1, round((box[3] - box[1]) * (area.bottom - area.top) * left.height))
    added = {True: RegionKind.ADDED, False: RegionKind.REMOVED, None: RegionKind.REPLACED}
    kind = added[pair.comparison.overlay_is_right]
    return (Region(x, y, width, height, kind, width * height / left.pixels),)
