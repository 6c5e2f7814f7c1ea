"""What is read of a video: facts, sampled frames, and what happens with broken files."""

from __future__ import annotations

import io
import os
from datetime import datetime
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.video.client import VideoWorker
from py_image_dedup.video.facts import PictureArea, Track, VideoProfile, pack, unpack
from py_image_dedup.video.sampling import MOST_FRAMES, picture_area, sample
from tests.support import clips
from tests.support.clips import Clip, Frame, encode, remux


def profile(data: bytes) -> VideoProfile:
    return sample(io.BytesIO(data), Limits(), lambda _: None).profile


@pytest.mark.parametrize(
    ("codec", "container", "name"),
    [
        ("libx264", "mp4", "MP4"),
        ("libx264", "mov", "MOV"),
        ("libx264", "mkv", "MKV"),
        ("mpeg4", "avi", "AVI"),
        ("libvpx-vp9", "webm", "WEBM"),
        ("mpeg4", "3gp", "3GP"),
        ("libx264", "ts", "MTS"),
        ("libx265", "mp4", "MP4"),
        ("mjpeg", "avi", "AVI"),
    ],
)
def test_every_container_and_codec_is_read(pan: list[Frame], codec: str, container: str, name: str) -> None:
    found = profile(encode(Clip(pan[:24], codec=codec, container=container)))
    assert found.facts.container == name
    assert (found.facts.width, found.facts.height, found.facts.frames) == (128, 96, 24)
    assert found.facts.seconds == pytest.approx(2.0, abs=0.1)
    assert len(found.times) >= 4


def test_the_facts_are_those_of_the_file(pan: list[Frame]) -> None:
    tags = {"creation_time": "2019-08-17T18:30:00.000000Z", "location": "+48.2-16.4/", "title": "x"}
    found = profile(remux(encode(Clip(pan, sound=clips.noise(4, 1))), "mp4", tags)).facts
    assert found.audio == (Track("aac", "", 1),)
    assert found.captured == datetime(2019, 8, 17, 18, 30)  # noqa: DTZ001 - naive on purpose
    assert found.frame_rate == pytest.approx(12)
    assert 10_000 < found.bit_rate < 500_000
    assert found.has_gps or "location" not in tags


def test_a_video_that_is_stored_sideways_has_the_size_that_is_shown(pan: list[Frame]) -> None:
    upright, sideways = profile(encode(Clip(pan[:12]))), profile(encode(Clip(pan[:12], rotation=90)))
    assert (upright.facts.width, upright.facts.height) == (128, 96)
    assert (sideways.facts.width, sideways.facts.height) == (96, 128)


def test_a_profile_survives_the_index(original: bytes) -> None:
    found = profile(original)
    again = unpack(pack(found))
    assert again is not None
    assert again.facts == found.facts
    assert again.area == found.area
    np.testing.assert_array_equal(again.times, found.times)
    np.testing.assert_array_equal(again.signatures, found.signatures)


def test_bytes_that_are_no_profile_are_none(original: bytes) -> None:
    packed = pack(profile(original))
    assert unpack(b"") is None
    assert unpack(packed[:40]) is None
    assert unpack(b"other" + packed) is None
    assert unpack(packed[:-20]) is None


def test_black_bars_are_not_part_of_the_picture(pan: list[Frame]) -> None:
    area = profile(encode(Clip(clips.each(pan[:24], clips.letterbox)))).area
    assert area.top == pytest.approx(0.1, abs=0.02)
    assert area.bottom == pytest.approx(0.9, abs=0.02)
    assert (area.left, area.right) == (0.0, 1.0)


def test_a_dark_film_has_no_bars() -> None:
    assert picture_area([np.full((90, 160), 20, np.uint8)]) == PictureArea()


def test_black_frames_are_not_sampled() -> None:
    found = profile(encode(Clip([*clips.black(2), *clips.pan(3, 2)])))
    assert found.times[0] >= 1.9


def test_a_film_behind_a_black_intro_is_sampled_to_its_end() -> None:
    found = profile(encode(Clip([*clips.black(1.5), *clips.pan(501, 3.5)])))
    assert found.times[0] == pytest.approx(1.5, abs=0.1)
    assert found.times[-1] >= 4.5
    assert float(np.diff(found.times).max()) <= 0.3


def test_key_frames_alone_are_sampled_where_they_are_frequent(pan: list[Frame]) -> None:
    options = {"g": "6", "keyint_min": "6", "sc_threshold": "0"}
    frequent = profile(encode(Clip(pan * 4, options=options)))
    rows = [time for time in frequent.times if abs(2 * time - round(2 * time)) > 0.01]
    assert len(rows) <= 4  # of the two places where some frames in a row are sampled
    assert len(frequent.times) >= 16


def test_the_number_of_sampled_frames_is_bounded_for_long_videos() -> None:
    still = clips.texture(5, 64, 48)
    found = profile(encode(Clip([still] * 1500, rate=1, codec="mpeg4", container="avi")))
    assert found.facts.seconds == pytest.approx(1500, rel=0.01)
    assert 20 <= len(found.times) <= 2 * MOST_FRAMES


def read(path: Path, data: bytes, worker: VideoWorker) -> MediaError:
    path.write_bytes(data)
    with read_file(path) as file, pytest.raises(MediaError) as failure:
        worker.sample(file)
    return failure.value


