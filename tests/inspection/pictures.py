"""Generated pictures for the tests of inspection: photographs, pages, sensors, files."""

import io
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from py_image_dedup.media.worker.inspect import read_full

USUAL = {"JPEG": {"quality": 90}, "PNG": {"compress_level": 1}}
"""Options of saving by kind; how well a PNG file is packed changes no pixel, and takes time."""
WORDS = ("river", "stone", "light", "house", "winter", "market", "garden", "paper", "silver", "morning", "letter")


def scene(seed, size=(520, 380)):
    """A picture with sky, ground, shapes with shading, fine texture and plain places, as photographs have them."""
    return _scene(seed, size).copy()


@cache
def _scene(seed, size):
    rng = np.random.default_rng([seed, 7])
    width, height = size
    rows = np.linspace(0, 1, height)[:, None, None]
    colours = rng.uniform(60, 200, (2, 1, 1, 3))
    layers = colours[0] * (1 - rows) + colours[1] * rows + np.zeros((height, width, 3))
    for cell, weight in ((90, 26), (30, 12), (9, 7), (4, 5)):
        coarse = rng.normal(0, 1, (height // cell + 2, width // cell + 2, 1))
        field = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)[..., None]
        layers += field * weight * (rows > 0.35 * (cell < 30)) * rng.uniform(0.8, 1.2, 3)
    picture = Image.fromarray(np.clip(layers, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(14):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        side = int(rng.integers(12, 90))
        colour = tuple(int(value) for value in rng.integers(25, 230, 3))
        if rng.random() < 0.5:
            draw.ellipse((x - side, y - side // 2, x + side, y + side // 2), fill=colour)
        else:
            draw.polygon([(x, y - side), (x + side, y), (x - side // 2, y + side)], fill=colour)
    for _ in range(12):
        ends = [int(value) for value in (*rng.integers(0, width, 2), *rng.integers(0, height, 2))]
        draw.line((ends[0], ends[2], ends[1], ends[3]), fill=tuple(int(v) for v in rng.integers(20, 220, 3)), width=2)
    return picture.filter(ImageFilter.GaussianBlur(0.7))


def words(seed, count):
    rng = np.random.default_rng([seed, 11])
    return " ".join(WORDS[number] for number in rng.integers(0, len(WORDS), count))


def font(size):
    return ImageFont.load_default(size)


def invoice(seed, total, size=18):
    """A printed page of 720 x 900 pixels."""
    return _invoice(seed, total, size).copy()


@cache
def _invoice(seed, total, size=18):
    page = Image.new("L", (720, 900), 255)
    draw, small = ImageDraw.Draw(page), font(size)
    draw.text((60, 50), "INVOICE", font=font(2 * size), fill=0)
    for row in range(8):
        draw.text((60, 150 + 34 * row), words(10 * seed + row, 3), font=small, fill=0)
        draw.text((660, 150 + 34 * row), f"{(seed * 7 + row * 13) % 90 + 10}.00", font=small, fill=0, anchor="ra")
    draw.text((60, 470), "Total", font=small, fill=0)
    draw.text((660, 470), total, font=small, fill=0, anchor="ra")
    for row in range(6):
        draw.text((60, 560 + 32 * row), words(1000 + 10 * seed + row, 7), font=small, fill=40)
    return page


def amounts(seed):
    """Two amounts that differ in one figure."""
    one = f"{1000 + 137 * seed}.50"
    return one, one[:2] + str((int(one[2]) + 3 + seed % 4) % 10) + one[3:]


def scanned(page, seed, sigma=5):
    noise = np.random.default_rng(seed).normal(0, sigma, (page.height, page.width))
    return Image.fromarray(np.clip(np.asarray(page) * 0.92 + 12 + noise, 0, 255).astype(np.uint8))


def exposed(picture, seed, electrons=3000.0, gain=1.0):
    """One exposure of a scene: photons and read-out noise on a colour filter array, demosaiced, with a tone curve.

    Args:
        picture: The scene.
        seed: Of the noise.
        electrons: What a photosite holds; 3000 is a telephone in daylight, 600 indoors.
        gain: Of the light.
    """
    rng = np.random.default_rng([seed, 3])
    light = (np.asarray(picture).astype(np.float32) / 255) ** 2.2 * gain
    light = light[: light.shape[0] // 2 * 2, : light.shape[1] // 2 * 2]
    sites = np.empty(light.shape[:2], dtype=np.float32)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        sites[row::2, column::2] = light[row::2, column::2, channel]
    counted = rng.poisson(np.clip(sites, 0, 1) * electrons) + rng.normal(0, 2.5, sites.shape)
    raw = np.clip(counted / electrons * 60000 + 1000, 0, 65535).astype(np.uint16)
    shown = cv2.cvtColor(raw, cv2.COLOR_BayerRGGB2RGB).astype(np.float32)
    shown = np.clip((shown - 1000) / 60000, 0, 1) ** (1 / 2.2)
    return Image.fromarray(np.rint(shown * 255).astype(np.uint8))


def encoded(picture, kind="JPEG", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **USUAL.get(kind, {}) | options)
    return stream.getvalue()


def read(content):
    return read_full(io.BytesIO(content), 50_000_000)


def saved(picture, kind="JPEG", **options):
    return read(encoded(picture, kind, **options))


def reopened(content):
    return Image.open(io.BytesIO(content)).convert("RGB")


def moment(text, exposure=None):
    data = Image.Exif()
    data[0x010F] = "Maker"
    taken = data.get_ifd(0x8769)
    taken[0x9003] = text
    if exposure:
        taken[0x829A] = exposure
    return data
