"""The identifier of a Live Photo is read from both of its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from py_image_dedup.units.identifiers import identifier_of
from tests.support.live_photos import film, photo, write_film
from tests.support.pictures import picture

ID = "FFCBAC24-E547-4BBC-AF47-38B1A3D845E3"


def test_both_files_of_a_live_photo_have_its_identifier(tmp_path: Path) -> None:
    assert identifier_of(photo(tmp_path / "a.jpg", picture(1), ID)) == ID
    assert identifier_of(write_film(tmp_path / "a.mov", ID, bytes(100_000))) == ID


def test_files_without_an_identifier_have_none(tmp_path: Path) -> None:
    assert identifier_of(photo(tmp_path / "a.jpg", picture(1), None)) is None
    assert identifier_of(write_film(tmp_path / "a.mov", None)) is None
    assert identifier_of(tmp_path / "missing.mov") is None


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_broken_files_have_none_or_some_text(tmp_path: Path, at: int, noise: bytes) -> None:
    whole = film(ID)
    path = tmp_path / "a.mov"
    for content in (whole[:at], whole[:at] + noise + whole[at + len(noise) :]):
        path.write_bytes(content)
        found = identifier_of(path)
        assert found is None or isinstance(found, str)


@pytest.mark.parametrize("content", [b"Apple iOS\0\0\1MM", b"Apple iOS\0\0\1MM\xff\xff", b"Apple iOS\0\0\1XX\0\1"])
def test_a_cut_off_maker_note_has_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    assert identifier_of(tmp_path / "a.jpg") is None
