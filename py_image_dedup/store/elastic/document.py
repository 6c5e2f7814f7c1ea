"""An entry as a document of the index, and back.

What the program reads is packed (``look``, ``content``, ``rest``, ``features``) and survives unchanged whatever the
bytes are; what people search for stands beside it in plain fields.
"""

from __future__ import annotations

import binascii
import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from blake3 import blake3

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import SIGNATURE_LENGTH, IndexEntry, PhotoFacts, Signature, Versions
from py_image_dedup.signature.arrays import Int8Array, UInt8Array
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.elastic.invariants import invariants

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
        steps = _packed_bytes([packed[row] for row in small.tolist()], _PACKED_LENGTH)
        whole[small] = _TRIPLES[steps].reshape(len(small), -1)[:, :SIGNATURE_LENGTH]
    if len(plain):
        whole[plain] = _packed_bytes([packed[row] for row in plain.tolist()], SIGNATURE_LENGTH).view(np.int8)
    return whole


def _packed_bytes(rows: Sequence[bytes], length: int) -> UInt8Array:
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, length)


def _text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


EVERYTHING: Final[Mapping[str, Any]] = {"match_all": {}}

READ: Final = ("look", "content", "rest")
"""The fields that ``entry_of`` needs. All of them are columns too, so that nobody reads past features to get them."""

READ_ALL: Final = (*READ, "features", "words")
"""The same for an entry with its features, which are large."""

SLOTS: Final = 1 << 31
"""Every entry has a slot below this, by chance: what is too much for one answer is asked for in ranges of slots."""

_ID_LENGTH: Final = 20
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))

ORDER_LENGTH: Final = 16_000
"""How many bytes of a path take part in sorting on the server, which takes terms of 32,766 bytes at most."""


def entry_id(raw_path: bytes) -> str:
    """Derive the id of an entry: indexing the same path again replaces it, whoever does it."""
    return blake3(raw_path).hexdigest(length=_ID_LENGTH)


def folder_id(raw_folder: bytes) -> str:
    """Derive the term that every entry below this folder carries."""
    return blake3(raw_folder).hexdigest(length=16)


def folders_above(raw_path: bytes) -> Iterator[bytes]:
    """Every folder that the path lies below, the file itself left out."""
    at = raw_path.find(b"/")
    while at >= 0:
        yield raw_path[:at] or b"/"
        at = raw_path.find(b"/", at + 1)


def order_of(raw_path: bytes) -> str:
    """A text that sorts as the raw path does, as far as ``ORDER_LENGTH``: Latin-1 gives each byte one character."""
    return raw_path[:ORDER_LENGTH].decode("latin-1")


def within(under: Sequence[Path] | None) -> Mapping[str, Any]:
    """The query for the entries under some folders, of any bytes and length; ``None``: for all."""
    if under is None:
        return EVERYTHING
    return {"terms": {"folders": [folder_id(os.fsencode(folder)) for folder in under]}}


def check(entry: IndexEntry) -> None:
    """Refuse an entry that the contract refuses.

    Raises:
        ValueError: It describes a picture and has no digest.
    """
    if entry.digest is None and (entry.facts or entry.signature or entry.pixel_digest or entry.features or entry.words):
        raise ValueError(f"the entry of {entry.stat.path} describes a picture and has no digest")


