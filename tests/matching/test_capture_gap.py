"""A copy keeps the moment of its original; another shot of the same scene has another one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from py_image_dedup.matching.matcher import capture_gap, describe_gap
from py_image_dedup.model.photo import PhotoFacts

NOON = datetime(2024, 5, 1, 12, 0, 0)  # noqa: DTZ001 - camera time


def taken(moment: datetime | None) -> PhotoFacts:
    return PhotoFacts("JPEG", 400, 300, captured=moment)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (NOON, NOON),
        (NOON, None),
        (None, None),
        (NOON.replace(microsecond=350_000), NOON),
        (NOON, NOON + timedelta(hours=2)),
        (NOON, NOON - timedelta(hours=5, minutes=45)),
    ],
    ids=["same", "one unknown", "both unknown", "fraction lost", "time zone", "odd time zone"],
)
def test_two_pictures_may_be_one_shot(left: datetime | None, right: datetime | None) -> None:
    assert capture_gap(taken(left), taken(right)) is None
    assert capture_gap(taken(right), taken(left)) is None
    assert capture_gap(None, taken(right)) is None


@pytest.mark.parametrize(
    ("apart", "words"),
    [
        (timedelta(milliseconds=150), "taken 0.15 s apart"),
        (timedelta(seconds=1), "taken 1 s apart"),
        (timedelta(seconds=100), "taken 100 s apart"),
        (timedelta(minutes=7), "taken 7 min apart"),
        (timedelta(hours=3, minutes=1), "taken 3 h apart"),
        (timedelta(days=4, seconds=9), "taken 4 days apart"),
    ],
)
def test_two_shots_are_told_apart_by_their_moments(apart: timedelta, words: str) -> None:
    first = NOON.replace(microsecond=200_000)
    found = capture_gap(taken(first), taken(first + apart))
    assert found == capture_gap(taken(first + apart), taken(first)) == apart
    assert describe_gap(apart) == words
