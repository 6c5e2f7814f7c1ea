"""Screenshots of one chat that was scrolled between them are parts of each other; those of other chats are not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from PIL import Image

from py_image_dedup.model.match import MatchClass
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.verify import locate, verify
from tests.support.documents import APPS, screenshot
from tests.verification.edited import seen

SIZE = (360, 780)
HEAD, FOOT = 75, 55
CONTENT = SIZE[1] - HEAD - FOOT


@cache
def chat(number: int, scrolled: int) -> Picture:
    """Return what the index keeps of a chat, scrolled by so many pixels."""
    page, screen = screenshot(number * APPS, (SIZE[0], 1600)), screenshot(number * APPS, SIZE)
    shown = Image.new("RGB", SIZE)
    shown.paste(page.crop((0, HEAD + scrolled, SIZE[0], HEAD + scrolled + CONTENT)), (0, HEAD))
    shown.paste(screen.crop((0, 0, SIZE[0], HEAD)), (0, 0))
    shown.paste(screen.crop((0, SIZE[1] - FOOT, *SIZE)), (0, SIZE[1] - FOOT))
    return seen(shown, 80)


@pytest.mark.parametrize("scrolled", [100, 195, 325], ids=["85 %", "70 %", "half of it in common"])
def test_a_scrolled_screen_is_a_part_of_the_other(scrolled: int) -> None:
    verdict = verify(chat(1, 50), chat(1, 50 + scrolled))

    assert verdict is not None
    assert verdict.match_class is MatchClass.PARTIAL
    assert verdict.evidence.words[0].startswith("overlap: ")
    assert verdict.evidence.coverage_left == pytest.approx(1 - scrolled / SIZE[1], abs=0.01)


def test_its_place_is_the_distance_scrolled() -> None:
    one, other = chat(1, 50), chat(1, 245)
    found = locate(one, other)

    assert found is not None
    expected = np.eye(3)
    expected[1, 2] = -195 * one.size[1] / SIZE[1]
    assert np.abs(found - expected).max() < 1.0


def test_screens_of_other_chats_are_not() -> None:
    others = [chat(number, 50) for number in (2, 3, 4)]

    assert [verify(chat(1, 50), other) for other in others] == [None] * 3
    assert verify(others[0], others[1]) is None
