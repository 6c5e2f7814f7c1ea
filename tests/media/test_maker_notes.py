"""What cameras state about the shots of a series, in EXIF, maker notes and XMP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_image_dedup.media.worker.exif import read_exif
from py_image_dedup.media.worker.maker_notes import apple_burst, apple_content_identifier, sequence_number
from py_image_dedup.model.photo import ShotMarks
from tests.support.shots import burst_note, numbered_note, shot_exif

BURST = "3F2504E0-4F89-41D3-9A0C-0305E82C3301"


@pytest.mark.parametrize("maker", ["Sony", "Fujifilm", "Panasonic"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_number_of_a_shot_in_its_series_is_read(maker: str, order: str) -> None:
    assert sequence_number(numbered_note(maker, 7, order), order) == 7


@pytest.mark.parametrize("number", [0, 0xFFFF])
def test_a_single_shot_has_no_number(number: int) -> None:
    assert sequence_number(numbered_note("Sony", number, "<"), "<") is None


def test_the_notes_of_other_makers_have_no_number() -> None:
    assert sequence_number(b"Nikon\0" + bytes(100), "<") is None
    assert sequence_number(b"", "<") is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_identifier_of_an_iphone_burst_is_read(order: str) -> None:
    note = burst_note(BURST, order)
    assert apple_burst(note) == BURST
    assert apple_content_identifier(note) is None


@given(st.binary(max_size=60), st.sampled_from([numbered_note("Fujifilm", 3), burst_note(BURST)]), st.integers(0, 90))
def test_damaged_notes_lose_their_facts_and_nothing_else(noise: bytes, note: bytes, place: int) -> None:
    damaged = note[:place] + noise
    assert sequence_number(damaged, "<") is None or isinstance(sequence_number(damaged, "<"), int)
    assert apple_burst(damaged) is None or isinstance(apple_burst(damaged), str)


def test_exif_tells_the_shots_of_a_bracket_apart() -> None:
    block = shot_exif(seconds=0.5, bias=-2.0, bracketed=True, note=numbered_note("Sony", 2))
    assert read_exif(block).shot == ShotMarks(0.5, -2.0, is_bracketed=True, sequence=2)
    assert read_exif(shot_exif()).shot == ShotMarks()


def test_the_burst_of_an_iphone_is_a_fact_of_its_exif() -> None:
    assert read_exif(shot_exif(note=burst_note(BURST))).shot.burst == BURST
