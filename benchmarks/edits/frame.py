"""Edits that put the picture into something larger: borders, letterboxes, pages, collages, screenshots, prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from edits import geometry

WORDS = ("The", "harbour", "was", "quiet", "that", "morning", "and", "nobody", "had", "thought", "of", "boats", "yet.")


def _bordered(share: float, fill: str) -> Callable[[Image.Image], Image.Image]:
    return lambda image: ImageOps.expand(image, round(share * min(image.size)), fill)


def _letterboxed(ratio: float, fill: str) -> Callable[[Image.Image], Image.Image]:
    def make(image: Image.Image) -> Image.Image:
        width = max(image.width, round(image.height * ratio))
        height = max(image.height, round(width / ratio))
        page = Image.new("RGB", (width, height), fill)
        page.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        return page

    return make


def _write_lines(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], size: float) -> None:
    font = ImageFont.load_default(size)
    left, top, right, bottom = box
    y, word = top, 0
    while y + size < bottom:
        x = left
        while x < right - size * 2:
            text = WORDS[word % len(WORDS)]
            draw.text((x, y), text, "#222222", font)
            x += draw.textlength(text + " ", font)
            word += 1
        y += size * 1.5


def _on_a_page(share: float) -> Callable[[Image.Image], Image.Image]:
    """Return an edit that prints the photo on a page of text, ``share`` of the page's width wide."""

    def make(image: Image.Image) -> Image.Image:
        width = round(image.width / share)
        height = max(round(width * 1.2), round(image.height * 1.5))
        page = Image.new("RGB", (width, height), "#fbfaf7")
        draw = ImageDraw.Draw(page)
        size = width / 40
        margin = width * 0.06
        draw.text((margin, margin), "A day at the harbour", "black", ImageFont.load_default(size * 2))
        top = round(margin + size * 4)
        left = round(min(margin, (width - image.width) / 2))
        page.paste(image, (left, top))
        if width - left - image.width > size * 8:
            _write_lines(draw, (left + image.width + size, top, width - margin, top + image.height), size)
        _write_lines(draw, (margin, top + image.height + size, width - margin, height - margin), size)
        return page

    return make


