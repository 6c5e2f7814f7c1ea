"""The index entry of a photo and the values that it consists of."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from py_image_dedup.model.failure import Failure
from py_image_dedup.model.file import FileStat

SIGNATURE_LENGTH = 272
"""Number of values of the image-match signature that determine all 648."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of the methods that produced an entry; the next run updates an entry with older ones.

    Attributes:
        media: Version of decoding, facts and the canonical grey picture.
        signature: Version of the perceptual signature.
        features: Version of the local features; 0 for an entry without them.
    """

    media: int
    signature: int
    features: int = 0


@dataclass(frozen=True, slots=True)
class Footage:
    """The properties that a video has and a photo has not.

    Attributes:
        seconds: Length.
        codec: Short name of the codec, as FFmpeg has it: ``h264``.
        frame_rate: Mean number of frames per second.
        audio: Audio tracks, each in words: "aac, stereo".
    """

    seconds: float
    codec: str
    frame_rate: float
    audio: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShotMarks:
    """What a camera states about a shot that may be one of a burst or of an exposure bracket.

    Attributes:
        exposure_seconds: Exposure time, in seconds.
        bias: Exposure compensation, in EV.
        is_bracketed: Whether the camera took it in its mode for brackets.
        sequence: Its number in the series, from 1.
        burst: Identifier that all shots of one burst share.
    """

    exposure_seconds: float | None = None
    bias: float | None = None
    is_bracketed: bool = False
    sequence: int | None = None
    burst: str | None = None


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """The properties of a photo that its file states; of a video, those that both have.

    Attributes:
        format: Format by content, in Pillow's naming: ``JPEG``, ``PNG``, ``HEIF``.
        width: Width in pixels as shown, with the EXIF orientation applied.
        height: Height in pixels as shown.
        exif_fields: Number of EXIF tags, including those of sub-directories.
        captured: Time of exposure in the camera's local time (naive), with fractions of a second if recorded.
        camera: Maker and model.
        has_gps: Whether a GPS position is stored.
        frames: Number of frames; more than 1 for an animation.
        footage: The other properties of a video, for reports; the index does not keep them here.
        shot: What tells the shots of a burst or bracket apart; ``None`` in entries of older indexes.
        embedded: Names of what is embedded beside the picture, sorted: ``depth map``, ``film``, ``gain map``,
            ``second eye``; also empty where ``shot`` is ``None``, as it was not looked for.
    """

    format: str
    width: int
    height: int
    exif_fields: int = 0
    captured: datetime | None = None
    camera: str | None = None
    has_gps: bool = False
    frames: int = 1
    footage: Footage | None = None
    shot: ShotMarks | None = None
    embedded: tuple[str, ...] = ()

    @property
    def marks(self) -> str | None:
        """``shot`` and ``embedded`` in the form that the indexes keep; ``None`` where they were not looked for."""
        shot = self.shot
        if shot is None:
            return None
        return json.dumps(
            [shot.exposure_seconds, shot.bias, shot.is_bracketed, shot.sequence, shot.burst, self.embedded],
            separators=(",", ":"),
        )

    def with_marks(self, marks: str | None) -> PhotoFacts:
        """Return the same with what ``marks`` returned.

        Raises:
            ValueError: It is damaged.
        """
        if marks is None:
            return self
        *shot, embedded = json.loads(marks)
        return replace(self, shot=ShotMarks(*shot), embedded=tuple(embedded))

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height

    @property
    def is_raw(self) -> bool:
        """Whether it is a RAW photo, which is no copy of a finished picture, nor the other way round."""
        return self.format == "RAW"


@dataclass(frozen=True, slots=True)
class Signature:
    """The perceptual signature of a picture.

    Attributes:
        values: ``SIGNATURE_LENGTH`` bytes, each an int8 from -2 to 2, in the order of ``signature.compute``.
    """

    values: bytes

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for values of another length, which would make every distance wrong."""
        if len(self.values) != SIGNATURE_LENGTH:
            raise ValueError(f"a signature has {SIGNATURE_LENGTH} values, not {len(self.values)}")


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Everything the index keeps about one file.

    Attributes:
        stat: Stat of the file when it was read.
        versions: Versions of the methods that produced the entry.
        digest: BLAKE3 digest of the file's bytes (32 bytes); ``None`` if it could not be read.
        facts: Properties of the photo; ``None`` if the file cannot be decoded.
        signature: Perceptual signature; ``None`` for a flat picture and for one that was not decoded.
        pixel_digest: Digest of the decoded pixels; computed for candidates only.
        features: Packed local features and thumbnail, opaque here; see ``features.extract``. The index stores
            them and does not return them with an entry, because few callers need them: see ``Store.features``.
        failure: The failure for which ``facts`` are missing or the picture is incomplete.
        words: Packed visual words of an entry with features, see ``features.visual_words``; stored like these.
        image_data_digest: Digest of the compressed image data and all else that determines the pixels; files with equal
            digests show the same pixels. ``None`` for formats without one and in entries of older indexes.
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
    def path(self) -> Path:
        """The path of the file."""
        return self.stat.path

    @property
    def describes_picture(self) -> bool:
        """Whether the entry describes a picture, which requires the digest of the bytes."""
        digests = (self.pixel_digest, self.image_data_digest)
        return any((self.facts, self.signature, *digests, self.features, self.words))

    @property
    def decoded_whole(self) -> bool:
        """Whether every pixel was decoded; an incomplete file is never the keeper of a complete one."""
        return self.facts is not None and self.failure is None
