"""Bursts and brackets are recognised by what cameras state and by names; copies of one picture are no series."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from py_image_dedup.model.photo import PhotoFacts, ShotMarks
from py_image_dedup.model.series import Series, SeriesKind, SeriesOfFiles
from py_image_dedup.units.series import recognise_series

FOLDER = Path("/photos")
START = datetime(2024, 5, 1, 12, 0, 0)  # noqa: DTZ001 - camera time


def facts(
    seconds: float | None = 0.0, marks: ShotMarks | None = None, camera: str = "Sony ILCE-7M3", kind: str = "JPEG"
) -> PhotoFacts:
    captured = None if seconds is None else START + timedelta(seconds=seconds)
    return PhotoFacts(kind, 600, 400, captured=captured, camera=camera, shot=marks or ShotMarks())


def recognised(photos: dict[str, PhotoFacts], wanted: set[str] | None = None) -> list[Series]:
    known = {name: each for name, each in photos.items() if wanted is None or name in wanted}
    return list(recognise_series(FOLDER, list(photos), known, photos.get))


def shots(series: Series) -> list[list[str]]:
    return [[path.name for path in shot] for shot in series.shots]


def test_shots_with_the_identifier_of_a_burst_are_one_series_whatever_their_names() -> None:
    photos = {f"{name}.heic": facts(at, ShotMarks(burst="A-B")) for name, at in (("x", 0.1), ("a", 0.2), ("m", 3.4))}
    photos["other.heic"] = facts(0.15, ShotMarks(burst="C-D"))
    [series] = recognised(photos)
    assert series.kind is SeriesKind.BURST
    assert series.evidence == "by the identifier of the burst"
    assert shots(series) == [["x.heic"], ["a.heic"], ["m.heic"]]


@pytest.mark.parametrize(
    "names",
    [
        ["IMG_20150101_120000_BURST001_COVER.jpg", "IMG_20150101_120000_BURST002.jpg"],
        ["20150101_120000_Burst01.jpg", "20150101_120000_Burst02.jpg"],
        ["00000IMG_00000_BURST20170101120000123_COVER.jpg", "00001IMG_00001_BURST20170101120000123.jpg"],
        ["DSC_0001_BURST20180101120000123.JPG", "DSC_0002_BURST20180101120000123.JPG"],
        ["20180101_120000_001.jpg", "20180101_120000_002.jpg"],
    ],
    ids=["google", "samsung-burst", "google-camera", "xperia", "samsung"],
)
def test_names_that_mark_a_burst_need_no_metadata(names: list[str]) -> None:
    photos = dict.fromkeys(names, PhotoFacts("JPEG", 600, 400))
    [series] = recognised(photos, {names[1]})
    assert (series.kind, series.evidence, shots(series)) == (
        SeriesKind.BURST,
        "by the names",
        [[each] for each in names],
    )


@pytest.mark.parametrize(
    "names",
    [
        ["20180101_120000.jpg", "20180101_120001.jpg", "20180101_120002.jpg"],
        ["IMG_20150101_120000_BURST001.jpg", "IMG_20150101_130000_BURST001.jpg"],
        ["cover_burst.jpg", "outburst.jpg", "burst1.jpg"],
    ],
)
def test_other_names_mark_no_burst(names: list[str]) -> None:
    assert recognised(dict.fromkeys(names, PhotoFacts("JPEG", 600, 400))) == []


def test_a_bracket_is_recognised_by_the_camera_s_mode_and_the_exposures() -> None:
    photos = {
        f"DSC0000{number}.{suffix}": facts(number, ShotMarks(seconds, bias, is_bracketed=True), kind=kind)
        for number, (seconds, bias) in enumerate([(0.01, 0.0), (0.04, 2.0), (0.0025, -2.0)], start=1)
        for suffix, kind in (("ARW", "RAW"), ("JPG", "JPEG"))
    }
    [series] = recognised(photos)
    assert (series.kind, series.evidence) == (SeriesKind.BRACKET, "by the camera's mode and the exposures")
    assert shots(series)[0] == ["DSC00001.ARW", "DSC00001.JPG"], "a RAW photo and its JPEG are one shot"
    assert series.words == "an exposure bracket of 3 shots"


def test_long_exposures_keep_a_bracket_together() -> None:
    exposures = [(1.0, 0.0), (8.0, 3.0), (30.0, 5.0)]
    photos = {
        f"DSC0000{number}.JPG": facts(at, ShotMarks(seconds, bias, is_bracketed=True))
        for number, (at, (seconds, bias)) in enumerate(zip([0, 2, 11], exposures, strict=True))
    }
    assert [len(each.shots) for each in recognised(photos)] == [3]


def test_three_exposures_in_a_row_are_a_bracket_without_the_mode() -> None:
    photos = {f"x{n}.jpg": facts(n, ShotMarks(0.01 * 2**bias, bias)) for n, bias in enumerate((-1.0, 0.0, 1.0))}
    [series] = recognised(photos)
    assert (series.kind, series.evidence) == (SeriesKind.BRACKET, "by the exposures and the moments")


def test_a_burst_is_recognised_by_the_numbers_of_the_camera() -> None:
    photos = {f"P{n}.jpg": facts(n // 3, ShotMarks(sequence=n)) for n in range(1, 6)}
    [series] = recognised(photos)
    assert series.evidence == "by the numbers that the camera gave the shots"
    assert len(series.shots) == 5


def test_a_burst_is_recognised_by_fractions_of_a_second() -> None:
    photos = {f"{n}.jpg": facts(0.1 + n / 8) for n in range(4)}
    [series] = recognised(photos)
    assert (series.evidence, len(series.shots)) == ("by the camera and the moments", 4)
    assert recognised({name: photos[name] for name in ("0.jpg", "1.jpg")}) == [], "two may be chance"
    assert recognised({f"{n}.jpg": facts(0.1 + n) for n in range(4)}) == [], "one a second is no burst"


def test_without_fractions_the_numbers_of_the_camera_s_files_have_to_follow() -> None:
    photos = {f"DSC0{n:04}.JPG": facts(n // 5) for n in range(1, 8)}
    [series] = recognised(photos)
    assert len(series.shots) == 7
    assert recognised({f"holiday-{n}.jpg": facts(0) for n in range(5)}) == [], "copies may be numbered, too"


def test_the_moment_in_the_name_of_a_pixel_serves_without_exif() -> None:
    photos = dict.fromkeys([f"PXL_20210101_1200{ms:05}.jpg" for ms in (123, 423, 723)], facts(None, camera=""))
    assert [len(each.shots) for each in recognised(photos)] == [3]


def test_copies_of_one_picture_are_no_series() -> None:
    names = ["IMG_0001.JPG", "IMG_0001 (1).JPG", "IMG_0001 - Copy.JPG", "IMG_0001-edited.JPG", "small/IMG_0001.JPG"]
    assert recognised(dict.fromkeys(names, facts(0))) == []
    assert recognised(dict.fromkeys(names, facts(0.25, ShotMarks(0.01, 0.0)))) == []


def test_a_copy_beside_a_series_is_of_the_same_shot_or_in_no_series() -> None:
    exact = {f"{n}.jpg": facts(0.1 + n / 8) for n in range(3)} | {"1 edited.jpg": facts(0.225)}
    [series] = recognised(exact)
    assert ["1 edited.jpg", "1.jpg"] in shots(series)
    whole = {f"DSC0000{n}.JPG": facts(n // 3) for n in range(1, 5)} | {"DSC00002 (1).JPG": facts(0)}
    [series] = recognised(whole)
    assert len(series.shots) == 4
    assert SeriesOfFiles((series,)).of(FOLDER / "DSC00002 (1).JPG") is None


def test_neighbours_that_matched_nothing_belong_to_the_series() -> None:
    photos = {f"DSC0000{n}.JPG": facts(n / 8 + 0.01) for n in range(9)} | {"DSC00009.JPG": facts(60)}
    [series] = recognised(photos, {"DSC00003.JPG", "DSC00004.JPG"})
    assert [len(shot) for shot in series.shots] == [1] * 9


def test_only_neighbours_of_a_likely_series_are_looked_up() -> None:
    photos = {f"DSC0000{n}.JPG": facts(10 * n) for n in range(9)}
    asked: list[str] = []
    recognise_series(FOLDER, list(photos), {"DSC00003.JPG": photos["DSC00003.JPG"]}, asked.append)  # type: ignore[arg-type]
    assert asked == []


def test_shots_of_two_cameras_are_two_series() -> None:
    photos = {f"{c}{n}.jpg": facts(0.1 + n / 8, camera=c) for n in range(3) for c in ("left", "right")}
    assert [shots(each)[0] for each in recognised(photos)] == [["left0.jpg"], ["right0.jpg"]]


def test_an_entry_of_an_older_index_is_in_a_series_by_its_moment() -> None:
    photos = {f"{n}.jpg": PhotoFacts("JPEG", 6, 4, captured=START + timedelta(seconds=0.1 + n / 8)) for n in range(3)}
    assert [len(each.shots) for each in recognised(photos)] == [3]


def test_a_file_is_in_one_series_only() -> None:
    series = Series(SeriesKind.BURST, "by the names", ((FOLDER / "a",), (FOLDER / "b",)))
    with pytest.raises(ValueError, match="two series"):
        SeriesOfFiles((series, series))
