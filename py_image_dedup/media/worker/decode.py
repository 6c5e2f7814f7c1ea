"""An opened picture becomes its facts and the canonical grey picture."""

from __future__ import annotations

from PIL import Image

from py_image_dedup.media.errors import MediaError
from py_image_dedup.media.examined import Examined
from py_image_dedup.media.limits import Admit, Limits
from py_image_dedup.media.worker.canonical import LARGEST_SHORT_SIDE
from py_image_dedup.media.worker.exif import ExifFacts, read_exif, read_tiff
from py_image_dedup.media.worker.grey import canonical
from py_image_dedup.media.worker.open import Jpeg, needed_bytes
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.photo import PhotoFacts

_TURNED_BY_DECODER = frozenset({"TIFF", "HEIF"})
"""Here the pixels come out upright already: Pillow turns TIFF by its tag, libheif by its own boxes."""
_ONE_PICTURE = frozenset({"PSD", "ICO", "CUR", "ICNS", "JPEG"})
"""Here further frames are layers, sizes or previews of the one picture, no animation."""
_RAW_TAGS = frozenset({50706, 33421, 33422})
"""Of TIFF: the version of DNG, and the pattern of a sensor's colour filters."""
_SUBFILE, _SUB_DIRECTORIES = 254, 330


def examine(picture: Image.Image, kind: str, limits: Limits, admit: Admit) -> Examined:
    """Decode a picture and make its facts and its canonical grey picture.

    Args:
        picture: As ``opening.open_picture`` returned it.
        kind: Its format.
        limits: What it may cost.
        admit: Asked before its pixels are decoded.

    Raises:
        MediaError: It is too large, or RAW in a TIFF's clothes.
        Exception: Whatever the decoder raises; ``errors.explain`` knows what it means.
    """
    width, height = picture.size
    limits.check_size(width, height)
    if kind == "TIFF":
        refuse_raw(picture)
    exif = _exif(picture, kind)
    needed = _scale_down(picture)
    frames = _count_frames(picture, kind)
    admit(needed + needed_bytes(picture, kind))
    picture.load()
    if kind in {"PNG", "HEIF", "AVIF"}:
        exif = _exif(picture, kind)  # these may keep it behind the pixels
    orientation = 1 if kind in _TURNED_BY_DECODER else exif.orientation
    if kind in _TURNED_BY_DECODER or not isinstance(picture, Jpeg):
        width, height = picture.size
    grey = canonical(picture, (width, height), orientation)
    facts = PhotoFacts(
        format=kind,
        width=height if orientation >= 5 else width,
        height=width if orientation >= 5 else height,
        exif_fields=exif.fields,
        captured=exif.captured,
        camera=exif.camera,
        has_gps=exif.has_gps,
        frames=frames,
    )
    return Examined(facts, *grey.size, grey.tobytes())


def refuse_raw(picture: Image.Image) -> None:
    """Refuse camera RAW files, most of which are TIFF files whose first picture is a small preview.

    Taken for that preview they would look like poor copies of their own JPEG, and be removed.

    Raises:
        MediaError: ``unsupported``.
    """
    tags = getattr(picture, "tag_v2", {})
    preview_first = _SUB_DIRECTORIES in tags and int(tags.get(_SUBFILE, 0) or 0) & 1
    if preview_first or any(tag in tags for tag in _RAW_TAGS):
        raise MediaError(FailureReason.UNSUPPORTED, "it is a RAW photo in a TIFF file, which is not decoded")


def orientation_of(picture: Image.Image, kind: str) -> int:
    """Return the EXIF orientation that is still to be applied to the decoded pixels, 1 to 8."""
    return 1 if kind in _TURNED_BY_DECODER else _exif(picture, kind).orientation


def is_reduced_copy(picture: Image.Image) -> bool:
    """Whether the current page of a TIFF file is the thumbnail of another page, which no viewer shows."""
    return bool(int(getattr(picture, "tag_v2", {}).get(_SUBFILE, 0) or 0) & 1)


def _count_frames(picture: Image.Image, kind: str) -> int:
    frames = 1 if kind in _ONE_PICTURE else int(getattr(picture, "n_frames", 1))
    if kind != "TIFF" or frames == 1:
        return frames
    shown = 1
    for number in range(1, frames):
        picture.seek(number)
        shown += not is_reduced_copy(picture)
    picture.seek(0)
    return shown


def _scale_down(picture: Image.Image) -> int:
    """Choose the smallest DCT scale of a JPEG that leaves the canonical size, in grey; return libjpeg's extra bytes."""
    if not isinstance(picture, Jpeg):
        return 0
    extra = picture.coefficient_bytes
    width, height = picture.size
    scale = next(scale for scale in (8, 4, 2, 1) if scale == 1 or -(-min(width, height) // scale) >= LARGEST_SHORT_SIDE)
    picture.draft("L", (width // scale, height // scale))
    return extra


def _exif(picture: Image.Image, kind: str) -> ExifFacts:
    if kind == "TIFF":
        stream = getattr(picture, "fp", None)
        if stream is None:
            return ExifFacts()
        place = stream.tell()

        def read(offset: int, length: int) -> bytes:
            stream.seek(offset)
            data: bytes = stream.read(length)
            return data

        try:
            return read_tiff(read)
        finally:
            stream.seek(place)
    block = picture.info.get("exif")
    if isinstance(block, bytes):
        return read_exif(block)
    raw = picture.info.get("Raw profile type exif")
    if isinstance(raw, str):  # ImageMagick's way to put EXIF into PNG: a header of three lines, then hexadecimal digits
        try:
            return read_exif(bytes.fromhex("".join(raw.split("\n")[3:])))
        except ValueError:
            return ExifFacts()
    return ExifFacts()
