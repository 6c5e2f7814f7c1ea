"""The ladder of edits: what happens to a photograph on its way through messengers, editors, pages and phones.

Each :class:`Edit` makes the bytes of one copy. All are deterministic: the same photo and the same edit give the same
picture. Run as a script it writes every copy of a photo into a folder, to look at:

    python benchmarks/ladder.py PHOTO FOLDER
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pillow_heif
from edits import colour, frame, geometry, overlay
from PIL import Image, ImageFilter, ImageOps

pillow_heif.register_heif_opener()

SIMILAR = "similar"
PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Original:
    """A photograph to be copied: its upright RGB picture and the bytes of a JPEG file of it."""

    image: Image.Image
    data: bytes

    @classmethod
    def read(cls, path: Path, longest: int = 1600) -> Original:
        """Read a photo; one above ``longest`` pixels is made smaller first, because encoders are slow."""
        data = path.read_bytes()
        image = Image.open(io.BytesIO(data))
        upright = ImageOps.exif_transpose(image).convert("RGB")
        if max(upright.size) > longest or image.format != "JPEG" or image.getexif().get(274, 1) != 1:
            upright.thumbnail((longest, longest), Image.Resampling.LANCZOS)
            data = encode(upright, "JPEG", quality=92)
        return cls(upright, data)


@dataclass(frozen=True, slots=True)
class Edit:
    """One kind of copy.

    Attributes:
        name: Of the row in the tables.
        family: Rows that belong together.
        expected: The class it should be found as.
        required: Counts where every single row has to be good; the extreme ones do not.
        make: From the original to the bytes of a file.
        suffix: Of the file.
    """

    name: str
    family: str
    expected: str
    required: bool
    make: Callable[[Original], bytes]
    suffix: str = ".jpg"


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    """Return the bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _jpeg(change: Callable[[Image.Image], Image.Image], quality: int = 90) -> Callable[[Original], bytes]:
    return lambda original: encode(change(original.image), "JPEG", quality=quality)


def _coded(form: str, **options: object) -> Callable[[Original], bytes]:
    return lambda original: encode(original.image, form, **options)


def _with_comment(original: Original) -> bytes:
    """The same compressed data behind a longer header: other metadata, same pixels."""
    text = b"edited by nobody"
    return original.data[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + original.data[2:]


def _twelve_bits(original: Original) -> bytes:
    """Grey values of 12 bits in a file of 16, as microscopes and scanners write them."""
    grey = np.asarray(ImageOps.grayscale(original.image), dtype=np.uint16)
    return encode(Image.fromarray(grey * np.uint16(16)), "PNG")


def _tagged(stored: Image.Image, tag: int) -> bytes:
    exif = Image.Exif()
    exif[274] = tag
    return encode(stored, "JPEG", quality=90, exif=exif)


def _resized(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: geometry.scaled(image, factor, factor)


def _blurred(radius: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius * min(image.size) / 320))


def _noisy(sigma: float) -> Callable[[Image.Image], Image.Image]:
    def make(image: Image.Image) -> Image.Image:
        noise = np.random.default_rng(7).normal(0, sigma, (image.height, image.width, 3))
        return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))

    return make


def _reencoded() -> list[Edit]:
    jpeg = [(f"JPEG {q}", "JPEG", {"quality": q}, ".jpg") for q in (75, 50, 30, 20, 10, 5)]
    webp = [(f"WebP {q}", "WEBP", {"quality": q}, ".webp") for q in (80, 30)]
    avif = [(f"AVIF {q}", "AVIF", {"quality": q, "speed": 8}, ".avif") for q in (60, 30)]
    heic = [(f"HEIC {q}", "HEIF", {"quality": q}, ".heic") for q in (60, 30)]
    return [
        Edit(name, "re-encoded", SIMILAR, True, _coded(form, **options), suffix)
        for name, form, options, suffix in jpeg + webp + avif + heic
    ]


def _files() -> list[Edit]:
    turned = Image.Transpose.ROTATE_90
    return [
        Edit("metadata only", "file", SIMILAR, True, _with_comment),
        Edit("format only (PNG)", "file", SIMILAR, True, _coded("PNG", compress_level=1), ".png"),
        Edit("format only (TIFF)", "file", SIMILAR, True, _coded("TIFF"), ".tif"),
        Edit(
            "EXIF orientation, stored rotated",
            "file",
            SIMILAR,
            True,
            lambda original: _tagged(original.image.transpose(turned), 6),
        ),
        Edit("EXIF orientation, shown rotated", "turn", SIMILAR, True, lambda o: _tagged(o.image, 8)),
        Edit("12 bits of grey in 16", "file", SIMILAR, False, _twelve_bits, ".png"),
    ]


