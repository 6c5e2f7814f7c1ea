"""The descriptive properties that go from a removed picture to its keeper's sidecar, by their names in XMP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

Properties: TypeAlias = Mapping[str, tuple[str, ...]]
"""Values by the name of the property; of regions, one XML element a region."""


class XmpError(ValueError):
    """A packet that is no XMP, or that has a property in a form that it must not have; the message says which."""


class NotMerged(Exception):  # noqa: N818 - a decision, not an error
    """Metadata would be lost, so the file stays; the message is a sentence."""


class Kind(StrEnum):
    """The forms that a property may have."""

    TEXT = "text"
    LANGUAGES = "Alt"
    BAG = "Bag"
    SEQUENCE = "Seq"
    REGIONS = "regions"


KINDS: Final[Mapping[str, Kind]] = {
    "dc:title": Kind.LANGUAGES,
    "dc:description": Kind.LANGUAGES,
    "dc:rights": Kind.LANGUAGES,
    "dc:creator": Kind.SEQUENCE,
    "dc:subject": Kind.BAG,
    "lr:hierarchicalSubject": Kind.BAG,
    "digiKam:TagsList": Kind.SEQUENCE,
    "xmp:Rating": Kind.TEXT,
    "xmp:Label": Kind.TEXT,
    "exif:GPSLatitude": Kind.TEXT,
    "exif:GPSLongitude": Kind.TEXT,
    "exif:GPSAltitude": Kind.TEXT,
    "exif:GPSAltitudeRef": Kind.TEXT,
    "exif:DateTimeOriginal": Kind.TEXT,
    "exif:UserComment": Kind.LANGUAGES,
    "photoshop:Headline": Kind.TEXT,
    "photoshop:City": Kind.TEXT,
    "photoshop:State": Kind.TEXT,
    "photoshop:Country": Kind.TEXT,
    "Iptc4xmpCore:Location": Kind.TEXT,
    "Iptc4xmpExt:PersonInImage": Kind.BAG,
    "mwg-rs:Regions": Kind.REGIONS,
}
"""The properties by name; the form in which each is written."""

LISTS: Final = frozenset({Kind.BAG, Kind.SEQUENCE, Kind.REGIONS})
"""Forms of properties that have several values, each by itself."""

POSITION: Final = ("exif:GPSLatitude", "exif:GPSLongitude", "exif:GPSAltitude", "exif:GPSAltitudeRef")
"""The properties of a position, which belong together; the first two are needed."""

REGIONS: Final = "mwg-rs:Regions"
"""Faces and other regions, in shares of the width and height of the picture as it is stored."""

_WORDS: Final = {
    "dc:title": "title",
    "dc:description": "description",
    "dc:rights": "copyright",
    "dc:creator": "author",
    "dc:subject": "keywords",
    "lr:hierarchicalSubject": "keywords",
    "digiKam:TagsList": "keywords",
    "xmp:Rating": "rating",
    "xmp:Label": "label",
    **dict.fromkeys(POSITION, "GPS position"),
    "exif:DateTimeOriginal": "capture time",
    "exif:UserComment": "comment",
    "photoshop:Headline": "headline",
    "Iptc4xmpExt:PersonInImage": "people",
    REGIONS: "faces",
}


def words_of(names: Iterable[str]) -> str:
    """Return properties as words for the user, such as "GPS position, keywords"."""
    given = set(names)
    return ", ".join(dict.fromkeys(_WORDS.get(name, "place") for name in KINDS if name in given))
