"""Photos inside a picture are found where they are, and are decoded finely enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from py_image_dedup.media.decoder import DecodedPicture, Decoder
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.media.worker.panels import MAX_PANELS, find_panels
from tests.support.pictures import picture, write


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(panels=True) as found:
        yield found


def page(size: tuple[int, int] = (240, 320), ground: str = "white") -> Image.Image:
    """Return a page of text, 27 lines long."""
    image = Image.new("L", size, ground)
    draw = ImageDraw.Draw(image)
    pitch = size[1] / 27
    font = ImageFont.load_default(pitch * 0.7)
    for line in range(27):
        text = "The harbour was quiet that morning and nobody"
        draw.text((10, line * pitch), text, "black" if ground == "white" else "white", font)
    return image


def with_photo(sheet: Image.Image, box: tuple[int, int, int, int], seed: int = 1) -> Image.Image:
    """Return a page with a photo: a little ground is around it, and the text goes on beside it."""
    sheet = sheet.copy()
    _, top, right, bottom = box
    gap = sheet.width // 24
    ground = sheet.getpixel((0, 0))
    for band in ((0, top - gap, sheet.width, top + 2), (0, bottom - 2, sheet.width, bottom + gap)):
        sheet.paste(ground, band)
    sheet.paste(ground, (0, top, right + gap, bottom))
    pasted(sheet, box, seed)
    return sheet


def pasted(sheet: Image.Image, box: tuple[int, int, int, int], seed: int) -> None:
    left, top, right, bottom = box
    sheet.paste(picture(seed, right - left, bottom - top).convert(sheet.mode), (left, top))


def look(decoder: Decoder, path: Path) -> DecodedPicture:
    with read_file(path) as opened:
        return decoder.decode(opened)


@pytest.mark.parametrize("ground", ["white", "black", "#8090a0"])
@pytest.mark.parametrize("box", [(20, 60, 120, 130), (9, 200, 69, 241), (0, 90, 240, 230)])
def test_a_photo_on_a_page_is_a_panel(ground: str, box: tuple[int, int, int, int]) -> None:
    [found] = find_panels(with_photo(page(ground=ground), box))
    assert np.abs(np.subtract(found, box)).max() <= 2


def test_the_photos_of_a_collage_are_panels_the_largest_first() -> None:
    boxes = [(10, 10, 130, 100), (140, 10, 230, 100), (10, 110, 230, 310)]
    sheet = Image.new("L", (240, 320), "white")
    for seed, box in enumerate(boxes):
        pasted(sheet, box, seed)
    assert find_panels(sheet) == [boxes[2], boxes[0], boxes[1]]


def test_of_many_photos_the_largest_are_kept() -> None:
    sheet = Image.new("L", (400, 400), "white")
    for number in range(16):
        x, y = number % 4 * 98 + 8, number // 4 * 98 + 8
        pasted(sheet, (x, y, x + 50 + 2 * number, y + 60), number)
    found = find_panels(sheet)
    assert len(found) == MAX_PANELS
    assert min(right - left for left, _, right, _ in found) >= 50 + 2 * 7 - 2


def test_a_photo_and_a_page_of_text_have_no_panels() -> None:
    assert [find_panels(picture(seed).convert("L")) for seed in range(20)] == [[]] * 20
    assert find_panels(page()) == []
    assert find_panels(Image.new("L", (240, 320), "white")) == []


def test_a_photo_with_a_narrow_border_is_the_picture_itself() -> None:
    assert find_panels(with_photo(Image.new("L", (240, 320), "white"), (6, 6, 234, 314))) == []


def test_a_round_picture_is_no_panel() -> None:
    sheet = with_photo(Image.new("L", (240, 320), "white"), (60, 80, 180, 200))
    mask = Image.new("L", sheet.size, 0)
    ImageDraw.Draw(mask).ellipse((62, 82, 178, 198), 255)
    assert find_panels(Image.composite(sheet, Image.new("L", sheet.size, "white"), mask)) == []


def test_a_small_photo_on_a_large_page_is_decoded_at_a_finer_scale(tmp_path: Path, decoder: Decoder) -> None:
    sheet = with_photo(page((1968, 2460)), (200, 400, 692, 730))
    for name in ("page.jpg", "page.png"):
        decoded = look(decoder, write(tmp_path / name, sheet))
        [panel] = decoded.panels
        assert decoded.width == 246
        assert min(panel.canonical.shape) >= 70  # 41 in the canonical image
        scale = np.array([panel.left * 1968, panel.top * 2460, panel.right * 1968, panel.bottom * 2460])
        assert np.abs(scale - (200, 400, 692, 730)).max() <= 16


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_panels_of_a_picture_that_is_stored_turned_are_upright(
    orientation: int, tmp_path: Path, decoder: Decoder
) -> None:
    shown = with_photo(Image.new("L", (720, 960), "white"), (90, 150, 420, 370))
    stored_as = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    stored = shown if stored_as is None else shown.transpose(stored_as)
    [panel] = look(decoder, write(tmp_path / "turned.jpg", stored, exif=exif)).panels
    [upright] = look(decoder, write(tmp_path / "upright.jpg", shown)).panels
    edges = np.array([panel.left, panel.top, panel.right, panel.bottom])
    assert edges == pytest.approx(np.array([upright.left, upright.top, upright.right, upright.bottom]), abs=0.01)
    assert panel.canonical.shape == upright.canonical.shape
    assert np.abs(panel.canonical.astype(int) - upright.canonical.astype(int)).mean() < 6


def test_panels_are_sought_only_if_they_are_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "page.png", with_photo(page(), (20, 60, 120, 130)))
    with Decoder() as plain:
        assert look(plain, path).panels == ()