def _pictures() -> list[tuple[str, str, str, bool, Callable[[Image.Image], Image.Image]]]:
    crops = [
        (
            f"crop {percent} % {place}",
            "crop",
            PARTIAL,
            percent <= 50,
            geometry.crop(percent, centred=place == "centred"),
        )
        for percent in (2, 5, 10, 20, 30, 50, 65, 80)
        for place in ("centred", "off-centre")
    ]
    return [
        *((f"size x {factor:g}", "resized", SIMILAR, True, _resized(factor)) for factor in (0.75, 0.5, 0.25, 2)),
        ("aspect, width x 0.8", "resized", SIMILAR, True, lambda i: geometry.scaled(i, 0.8, 1)),
        ("aspect, height x 0.8", "resized", SIMILAR, True, lambda i: geometry.scaled(i, 1, 0.8)),
        *((name, "colour", SIMILAR, True, change) for name, change in colour.CHANGES.items()),
        *((name, "colour", SIMILAR, False, change) for name, change in colour.EXTREME.items()),
        ("blur 1", "detail", SIMILAR, True, _blurred(1)),
        ("blur 2.5", "detail", SIMILAR, True, _blurred(2.5)),
        ("noise 10", "detail", SIMILAR, True, _noisy(10)),
        ("noise 25", "detail", SIMILAR, True, _noisy(25)),
        ("sharpen", "detail", SIMILAR, True, lambda i: i.filter(ImageFilter.UnsharpMask(2, 200, 2))),
        *((name, "overlay", SIMILAR, True, change) for name, change in overlay.CHANGES.items()),
        *((name, "border", SIMILAR, True, change) for name, change in frame.BORDERS.items()),
        *((name, "inset", PARTIAL, required, change) for name, (change, required) in frame.INSETS.items()),
        *crops,
        *((f"turn {angle}", "tilt", PARTIAL, True, geometry.tilted(angle)) for angle in (2, 5, 10)),
        ("turn 5, corners black", "tilt", PARTIAL, True, lambda i: i.rotate(5, Image.Resampling.BICUBIC, expand=True)),
        ("perspective 5 %", "tilt", PARTIAL, True, geometry.perspective(0.05)),
        ("turn 90", "turn", SIMILAR, True, lambda i: i.transpose(Image.Transpose.ROTATE_90)),
        ("turn 180", "turn", SIMILAR, True, lambda i: i.transpose(Image.Transpose.ROTATE_180)),
        ("turn 270", "turn", SIMILAR, True, lambda i: i.transpose(Image.Transpose.ROTATE_270)),
        ("mirror", "turn", SIMILAR, True, ImageOps.mirror),
        ("flip", "turn", SIMILAR, True, ImageOps.flip),
    ]


def _messenger(image: Image.Image) -> Image.Image:
    return geometry.scaled(image, *(2 * (min(1.0, 0.6 * 481 / min(image.width, 481)),)))


def _combined() -> list[tuple[str, str, Callable[[Image.Image], Image.Image], int]]:
    return [
        ("messenger", SIMILAR, _messenger, 60),
        (
            "messenger twice, darker",
            SIMILAR,
            lambda i: colour.CHANGES["darker"](_messenger(geometry.scaled(i, 0.8, 0.8))),
            40,
        ),
        (
            "turn 90, half size",
            SIMILAR,
            lambda i: geometry.scaled(i.transpose(Image.Transpose.ROTATE_90), 0.5, 0.5),
            50,
        ),
        ("grey, white border", SIMILAR, lambda i: frame.BORDERS["border white 5 %"](ImageOps.grayscale(i)), 70),
        (
            "repost: crop, caption, small",
            PARTIAL,
            lambda i: geometry.scaled(overlay.CHANGES["caption"](geometry.crop(10, centred=False)(i)), 0.6, 0.6),
            50,
        ),
        ("crop, mirror, small", PARTIAL, lambda i: _messenger(ImageOps.mirror(geometry.crop(30, centred=True)(i))), 60),
        ("screenshot, half size", PARTIAL, lambda i: geometry.scaled(frame.INSETS["screenshot"][0](i), 0.5, 0.5), 60),
    ]


LINKS: tuple[Callable[[Image.Image], Image.Image], ...] = (
    lambda image: geometry.scaled(image, 0.7, 0.7),
    colour.CHANGES["gamma 0.6"],
    colour.CHANGES["warmer"],
    geometry.crop(10, centred=True),
    overlay.CHANGES["caption"],
    frame.BORDERS["border white 5 %"],
    _blurred(1),
    ImageOps.mirror,
)
"""Edits of which chains are made."""


def _chain(length: int) -> Callable[[Image.Image], Image.Image]:
    """Return so many different edits in a row, others for every photo."""

    def make(image: Image.Image) -> Image.Image:
        random = np.random.default_rng([length, *np.asarray(image.resize((2, 2))).ravel().tolist()])
        for link in random.permutation(len(LINKS))[:length]:
            image = LINKS[int(link)](image)
        return image

    return make


def _chains() -> list[Edit]:
    chains = ((f"chain of {length} edits", _jpeg(_chain(length), 70)) for length in (2, 3, 4, 5))
    return [Edit(name, "combined", PARTIAL, False, make) for name, make in chains]


def _ladder() -> tuple[Edit, ...]:
    pictures = [Edit(name, family, kind, needed, _jpeg(change)) for name, family, kind, needed, change in _pictures()]
    combined = [Edit(name, "combined", kind, True, _jpeg(change, q)) for name, kind, change, q in _combined()]
    return (*_files(), *_reencoded(), *pictures, *combined, *_chains())


LADDER: tuple[Edit, ...] = _ladder()
"""Every edit, families together."""


def main() -> None:
    if len(sys.argv) != 3:
        print(f"{len(LADDER)} edits; give a photo and a folder to see the copies")
        for family in dict.fromkeys(edit.family for edit in LADDER):
            print(f"{family:12}", ", ".join(edit.name for edit in LADDER if edit.family == family))
        return
    original = Original.read(Path(sys.argv[1]))
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    digits = math.ceil(math.log10(len(LADDER)))
    for number, edit in enumerate(LADDER):
        (folder / f"{number:0{digits}} {edit.name}{edit.suffix}".replace("%", "pc")).write_bytes(edit.make(original))


if __name__ == "__main__":
    main()
