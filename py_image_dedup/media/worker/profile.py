"""Which colours a picture's numbers stand for, as far as it decides whether two pictures look the same."""

from __future__ import annotations

from typing import Any

from blake3 import blake3

_SRGB_NAMES = frozenset({"sRGB", "sRGB IEC61966-2.1", "sRGB built-in", "sRGB2014", "sRGB IEC61966-2-1 black scaled"})
_SRGB_GAMMA = 0.45455
_SRGB_CHROMATICITY = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_UNSPECIFIED = 2
_BT709_PRIMARIES, _SRGB_TRANSFER = 1, 13


def colour_space(info: dict[Any, Any]) -> bytes:
    """Return bytes that differ when the same numbers would be shown as other colours.

    Args:
        info: Of a loaded picture, as Pillow fills it.

    Returns:
        Empty for sRGB, which is also what viewers assume where nothing is said.
    """
    profile = info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return b"" if _description(profile) in _SRGB_NAMES else b"icc" + blake3(profile).digest()
    if "srgb" in info:  # of a PNG: goes before gamma and chromaticity
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
    """The name in a profile's ``desc`` tag: ASCII in version 2 (ICC.1:2001, 6.5.17), UTF-16 in version 4 (mluc)."""
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
