"""A file decoded in full, with the facts that tell what it has more than another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ShotFacts:
    """What a camera wrote about the moment of exposure; empty or ``None`` where it wrote nothing.

    Attributes:
        moment: ``DateTimeOriginal``, with ``SubSecTimeOriginal`` after a point.
        exposure_seconds: Exposure time.
        f_number: Aperture.
        iso: Sensitivity.
        focal_length_mm: Focal length.
        sequence: Image number.
        camera: Maker, model and serial number.
    """

    moment: str = ""
    exposure_seconds: float | None = None
    f_number: float | None = None
    iso: int | None = None
    focal_length_mm: float | None = None
    sequence: int | None = None
    camera: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A further frame or page.

    Attributes:
        digest: Of its decoded pixels, 32 bytes.
        thumbnail: Grey uint8, shape ``(height, width)``, at most 256 pixels wide or high.
    """

    digest: bytes
    thumbnail: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class FullPicture:
    """A file decoded in full.

    Attributes:
        pixels: The first frame with its orientation applied, uint8, BGR ``(height, width, 3)`` or grey ``(height,
            width)``.
        format: Pillow's name of the format.
        mode: Pillow's name of the mode as stored.
        alpha: Opacity, uint8, the same height and width; ``None`` if nothing is transparent.
        bits: Significant bits per channel.
        frames: The further frames, in order.
        has_too_many_frames: There are more than were read.
        quantisation: The tables of a JPEG, 64 numbers each, row by row as Pillow gives them.
        subsampling: Chroma subsampling of a JPEG, ``4:2:0``; empty otherwise.
        is_coloured: It has colours, whatever its mode.
        is_cmyk: It is stored as CMYK.
        profile: Description of its ICC profile; empty if there is none.
        shot: What the camera wrote.
        extras: Names of what is embedded: ``gain map``, ``depth map``, ``film``, ``second eye``.
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
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])
