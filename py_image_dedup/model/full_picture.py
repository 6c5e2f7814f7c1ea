"""A file decoded in full, with the properties in which one copy of a photo may be richer than another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ShotFacts:
    """The EXIF data about the exposure; empty or ``None`` where the file has none.

    Attributes:
        moment: ``DateTimeOriginal``, with ``SubSecTimeOriginal`` after a point.
        exposure_seconds: Exposure time, in seconds.
        f_number: Aperture, as f-number.
        iso: ISO sensitivity.
        focal_length_mm: Focal length, in millimetres.
        sequence: Image number of the camera.
        camera: Maker, model and serial number.
        changed: ``DateTime``, which programs set when they save the file; cameras write the moment of exposure.
        has_maker_note: Whether the camera's own data are there, which many programs drop.
    """

    moment: str = ""
    exposure_seconds: float | None = None
    f_number: float | None = None
    iso: int | None = None
    focal_length_mm: float | None = None
    sequence: int | None = None
    camera: str = ""
    changed: str = ""
    has_maker_note: bool = False

    @property
    def is_recorded(self) -> bool:
        """Whether a camera recorded something about the exposure."""
        values = (self.exposure_seconds, self.f_number, self.iso, self.focal_length_mm)
        return bool(self.camera and (self.moment or any(value is not None for value in values)))

    @property
    def is_unchanged(self) -> bool:
        """Whether the file was saved when the picture was taken."""
        return bool(self.moment) and self.moment.split(".")[0] == self.changed


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame or page after the first one.

    Attributes:
        digest: Digest of its decoded pixels, 32 bytes.
        thumbnail: Grey uint8, shape ``(height, width)``, at most 256 pixels wide or high.
    """

    digest: bytes
    thumbnail: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class FullPicture:
    """The decoded picture of a file, with the properties of its format.

    Attributes:
        pixels: The first frame with its orientation applied, uint8, BGR ``(height, width, 3)`` or grey ``(height,
            width)``.
        format: Pillow's name of the format.
        mode: Pillow's name of the mode as stored.
        alpha: Opacity, uint8, the same height and width; ``None`` if nothing is transparent.
        bits: Significant bits per channel.
        frames: Frames after the first one, in order.
        has_too_many_frames: Whether there are more frames than were read.
        quantisation: The tables of a JPEG, 64 numbers each, row by row as Pillow gives them.
        subsampling: Chroma subsampling of a JPEG, ``4:2:0``; empty otherwise.
        is_coloured: Whether any pixel is coloured, in whatever mode.
        is_cmyk: Whether it is stored as CMYK.
        profile: Description of its ICC profile; empty if there is none.
        shot: EXIF data about the exposure.
        extras: Names of embedded extras: ``gain map``, ``depth map``, ``film``, ``second eye``.
    """

    pixels: npt.NDArray[np.uint8]
    format: str = ""
    mode: str = ""
    alpha: npt.NDArray[np.uint8] | None = None
    bits: int = 8
    frames: tuple[Frame, ...] = ()
    has_too_many_frames: bool = False
    quantisation: tuple[tuple[int, ...], ...] = ()
    subsampling: str = ""
    is_coloured: bool = False
    is_cmyk: bool = False
    profile: str = ""
    shot: ShotFacts = ShotFacts()
    extras: frozenset[str] = frozenset()

    @property
    def width(self) -> int:
        """The number of columns."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """The number of rows."""
        return int(self.pixels.shape[0])
