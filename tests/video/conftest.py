"""Clips that several tests look at, each encoded once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from py_image_dedup.media.limits import Limits
from py_image_dedup.media.opened_file import OpenedFile, read_file
from py_image_dedup.video.candidates import find_candidates
from py_image_dedup.video.client import VideoWorker
from py_image_dedup.video.comparison import Comparison
from py_image_dedup.video.facts import VideoProfile
from py_image_dedup.video.judgement import Judgement, VideoPair, judge
from tests.support import clips
from tests.support.clips import Clip, Frame, encode


@pytest.fixture(scope="session")
def pan() -> list[Frame]:
    """A pan of four seconds."""
    return clips.pan(1, 4)


@pytest.fixture(scope="session")
def original(pan: list[Frame]) -> bytes:
    """The pan as an MP4 file with sound."""
    return encode(Clip(pan, sound=clips.noise(4, 1)))


@pytest.fixture(scope="session")
def edited(pan: list[Frame]) -> dict[str, bytes]:
    """The edits of the pan by name."""
    return dict(clips.edits(pan, clips.noise(4, 1)))


@dataclass(frozen=True, eq=False)
class Sampled:
    """A clip on disk, sampled."""

    file: OpenedFile
    profile: VideoProfile
    packets: bytes


class Desk:
    """Samples and compares clips in a worker process, as a run does; each clip and each pair once."""

    def __init__(self, folder: Path, worker: VideoWorker) -> None:
        self.folder = folder
        self.worker = worker
        self.samples: dict[bytes, Sampled] = {}

    def sample(self, data: bytes) -> Sampled:
        """Sample the file of a clip."""
        if data not in self.samples:
            path = self.folder / f"{len(self.samples)}.video"
            path.write_bytes(data)
            file = read_file(path)
            profile, _, packets = self.worker.sample(file)
            self.samples[data] = Sampled(file, profile, packets)
        return self.samples[data]

    def judge(self, keeper: bytes, other: bytes) -> Judgement | None:
        """Compare two clips."""
        return self.both_ways(keeper, other)[0]

    def both_ways(self, one: bytes, two: bytes) -> tuple[Judgement | None, Judgement | None]:
        """Compare two clips, and judge with the first and with the second one as the keeper."""
        left, right = self.sample(one), self.sample(two)
        same = left.packets == right.packets
        candidate = next(find_candidates([left.profile, right.profile]), None)
        if candidate is None and not same:
            return None, None
        found = self.worker.compare(
            (left.file.descriptor, right.file.descriptor),
            (left.profile, right.profile),
            candidate.placements if candidate else (),
            same_packets=same,
        )

        def seen(keeper: VideoProfile, other: VideoProfile, comparison: Comparison) -> Judgement | None:
            facts, areas = (keeper.facts, other.facts), (keeper.area, other.area)
            return judge(VideoPair(*facts, *areas, comparison, same, found.sounds_equal, found.frames_equal))

        return (
            seen(left.profile, right.profile, found.comparison),
            seen(right.profile, left.profile, found.comparison.reversed()),
        )

    def close(self) -> None:
        """Close the files."""
        for each in self.samples.values():
            each.file.close()


@pytest.fixture(scope="session")
def worker() -> Iterator[VideoWorker]:
    """One worker process for all tests."""
    with VideoWorker(Limits()) as worker:
        yield worker


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory, worker: VideoWorker) -> Iterator[Desk]:
    """A place to sample and compare clips."""
    desk = Desk(tmp_path_factory.mktemp("clips"), worker)
    yield desk
    desk.close()
