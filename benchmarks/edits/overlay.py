"""Edits that draw over the picture: captions, meme text, watermarks, stickers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PIL import Image, ImageDraw, ImageFont


def _caption(image: Image.Image) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    bar = image.height // 8
    draw.rectangle((0, image.height - bar, image.width, image.height), fill="black")
    font = ImageFont.load_default(bar * 0.55)
    draw.text((image.width / 2, image.height - bar / 2), "Summer by the sea, 2014", "white", font, anchor="mm")
    return image


def _meme(image: Image.Image) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    size = min(image.width / 12, image.height / 7)
    font = ImageFont.load_default(size)
    middle, stroke = image.width / 2, max(1, round(size / 12))
    for y, text, anchor in (
        (size * 0.2, "ONE DOES NOT SIMPLY", "ma"),
        (image.height - size * 0.2, "DELETE A PHOTO", "md"),
    ):
        draw.text((middle, y), text, "white", font, anchor, stroke_width=stroke, stroke_fill="black")
    return image


def _watermark(image: Image.Image) -> Image.Image:
    diagonal = round((image.width**2 + image.height**2) ** 0.5)
    layer = Image.new("L", (diagonal, diagonal), 0)
    draw = ImageDraw.Draw(layer)
    font = ImageFont.load_default(min(image.size) / 9)
    for line in range(-2, 3):
        draw.text((diagonal / 2, diagonal * (0.5 + line * 0.17)), "© example photo " * 2, 110, font, anchor="mm")
    layer = layer.rotate(30, Image.Resampling.BICUBIC)
    left, top = (diagonal - image.width) // 2, (diagonal - image.height) // 2
    mask = layer.crop((left, top, left + image.width, top + image.height))
    return Image.composite(Image.new("RGB", image.size, "white"), image, mask)


def _face(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill="#ffcc33", outline="#b07a00")
    for side in (-0.35, 0.35):
        eye, left, top = radius * 0.13, x + side * radius, y - radius * 0.3
        draw.ellipse((left - eye, top - eye, left + eye, top + eye), "#402a00")
    smile = (x - radius * 0.55, y - radius * 0.45, x + radius * 0.55, y + radius * 0.6)
    draw.arc(smile, 15, 165, "#402a00", max(1, round(radius / 7)))


def _emoji(image: Image.Image) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    short = min(image.size)
    for x, y, size in ((0.3, 0.35, 0.14), (0.75, 0.7, 0.1), (0.8, 0.2, 0.07)):
        _face(draw, x * image.width, y * image.height, size * short)
    return image


CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "caption": _caption,
    "meme text": _meme,
    "watermark": _watermark,
    "emoji": _emoji,
}
