"""A copy is proven to be one, whatever was done to it; what only looks alike is not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from py_image_dedup.features.extract import extract
from py_image_dedup.model.match import MatchClass, Orientation
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.verify import Verdict, locate, verify
from tests.support.photographs import photograph
from tests.verification.edited import layered, letter, original, seen, seen_with_insets

Edit = Callable[[Image.Image], Image.Image]


def shrunk(image: Image.Image, factor: float = 0.5) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


def cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


def captioned(image: Image.Image) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, image.height * 0.88, image.width, image.height), fill="black")
    return image


def on_a_page(image: Image.Image) -> Image.Image:
    page = letter(77, width=800, height=900)
    page.paste(image, (120, 150))
    return page


def verdict(edit: Edit, seed: int = 1, quality: int = 80) -> Verdict:
    found = verify(original(seed), seen(edit(photograph(seed)), quality))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: image,
        shrunk,
        lambda image: shrunk(image, 0.25),
        lambda image: image.resize((384, 360)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.3),
        lambda image: ImageEnhance.Contrast(image).enhance(0.6),
        ImageOps.grayscale,
        lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
    ],
    ids=["re-encoded", "half size", "quarter size", "squashed", "brighter", "flat", "grey", "blurred"],
)
def test_a_copy_of_the_whole_picture_is_similar_and_needs_no_words(edit: Edit) -> None:
    found = verdict(edit)

    assert found.match_class is MatchClass.SIMILAR
    assert found.orientation is Orientation.UPRIGHT
    assert found.evidence.words == ()
    assert found.evidence.bad_share < 0.01
    assert found.evidence.coverage_left > 0.99
    assert found.evidence.coverage_right > 0.99


def test_the_lowest_jpeg_quality_is_still_recognised() -> None:
    assert verdict(lambda image: image, quality=5) is not None


@pytest.mark.parametrize(
    ("method", "orientation", "words"),
    [
        (Image.Transpose.ROTATE_270, Orientation.ROTATE_90, ("rotated 90°",)),
        (Image.Transpose.ROTATE_180, Orientation.ROTATE_180, ("rotated 180°",)),
        (Image.Transpose.ROTATE_90, Orientation.ROTATE_270, ("rotated 270°",)),
        (Image.Transpose.FLIP_LEFT_RIGHT, Orientation.MIRROR, ("mirrored",)),
        (Image.Transpose.FLIP_TOP_BOTTOM, Orientation.FLIP, ("mirrored top to bottom",)),
        (Image.Transpose.TRANSPOSE, Orientation.TRANSPOSE, ("mirrored", "rotated 270°")),
        (Image.Transpose.TRANSVERSE, Orientation.TRANSVERSE, ("mirrored", "rotated 90°")),
    ],
)
def test_turned_and_mirrored_copies_are_similar(
    method: Image.Transpose, orientation: Orientation, words: tuple[str, ...]
) -> None:
    found = verdict(lambda image: image.transpose(method))

    assert (found.match_class, found.orientation) == (MatchClass.SIMILAR, orientation)
    assert found.evidence.words == words


@pytest.mark.parametrize("colour", ["white", "black"])
def test_a_border_is_no_content(colour: str) -> None:
    found = verdict(lambda image: ImageOps.expand(image, 40, colour))

    assert found.match_class is MatchClass.SIMILAR
    assert found.evidence.words == ("with a border",)
    assert found.evidence.words_reversed == ("without the keeper's border",)


def test_a_caption_is_a_small_change_inside() -> None:
    found = verdict(captioned)

    assert found.match_class is MatchClass.SIMILAR
    assert found.evidence.words == ("small changes inside: drawn over it",)
    assert found.evidence.words_reversed == ("small changes inside: drawn over the keeper",)
    assert found.evidence.right_is_drawn_over
    assert 0.05 < found.evidence.bad_share < 0.2


@pytest.mark.parametrize(
    ("box", "share"), [((0.1, 0.1, 0.9, 0.9), 0.64), ((0.3, 0.25, 1.0, 1.0), 0.525), ((0.0, 0.0, 0.7, 0.7), 0.49)]
)
def test_a_crop_is_partial_and_says_how_much_it_shows(box: tuple[float, float, float, float], share: float) -> None:
    found = verdict(lambda image: cropped(image, *box))

    assert found.match_class is MatchClass.PARTIAL
    assert found.evidence.coverage_left == pytest.approx(share, abs=0.01)
    assert found.evidence.coverage_right > 0.99
    assert found.evidence.words == (f"crop: {100 * found.evidence.coverage_left:.0f} % of the keeper",)


def test_cutting_off_one_part_in_fifty_is_a_crop() -> None:
    found = verdict(lambda image: cropped(image, 0.0, 0.0, 0.98, 1.0))

    assert found.match_class is MatchClass.PARTIAL
    assert found.evidence.words == ("crop: 98 % of the keeper",)


def test_a_photo_on_a_page_is_partial() -> None:
    found = verdict(on_a_page)

    assert found.match_class is MatchClass.PARTIAL
    assert found.evidence.words == ("on a page: the keeper is 24 % of it",)
    assert found.evidence.coverage_left > 0.99


@cache
def page_with_a_small_photo(form: int = 78, left: int = 24, top: int = 124) -> Picture:
    page = letter(form)
    page.paste(Image.new("RGB", (480, 108), "#f8f8f4"), (0, top - 9))
    page.paste(photograph(1).resize((120, 90), Image.Resampling.LANCZOS), (left, top))
    return seen_with_insets(page)


@pytest.mark.parametrize("edit", [lambda image: image, lambda image: cropped(image, 0.1, 0, 1, 0.9), ImageOps.mirror])
def test_a_photo_on_a_quarter_of_a_page_is_partial(edit: Edit) -> None:
    photo, page = seen(edit(photograph(1))), page_with_a_small_photo()

    for found in (verify(photo, page), verify(page, photo)):
        assert found is not None
        assert found.match_class is MatchClass.PARTIAL
        assert min(found.evidence.coverage_left, found.evidence.coverage_right) < 0.05
        assert max(found.evidence.coverage_left, found.evidence.coverage_right) > 0.97


def test_a_photo_is_located_on_the_page() -> None:
    photo, page = original(1), page_with_a_small_photo()
    corners = np.array([[0, 0, 1], [photo.size[0], photo.size[1], 1]]).T

    to_page, to_photo = locate(photo, page), locate(page, photo)

    assert to_page is not None
    assert to_photo is not None
    placed = to_page @ corners
    expected = np.array([[24, 124], [144, 214]]) * page.size / (480, 640)
    assert np.abs((placed[:2] / placed[2]).T - expected).max() < 0.5
    back = to_photo @ placed
    assert np.abs(back / back[2] - corners).max() < 0.5


def test_two_pages_with_one_photo_do_not_match_by_it_and_other_photos_do_not_match_the_page() -> None:
    other = page_with_a_small_photo(79, 300, 332)

    assert len(other.insets) == len(page_with_a_small_photo().insets) == 1
    assert verify(page_with_a_small_photo(), other) is None
    assert [verify(original(seed), page_with_a_small_photo()) for seed in range(20, 26)] == [None] * 6


def test_an_overlap_of_two_crops_is_partial() -> None:
    photo = photograph(2)

    found = verify(seen(cropped(photo, 0, 0, 0.75, 1)), seen(cropped(photo, 0.3, 0, 1, 1)))

    assert found is not None
    assert found.match_class is MatchClass.PARTIAL
    assert found.evidence.words == ("overlap: 60 % of the keeper",)


def test_a_slight_turn_is_partial() -> None:
    found = verdict(lambda image: cropped(image.rotate(4, Image.Resampling.BICUBIC), 0.1, 0.1, 0.9, 0.9))

    assert found.match_class is MatchClass.PARTIAL
    assert found.evidence.words[-1] == "tilted 4°"


def test_a_perspective_is_partial() -> None:
    def lean(image: Image.Image) -> Image.Image:
        # As if the camera had been held a little askew: x and y divided by 1 + x / 8000 + y / 4000.
        coefficients = (1.02, 0.03, 4.0, 0.0, 1.06, 3.0, 1 / 8000, 1 / 4000)
        return image.transform(image.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)

    found = verdict(lean)

    assert found.match_class is MatchClass.PARTIAL
    assert found.evidence.words[-1] == "in perspective"


@pytest.mark.parametrize("seed", range(6))
def test_different_photos_do_not_match(seed: int) -> None:
    assert verify(original(seed), original(seed + 10)) is None


@pytest.mark.parametrize("shift", [8, 20, 45])
def test_a_step_to_the_side_is_never_similar(shift: int) -> None:
    """The far things alone agree, or the near ones: no editor moves one against the other."""
    for seed in (3, 4):
        found = verify(seen(layered(seed, 0)), seen(layered(seed, shift)))

        assert found is None or found.match_class is MatchClass.PARTIAL


def test_somebody_who_walked_on_between_two_shots_from_a_tripod_is_no_sticker() -> None:
    scene, person = photograph(5), cropped(photograph(6), 0.3, 0.2, 0.5, 0.7)
    first, second = scene.copy(), scene.copy()
    first.paste(person, (90, 120))
    second.paste(person, (200, 120))

    found = verify(seen(first), seen(second))

    assert found is not None
    assert found.match_class is MatchClass.PARTIAL
    assert found.evidence.words == ("parts differ",)


def test_a_form_filled_in_twice_does_not_match() -> None:
    for form in range(3):
        filled = [seen(letter(form, digits=digits)) for digits in (1, 2, 3)]

        assert verify(filled[0], filled[1]) is None
        assert verify(filled[1], filled[2]) is None


def test_a_copy_of_a_filled_in_form_matches() -> None:
    form = letter(1, digits=2)

    found = verify(seen(form), seen(shrunk(form, 0.7), 60))

    assert found is not None
    assert found.match_class is MatchClass.SIMILAR


def test_a_collage_is_partial_to_its_members_which_do_not_match_each_other() -> None:
    members = [photograph(seed) for seed in (11, 12)]
    collage = Image.new("RGB", (960, 360))
    for place, member in enumerate(members):
        collage.paste(member, (480 * place, 0))
    seen_collage = seen(collage)

    verdicts = [verify(original(seed), seen_collage) for seed in (11, 12)]

    assert [found is not None and found.match_class for found in verdicts] == [MatchClass.PARTIAL] * 2
    assert verify(original(11), original(12)) is None


@pytest.mark.parametrize("edit", [shrunk, captioned, on_a_page, ImageOps.mirror, lambda i: i.rotate(90, expand=True)])
def test_exchanging_the_pictures_exchanges_what_is_said_of_them(edit: Edit) -> None:
    left, right = original(7), seen(edit(photograph(7)))

    there, back = verify(left, right), verify(right, left)

    assert there is not None
    assert back is not None
    assert there.match_class is back.match_class
    assert there.evidence.reversed() == back.evidence
    turns = {Orientation.ROTATE_90: Orientation.ROTATE_270, Orientation.ROTATE_270: Orientation.ROTATE_90}
    assert back.orientation is turns.get(there.orientation, there.orientation)


def test_what_the_index_sees_the_same_of_is_similar_without_a_look_at_pixels() -> None:
    one, other = (Picture(original(1).features) for _ in range(2))

    found = verify(one, other)

    assert found is not None
    assert (found.match_class, found.orientation) == (MatchClass.SIMILAR, Orientation.UPRIGHT)
    assert (found.evidence.words, found.evidence.bad_share, found.evidence.coverage_left) == ((), 0.0, 1.0)
    assert "thumbnail" not in vars(one)


@pytest.mark.parametrize("form", range(4))
def test_a_form_that_is_seen_small_matches_itself_and_no_other_of_its_kind(form: int) -> None:
    filled, another = letter(form), letter(form)
    for page, entry in ((filled, "1,337.00 EUR  22 x"), (another, "9,684.55 USD  78 y")):
        draw = ImageDraw.Draw(page)
        draw.rectangle((280, 148, 480, 178), fill="#f8f8f4")
        draw.text((290, 150), entry, "#202020", ImageFont.load_default(22))
    wide = Image.new("RGB", (1400, 800), "white")
    wide.paste(filled, (460, 80))

    assert verify(seen(filled, 95), seen(wide)) is not None
    assert verify(seen(another, 95), seen(wide)) is None


def test_pictures_without_features_do_not_match_and_do_not_fail() -> None:
    flat = extract(np.full((120, 160), 128, dtype=np.uint8))
    ramp = extract(np.tile(np.arange(160, dtype=np.uint8), (120, 1)))
    tiny = extract(np.arange(16, dtype=np.uint8).reshape(4, 4))

    for left in (flat, ramp, tiny):
        for right in (flat, ramp, tiny):
            if left is not right:
                assert verify(Picture(left), Picture(right)) is None
    assert verify(Picture(flat), original(1)) is None


def test_threads_may_share_pictures() -> None:
    pairs = [(original(seed), seen(shrunk(photograph(seed)))) for seed in range(4)] * 4
    alone = [verify(left, right) for left, right in pairs]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: verify(*pair), pairs))

    assert together == alone