def test_broken_files_have_a_reason(tmp_path: Path, worker: VideoWorker, original: bytes, pan: list[Frame]) -> None:
    picture = cv2.imencode(".jpg", pan[0])[1].tobytes()
    assert read(tmp_path / "picture.mp4", picture, worker).reason is FailureReason.NOT_AN_IMAGE
    assert read(tmp_path / "half.mp4", original[: len(original) // 2], worker).reason is FailureReason.CORRUPT
    random = original[:32] + os.urandom(20_000)
    assert read(tmp_path / "noise.mp4", random, worker).reason is FailureReason.CORRUPT


def test_a_file_that_ends_early_is_truncated(tmp_path: Path, worker: VideoWorker, original: bytes) -> None:
    whole = remux(original, "mkv")
    failure = read(tmp_path / "half.mkv", whole[: len(whole) // 3], worker)
    assert failure.reason in {FailureReason.TRUNCATED, FailureReason.CORRUPT}


def test_a_file_with_sound_only_is_no_video(tmp_path: Path, worker: VideoWorker) -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(clips.noise(1, 1)[None, :1024], format="s16", layout="mono")
        frame.sample_rate = 16_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert read(tmp_path / "song.mp4", out.getvalue(), worker).reason is FailureReason.UNSUPPORTED


def test_frames_that_are_too_large_are_refused(tmp_path: Path, original: bytes) -> None:
    with VideoWorker(Limits(max_pixels=10_000)) as strict:
        assert read(tmp_path / "large.mp4", original, strict).reason is FailureReason.TOO_LARGE


def test_a_worker_that_hangs_costs_its_file_and_is_replaced(tmp_path: Path, original: bytes) -> None:
    hang = ("sh", "-c", "exec sleep 60")
    path = tmp_path / "clip.mp4"
    path.write_bytes(original)
    with VideoWorker(Limits(timeout_seconds=0.05), hang) as worker, read_file(path) as file:
        worker._grace = 0.0
        with pytest.raises(MediaError) as failure:
            worker.sample(file)
    assert failure.value.reason is FailureReason.TIMEOUT


def test_a_worker_that_dies_costs_its_file(tmp_path: Path, original: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(original)
    dies = ("sh", "-c", "kill -SEGV $$")
    with VideoWorker(Limits(), dies) as worker, read_file(path) as file, pytest.raises(MediaError) as failure:
        worker.sample(file)
    assert failure.value.reason is FailureReason.CRASHED


def repeated(data: bytes, times: int) -> bytes:
    """The packets of a clip again and again, which costs no encoding."""
    out = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(out, "w", format="matroska") as target:
        track = source.streams.video[0]
        copy = target.add_stream_from_template(track)
        packets = [packet for packet in source.demux(track) if packet.size]
        length = max(packet.pts + (packet.duration or 0) for packet in packets if packet.pts is not None)
        stored = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
        for number in range(times):
            for content, pts, dts, is_key in stored:
                packet = av.Packet(content)
                packet.stream, packet.time_base, packet.is_keyframe = copy, track.time_base, is_key
                packet.pts, packet.dts = pts + number * length, dts + number * length
                target.mux(packet)
    return out.getvalue()


def ten_seconds(seed: int) -> bytes:
    return encode(Clip(clips.pan(seed, 10, (256, 192), rate=4), rate=4, options={"bf": "0", "g": "8"}))


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of video: ten seconds, again and again."""
    path = tmp_path_factory.mktemp("long") / "hour.mkv"
    path.write_bytes(repeated(ten_seconds(8), 360))
    return path


def peak_bytes(worker: VideoWorker) -> int:
    """The largest memory that the process of a worker has used so far."""
    assert worker._worker is not None
    status = Path(f"/proc/{worker._worker.process.pid}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def test_an_hour_needs_no_more_memory_than_a_minute(hour: Path, tmp_path: Path) -> None:
    minute = tmp_path / "minute.mkv"
    minute.write_bytes(repeated(ten_seconds(9), 6))
    with VideoWorker(Limits()) as worker:
        with read_file(minute) as file:
            assert worker.sample(file)[0].facts.seconds == pytest.approx(60, abs=2)
        before = peak_bytes(worker)
        with read_file(hour) as file:
            found = worker.sample(file)[0]
        assert found.facts.seconds == pytest.approx(3600, abs=30)
        assert MOST_FRAMES / 2 <= len(found.times) <= 2 * MOST_FRAMES
        assert peak_bytes(worker) - before < 48 << 20


def test_a_video_that_takes_too_long_is_ended_by_the_kernel_and_the_next_one_is_read(
    hour: Path, tmp_path: Path, original: bytes
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(original)
    with VideoWorker(Limits(timeout_seconds=20)) as worker:
        with read_file(path) as file:
            worker.sample(file)
        patient, worker._limits = worker._limits, Limits(timeout_seconds=0.01 - hour.stat().st_size / (4 << 20))
        with read_file(hour) as file, pytest.raises(MediaError) as failure:
            worker.sample(file)
        assert failure.value.reason is FailureReason.TIMEOUT
        worker._limits = patient
        with read_file(path) as file:
            assert worker.sample(file)[0].facts.frames == 48


@pytest.mark.parametrize("box", [b"stts", b"stsz", b"stsc"])
def test_a_count_that_lies_costs_its_file_and_no_memory(
    box: bytes, tmp_path: Path, worker: VideoWorker, original: bytes
) -> None:
    at = original.find(box) + (12 if box == b"stsz" else 8)
    lying = original[:at] + b"\x7f\xff\xff\xff" + original[at + 4 :]
    (tmp_path / "good.mp4").write_bytes(original)
    with read_file(tmp_path / "good.mp4") as file:
        worker.sample(file)
    before = peak_bytes(worker)
    # Memory that a file asks for without need is refused by the limit of its process.
    assert read(tmp_path / "x.mp4", lying, worker).reason in {FailureReason.CORRUPT, FailureReason.TOO_LARGE}
    assert peak_bytes(worker) - before < 64 << 20
