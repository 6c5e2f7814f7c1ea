"""The videos of a run: finds those that are copies, and ranks them as photos are ranked.

Videos are never compared with photos. Their matches are found, compared and judged here, apart from the stages of the
photos; the groups that come out go through the same plan, journal and undo. A video beside a photo of the same name, as
in a Live Photo, belongs to that photo and is left alone.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from py_image_dedup.inspection.client import VERSION as INSPECTION_VERSION
from py_image_dedup.matching.groups import Components
from py_image_dedup.matching.matcher import Eligibility, Matcher, scope_key
from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.media.opened_file import opened, read_file
from py_image_dedup.model.batches import batched
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.events import Observer, PhaseAdvanced, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat, Inventory
from py_image_dedup.model.inspection import Inspection, Outcome
from py_image_dedup.model.match import Group, Match, MatchClass
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import Action
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.pipeline.incremental import inventory_of
from py_image_dedup.pipeline.options import AnalyseOptions, FindOptions, RunContext
from py_image_dedup.pipeline.rank import GroupRanker, Ranked, RankedCandidates, collect, counts_of
from py_image_dedup.pipeline.units import photo_stems, units_around
from py_image_dedup.scan.roots import Ownership, topmost
from py_image_dedup.video.candidates import Placement, find_candidates
from py_image_dedup.video.client import ComparedVideos, VideoWorker
from py_image_dedup.video.comparison import Comparison, Relation
from py_image_dedup.video.facts import VIDEO_VERSION, VideoProfile, unpack
from py_image_dedup.video.judgement import Judgement, VideoPair, judge
from py_image_dedup.video.rules import with_video_rules

if TYPE_CHECKING:
    from py_image_dedup.store.base import DigestPair, Store

_PROFILES_AT_ONCE: Final = 200
_BATCH: Final = 16
"""Pairs whose results are stored together: a killed run loses this many at most."""
_METHOD: Final = f"video {VIDEO_VERSION}.1"
"""Version of the profiles and of the comparison of two videos; stored results of another one are computed again."""


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """The content of one or more video files.

    Attributes:
        digest: BLAKE3 digest of the bytes.
        stat: One of the files.
        profile: Its facts and sampled frames.
        packets: Digest of its encoded pictures.
    """

    digest: bytes
    stat: FileStat
    profile: VideoProfile
    packets: bytes | None


@dataclass(frozen=True, slots=True)
class VideosFound:
    """The videos of a run.

    Attributes:
        ranked: Their groups, and the matches of videos that all stay.
        failures: Videos that could not be compared.
    """

    ranked: Ranked
    failures: tuple[Failure, ...] = ()


class _Stored(msgspec.Struct, frozen=True):
    """The result of comparing two videos, as the index keeps it."""

    method: str
    compared: ComparedVideos


def with_known_videos(inventory: Inventory, context: RunContext) -> Inventory:
    """Return an inventory with all videos that the index knows under its roots, if it has any video itself.

    Args:
        inventory: The files of a batch.
        context: Dependencies of the run.

    Raises:
        StoreError: The index cannot be used.
    """
    options = context.options
    if not any(map(options.analyse.is_video, inventory.stamps)):
        return inventory
    under = topmost(root.path for root in inventory.roots)
    stamps = context.store.stamps(under)
    known = [raw for raw, _, versions in stamps if options.analyse.is_current_video(versions)]
    videos = inventory_of({*known, *inventory.stamps}, inventory.roots, options.walked)
    return replace(inventory, stamps=videos.stamps, linked=videos.linked)


def rank_videos(
    inventory: Inventory, context: RunContext, group_ranker: GroupRanker, *, new: Collection[bytes] | None = None
) -> VideosFound:
    """Find the copies among the videos of an inventory, compare them, and choose keepers.

    Args:
        inventory: All files of the run; photos are ignored.
        context: Dependencies of the run.
        group_ranker: The ranker of photos, whose rules come after those about videos.
        new: Raw paths of which one has to be in each group; by default all.

    Raises:
        StoreError: The index cannot be used.
    """
    begin = perf_counter()
    options, store = context.options, context.store
    entries = [
        entry
        for stat in _videos_alone(inventory, options.analyse, new)
        if (entry := store.get(stat.path)) is not None
        and entry.stat.stamp == stat.stamp
        and options.analyse.is_current_video(entry.versions)
        and _is_large_enough(entry, options.find)
    ]
    videos = load_videos(entries, store)
    entries = [_with_footage(entry, videos) for entry in entries]
    ownership = Ownership(inventory.roots)
    key = scope_key(options.find.scope, ownership)
    scopes: dict[Hashable, list[IndexEntry]] = defaultdict(list)
    for entry in entries:
        scopes[key(entry.stat.raw_path)].append(entry)
    reach: dict[bytes, set[Hashable]] = defaultdict(set)
    for where, some in scopes.items():
        for entry in some:
            if entry.digest is not None:
                reach[entry.digest].add(where)
    with VideoInspector(context) as inspector:
        wanted = None if new is None else {entry.digest for entry in entries if entry.stat.raw_path in new}
        inspector.compare(videos, lambda one, two: not reach[one].isdisjoint(reach[two]), wanted)
        matcher = _with_rejections(
            VideoMatcher(videos, inspector.results, options.find.eligibility(ownership)), group_ranker.matcher
        )
        ranker = replace(group_ranker.ranker, rules=with_video_rules(group_ranker.ranker.rules, _facts(videos)))
        ranking = replace(group_ranker, matcher=matcher, ranker=ranker)
        candidates = []
        for where in sorted(scopes, key=repr):
            for group in _groups(scopes[where], videos, inspector.results):
                if new is not None and all(entry.stat.raw_path not in new for entry in group.entries):
                    continue
                ordering = ranking.order(group)
                candidates.append(RankedCandidates(ordering, ranking.cut(ordering)))
        groups, reported = collect(candidates)
        counts = {**counts_of(groups, reported), "videos": len(entries), "compared": inspector.compared}
        summary = PhaseSummary(Phase.INSPECT, perf_counter() - begin, counts)
        return VideosFound(Ranked(tuple(candidates), groups, reported, summary), tuple(inspector.failures))


def _videos_alone(inventory: Inventory, options: AnalyseOptions, new: Collection[bytes] | None) -> Iterator[FileStat]:
    """Yield the videos that do not belong to a photo, as the film of a Live Photo does.

    Such a film goes with its photo or stays with it. A film of the name of a photo is left alone in any case. The
    inventory of a batch has few photos, so their names come from the folders.
    """
    if new is None:
        photos = {raw[: raw.rfind(b".")].lower() for raw in inventory.stamps if not options.is_video(raw)}
    else:
        photos = photo_stems({raw.rpartition(b"/")[0] for raw in inventory.stamps if options.is_video(raw)})
    videos = [raw for raw in inventory.stamps if options.is_video(raw) and raw[: raw.rfind(b".")].lower() not in photos]
    units = units_around(Path(os.fsdecode(raw)) for raw in videos)
    for raw in videos:
        if units.of(Path(os.fsdecode(raw))) is None:
            yield FileStat.of(raw, inventory.stamps[raw])


def _with_footage(entry: IndexEntry, videos: Mapping[bytes, Video]) -> IndexEntry:
    """Return an entry with the facts that only videos have, which reports show."""
    video = videos.get(entry.digest or b"")
    if entry.facts is None or video is None:
        return entry
    return replace(entry, facts=replace(entry.facts, footage=video.profile.facts.footage))


def _is_large_enough(entry: IndexEntry, options: FindOptions) -> bool:
    return entry.facts is None or entry.facts.pixels >= options.min_pixels


def load_videos(entries: Sequence[IndexEntry], store: Store) -> dict[bytes, Video]:
    """Return the contents of video files by digest; what has no current profile is left out.

    Args:
        entries: Entries of video files.
        store: The index.

    Raises:
        StoreError: The index cannot be used.
    """
    by_digest: dict[bytes, IndexEntry] = {}
    for entry in entries:
        if entry.digest is not None and entry.decoded_whole:
            by_digest.setdefault(entry.digest, entry)
    found: dict[bytes, Video] = {}
    for some in batched(by_digest, _PROFILES_AT_ONCE):
        numbers = store.content_ids(some)
        packed = store.features(numbers.values())
        for digest in some:
            entry = by_digest[digest]
            data = packed.get(numbers.get(digest, -1))
            profile = None if data is None else unpack(data)
            if profile is not None:
                found[digest] = Video(digest, entry.stat, profile, entry.image_data_digest)
    return found


class VideoInspector(Closing):
    """Compares pairs of videos, each pair of contents once ever. For one thread at a time; close it.

    Attributes:
        results: Results by pair of digests, the lesser digest first.
        failures: Videos that could not be compared.
        compared: Number of pairs that were compared now.

    Args:
        context: Dependencies of the run.
    """

    def __init__(self, context: RunContext) -> None:
        self._store: Store = context.store
        self._observer: Observer = context.observer
        self._should_stop = context.should_stop
        self._limits: Limits = context.options.find.limits
        self._threads = max(1, context.options.find.threads)
        self._workers: list[VideoWorker] = []
        self._own = threading.local()
        self._lock = threading.Lock()
        self.results: dict[DigestPair, ComparedVideos] = {}
        self.failures: list[Failure] = []
        self.compared = 0

    def compare(
        self,
        videos: Mapping[bytes, Video],
        may_match: Callable[[bytes, bytes], bool],
        wanted: Collection[bytes | None] | None = None,
    ) -> None:
        """Compare all videos that may be copies.

        Args:
            videos: The videos by digest.
            may_match: Returns whether two contents are in a common scope.
            wanted: Digests of which one has to be in each pair; by default all.

        Raises:
            StoreError: The index cannot be used.
        """
        mine = set(videos if wanted is None else wanted)
        digests = sorted(videos, key=lambda digest: (digest not in mine, digest))
        pairs: dict[DigestPair, tuple[Placement, ...]] = {}
        for one, two in _same_packets(videos):
            if may_match(one, two) and not mine.isdisjoint((one, two)):
                pairs[one, two] = ()
        profiles = [videos[digest].profile for digest in digests]
        count = sum(digest in mine for digest in digests)
        for each in find_candidates(profiles, self._should_stop, first=count):
            left, right = digests[each.left], digests[each.right]
            placements = each.placements
            if left > right:
                left, right = right, left
                placements = tuple(placement.reversed() for placement in placements)
            if may_match(left, right):
                pairs.setdefault((left, right), _both_ways(placements, videos[left], videos[right]))
        self.compare_pairs(pairs, videos)

    def compare_pairs(self, pairs: Mapping[DigestPair, Sequence[Placement]], videos: Mapping[bytes, Video]) -> None:
        """Compare pairs of videos, except those with a stored result.

        Args:
            pairs: Placements of the second video in the first one, by digests, the lesser digest first.
            videos: The videos by digest.

        Raises:
            StoreError: The index cannot be used.
        """
        wanted = dict(pairs)
        for pair, data in self._store.inspections(INSPECTION_VERSION, wanted.keys()).items():
            stored = _decoded(data)
            if stored is not None:
                self.results[pair] = stored
                del wanted[pair]
        if not wanted:
            return
        begin = perf_counter()
        self._observer(PhaseStarted(Phase.INSPECT, len(wanted), "pairs of videos"))
        fresh: dict[DigestPair, bytes] = {}
        try:
            for pair, found in self._all(wanted, videos):
                self.compared += 1
                self._observer(PhaseAdvanced(Phase.INSPECT))
                if found is not None:
                    self.results[pair] = found
                    fresh[pair] = msgspec.json.encode(_Stored(_METHOD, found))
                if len(fresh) >= _BATCH:
                    self._store.keep_inspections(INSPECTION_VERSION, fresh)
                    fresh = {}
        finally:
            if fresh:
                self._store.keep_inspections(INSPECTION_VERSION, fresh)
        counts = {"compared": self.compared}
        self._observer(PhaseFinished(PhaseSummary(Phase.INSPECT, perf_counter() - begin, counts)))

    def close(self) -> None:
        """End the worker processes; closing twice is no error."""
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    def _all(
        self, pairs: Mapping[DigestPair, Sequence[Placement]], videos: Mapping[bytes, Video]
    ) -> Iterator[tuple[DigestPair, ComparedVideos | None]]:
        with ThreadPoolExecutor(self._threads, "videos") as pool:
            futures: dict[Future[ComparedVideos | None], DigestPair] = {
                pool.submit(self._one, videos[pair[0]], videos[pair[1]], placements): pair
                for pair, placements in pairs.items()
            }
            for future in as_completed(futures):
                yield futures[future], future.result()

    def _one(self, left: Video, right: Video, placements: Sequence[Placement]) -> ComparedVideos | None:
        if self._should_stop():
            return None
        same = left.packets is not None and left.packets == right.packets
        try:
            with _unchanged(left) as one, _unchanged(right) as two:
                return self._worker().compare((one, two), (left.profile, right.profile), placements, same_packets=same)
        except MediaError as error:
            message = f"it could not be compared with {right.stat.path}: {error.message}"
            with self._lock:
                self.failures.append(Failure(left.stat.path, Phase.INSPECT, error.reason, message))
            return None

    def _worker(self) -> VideoWorker:
        worker: VideoWorker | None = getattr(self._own, "worker", None)
        if worker is None:
            worker = self._own.worker = VideoWorker(self._limits)
            with self._lock:
                self._workers.append(worker)
        return worker


def _decoded(data: bytes) -> ComparedVideos | None:
    try:
        stored = msgspec.json.decode(data, type=_Stored)
    except msgspec.DecodeError:
        return None
    return stored.compared if stored.method == _METHOD else None


def _same_packets(videos: Mapping[bytes, Video]) -> Iterator[DigestPair]:
    """Yield the pairs of videos with the same encoded pictures."""
    same: dict[bytes, list[bytes]] = defaultdict(list)
    for digest in sorted(videos):
        packets = videos[digest].packets
        if packets is not None:
            same[packets].append(digest)
    for some in same.values():
        yield from ((one, two) for place, one in enumerate(some) for two in some[place + 1 :])


def _both_ways(placements: tuple[Placement, ...], left: Video, right: Video) -> tuple[Placement, ...]:
    """Return the placements of a candidate, and those that most copies have: equal starts, and equal ends."""
    first = placements[0]
    ends = left.profile.facts.seconds - right.profile.facts.seconds
    usual = [Placement(offset, first.orientation) for offset in (0.0, ends)]
    known = [each.offset for each in placements]
    more = [each for each in usual if all(abs(each.offset - offset) > 0.25 for offset in known)]
    return (*placements, *more)


@contextmanager
def _unchanged(video: Video) -> Iterator[int]:
    """Open a video that is what the index knows, before the block and after it."""
    with ExitStack() as stack:
        descriptor, seen = stack.enter_context(opened(video.stat.path))
        if seen.stamp != video.stat.stamp:
            raise MediaError(FailureReason.CHANGED, "the file changed since it was analysed")
        yield descriptor
        now = os.fstat(descriptor)
        if (now.st_size, now.st_mtime_ns) != video.stat.stamp[:2]:
            raise MediaError(FailureReason.CHANGED, "the file changed while it was compared")


@dataclass(frozen=True, slots=True)
class VideoMatcher:
    """Videos match by equal bytes, or by the judgement on the results of comparing them. Thread-safe.

    Attributes:
        videos: The videos by digest.
        results: Results by pair of digests, the lesser digest first.
        eligibility: Conditions under which two files may match.
    """

    videos: Mapping[bytes, Video]
    results: Mapping[DigestPair, ComparedVideos]
    eligibility: Eligibility

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """See ``Matcher.matches``."""
        return [self._match(keeper, other) if self.eligibility.allows(keeper, other) else None for other in others]

    def dominated(self, entries: Sequence[IndexEntry]) -> frozenset[bytes]:
        """Return the parts of another video, and those that were drawn over; see ``Matcher.dominated``."""
        digests = {entry.digest for entry in entries if entry.digest is not None}
        worse: set[bytes] = set()
        for one, two in self.results:
            if one in digests and two in digests:
                for better, other in ((one, two), (two, one)):
                    found = self.judgement(better, other)
                    if found is not None and _is_worse(found):
                        worse.add(other)
        return frozenset(entry.stat.raw_path for entry in entries if entry.digest in worse)

    def judgement(self, keeper: bytes, other: bytes) -> Judgement | None:
        """Return what one video is to another, by their digests; ``None`` for different or uncompared ones."""
        if keeper not in self.videos or other not in self.videos:
            return None
        found = self.results.get((min(keeper, other), max(keeper, other)))
        if found is None:
            return None
        left, right = self.videos[keeper], self.videos[other]
        comparison: Comparison = found.comparison if keeper < other else found.comparison.reversed()
        same = left.packets is not None and left.packets == right.packets
        if same:
            comparison = replace(comparison, relation=Relation.SAME)
        one, two = left.profile, right.profile
        exact = found.frames_equal
        return judge(VideoPair(one.facts, two.facts, one.area, two.area, comparison, same, found.sounds_equal, exact))

    def _match(self, keeper: IndexEntry, other: IndexEntry) -> Match | None:
        if keeper.digest is None or other.digest is None:
            return None
        if keeper.digest == other.digest:
            return Match(keeper, other, MatchClass.IDENTICAL)
        found = self.judgement(keeper.digest, other.digest)
        if found is None:
            return None
        match = Match(
            keeper,
            other,
            found.match_class,
            distance=found.difference,
            orientation=found.orientation,
            evidence=found.evidence,
            inspection=found.inspection,
        )
        return match if self.eligibility.accepts(match) else None


def _is_worse(found: Judgement) -> bool:
    """Return whether the right video is a part of the left one, or was drawn over."""
    if found.match_class is MatchClass.PARTIAL:
        return found.evidence.coverage_left < found.evidence.coverage_right == 1.0
    return found.match_class is MatchClass.EDITED and found.overlay_is_right is True


def _with_rejections(matcher: Matcher, of_photos: Matcher) -> Matcher:
    """Return the matcher with the rejections of the matcher of photos."""
    from py_image_dedup.matching.rejections import RejectingMatcher

    return replace(of_photos, matcher=matcher) if isinstance(of_photos, RejectingMatcher) else matcher


def _facts(videos: Mapping[bytes, Video]) -> dict[bytes, tuple[VideoProfile, int]]:
    return {digest: (video.profile, video.stat.size) for digest, video in videos.items()}


def _groups(
    entries: Sequence[IndexEntry], videos: Mapping[bytes, Video], results: Mapping[DigestPair, ComparedVideos]
) -> Iterator[Group]:
    """Yield the sets of files that are connected by equal bytes or by results that relate them."""
    digests = sorted({entry.digest for entry in entries if entry.digest is not None})
    numbers = {digest: number for number, digest in enumerate(digests)}
    joined = Components()
    related = [
        (numbers[one], numbers[two])
        for (one, two), found in results.items()
        if one in numbers
        and two in numbers
        and (found.comparison.relation is not Relation.DIFFERENT or _have_same_packets(videos, one, two))
    ]
    rows = np.array(related, dtype=np.int64).reshape(-1, 2)
    joined.join(rows[:, 0], rows[:, 1])
    groups: dict[int, list[IndexEntry]] = defaultdict(list)
    for entry in entries:
        if entry.digest is not None:
            groups[joined.root(numbers[entry.digest])].append(entry)
    for group in groups.values():
        if len(group) > 1:
            yield Group(tuple(sorted(group, key=lambda entry: entry.stat.raw_path)))


def _have_same_packets(videos: Mapping[bytes, Video], one: bytes, two: bytes) -> bool:
    return (
        one in videos
        and two in videos
        and videos[one].packets is not None
        and (videos[one].packets == videos[two].packets)
    )


def merged(photos: Ranked, videos: Ranked) -> Ranked:
    """Return the groups of photos and of videos together, each in the order of the paths of keepers."""
    groups = sorted((*photos.groups, *videos.groups), key=lambda group: group.keeper.stat.raw_path)
    reported = sorted(
        (*photos.reported, *videos.reported), key=lambda match: (match.left.stat.raw_path, match.right.stat.raw_path)
    )
    candidates = (*photos.candidates, *videos.candidates)
    return replace(photos, candidates=candidates, groups=tuple(groups), reported=tuple(reported))


_NOT_COMPARED: Final = Inspection(Outcome.UNDECIDED, "The two videos are not known to be copies of each other.")


def inspect_video_actions(actions: Collection[Action], context: RunContext) -> dict[int, tuple[Inspection, MatchClass]]:
    """Compare the videos of the actions of a saved plan.

    Args:
        actions: Actions on videos.
        context: Dependencies of the run.

    Returns:
        The result for each action, by its number, with the class that the two videos have now.

    Raises:
        StoreError: The index cannot be used.
    """
    found: dict[int, tuple[Inspection, MatchClass]] = {}
    with VideoInspector(context) as inspector:
        for action in actions:
            found[action.number] = _decide(action, context, inspector)
    return found


def _decide(action: Action, context: RunContext, inspector: VideoInspector) -> tuple[Inspection, MatchClass]:
    videos: dict[bytes, Video] = {}
    for stat, digest in ((action.keeper, action.keeper_digest), (action.source, action.source_digest)):
        try:
            videos[digest] = _video_of(stat, digest, context)
        except MediaError as error:
            reason = f"{stat.path.name} could not be compared: {error.message}."
            return Inspection(Outcome.UNDECIDED, reason), MatchClass.NOT_THE_SAME
    inspector.compare(videos, lambda one, two: True)  # noqa: ARG005 - any two
    matcher = VideoMatcher(videos, inspector.results, Eligibility())
    found = matcher.judgement(action.keeper_digest, action.source_digest)
    return (_NOT_COMPARED, MatchClass.NOT_THE_SAME) if found is None else (found.inspection, found.match_class)


def _video_of(stat: FileStat, digest: bytes, context: RunContext) -> Video:
    """Return a video from the index, or from its file if the index does not know it any more.

    Raises:
        MediaError: The file cannot be read, or is not what was planned.
    """
    entry = context.store.get(stat.path)
    if entry is not None and entry.digest == digest and entry.stat.stamp == stat.stamp:
        known = load_videos([entry], context.store)
        if digest in known and context.options.analyse.is_current_video(entry.versions):
            return known[digest]
    with VideoWorker(context.options.find.limits) as worker, read_file(stat.path) as file:
        if file.digest != digest:
            raise MediaError(FailureReason.CHANGED, "it changed since the plan was made")
        profile, _, packets = worker.sample(file)
        return Video(digest, file.stat, profile, packets)
