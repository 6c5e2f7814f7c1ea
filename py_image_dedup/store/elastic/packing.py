"""What a scan reads, in the fewest bytes: one binary column with the stat of a file, one with its content.

Columns are kept as doc values, so a scan reads neither the whole document nor JSON lists of numbers. 100,000 entries
come over in half a second this way; as documents they take five times as long.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Sequence

import numpy as np

from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import SIGNATURE_LENGTH, Versions
from py_image_dedup.signature.arrays import Int8Array, UInt8Array

DIGEST_LENGTH = 32

_LOOK = struct.Struct("<IIIqqQQ")
_LARGEST = (
    2**63 - 1
)  # a time after the year 2262 is kept as the last that fits: the file then looks changed, at no risk
_CONTENT = struct.Struct(f"<{DIGEST_LENGTH}sI")
_POWERS = np.array([25, 5, 1], dtype=np.uint8)
_PACKED_LENGTH = (SIGNATURE_LENGTH + 2) // 3
_TRIPLES: Int8Array = np.stack(np.unravel_index(np.arange(125), (5, 5, 5)), axis=1).astype(np.int8) - np.int8(2)


def pack_look(stat: FileStat, versions: Versions) -> str:
    """Put versions, stamp and raw path into one base64 text."""
    size, mtime_ns = (max(-_LARGEST, min(_LARGEST, value)) for value in (stat.size, stat.mtime_ns))
    head = _LOOK.pack(versions.media, versions.signature, versions.features, size, mtime_ns, stat.device, stat.inode)
    return _text(head + stat.raw_path)


def unpack_look(text: str) -> tuple[bytes, tuple[int, int, int, int], tuple[int, int, int]]:
    """Take ``pack_look`` apart: raw path, stamp, versions (media, signature, features)."""
    data = binascii.a2b_base64(text)
    media, signature, features, size, mtime_ns, device, inode = _LOOK.unpack_from(data)
    return data[_LOOK.size :], (size, mtime_ns, device, inode), (media, signature, features)


def pack_content(digest: bytes, signature_version: int, packed: bytes) -> str:
    """Put a digest and the packed signature of that content, empty if it has none, into one base64 text."""
    if len(digest) != DIGEST_LENGTH:
        raise ValueError(f"a digest has {DIGEST_LENGTH} bytes, not {len(digest)}")
    return _text(_CONTENT.pack(digest, signature_version) + packed)


def unpack_content(text: str) -> tuple[bytes, int, bytes]:
    """Take ``pack_content`` apart: digest, signature version, packed values (empty without a signature)."""
    data = binascii.a2b_base64(text)
    digest, version = _CONTENT.unpack_from(data)
    return digest, version, data[_CONTENT.size :]


def pack_values(values: Int8Array) -> list[bytes]:
    """Pack signatures of shape ``(n, SIGNATURE_LENGTH)``: three values of -2 to 2 to the byte.

    One with other values stays as it is.
    """
    steps = np.zeros((len(values), _PACKED_LENGTH * 3), dtype=np.uint8)
    steps[:, :SIGNATURE_LENGTH] = values.view(np.uint8) + np.uint8(2)
    packed = steps[:, 0::3] * _POWERS[0] + steps[:, 1::3] * _POWERS[1] + steps[:, 2::3]
    rows = [row.tobytes() for row in packed]
    for odd in np.flatnonzero((steps > 4).any(axis=1)).tolist():
        rows[odd] = values[odd].tobytes()
    return rows


def unpack_values(packed: Sequence[bytes]) -> Int8Array:
    """Unpack signatures, int8 of shape ``(n, SIGNATURE_LENGTH)``.

    Raises:
        ValueError: One has a length that no packed signature has.
    """
    whole = np.empty((len(packed), SIGNATURE_LENGTH), dtype=np.int8)
    lengths = np.fromiter(map(len, packed), dtype=np.int64, count=len(packed))
    small = np.flatnonzero(lengths == _PACKED_LENGTH)
    plain = np.flatnonzero(lengths == SIGNATURE_LENGTH)
    if len(small) + len(plain) != len(packed):
        raise ValueError("a packed signature has a length that none has")
    if len(small):
        steps = _bytes([packed[row] for row in small.tolist()], _PACKED_LENGTH)
        whole[small] = _TRIPLES[steps].reshape(len(small), -1)[:, :SIGNATURE_LENGTH]
    if len(plain):
        whole[plain] = _bytes([packed[row] for row in plain.tolist()], SIGNATURE_LENGTH).view(np.int8)
    return whole


def _bytes(rows: Sequence[bytes], length: int) -> UInt8Array:
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, length)


def _text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
