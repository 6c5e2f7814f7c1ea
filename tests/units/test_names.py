"""Which files of a folder are one photo."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.model.unit import PartKind, Units
from py_image_dedup.units.names import recognise

FOLDER = Path("/photos")


def units(*names: str) -> list[tuple[str, ...]]:
    return [tuple(part.path.name for part in unit.parts) for unit in recognise(FOLDER, names)]


@pytest.mark.parametrize(
    "names",
    [
        ("IMG_1.JPG", "IMG_1.CR2"),
        ("IMG_1.jpg", "IMG_1.CR2", "IMG_1.CR2.xmp", "IMG_1.xmp"),
        ("DSC01.HIF", "DSC01.ARW"),
        ("DSC01.ARW", "DSC01.xmp"),
        ("_DSC1.NEF", "_DSC1.NEF.dop", "_DSC1.pp3"),
        ("IMG_1.HEIC", "IMG_1.MOV", "IMG_1.AAE"),
        ("IMG_1.JPG", "IMG_1.MOV"),
        ("IMG_1(1).HEIC", "IMG_1(1).MP4"),
        ("PXL_2.MP.jpg", "PXL_2.MP"),
        ("PXL_2.MP.jpg", "PXL_2.MP.mp4"),
        ("MVIMG_3.jpg", "MVIMG_3.mp4"),
        ("PXL_20210101_120000123.RAW-01.COVER.jpg", "PXL_20210101_120000123.RAW-02.ORIGINAL.dng"),
        ("PXL_20210101_120000123.RAW-01.MP.COVER.jpg", "PXL_20210101_120000123.RAW-02.ORIGINAL.dng"),
        ("PXL_20210101_120000123.PORTRAIT-02.ORIGINAL.jpg", "PXL_20210101_120000123.PORTRAIT-01.COVER.jpg"),
        ("IMG_1.JPG", "IMG_1.THM", "IMG_1.WAV"),
        ("IMG_1234.HEIC", "IMG_1234.MOV", "IMG_E1234.HEIC", "IMG_E1234.MOV", "IMG_1234.AAE", "IMG_O1234.AAE"),
        ("IMG_1234.JPG", "IMG_E1234.JPG"),
        ("a.jpg", "a-edited.jpg", "a.jpg.json"),
        ("a(1).jpg", "a-bearbeitet(1).jpg", "a.jpg(1).json"),
        ("a.jpg", "a.json"),
        ("a.jpg", "a.jpg.supplemental-metadata.json"),
        ("a(2).jpg", "a.jpg.supplemental-metadata(2).json"),
        ("Screenshot_2017-07-05-10-05-26.png", "Screenshot_2017-07-05-10-05-26.png.supplementa.json"),
        ("D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg", "D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg.supp.json"),
        ("Urlaub in Knaufspesch in der Schneifel (38).JPG", "Urlaub in Knaufspesch in der Schneifel (38).JP.json"),
    ],
)
def test_these_files_are_one_photo_whatever_the_case(names: tuple[str, ...]) -> None:
    (found,) = units(*names)
    assert found[0] == names[0], "the picture leads"
    assert set(found) == set(names)
    assert len(units(*(name.swapcase() for name in names))) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("a.jpg", "a.png"),
        ("a.heic", "a.jpg"),
        ("PXL_20210101_120000123.RAW-01.COVER.jpg", "PXL_20210101_120000456.RAW-02.ORIGINAL.dng"),
        ("a.RAW-01.COVER.jpg", "a.RAW-02.ORIGINAL.dng"),
        ("a.jpg", "b.CR2"),
        ("a.png", "a.mov"),
        ("a.jpg", "a2.jpg.json"),
        ("a.jpg", "a (1).jpg"),
        ("IMG_E1234.JPG", "IMG_1235.JPG"),
        ("a.mov", "a.xmp"),
        ("a.jpg", "a.txt"),
        ("a-edited.jpg", "b.jpg"),
        ("a.jpg", "a-edited.jpg"),
        ("a.jpg", "a-edited.jpg", "b.jpg.json"),
    ],
)
def test_these_files_are_not(names: tuple[str, ...]) -> None:
    assert units(*names) == []


def test_of_two_pictures_of_one_stem_the_one_of_the_camera_has_the_other_files() -> None:
    assert units("a.png", "a.jpg", "a.CR2", "a.xmp") == [("a.jpg", "a.CR2", "a.xmp")]
    assert units("a.heic", "a.jpg", "a.mov") == [("a.heic", "a.mov")]
    assert units("a.png", "a.CR2") == [], "a picture that no camera writes"


def test_numbered_photos_keep_their_own_metadata() -> None:
    assert units("a.jpg", "a(1).jpg", "a.jpg.json", "a.jpg(1).json") == [
        ("a.jpg", "a.jpg.json"),
        ("a(1).jpg", "a.jpg(1).json"),
    ]


def test_parts_have_kinds_roles_and_words() -> None:
    (unit,) = recognise(FOLDER, ["a.jpg", "a.CR2", "a.mov", "a.xmp", "a.aae", "a-edited.jpg", "a.jpg.json"])
    parts = {part.path.name: part for part in unit.parts}
    assert {name: part.kind for name, part in parts.items()} == {
        "a.jpg": PartKind.PICTURE,
        "a.CR2": PartKind.RAW,
        "a.mov": PartKind.FILM,
        "a.xmp": PartKind.SIDECAR,
        "a.aae": PartKind.SIDECAR,
        "a-edited.jpg": PartKind.EDIT,
        "a.jpg.json": PartKind.SIDECAR,
    }
    assert (parts["a.mov"].words, parts["a.xmp"].words) == ("a film", "a sidecar (XMP)")
    assert (parts["a.xmp"].role, parts["a.CR2"].role) == (".xmp", "raw")
    assert (unit.lead, unit.stem) == (FOLDER / "a.jpg", "a")


def test_a_film_with_another_identifier_is_of_another_shot() -> None:
    names = ["a.heic", "a.mov"]
    assert recognise(FOLDER, names, {"a.heic": "1", "a.mov": "2"}.get) == ()
    assert len(recognise(FOLDER, names, {"a.heic": "1", "a.mov": "1"}.get)) == 1
    assert len(recognise(FOLDER, names, {"a.mov": "1"}.get)) == 1, "one identifier alone says nothing"


def test_a_file_is_in_one_unit_at_most() -> None:
    with pytest.raises(ValueError, match="two units"):
        Units((*recognise(FOLDER, ["a.jpg", "a.CR2"]), *recognise(FOLDER, ["a.jpg", "a.xmp"])))


_STEMS = st.sampled_from(["IMG_1234", "IMG_E1234", "a", "a(1)", "a-edited", "PXL_1.MP", "x" * 50])
_ENDINGS = st.sampled_from(
    [".jpg", ".HEIC", ".CR2", ".dng", ".mov", ".MP", ".xmp", ".AAE", ".json", ".jpg.json", ".png"]
)


@settings(max_examples=150, deadline=None)
@given(st.sets(st.tuples(_STEMS, _ENDINGS).map("".join), max_size=12))
def test_any_names_give_disjoint_units_led_by_a_photo_whatever_their_order(names: set[str]) -> None:
    found = recognise(FOLDER, names)
    assert found == recognise(FOLDER, sorted(names, reverse=True))
    assert set(Units(found).units) == set(found)
    for unit in found:
        assert {part.path.name for part in unit.parts} <= names
        assert unit.parts[0].is_photo
        assert len(unit.parts) > 1
