"""Edits that put the picture into something larger: borders, letterboxes, pages, screenshots."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PIL import Image, ImageDraw, ImageFont, ImageOps

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
    "on a page, 25 % of its width": (_on_a_page(0.25), False),
    "screenshot": (_screenshot, True),
}
