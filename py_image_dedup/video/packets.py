"""The digest of the encoded pictures of a video: the same in another container and with other tags.

Nothing is decoded. MPEG-4 containers keep H.264 and HEVC as units with a length in front and the parameter sets in
their header; transport streams have start codes and repeat the parameter sets in between (ISO 14496-15, and Annex B of
ITU-T H.264 and H.265). So units are hashed, not packets, and the parameter sets as a set, each once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from blake3 import blake3

_H264_SETS: Final = frozenset({7, 8, 13, 15})
_H264_SKIPPED: Final = frozenset({6, 9, 10, 11, 12})
"""Messages beside the pictures, delimiters and filling."""
_HEVC_SETS: Final = frozenset({32, 33, 34})
_HEVC_SKIPPED: Final = frozenset({35, 36, 37, 38, 39, 40})
_MPEG4_PICTURE: Final = 0xB6
_AV1_DELIMITER: Final = b"\x12\x00"
_LEAST_AVCC: Final = 7
_LEAST_HVCC: Final = 23


class PacketDigest:
    """Collects the digest of one video track. Not thread-safe.

    Args:
        codec: Short name of the codec, as FFmpeg has it.
        extradata: The codec's data in the header of the container.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._codec = codec
        self._pictures = blake3()
        self._sets: dict[bytes, None] = {}
        self._length_size: int | None = None
        extradata = extradata or b""
        if codec in {"h264", "hevc"}:
            self._header(extradata)
        elif codec == "mpeg4":
            self._mpeg4(extradata)

    def update(self, packet: bytes) -> None:
        """Add a packet, in the order of the file."""
        if self._codec in {"h264", "hevc"}:
            for unit in self._units(packet):
                self._unit(unit)
        elif self._codec == "mpeg4":
            self._mpeg4(packet)
        else:
            if self._codec == "av1":
                packet = packet.removeprefix(_AV1_DELIMITER)
            self._add(packet)

    def digest(self, shown: str) -> bytes:
        """Return the digest, 32 bytes.

        Args:
            shown: How the pictures are shown, such as their rotation; part of the digest.
        """
        whole = blake3(f"{self._codec} {shown}".encode())
        for each in sorted(self._sets):
            whole.update(blake3(each).digest())
        whole.update(self._pictures.digest())
        return whole.digest()

    def _add(self, data: bytes) -> None:
        self._pictures.update(len(data).to_bytes(8, "big"))
        self._pictures.update(data)

    def _unit(self, unit: bytes) -> None:
        unit = unit.rstrip(b"\0")  # zeros behind a unit belong to the byte stream, not to the unit
        if not unit:
            return
        kind = unit[0] & 31 if self._codec == "h264" else unit[0] >> 1 & 63
        sets, skipped = (_H264_SETS, _H264_SKIPPED) if self._codec == "h264" else (_HEVC_SETS, _HEVC_SKIPPED)
        if kind in sets:
            self._sets[unit] = None
        elif kind not in skipped:
            self._add(unit)

    def _units(self, packet: bytes) -> Iterator[bytes]:
        if self._length_size is None:
            yield from _after_start_codes(packet)
            return
        at, size = 0, self._length_size
        while at + size <= len(packet):
            length = int.from_bytes(packet[at : at + size], "big")
            yield packet[at + size : at + size + length]
            at += size + length

    def _header(self, extradata: bytes) -> None:
        """Read the parameter sets of an ``avcC`` or ``hvcC`` box; anything else has start codes."""
        if extradata[:1] != b"\x01":
            for unit in _after_start_codes(extradata):
                self._unit(unit)
            return
        read: Callable[[bytes], Iterator[bytes]] = _avcc if self._codec == "h264" else _hvcc
        place = 4 if self._codec == "h264" else 21
        self._length_size = (extradata[place] & 3) + 1 if len(extradata) > place else 4
        for unit in read(extradata):
            self._unit(unit)

    def _mpeg4(self, data: bytes) -> None:
        """Keep headers apart from pictures: a container has them in its header, or before the first picture."""
        for unit in _after_start_codes(data):
            if unit[:1] and unit[0] == _MPEG4_PICTURE:
                self._add(unit)
            elif unit[:1] and (unit[0] <= 0x2F or unit[0] in {0xB0, 0xB5}):
                self._sets[unit] = None


def _after_start_codes(data: bytes) -> Iterator[bytes]:
    parts = data.split(b"\0\0\1")
    return (part for part in parts[1:])


def _avcc(data: bytes) -> Iterator[bytes]:
    if len(data) < _LEAST_AVCC:
        return
    at = 6
    for count in (data[5] & 31, None):
        if count is None:
            if at >= len(data):
                return
            count, at = data[at], at + 1
        for _ in range(count):
            length = int.from_bytes(data[at : at + 2], "big")
            yield data[at + 2 : at + 2 + length]
            at += 2 + length


def _hvcc(data: bytes) -> Iterator[bytes]:
    if len(data) < _LEAST_HVCC:
        return
    at = 23
    for _ in range(data[22]):
        count = int.from_bytes(data[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            length = int.from_bytes(data[at : at + 2], "big")
            yield data[at + 2 : at + 2 + length]
            at += 2 + length
