"""The pixel digest: equal for files that show the same picture, whatever their bytes, and for no others.

Two files have the same pixel digest if every decoded pixel of every frame is equal and everything else that changes the
display is equal: the orientation is applied; transparency, frame durations and any colour profile but sRGB count.
Metadata, the container and lossless compression do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blake3 import blake3
from PIL import Image

from py_image_dedup.media.formats import format_named
from py_image_dedup.media.limits import Limits, MediaError, Reserve
from py_image_dedup.media.worker.decode import (
    has_transparency,
    is_reduced_copy,
    orientation_of,
    refuse_raw,
    to_rgba,
    upright,
)
from py_image_dedup.media.worker.open import Jpeg, needed_bytes, stored_bits
from py_image_dedup.model.failure import FailureReason

_SRGB_NAMES = frozenset(
    {"sRGB", "sRGB IEC61966-2.1", "sRGB built-in", "sRGB2014", "sRGB IEC61966-2-1 black scaled"}
    | {"Gra_D65_Rel_SRG", "Gra_D65_Per_SRG"}  # as libjxl names grey with the tones of sRGB
)
_SRGB_GAMMA = 0.45455
_SRGB_CHROMATICITY = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_UNSPECIFIED = 2
_BT709_PRIMARIES, _SRGB_TRANSFER = 1, 13


def colour_space(info: dict[Any, Any]) -> bytes:
    """Return bytes that differ for colour spaces in which equal pixel values are different colours.

    They are empty for sRGB, which viewers also assume for a picture without a colour space.

    Args:
        info: The ``info`` of a loaded Pillow picture.
    """
    profile = info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return b"" if _description(profile) in _SRGB_NAMES else b"icc" + blake3(profile).digest()
    if "srgb" in info:  # in a PNG it takes precedence over gamma and chromaticity
        return b""
    return _of_png(info) + _of_heif(info)


def _of_png(info: dict[Any, Any]) -> bytes:
    parts = []
    gamma = info.get("gamma")
    if isinstance(gamma, float) and abs(gamma - _SRGB_GAMMA) > 0.001:
        parts.append(f"gamma {gamma:.5f}")
    points = info.get("chromaticity")
    if isinstance(points, tuple) and any(abs(a - b) > 0.001 for a, b in zip(points, _SRGB_CHROMATICITY, strict=False)):
        parts.append(f"chromaticity {points}")
    return ";".join(parts).encode()


def _of_heif(info: dict[Any, Any]) -> bytes:
    nclx = info.get("nclx_profile")
    if not isinstance(nclx, dict):
        return b""
    primaries = nclx.get("color_primaries", _UNSPECIFIED)
    transfer = nclx.get("transfer_characteristics", _UNSPECIFIED)
    if primaries in {_BT709_PRIMARIES, _UNSPECIFIED} and transfer in {_SRGB_TRANSFER, _UNSPECIFIED, 1, 6}:
        return b""
    return f"nclx {primaries} {transfer}".encode()


def _description(profile: bytes) -> str:
    """Return the description of an ICC profile: ASCII in version 2 (ICC.1:2001, 6.5.17), UTF-16 in version 4 (mluc).

    ``PIL.ImageCms`` is no substitute: it refuses profiles that are damaged behind the description, so pixel digests in
    existing indexes would change.
    """
    count = int.from_bytes(profile[128:132], "big")
    for at in range(132, 132 + 12 * min(count, 100), 12):
        if profile[at : at + 4] != b"desc":
            continue
        start = int.from_bytes(profile[at + 4 : at + 8], "big")
        tag = profile[start : start + int.from_bytes(profile[at + 8 : at + 12], "big")]
        if tag[:4] == b"desc":
            length = int.from_bytes(tag[8:12], "big")
            return tag[12 : 12 + length].split(b"\0", 1)[0].decode("latin-1").strip()
        if tag[:4] == b"mluc":
            length, offset = (int.from_bytes(tag[i : i + 4], "big") for i in (20, 24))
            return tag[offset : offset + length].decode("utf-16-be", "replace").strip("\0 ")
    return ""


_STRIP_PIXELS = 2 << 20


def digest_pixels(picture: Image.Image, kind: str, limits: Limits, reserve: Reserve) -> bytes:
    """Return the pixel digest of an opened picture, all frames included; 32 bytes.

    Args:
        picture: The picture as ``open_picture`` returned it.
        kind: Name of its format.
        limits: Cost limits of one file.
        reserve: Reserves the memory that decoding needs.

    Raises:
        MediaError: The picture is too large, or has more than 8 bits per colour, of which Pillow keeps 8: it would
            appear equal to its 8-bit copy.
        Exception: Any exception of the decoder; see ``limits.explain``.
    """
    limits.check_size(*picture.size)
    if kind == "TIFF":
        refuse_raw(picture)
    needed = needed_bytes(picture, kind) + (picture.coefficient_bytes if isinstance(picture, Jpeg) else 0)
    copies = 10 * has_transparency(picture) + 4 * (orientation_of(picture, kind) > 1)
    reserve(needed + copies * picture.width * picture.height)
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
    if not format_named(kind).several_frames:
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
    """Return the mode to digest in, and a picture that converts to it without loss.

    Grey is digested as RGB, and an opaque alpha channel is left out.
    """
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
    # Colours of transparent pixels are not shown, so they do not count.
    coloured.paste((0, 0, 0, 0), mask=alpha.point([255] + [0] * 255))
    return "RGBA", coloured


def _refuse_deep_colour(frame: Image.Image, kind: str) -> None:
    """Refuse more than 8 bits per colour; call it before ``load``, which forgets how the pixels were stored."""
    bits = stored_bits(frame, kind)
    if bits > 8 and frame.mode not in {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}:
        raise MediaError(FailureReason.UNSUPPORTED, f"the picture has {bits} bits per colour; only 8 can be compared")
