"""Pictures for tests of verification: features of generated photographs and of what became of them."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from py_image_dedup.features.extract import extract, pack, unpack
from py_image_dedup.media.worker.decode import canonical
from py_image_dedup.media.worker.panels import find_panels
from py_image_dedup.media.worker.protocol import Panel
from py_image_dedup.verification.picture import Picture
from tests.support.photographs import grey, photograph


def seen(image: Image.Image, quality: int | None = 85) -> Picture:
    """The picture as verification gets it: saved as a JPEG, decoded, packed for the index, unpacked."""
    if quality is not None:
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "JPEG", quality=quality)
        image = Image.open(stream)
    return Picture(unpack(pack(extract(grey(image)))))


def seen_with_insets(image: Image.Image) -> Picture:
    """The picture as verification gets it of a decoder that looks for the photos on it."""
    found = canonical(image.convert("L"), image.size, 1)
    panels = []
    for box in find_panels(found):
        left, right = (edge * image.width / found.width for edge in box[::2])
        top, bottom = (edge * image.height / found.height for edge in box[1::2])
        part = grey(image.crop((round(left), round(top), round(right), round(bottom))))
        shares = (left / image.width, top / image.height, right / image.width, bottom / image.height)
        panels.append(Panel(*shares, part.shape[1], part.shape[0], part.tobytes()))
    return Picture(unpack(pack(extract(np.asarray(found), panels))))


@cache
def original(seed: int) -> Picture:
    return seen(photograph(seed), quality=95)


def letter(seed: int, *, digits: int | None = None, width: int = 480, height: int = 640) -> Image.Image:
    """A printed form; the same seed is the same form, ``digits`` what it was filled in with."""
    random = np.random.default_rng(seed)
    page = Image.new("RGB", (width, height), "#f8f8f4")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(17)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    y = 20
    while y < height - 30:
        x = 24
        while x < width - 90:
            word = "".join(random.choice(letters, int(random.integers(2, 9))))
            draw.text((x, y), word, "#202020", font)
            x += round(draw.textlength(word + " ", font))
        y += 26
    if digits is not None:
        filled = np.random.default_rng(digits)
        for row in range(8):
            number = "".join(str(digit) for digit in filled.integers(0, 10, 7))
            place = (width - 190, 20 + 26 * (2 + 3 * row % 22))
            draw.rectangle((place[0], place[1], place[0] + 120, place[1] + 24), fill="#f8f8f4")
            draw.text(place, number, "#202020", ImageFont.load_default(20))
    return page


def layered(seed: int, shift: int) -> Image.Image:
    """One scene from two places: near things stand before far ones and move against them when the camera moves."""
    far, near = photograph(seed), photograph(seed + 1000)
    random = np.random.default_rng(seed)
    mask = Image.new("L", far.size, 0)
    draw = ImageDraw.Draw(mask)
    for _ in range(7):
        x, y = int(random.integers(0, far.width)), int(random.integers(0, far.height))
        draw.ellipse((x - 45, y - 60, x + 45, y + 60), fill=255)
    moved = Image.new("RGB", far.size)
    moved.paste(near, (shift, 0))
    moved_mask = Image.new("L", far.size, 0)
    moved_mask.paste(mask, (shift, 0))
    return Image.composite(moved, far, moved_mask)
