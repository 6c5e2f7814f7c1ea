"""Stills of videos in reports: which frame, how it is shown, and what happens with files that are no videos."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.media.rendering import RenderedSize
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.report.pictures import EntryRenderer
from tests.support import clips
from tests.support.clips import Clip, Frame, encode
from tests.support.pictures import picture, write

SIZE = (320, 240)


@pytest.fixture(scope="module")
def renderer() -> Iterator[EntryRenderer]:
    with EntryRenderer() as renderer:
        yield renderer


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return clips.pan(3, 3, SIZE)


def entry_of(path: Path) -> IndexEntry:
    with read_file(path) as file:
        return IndexEntry(file.stat, Versions(media=0, signature=0), digest=file.digest)


def video(path: Path, clip: Clip) -> IndexEntry:
    path.write_bytes(encode(clip))
    return entry_of(path)


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def difference(data: bytes, frame: Frame) -> float:
    shown = np.asarray(decoded(data).convert("RGB"), dtype=np.float32)
    return float(np.abs(shown - frame).mean())


def test_the_still_is_the_frame_after_a_third_of_the_length(
    renderer: EntryRenderer, frames: list[Frame], tmp_path: Path
) -> None:
    still = renderer.render(video(tmp_path / "x.mp4", Clip(frames)), RenderedSize.THUMBNAIL)
    assert decoded(still).format == "WEBP"
    nearest = min(range(len(frames)), key=lambda number: difference(still, frames[number]))
    assert abs(nearest - len(frames) // 3) <= 1
    assert difference(still, frames[nearest]) < 12


def test_another_frame_is_shown_where_that_one_is_blank(
    renderer: EntryRenderer, frames: list[Frame], tmp_path: Path
) -> None:
    begun_in_the_dark = [*clips.black(1.5, SIZE), *frames[:18]]
    still = renderer.render(video(tmp_path / "x.mkv", Clip(begun_in_the_dark, container="mkv")), RenderedSize.THUMBNAIL)
    assert np.asarray(decoded(still).convert("L")).std() > 12
    black = renderer.render(video(tmp_path / "y.mp4", Clip(clips.black(1, SIZE))), RenderedSize.THUMBNAIL)
    assert np.asarray(decoded(black).convert("L")).mean() < 8


def test_a_still_is_rotated_as_players_rotate_it_and_not_enlarged(
    renderer: EntryRenderer, frames: list[Frame], tmp_path: Path
) -> None:
    entry = video(tmp_path / "x.mp4", Clip(frames[:12], rotation=90))
    large = decoded(renderer.render(entry, RenderedSize.SCREEN))
    assert (large.format, large.size) == ("JPEG", (SIZE[1], SIZE[0]))


def test_what_is_no_video_and_what_has_changed_has_no_still(
    renderer: EntryRenderer, frames: list[Frame], tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing.mp4"
    nothing.write_bytes(b"nothing that is a video" * 40)
    with pytest.raises(MediaError) as caught:
        renderer.render(entry_of(nothing), RenderedSize.THUMBNAIL)
    assert caught.value.reason is FailureReason.NOT_AN_IMAGE
    entry = video(tmp_path / "x.mp4", Clip(frames[:6]))
    later = replace(entry, stat=replace(entry.stat, mtime_ns=entry.stat.mtime_ns - 1))
    with pytest.raises(MediaError) as caught:
        renderer.render(later, RenderedSize.THUMBNAIL)
    assert caught.value.reason is FailureReason.CHANGED
    with EntryRenderer(Limits(max_pixels=1000)) as strict, pytest.raises(MediaError) as caught:
        strict.render(entry, RenderedSize.THUMBNAIL)
    assert caught.value.reason is FailureReason.TOO_LARGE


def test_a_photo_is_rendered_as_before(renderer: EntryRenderer, tmp_path: Path) -> None:
    path = write(tmp_path / "x.jpg", picture(1, 640, 480))
    assert decoded(renderer.render(entry_of(path), RenderedSize.THUMBNAIL)).size == (320, 240)
