"""The digest of packets: which files have the same encoded pictures."""

from __future__ import annotations

import io

import pytest

from py_image_dedup.media.limits import Limits
from py_image_dedup.video.packets import PacketDigest
from py_image_dedup.video.sampling import sample
from tests.support import clips
from tests.support.clips import Clip, Frame, encode, remux


def digest(data: bytes) -> bytes:
    return sample(io.BytesIO(data), Limits(), lambda _: None).packet_digest


@pytest.mark.parametrize("container", ["mov", "mkv", "ts", "3gp"])
def test_h264_has_one_digest_in_every_container(original: bytes, container: str) -> None:
    assert digest(remux(original, container)) == digest(original)


def test_hevc_has_one_digest_with_lengths_and_with_start_codes(pan: list[Frame]) -> None:
    mp4 = encode(Clip(pan[:12], codec="libx265"))
    assert digest(remux(mp4, "ts")) == digest(mp4)
    assert digest(remux(mp4, "mkv")) == digest(mp4)


def test_mpeg4_has_one_digest_with_headers_in_the_container_or_before_the_pictures(pan: list[Frame]) -> None:
    avi = encode(Clip(pan[:12], codec="mpeg4", container="avi"))
    assert digest(remux(avi, "mkv")) == digest(avi)


def test_tags_and_sound_do_not_count(original: bytes) -> None:
    assert digest(remux(original, "mp4", {"title": "spain"}, audio=False)) == digest(original)


def test_another_encoding_of_the_same_frames_has_another_digest(original: bytes, pan: list[Frame]) -> None:
    assert digest(encode(Clip(pan, options={"crf": "21"}))) != digest(original)


def test_a_rotation_that_is_only_written_into_the_container_counts(pan: list[Frame]) -> None:
    upright, turned = (encode(Clip(pan[:12], rotation=rotation)) for rotation in (0, 90))
    assert digest(upright) != digest(turned)


def test_a_missing_picture_counts() -> None:
    whole, cut = PacketDigest("vp9", None), PacketDigest("vp9", None)
    for packet in (b"one", b"two", b"three"):
        whole.update(packet)
    for packet in (b"one", b"two"):
        cut.update(packet)
    assert whole.digest("") != cut.digest("")


def test_repeated_parameter_sets_and_delimiters_do_not_count() -> None:
    sets, picture, delimiter = b"\x67abc", b"\x65picture", b"\x09\xf0"
    once, often = PacketDigest("h264", b""), PacketDigest("h264", b"")
    once.update(b"\0\0\0\1" + sets + b"\0\0\0\1" + picture)
    often.update(b"".join(b"\0\0\1" + unit for unit in (delimiter, sets, sets, picture)))
    assert once.digest("") == often.digest("")


def test_clips_of_one_scene_have_different_digests() -> None:
    assert digest(encode(Clip(clips.walk_by(1, 5, 1)))) != digest(encode(Clip(clips.walk_by(2, 5, 1))))
