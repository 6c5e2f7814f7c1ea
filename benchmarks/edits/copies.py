"""Copies of a photo as files: what programs, messengers and accidents make of it.

Each edit makes the bytes of one copy from the decoded picture of its original. All are deterministic.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pillow_heif
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from edits import colour, frame, geometry, overlay

pillow_heif.register_heif_opener()

Change = Callable[[Image.Image], Image.Image]

BOX, NEAREST = Image.Resampling.BOX, Image.Resampling.NEAREST
BILINEAR, BICUBIC, LANCZOS = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS
SIDEWAYS = Image.Transpose.ROTATE_90
HALFWAY = Image.Transpose.ROTATE_180


@dataclass(frozen=True, slots=True)
class Copy:
    """One kind of copy.

    Attributes:
        name: Of the row in the tables.
        family: Rows that belong together.
        change: What is done to the picture.
        form: Format of the file, as Pillow names it.
        options: Of the encoder.
        is_part: Shows less than all of the original, so that it is not removed by default.
    """

    name: str
    family: str
    change: Change
    form: str
    options: dict[str, object]
    is_part: bool = False

    def make(self, image: Image.Image, exif: Image.Exif | None = None) -> bytes:
        """Return the bytes of the copy.

        Args:
            image: The original, upright, RGB.
            exif: Metadata that the copy carries.
        """
        return encode(self.change(image), self.form, exif=exif, **self.options)


def encode(image: Image.Image, form: str, exif: Image.Exif | None = None, **options: object) -> bytes:
    """Return the bytes of an image file, without metadata unless some are given."""
    stream = io.BytesIO()
    more = {} if exif is None or form in {"GIF", "BMP"} else {"exif": exif}
    image.save(stream, form, **options, **more)
    return stream.getvalue()


def again(change: Change, quality: int, **options: object) -> Change:
    """Return a change whose result is saved as a JPEG and decoded."""
    return lambda image: Image.open(io.BytesIO(encode(change(image), "JPEG", quality=quality, **options))).convert(
        "RGB"
    )


def _same(image: Image.Image) -> Image.Image:
    return image


def _sized(factor: float, how: Image.Resampling) -> Change:
    return lambda image: image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), how)


def _averaged(factor: float) -> Change:
    return lambda image: Image.fromarray(
        cv2.resize(np.asarray(image), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    )


def _messenger(longest: int) -> Change:
    def make(image: Image.Image) -> Image.Image:
        factor = min(0.7, longest / max(image.size))
        return _sized(factor, BICUBIC)(image)

    return make


def _chain(*changes: Change) -> Change:
    def make(image: Image.Image) -> Image.Image:
        for change in changes:
            image = change(image)
        return image

    return make


def _enhanced(kind: type[ImageEnhance._Enhance], factor: float) -> Change:
    return lambda image: kind(image).enhance(factor)


def _sepia(image: Image.Image) -> Image.Image:
    weights = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
    return Image.fromarray(np.clip(np.asarray(image) @ weights.T, 0, 255).astype(np.uint8))


def _denoised(image: Image.Image) -> Image.Image:
    return Image.fromarray(cv2.bilateralFilter(np.asarray(image), 5, 25, 3))


def _grainy(sigma: float, *, coloured: bool = True) -> Change:
    def make(image: Image.Image) -> Image.Image:
        shape = (image.height, image.width, 3 if coloured else 1)
        noise = np.random.default_rng(7).normal(0, sigma, shape)
        return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))

    return make


def _region(image: Image.Image) -> tuple[int, int, int, int]:
    width, height = image.size
    return round(0.4 * width), round(0.35 * height), round(0.6 * width), round(0.6 * height)


def _barred(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.paste((0, 0, 0), _region(image))
    return image


def _hidden(change: Change) -> Change:
    def make(image: Image.Image) -> Image.Image:
        image, box = image.copy(), _region(image)
        part = image.crop(box)
        image.paste(change(part).resize(part.size, NEAREST), box)
        return image

    return make


def _mosaic(part: Image.Image) -> Image.Image:
    return part.resize((max(1, part.width // 12), max(1, part.height // 12)), BOX)


def _cut_off(share: float, level: int) -> Change:
    def make(image: Image.Image) -> Image.Image:
        image = image.copy()
        image.paste((level, level, level), (0, round(image.height * (1 - share)), image.width, image.height))
        return image

    return make


def _dark_half(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int16)
    values[round(0.55 * image.height) // 8 * 8 :] -= 24
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _jpeg(quality: int, **options: object) -> tuple[str, dict[str, object]]:
    return "JPEG", {"quality": quality, **options}


def _files() -> list[Copy]:
    saved = [
        *((f"JPEG {quality}", _jpeg(quality)) for quality in (100, 98, 95, 90, 85, 75, 60, 40, 20)),
        ("JPEG 85, 4:4:4", _jpeg(85, subsampling=0)),
        ("JPEG 85, 4:2:2", _jpeg(85, subsampling=1)),
        ("JPEG 85, progressive", _jpeg(85, progressive=True)),
        ("JPEG, tables of an editor", ("JPEG", {"quality": "web_very_high"})),
        ("PNG", ("PNG", {"compress_level": 1})),
        ("TIFF", ("TIFF", {})),
        ("GIF", ("GIF", {})),
        ("WebP 80", ("WEBP", {"quality": 80, "method": 2})),
        ("WebP 95", ("WEBP", {"quality": 95, "method": 2})),
        ("AVIF 70", ("AVIF", {"quality": 70, "speed": 9})),
        ("HEIC 70", ("HEIF", {"quality": 70})),
    ]
    chained = [
        ("PNG of JPEG 75", again(_same, 75), ("PNG", {"compress_level": 1})),
        ("JPEG 95 of JPEG 75", again(_same, 75), _jpeg(95)),
        ("JPEG 90 of JPEG 85", again(_same, 85), _jpeg(90)),
    ]
    return [
        *(Copy(name, "saved again", _same, *how) for name, how in saved),
        *(Copy(name, "saved twice", change, *how) for name, change, how in chained),
    ]


def _sizes() -> list[Copy]:
    reduced = [
        ("x 0.9", _sized(0.9, LANCZOS), _jpeg(90)),
        ("x 0.75", _sized(0.75, BICUBIC), _jpeg(85)),
        ("x 0.6, area", _averaged(0.6), _jpeg(75)),
        ("x 0.5", _sized(0.5, LANCZOS), _jpeg(85)),
        ("x 0.5, box, PNG", _sized(0.5, BOX), ("PNG", {"compress_level": 1})),
        ("x 0.7, PNG", _sized(0.7, LANCZOS), ("PNG", {"compress_level": 1})),
        ("x 0.33", _sized(0.33, LANCZOS), _jpeg(80)),
    ]
    enlarged = [
        ("x 1.25", _sized(1.25, BICUBIC), _jpeg(90)),
        ("x 1.5", _sized(1.5, LANCZOS), _jpeg(95)),
        ("x 2", _sized(2, BICUBIC), _jpeg(90)),
        ("x 2, PNG", _sized(2, LANCZOS), ("PNG", {"compress_level": 1})),
        ("x 2, bilinear", _sized(2, BILINEAR), _jpeg(85)),
        ("x 2, repeated, PNG", _sized(2, NEAREST), ("PNG", {"compress_level": 1})),
        ("x 2, repeated", _sized(2, NEAREST), _jpeg(95)),
        ("x 3, repeated", _sized(3, NEAREST), _jpeg(85)),
        ("x 1.5, repeated", _sized(1.5, NEAREST), _jpeg(95)),
        ("x 2, sharpened", _chain(_sized(2, BICUBIC), _enhanced(ImageEnhance.Sharpness, 2)), _jpeg(92)),
    ]
    return [
        *(Copy(name, "reduced", change, *how) for name, change, how in reduced),
        *(Copy(name, "enlarged", change, *how) for name, change, how in enlarged),
    ]


def _frames() -> list[Copy]:
    parts = [
        ("crop 2 %", geometry.crop(2, centred=False), _jpeg(90)),
        ("crop 10 %", geometry.crop(10, centred=True), _jpeg(95)),
        ("crop 30 %, PNG", geometry.crop(30, centred=False), ("PNG", {"compress_level": 1})),
        ("crop 20 %, enlarged", _chain(geometry.crop(20, centred=True), _sized(1.3, BICUBIC)), _jpeg(90)),
        ("tilted 2 degrees", geometry.tilted(2), _jpeg(90)),
    ]
    wholes = [
        ("border, white", frame.BORDERS["border white 5 %"], _jpeg(90)),
        ("border, black, PNG", frame.BORDERS["border black 5 %"], ("PNG", {"compress_level": 1})),
        ("letterbox", frame.BORDERS["letterbox"], _jpeg(90)),
        ("turned 90", lambda image: image.transpose(SIDEWAYS), _jpeg(90)),
        ("turned 180, PNG", lambda image: image.transpose(HALFWAY), ("PNG", {"compress_level": 1})),
        ("mirrored", ImageOps.mirror, _jpeg(90)),
    ]
    return [
        *(Copy(name, "part", change, *how, is_part=True) for name, change, how in parts),
        *(Copy(name, "frame", change, *how) for name, change, how in wholes),
    ]


def _tones() -> list[Copy]:
    changes = [
        ("brighter 8 %", _enhanced(ImageEnhance.Brightness, 1.08), _jpeg(95)),
        ("brighter 35 %", colour.CHANGES["brighter"], _jpeg(90)),
        ("darker", colour.CHANGES["darker"], _jpeg(90)),
        ("more contrast", colour.CHANGES["more contrast"], _jpeg(90)),
        ("less contrast", colour.CHANGES["less contrast"], _jpeg(90)),
        ("gamma 0.6", colour.CHANGES["gamma 0.6"], _jpeg(90)),
        ("gamma 1.7, PNG", colour.CHANGES["gamma 1.7"], ("PNG", {"compress_level": 1})),
        ("saturation 1.3", _enhanced(ImageEnhance.Color, 1.3), _jpeg(95)),
        ("saturation 1.8", _enhanced(ImageEnhance.Color, 1.8), _jpeg(90)),
        ("saturation 0.3", _enhanced(ImageEnhance.Color, 0.3), _jpeg(90)),
        ("sepia", _sepia, _jpeg(90)),
        ("grey", ImageOps.grayscale, _jpeg(90)),
        ("grey, PNG", ImageOps.grayscale, ("PNG", {"compress_level": 1})),
        ("warmer", colour.CHANGES["warmer"], _jpeg(90)),
        ("stretched levels", lambda image: ImageOps.autocontrast(image, cutoff=1), _jpeg(90)),
        ("equalised", ImageOps.equalize, _jpeg(90)),
    ]
    return [Copy(name, "tone", change, *how) for name, change, how in changes]


def _details() -> list[Copy]:
    changes = [
        ("sharpened a little", _enhanced(ImageEnhance.Sharpness, 1.5), _jpeg(95)),
        ("unsharp mask", lambda image: image.filter(ImageFilter.UnsharpMask(2, 120, 2)), _jpeg(90)),
        ("blur 0.8", lambda image: image.filter(ImageFilter.GaussianBlur(0.8)), _jpeg(95)),
        ("blur 2, PNG", lambda image: image.filter(ImageFilter.GaussianBlur(2)), ("PNG", {"compress_level": 1})),
        ("median 3", lambda image: image.filter(ImageFilter.MedianFilter(3)), _jpeg(90)),
        ("denoised", _denoised, _jpeg(95)),
        ("grain 5", _grainy(5), _jpeg(95)),
        ("grain 10, grey", _grainy(10, coloured=False), _jpeg(90)),
        ("grain 8, PNG", _grainy(8), ("PNG", {"compress_level": 1})),
    ]
    return [Copy(name, "detail", change, *how) for name, change, how in changes]


def _drawn() -> list[Copy]:
    changes = [
        ("black bar", "hidden", _barred, _jpeg(95)),
        ("mosaic", "hidden", _hidden(_mosaic), _jpeg(95)),
        ("blurred region", "hidden", _hidden(lambda part: part.filter(ImageFilter.GaussianBlur(8))), _jpeg(95)),
        ("caption", "drawn", overlay.CHANGES["caption"], _jpeg(95)),
        ("emoji", "drawn", overlay.CHANGES["emoji"], _jpeg(90)),
        ("watermark", "drawn", overlay.CHANGES["watermark"], _jpeg(90)),
        ("lower 35 % grey", "damage", _cut_off(0.35, 128), _jpeg(95)),
        ("lower 15 % black", "damage", _cut_off(0.15, 0), _jpeg(90)),
        ("darker from the middle on", "damage", _dark_half, _jpeg(90)),
    ]
    return [Copy(name, family, change, *how) for name, family, change, how in changes]


def _chains() -> list[Copy]:
    sent = again(_messenger(1600), 70)
    changes = [
        ("messenger", _messenger(1600), _jpeg(70)),
        ("messenger twice", _chain(sent, _messenger(800)), _jpeg(65)),
        ("messenger, enlarged back", _chain(sent, _sized(1 / 0.7, BICUBIC)), _jpeg(92)),
        ("messenger, enlarged back, PNG", _chain(sent, _sized(1 / 0.7, LANCZOS)), ("PNG", {"compress_level": 1})),
        ("brighter, reduced", _chain(colour.CHANGES["brighter"], _sized(0.6, LANCZOS)), _jpeg(85)),
        ("sharpened, reduced", _chain(_enhanced(ImageEnhance.Sharpness, 2), _sized(0.5, LANCZOS)), _jpeg(85)),
        ("grey, border", _chain(ImageOps.grayscale, frame.BORDERS["border white 5 %"]), _jpeg(80)),
        ("WebP, then JPEG", _chain(_webp, _same), _jpeg(95)),
        ("mirrored, reduced", _chain(ImageOps.mirror, _sized(0.7, BICUBIC)), _jpeg(85)),
        ("warmer, contrast", _chain(colour.CHANGES["warmer"], _enhanced(ImageEnhance.Contrast, 1.2)), _jpeg(90)),
    ]
    return [Copy(name, "chain", change, *how) for name, change, how in changes]


def _webp(image: Image.Image) -> Image.Image:
    return Image.open(io.BytesIO(encode(image, "WEBP", quality=75, method=2))).convert("RGB")


COPIES: tuple[Copy, ...] = (*_files(), *_sizes(), *_frames(), *_tones(), *_details(), *_drawn(), *_chains())
"""Every kind of copy, families together."""
