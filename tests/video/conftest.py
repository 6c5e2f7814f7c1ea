"""Clips that several tests look at, each encoded once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from py_image_dedup.media.limits import Limits
from py_image_dedup.media.opened_file import OpenedFile, read_file
from py_image_dedup.video.candidates import find_candidates
from py_image_dedup.video.client import VideoWorker
from py_image_dedup.video.facts import VideoProfile
from py_image_dedup.video.judgement import Judgement, VideoPair, judge
from tests.support import clips
from tests.support.clips import Clip, Frame, encode


@cache
def frames() -> list[Frame]:
    """A pan of four seconds."""
    return clips.pan(1, 4)


@pytest.fixture(scope="session")
def pan() -> list[Frame]:
    """A pan of four seconds."""
    return frames()


@pytest.fixture(scope="session")
def sound_of_pan() -> object:
    """Its sound."""
    return clips.noise(4, 1)


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
    """Samples and compares clips in a worker process, as a run does."""

    def __init__(self, folder: Path, worker: VideoWorker) -> None:
        self.folder = folder
        self.worker = worker
        self.files: list[OpenedFile] = []

    def sample(self, data: bytes) -> Sampled:
        """Sample the file of a clip."""
        path = self.folder / f"{len(self.files)}.video"
        path.write_bytes(data)
        file = read_file(path)
        self.files.append(file)
        profile, _, packets = self.worker.sample(file)
        return Sampled(file, profile, packets)

    def judge(self, left: Sampled, right: Sampled) -> Judgement | None:
        """Compare two clips, the left one being the keeper."""
        same = left.packets == right.packets
        candidate = next(find_candidates([left.profile, right.profile]), None)
        if candidate is None and not same:
            return None
        found = self.worker.compare(
            (left.file.descriptor, right.file.descriptor),
            (left.profile, right.profile),
            candidate.placements if candidate else (),
            same_packets=same,
        )
        facts = (left.profile.facts, right.profile.facts)
        areas = (left.profile.area, right.profile.area)
        return judge(VideoPair(*facts, *areas, found.comparison, same, found.sounds_equal))

    def close(self) -> None:
        """Close the files."""
        for file in self.files:
            file.close()


@pytest.fixture(scope="session")
def worker() -> Iterator[VideoWorker]:
    """One worker process for all tests."""
    with VideoWorker(Limits()) as worker:
        yield worker


@pytest.fixture
def desk(tmp_path: Path, worker: VideoWorker) -> Iterator[Desk]:
    """A place to sample and compare clips."""
    desk = Desk(tmp_path, worker)
    yield desk
    desk.close()
