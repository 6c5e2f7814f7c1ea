"""The rules that choose the keeper among copies of a video: the one that has the most in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.ranking.rules import ORIGINAL, Rule, plain
from py_image_dedup.video.facts import VideoFacts, VideoProfile
from py_image_dedup.video.judgement import detail_bits

_CONTENT_RULES: Final = frozenset({ORIGINAL, "higher-pixel-count", "more-exif-data", "bigger-file-size"})
"""Rules about what is in a photo. Rules that the user puts before these, such as an order of folders, stay first."""

Facts = Mapping[bytes, tuple[VideoProfile, int]]
"""Profiles and sizes of videos, by digest."""


def with_video_rules(rules: Sequence[Rule], facts: Facts) -> tuple[Rule, ...]:
    """Return the rules for videos: the user's first ones, those about what is in a video, and the others.

    Args:
        rules: The rules of photos.
        facts: The videos.
    """
    first = next((place for place, rule in enumerate(rules) if rule.name in _CONTENT_RULES), len(rules))
    return (*rules[:first], *video_rules(facts), *rules[first:])


def video_rules(facts: Facts) -> tuple[Rule, ...]:
    """Return the rules about what is in a video, the weightiest first.

    Args:
        facts: The videos; one that is not among them has nothing.
    """

    def rule(
        name: str,
        value: Callable[[VideoProfile], float],
        text: Callable[[VideoFacts], str],
        kept: str,
    ) -> Rule:
        def key(entry: IndexEntry) -> float:
            known = facts.get(entry.digest or b"")
            return 0.0 if known is None else -value(known[0])

        def words(entry: IndexEntry) -> str:
            known = facts.get(entry.digest or b"")
            return "an unknown number" if known is None else text(known[0].facts)

        return plain(name, key, words, kept)

    return (
        rule("higher-pixel-count", _pixels, lambda each: f"{each.width} x {each.height}", "more pixels"),
        rule(
            "without-bars",
            lambda each: round(each.area.share, 1),
            lambda each: f"{each.width} x {each.height}",
            "without black bars",
        ),
        rule("longer-duration", _tenths, lambda each: f"{each.seconds:.1f} s", "longer"),
        rule("more-sound", _sound, lambda each: _tracks(len(each.audio)), "more sound tracks or channels"),
        rule(
            "more-subtitles",
            lambda each: len(each.facts.subtitles),
            lambda each: _tracks(len(each.subtitles)),
            "more subtitles",
        ),
        rule(
            "higher-frame-rate",
            lambda each: round(each.facts.frame_rate),
            lambda each: f"{each.frame_rate:.3g} frames per second",
            "more frames per second",
        ),
        rule("higher-bit-depth", _depth, lambda each: f"{each.bits} bits", "more bits for a colour"),
        rule("from-a-camera", _recorded, _recording, "with what the camera recorded"),
        rule(
            "higher-bit-rate",
            _detail,
            lambda each: f"{each.bit_rate / 1e6:.2g} Mbit/s of {each.codec}",
            "more detail by its bit rate",
        ),
        rule(
            "more-metadata",
            _metadata,
            lambda each: f"{each.tags} field{'' if each.tags == 1 else 's'}",
            "more metadata",
        ),
    )


def _pixels(profile: VideoProfile) -> float:
    # Rounded to a percent or so: encoders cut sizes to multiples of 2, 8 or 16.
    pixels = profile.facts.pixels * profile.area.share
    return float(f"{pixels:.2g}")


def _tenths(profile: VideoProfile) -> float:
    return round(profile.facts.seconds * 2) / 2


def _sound(profile: VideoProfile) -> float:
    audio = profile.facts.audio
    return 100 * len(audio) + max((track.channels for track in audio), default=0)


def _depth(profile: VideoProfile) -> float:
    return profile.facts.bits + 100 * profile.facts.is_hdr


def _recorded(profile: VideoProfile) -> float:
    facts = profile.facts
    return (facts.camera is not None) + facts.has_gps + (facts.captured is not None)


def _recording(facts: VideoFacts) -> str:
    there = (("date", facts.captured is not None), ("camera", facts.camera is not None), ("position", facts.has_gps))
    return ", ".join(name for name, is_there in there if is_there) or "no date"


def _detail(profile: VideoProfile) -> float:
    # In steps of a quarter: less is chance.
    return round(math.log(max(1.0, detail_bits(profile.facts)), 1.25))


def _metadata(profile: VideoProfile) -> float:
    return profile.facts.tags + 100 * profile.facts.has_gps


def _tracks(count: int) -> str:
    return f"{count} track{'' if count == 1 else 's'}"
