"""Faint pictures have features: those of their normalised contrast; noise has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from py_image_dedup.api import Deduplicator, Options
from py_image_dedup.features.contrast import normalised
from py_image_dedup.features.describe import ImageFeatures, image_features
from py_image_dedup.features.extract import extract, pack, unpack
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass, Verdict
from py_image_dedup.store.sqlite.store import SqliteStore
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.verify import verify
from tests.support.faint import dark, foggy, half, lens_cap, smooth_sky, stars
from tests.support.photographs import grey, photograph
from tests.support.pictures import write


def seen(image: Image.Image) -> Picture:
    """Return what the index keeps of a picture."""
    features = image_features(grey(image)).features
    assert features is not None, "featureless"
    return Picture(unpack(features))


def compared(one: Image.Image, other: Image.Image) -> Verdict | None:
    return verify(seen(one), seen(other))


@pytest.mark.parametrize(
    "copy",
    [lambda seed: dark(seed, 0.1), lambda seed: dark(seed, 0.06), foggy],
    ids=["a tenth of the light", "6 % of the light", "in fog"],
)
def test_a_faint_copy_of_a_photo_is_found(copy: Callable[[int], Image.Image]) -> None:
    faint = copy(1)

    assert compared(photograph(1), faint) is not None
    assert compared(photograph(2), faint) is None


def test_a_half_size_copy_of_a_night_sky_is_found_and_no_other_sky() -> None:
    skies = [stars(seed) for seed in (1, 2)]

    found = [compared(sky, half(sky)) for sky in skies]

    assert [verdict and verdict.match_class for verdict in found] == [MatchClass.SIMILAR] * 2
    assert compared(*skies) is None


def test_noise_is_no_structure() -> None:
    assert [image_features(grey(lens_cap(seed))) for seed in range(12)] == [ImageFeatures()] * 12


def test_smooth_skies_are_told_apart_by_what_is_left_of_their_gradients() -> None:
    skies = [smooth_sky(seed) for seed in range(6)]
    pictures = [seen(sky) for sky in skies]

    assert all(len(picture.features) < 80 for picture in pictures)
    assert [verify(pictures[at], pictures[before]) for at in range(6) for before in range(at)] == [None] * 15
    assert all(verify(picture, seen(half(sky))) is not None for sky, picture in zip(skies, pictures, strict=True))


def test_pictures_of_normal_contrast_are_left_as_they_are() -> None:
    assert list(normalised(grey(photograph(1)))) == []
    page = np.full((346, 246), 250, dtype=np.uint8)
    page[40:44, 20:200] = 30
    assert list(normalised(page)) == []
    assert image_features(page) == ImageFeatures()


def test_features_without_a_signature_survive_the_way_from_the_decoder() -> None:
    faint = ImageFeatures(None, pack(extract(grey(photograph(1)))), b"words")

    assert ImageFeatures.of_parts(faint.parts) == faint
    assert ImageFeatures.of_parts(ImageFeatures().parts) == ImageFeatures()


def test_a_run_groups_faint_pictures_and_still_compares_the_pixels_of_flat_ones(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write(photos / "sky.jpg", stars(1))
    write(photos / "again.jpg", stars(1), quality=75)
    write(photos / "other.jpg", stars(2))
    write(photos / "black.png", Image.new("L", (300, 200)))
    write(photos / "black.bmp", Image.new("L", (300, 200)))

    with SqliteStore(tmp_path / "index.sqlite3") as store:
        result = Deduplicator(store, Options(state_directory=tmp_path / "state")).deduplicate(
            [Root(photos)], dry_run=True
        )

    # Whether the copy may be removed is for the comparison in full to say.
    matches = [*result.reported, *(each.match for group in result.groups for each in group.redundant)]
    found = {frozenset(entry.stat.path.name for entry in (match.left, match.right)) for match in matches}
    assert found == {frozenset({"black.png", "black.bmp"}), frozenset({"sky.jpg", "again.jpg"})}
