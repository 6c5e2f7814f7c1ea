"""The digest of what a viewer shows: equal for the same picture in other bytes, and for nothing else.

Two files have the same pixel digest when every decoded pixel of every frame is equal and nothing that changes how they
are shown differs: orientation is applied, transparency and frame durations count, and so does any colour profile but
sRGB. Metadata, containers and lossless compression do not count.
"""

from __future__ import annotations

from collections.abc import Iterator

from blake3 import blake3
from PIL import Image

from py_image_dedup.media.errors import MediaError
from py_image_dedup.media.limits import Admit, Limits
from py_image_dedup.media.worker.decode import is_reduced_copy, orientation_of, refuse_raw
from py_image_dedup.media.worker.grey import has_transparency, to_rgba, upright
from py_image_dedup.media.worker.open import Jpeg, needed_bytes, stored_bits
from py_image_dedup.media.worker.profile import colour_space
from py_image_dedup.model.failure import FailureReason

_ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF", "TIFF", "FLI", "HEIF", "DCX", "MPO"})
_STRIP_PIXELS = 2 << 20


def digest_pixels(picture: Image.Image, kind: str, limits: Limits, admit: Admit) -> bytes:
    """Digest the pixels of every frame of an opened picture.

    Args:
        picture: As ``opening.open_picture`` returned it.
        kind: Its format.
        limits: What it may cost.
        admit: Asked before its pixels are decoded.

    Returns:
        32 bytes.

    Raises:
        MediaError: It is too large, or has more than 8 bits per colour, which Pillow would cut off: such a picture
            would seem equal to its 8-bit copy.
        Exception: Whatever the decoder raises; ``errors.explain`` knows what it means.
    """
    limits.check_size(*picture.size)
    if kind == "TIFF":
        refuse_raw(picture)
    needed = needed_bytes(picture, kind) + (picture.coefficient_bytes if isinstance(picture, Jpeg) else 0)
    copies = 10 * has_transparency(picture) + 4 * (orientation_of(picture, kind) > 1)
    admit(needed + copies * picture.width * picture.height)
    hasher = blake3(b"py-image-dedup pixels 1\n")
    frames = 0
    timing: list[int] = []
    for frame in _frames(picture, kind):
        limits.check_size(*frame.size)
        _refuse_deep_colour(frame, kind)
        frame.load()
        _add(hasher, upright(frame, orientation_of(frame, kind)), colour_space(frame.info))
        timing.append(round(float(frame.info.get("duration") or 0)))
        frames += 1
    if frames > 1:
        hasher.update(f"{frames} frames {timing} {picture.info.get('loop')}".encode())
    return hasher.digest()


def _frames(picture: Image.Image, kind: str) -> Iterator[Image.Image]:
    if kind not in _ANIMATED:
        yield picture
        return
    number = 0
    while True:
        try:
            picture.seek(number)
        except EOFError:
            return
        if number == 0 or not is_reduced_copy(picture):
            yield picture
        number += 1


def _add(hasher: blake3, frame: Image.Image, space: bytes) -> None:
    mode, plain = _canonical_mode(frame)
    hasher.update(f"{mode} {frame.width}x{frame.height} {len(space)}\n".encode() + space)
    rows = max(1, _STRIP_PIXELS // plain.width)
    for top in range(0, plain.height, rows):
        strip = plain.crop((0, top, plain.width, min(plain.height, top + rows)))
        hasher.update((strip if strip.mode == mode else strip.convert(mode)).tobytes())


def _canonical_mode(frame: Image.Image) -> tuple[str, Image.Image]:
    """The mode to digest in, and a picture that converts to it without loss: grey is RGB, opaque alpha is none."""
    if frame.mode in {"CMYK", "LAB", "F"}:
        return frame.mode, frame
    if frame.mode.startswith("I;16"):
        return "I", frame
    if frame.mode == "I":
        return "I", frame
    if not has_transparency(frame):
        return "RGB", frame
    coloured = to_rgba(frame)
    alpha = coloured.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return "RGB", coloured
    # What cannot be seen does not count.
    coloured.paste((0, 0, 0, 0), mask=alpha.point([255] + [0] * 255))
    return "RGBA", coloured


def _refuse_deep_colour(frame: Image.Image, kind: str) -> None:
    """Call it before ``load``, which forgets how the pixels were stored."""
    bits = stored_bits(frame, kind)
    if bits > 8 and frame.mode not in {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}:
        raise MediaError(FailureReason.UNSUPPORTED, f"it has {bits} bits per colour, and only 8 can be compared")