def documents(entries: Sequence[IndexEntry]) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Make documents: id, raw path, fields. What can be computed for all at once is: ten thousand a second and more."""
    signed = [entry.signature.values for entry in entries if entry.signature is not None]
    values = np.frombuffer(b"".join(signed), dtype=np.int8).reshape(len(signed), SIGNATURE_LENGTH)
    signatures = zip(invariants(values), pack_values(values), strict=True)
    above: dict[bytes, list[str]] = {}
    for entry in entries:
        raw_path = entry.stat.raw_path
        folder = raw_path[: raw_path.rfind(b"/") + 1]
        if folder not in above:
            above[folder] = [folder_id(each) for each in folders_above(folder)]
        name = blake3(raw_path).digest(length=_ID_LENGTH + 4)
        fields = _fields(entry, raw_path)
        fields["folders"] = above[folder]
        fields["slot"] = int.from_bytes(name[_ID_LENGTH:]) % SLOTS
        packed = b""
        if entry.signature is not None:
            numbers, packed = next(signatures)
            fields["invariants"] = numbers.tobytes().hex()
        if entry.digest is not None:
            fields["content"] = pack_content(entry.digest, entry.versions.signature, packed)
            fields["digest"] = entry.digest.hex()
        yield name[:_ID_LENGTH].hex(), raw_path, fields


def _fields(entry: IndexEntry, raw_path: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "path": readable(str(entry.stat.path)),
        "order": order_of(raw_path),
        "look": pack_look(entry.stat, entry.versions),
        "size": entry.stat.size,
    }
    if 0 <= entry.stat.mtime_ns < 1 << 62:
        fields["modified"] = entry.stat.mtime_ns // 10**6
    rest = _rest(entry)
    if rest:
        fields["rest"] = _base64(_ENCODER.encode(rest).encode("ascii"))
        fields |= _for_people(entry)
    if entry.features is not None:
        fields["features"] = _base64(entry.features)
    if entry.words is not None:
        fields["words"] = _base64(entry.words)
    return fields


def _rest(entry: IndexEntry) -> dict[str, Any]:
    """What is neither searched nor scanned, as JSON that keeps halves of surrogates."""
    rest: dict[str, Any] = {}
    facts = entry.facts
    if facts is not None:
        captured = facts.captured.isoformat() if facts.captured else None
        rest["facts"] = [
            facts.format, facts.width, facts.height, facts.exif_fields, captured, facts.camera, facts.has_gps,
            facts.frames,
        ]  # fmt: skip
    if entry.failure is not None:
        rest["failure"] = [entry.failure.phase.value, entry.failure.reason.value, entry.failure.message]
    if entry.pixel_digest is not None:
        rest["pixels"] = entry.pixel_digest.hex()
    return rest


def _for_people(entry: IndexEntry) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    facts, failure = entry.facts, entry.failure
    if facts is not None:
        shown["facts"] = {
            "format": readable(facts.format),
            "width": facts.width,
            "height": facts.height,
            "exif_fields": facts.exif_fields,
            "has_gps": facts.has_gps,
            "frames": facts.frames,
        }
        if facts.captured is not None:
            shown["facts"]["captured"] = facts.captured.isoformat(timespec="seconds")
        if facts.camera is not None:
            shown["facts"]["camera"] = readable(facts.camera)
    if failure is not None:
        shown["failure"] = {
            "phase": failure.phase.value,
            "reason": failure.reason.value,
            "message": readable(failure.message),
        }
    return shown


def entry_of(fields: Mapping[str, Any], versions: dict[tuple[int, int, int], Versions]) -> IndexEntry:
    """Make an entry of a document.

    Args:
        fields: At least those of ``READ`` that the document has.
        versions: Those met so far; equal ones become the same object.

    Raises:
        StoreError: The document cannot have been written by this program.
    """
    try:
        return _entry_of(fields, versions)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise StoreError(
            f"a document of the index is damaged ({error!r}): {str(fields.get('path', ''))!r}; "
            "empty the index with `py-image-dedup clear` and run again"
        ) from error


def _entry_of(fields: Mapping[str, Any], versions: dict[tuple[int, int, int], Versions]) -> IndexEntry:
    raw_path, stamp, made_with = unpack_look(fields["look"])
    stat = FileStat.of(raw_path, stamp)
    rest = json.loads(binascii.a2b_base64(fields["rest"])) if "rest" in fields else {}
    digest = signature = facts = failure = None
    if "content" in fields:
        digest, _, packed = unpack_content(fields["content"])
        signature = Signature(unpack_values([packed])[0].tobytes()) if packed else None
    if "facts" in rest:
        kind, width, height, exif_fields, captured, camera, has_gps, frames = rest["facts"]
        when = datetime.fromisoformat(captured) if captured else None
        facts = PhotoFacts(kind, width, height, exif_fields, when, camera, has_gps, frames)
    if "failure" in rest:
        phase, reason, message = rest["failure"]
        failure = Failure(stat.path, Phase(phase), FailureReason(reason), message)
    return IndexEntry(
        stat=stat,
        versions=shared(versions, made_with),
        digest=digest,
        facts=facts,
        signature=signature,
        pixel_digest=bytes.fromhex(rest["pixels"]) if "pixels" in rest else None,
        features=_bytes(fields, "features"),
        words=_bytes(fields, "words"),
        failure=failure,
    )


def shared(versions: dict[tuple[int, int, int], Versions], made_with: tuple[int, int, int]) -> Versions:
    """The one object for these versions."""
    found = versions.get(made_with)
    if found is None:
        found = versions[made_with] = Versions(*made_with)
    return found


def readable(text: str) -> str:
    """The text for people, without what is not Unicode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _bytes(fields: Mapping[str, Any], name: str) -> bytes | None:
    return binascii.a2b_base64(fields[name]) if name in fields else None


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