def _screenshot(image: Image.Image) -> Image.Image:
    """A telephone's screen that shows the photo as wide as it is."""
    width = image.width
    height = max(round(width * 2.0), round(image.height * 1.3))
    screen = Image.new("RGB", (width, height), "#101418")
    draw = ImageDraw.Draw(screen)
    size = width / 28
    draw.text((size, size * 0.6), "12:41", "white", ImageFont.load_default(size))
    draw.text((width - size * 5, size * 0.6), "4G  87%", "white", ImageFont.load_default(size))
    draw.text((size * 3, size * 3), "Anna, yesterday 18:02", "white", ImageFont.load_default(size * 1.3))
    draw.line((size * 2, size * 3, size, size * 3.8, size * 2, size * 4.6), "white", round(size / 5))
    for place in range(4):
        x = width * (place + 0.5) / 4
        y = height - size * 3
        draw.ellipse((x - size, y - size, x + size, y + size), outline="white", width=max(1, round(size / 6)))
    screen.paste(image, (0, (height - image.height) // 2))
    return screen


def _social(image: Image.Image) -> Image.Image:
    """A telephone's screen with the photo in a list of posts, between its author and what others wrote about it."""
    width = image.width
    size = width / 28
    top = round(size * 9)
    height = max(round(width * 2.1), image.height + round(size * 22))
    screen = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(screen)
    draw.text((size, size * 0.5), "9:41", "black", ImageFont.load_default(size))
    draw.text((width - size * 4, size * 0.5), "5G 64%", "black", ImageFont.load_default(size))
    draw.text((size, size * 2.2), "Pictures", "black", ImageFont.load_default(size * 1.8))
    draw.ellipse((size, size * 5, size * 4, size * 8), "#8899bb", "#cc3366", max(1, round(size / 5)))
    draw.text((size * 5, size * 5.2), "anna.by.the.sea", "black", ImageFont.load_default(size * 1.1))
    draw.text((size * 5, size * 6.8), "Harbour, yesterday", "#777777", ImageFont.load_default(size * 0.9))
    screen.paste(image, (0, top))
    below = top + image.height
    for place in (1.5, 4.5, 7.5):
        box = (size * place, below + size, size * (place + 1.6), below + size * 2.6)
        draw.ellipse(box, outline="black", width=max(1, round(size / 6)))
    draw.text((size, below + size * 3.5), "Liked by 1,204 people", "black", ImageFont.load_default(size))
    _write_lines(draw, (size, below + size * 5.5, width - size, height - size * 4), size)
    draw.rectangle((0, height - size * 3, width, height), "#f4f4f4")
    return screen


def _scene(size: tuple[int, int], seed: int) -> Image.Image:
    """Return a picture that shows nothing: soft patches of colour with detail of every size."""
    random = np.random.default_rng(seed)
    scene = np.zeros((size[1], size[0], 3))
    for cells, height in ((3, 70), (9, 45), (30, 30), (90, 20)):
        patches = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        grown = Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)
        scene += (np.asarray(grown, dtype=np.float64) - 128) * height / 64
    return Image.fromarray(np.clip(scene + random.integers(90, 160), 0, 255).astype(np.uint8))


def _collage(gap: float) -> Callable[[Image.Image], Image.Image]:
    """Return an edit that puts a square crop of the photo into a collage of four, ``gap`` of a width apart."""

    def make(image: Image.Image) -> Image.Image:
        side = min(image.size)
        space = round(side * 2 * gap)
        page = Image.new("RGB", (2 * side + 3 * space,) * 2, "white")
        cells = [_scene((side, side), seed) for seed in (1, 2, 3)]
        cells.insert(image.width % 4, ImageOps.fit(image, (side, side)))
        for number, cell in enumerate(cells):
            page.paste(cell, (space + number % 2 * (side + space), space + number // 2 * (side + space)))
        return page

    return make


def _photographed(image: Image.Image) -> Image.Image:
    """A photo of a screen that shows the photo: askew, with the pattern of its pixels, a reflection and dull black."""
    width, height = image.size
    across, down = round(width * 0.15), round(height * 0.15)
    screen = Image.new("RGB", (width + 2 * across, height + 2 * down), "#3a342e")
    bezel = (round(across * 0.6), round(down * 0.6), width + round(across * 1.4), height + round(down * 1.4))
    ImageDraw.Draw(screen).rectangle(bezel, "#0c0c0e")
    screen.paste(image, (across, down))
    shown = geometry.perspective(0.04)(screen).filter(ImageFilter.GaussianBlur(0.8 * min(image.size) / 320))
    values = np.asarray(shown, dtype=np.float64)
    rows, columns = np.mgrid[0 : values.shape[0], 0 : values.shape[1]]
    pattern = 1 + 0.05 * np.sin(columns * 2.1 + rows * 0.13) * np.sin(rows * 1.9 - columns * 0.09)
    reflection = 40 * np.exp(-((columns / screen.width - 0.7) ** 2 + (rows / screen.height - 0.3) ** 2) / 0.05)
    noise = np.random.default_rng(5).normal(0, 4, values.shape)
    made = (18 + 0.85 * values * pattern[..., None]) * (0.95, 1.0, 1.06) + reflection[..., None] + noise
    return Image.fromarray(np.clip(made, 0, 255).astype(np.uint8))


def _scanned(image: Image.Image) -> Image.Image:
    """A scan of a print on white paper: with the dots of the printer, pale, and not quite straight."""
    width, height = image.size
    margin = round(0.12 * max(image.size))
    dots = np.random.default_rng(6).normal(0, 9, (height, width, 1))
    printed = np.clip(30 + 0.82 * np.asarray(image, dtype=np.float64) + dots, 0, 255).astype(np.uint8)
    sheet = Image.new("RGB", (width + 2 * margin, height + 3 * margin), "#f6f4ee")
    sheet.paste(Image.fromarray(printed), (margin, margin))
    scan = sheet.rotate(0.8, Image.Resampling.BICUBIC, fillcolor="#f6f4ee")
    return scan.filter(ImageFilter.GaussianBlur(0.7 * min(image.size) / 320))


BORDERS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "border white 5 %": _bordered(0.05, "white"),
    "border white 15 %": _bordered(0.15, "white"),
    "border black 5 %": _bordered(0.05, "black"),
    "border black 15 %": _bordered(0.15, "black"),
    "letterbox": _letterboxed(1.0, "black"),
    "wide, white sides": _letterboxed(2.2, "white"),
}

INSETS: Mapping[str, tuple[Callable[[Image.Image], Image.Image], bool]] = {
    "on a page, 80 % of its width": (_on_a_page(0.8), True),
    "on a page, 60 % of its width": (_on_a_page(0.6), True),
    "on a page, 40 % of its width": (_on_a_page(0.4), False),
    "on a page, a third of its width": (_on_a_page(1 / 3), False),
    "on a page, 25 % of its width": (_on_a_page(0.25), False),
    "screenshot": (_screenshot, True),
    "in a collage of four": (_collage(0.01), False),
    "in a collage of four, no gaps": (_collage(0.0), False),
    "screenshot of a post": (_social, False),
    "photographed from a screen": (_photographed, False),
    "printed and scanned": (_scanned, False),
}
