"""What is known about a photo: the index entry and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from py_image_dedup.model.failure import Failure
from py_image_dedup.model.file import FileStat

SIGNATURE_LENGTH = 272
"""How many of the 648 values of the image-match signature determine the others."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of the methods that an entry was made with; an older entry is completed by the next run.

    Attributes:
        media: Of decoding, facts and the canonical grey picture.
        signature: Of the perceptual signature.
        features: Of the local features; 0 means made without them.
    """

    media: int
    signature: int
    features: int = 0


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What a photo says about itself.

    Attributes:
        format: By content, as Pillow names it: ``JPEG``, ``PNG``, ``HEIF``.
        width: Pixels as shown, EXIF orientation applied.
        height: Pixels as shown.
        exif_fields: Number of EXIF tags, those of the sub-directories counted.
        captured: When the shutter opened, in the camera's own time (naive); with fractions of a second if the camera
            wrote them.
        camera: Maker and model.
        has_gps: A position is stored.
        frames: 1, or more for an animation.
    """

    format: str
    width: int
    height: int
    exif_fields: int = 0
    captured: datetime | None = None
    camera: str | None = None
    has_gps: bool = False
    frames: int = 1

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Signature:
    """The perceptual signature of a picture.

    Attributes:
        values: ``SIGNATURE_LENGTH`` bytes, each an int8 from -2 to 2, in the order of ``signature.compute``.
    """

    values: bytes

    def __post_init__(self) -> None:
        """Refuse values of another length, which would make every distance wrong."""
        if len(self.values) != SIGNATURE_LENGTH:
            raise ValueError(f"a signature has {SIGNATURE_LENGTH} values, not {len(self.values)}")


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Everything the index keeps about one file.

    Attributes:
        stat: The file when it was read.
        versions: Of the methods that made this entry.
        digest: BLAKE3 of the file's bytes (32 bytes); none if it could not be read.
        facts: None if the file is no picture that can be decoded.
        signature: None for a flat picture and for one that was not decoded.
        pixel_digest: Digest of the decoded pixels; computed for candidates only.
        features: Packed local features and thumbnail, opaque here; see ``signature.features``. Taken by the index and
            not given back with an entry, because few ask for them: see ``Store.features``.
        failure: Why ``facts`` are missing or the picture is not whole.
        words: Packed visual words, see ``signature.words``; of an entry that has features, and treated as they are.
        image_data_digest: Digest of the compressed image data and all else that determines the pixels; files with equal
            digests show the same pixels. None for formats without one, and in entries of older indexes.
    """

    stat: FileStat
    versions: Versions
    digest: bytes | None = None
    facts: PhotoFacts | None = None
    signature: Signature | None = None
    pixel_digest: bytes | None = None
    features: bytes | None = None
    failure: Failure | None = None
    words: bytes | None = None
    image_data_digest: bytes | None = None

    @property
    def describes_picture(self) -> bool:
        """Whether anything but a failure is stored about a picture, which needs the digest of the bytes behind it."""
        digests = (self.pixel_digest, self.image_data_digest)
        return any((self.facts, self.signature, *digests, self.features, self.words))

    @property
    def decoded_whole(self) -> bool:
        """Whether every pixel could be decoded; a file that is not whole is never a keeper of one that is."""
        return self.facts is not None and self.failure is None
