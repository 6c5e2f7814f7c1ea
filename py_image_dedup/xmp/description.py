"""What the metadata of a picture say, and what one picture says that another lacks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from py_image_dedup.xmp.packet import lacking_values, read
from py_image_dedup.xmp.properties import KINDS, LISTS, POSITION, REGIONS, Properties


@dataclass(frozen=True, slots=True)
class Description:
    """The descriptive metadata of a picture.

    Attributes:
        properties: Values by the name of the property.
        orientation: EXIF orientation, 1 to 8, in which regions are to be seen.
    """

    properties: Properties
    orientation: int = 1


def description(fields: Properties, packet: bytes, orientation: int) -> Description:
    """Return the metadata of a picture; of a property that is in both places, that of XMP, and both of a list.

    Args:
        fields: The EXIF and IPTC fields by the XMP property that they mean.
        packet: The XMP packet in the picture; empty if there is none.
        orientation: EXIF orientation, 1 to 8.

    Raises:
        XmpError: The packet cannot be read.
    """
    return Description(united(read(packet), fields), orientation)


def united(first: Properties, second: Properties) -> dict[str, tuple[str, ...]]:
    """Return the properties of both; those of the first one win, and the values of lists are joined."""
    both: dict[str, tuple[str, ...]] = {}
    for name in KINDS:
        own = tuple(first.get(name, ()))
        values = own + lacking_values(own, name, second.get(name, ()))
        if values:
            both[name] = values
    return both


def missing(source: Properties, keeper: Properties, sidecar: Properties) -> dict[str, tuple[str, ...]]:
    """Return what a sidecar needs so that the keeper lacks nothing that the other picture says.

    The keeper's own values win. A list that the sidecar does not have yet gets the keeper's values too, because
    programs take the list of a sidecar for the whole.

    Args:
        source: The properties of the picture that goes.
        keeper: Those in the keeper.
        sidecar: Those in the keeper's sidecars.
    """
    present = united(sidecar, keeper)
    has_position = all(name in present for name in POSITION[:2])
    gives_position = all(source.get(name) for name in POSITION[:2])
    found: dict[str, tuple[str, ...]] = {}
    for name, values in source.items():
        if name in POSITION and (has_position or not gives_position):
            continue
        more = lacking_values(present.get(name, ()), name, values)
        if more and KINDS[name] in LISTS:
            more = lacking_values(sidecar.get(name, ()), name, keeper.get(name, ())) + more
        if more:
            found[name] = more
    return found


def needs_the_same_view(names: Iterable[str]) -> bool:
    """Return whether some properties are true only of a picture that shows the same view in the same orientation."""
    return REGIONS in names
