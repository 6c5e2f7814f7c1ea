"""Decides which metadata of a picture that goes are written to the sidecar of the one that stays."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import MediaError
from py_image_dedup.media.opened_file import opened
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.plan import SidecarMerge
from py_image_dedup.xmp.description import Description, description, missing, needs_the_same_view, united
from py_image_dedup.xmp.packet import read as read_packet
from py_image_dedup.xmp.properties import NotMerged, XmpError, words_of

SIDECAR_SUFFIX: Final = ".xmp"
_LONGEST: Final = 1 << 20
"""Bytes of the largest sidecar that is written to, as in ``removal.sidecars``."""
_SAME_SHAPE: Final = 0.02
"""Largest difference of two ratios of width and height, of which faces lie at the same place."""


@dataclass(slots=True)
class _Keeper:
    """A picture that stays.

    Attributes:
        description: Its own metadata.
        size: Width and height as it is stored.
        sidecar: The sidecar that gets metadata.
        planned: The properties of its sidecars, with what earlier files of the run give it.
    """

    description: Description
    size: tuple[int, int]
    sidecar: Path
    planned: dict[str, tuple[str, ...]]


@dataclass(slots=True)
class Merger:
    """Compares the metadata of pictures with those of their keepers. Not thread-safe.

    Attributes:
        decoder: Reads the metadata.
        sidecars_of: Returns the XMP sidecars that belong to a picture.
        why_not: Returns why a sidecar must not be written, as the end of a sentence; ``None`` if it may be.
    """

    decoder: Decoder
    sidecars_of: Callable[[Path], Collection[Path]]
    why_not: Callable[[Path], str | None]
    _keepers: dict[Path, _Keeper] = field(default_factory=dict)

    def merge(self, source: FileStat, keeper: FileStat, *, same_view: bool) -> SidecarMerge | None:
        """Return what the keeper's sidecar gets before a picture goes; ``None`` if the keeper lacks nothing.

        Args:
            source: The picture that goes.
            keeper: The picture that stays.
            same_view: Whether both show the whole of the same view, neither rotated nor mirrored.

        Raises:
            NotMerged: Metadata cannot be read or written, so the picture must stay.
        """
        try:
            own, size = self._describe(source)
        except (MediaError, XmpError) as error:
            raise NotMerged(f"Its metadata cannot be read, so they could be lost: {_cause(error)}.") from error
        if not own.properties:
            return None
        kept = self._keeper(keeper)
        lacking = missing(own.properties, kept.description.properties, kept.planned)
        if not lacking:
            return None
        words = words_of(lacking)
        is_same = same_view and own.orientation == kept.description.orientation and _have_one_shape(size, kept.size)
        if needs_the_same_view(lacking) and not is_same:
            raise NotMerged("It has faces that the other lacks, whose places are not known in the other.")
        cause = self.why_not(kept.sidecar)
        if cause is not None:
            raise NotMerged(f"It has metadata that the other lacks ({words}), and {cause}.")
        kept.planned = united(kept.planned, lacking)
        return SidecarMerge(kept.sidecar, tuple(lacking.items()), *kept.size)

    def _keeper(self, keeper: FileStat) -> _Keeper:
        if keeper.path not in self._keepers:
            try:
                found, size = self._describe(keeper)
                sidecars = sorted(self.sidecars_of(keeper.path), key=lambda each: not _is_own(each, keeper.path))
                planned: dict[str, tuple[str, ...]] = {}
                for each in sidecars:
                    planned = united(planned, read_packet(_content(each)))
            except (MediaError, XmpError) as error:
                raise NotMerged(f"The metadata of the other cannot be read: {_cause(error)}.") from error
            sidecar = sidecars[0] if sidecars else keeper.path.with_name(f"{keeper.path.name}{SIDECAR_SUFFIX}")
            if not sidecars and os.path.lexists(sidecar):
                raise NotMerged(f"Its metadata cannot go to {sidecar.name}, which is no sidecar of the other.")
            self._keepers[keeper.path] = _Keeper(found, size, sidecar, planned)
        return self._keepers[keeper.path]

    def _describe(self, stat: FileStat) -> tuple[Description, tuple[int, int]]:
        raw = self.decoder.describe(stat)
        return description(raw.fields, raw.packet, raw.orientation), raw.size


def _cause(error: MediaError | XmpError) -> str:
    message = error.message if isinstance(error, MediaError) else str(error)
    return message.strip().removesuffix(".")


def _have_one_shape(left: tuple[int, int], right: tuple[int, int]) -> bool:
    return abs(left[0] * right[1] - right[0] * left[1]) <= _SAME_SHAPE * left[0] * right[1]


def _is_own(sidecar: Path, picture: Path) -> bool:
    """Return whether a sidecar has the whole name of a picture, and not only its stem."""
    return sidecar.name.casefold() == f"{picture.name}{SIDECAR_SUFFIX}".casefold()


def _content(sidecar: Path) -> bytes:
    with opened(sidecar) as (descriptor, stat):
        if stat.size > _LONGEST:
            raise XmpError(f"{sidecar.name} is larger than {_LONGEST >> 20} MiB")
        content = b""
        while chunk := os.pread(descriptor, _LONGEST, len(content)):
            content += chunk
        return content
