"""Finds the files of one folder that are one photo, by their names.

Nothing is read, except that a film and a photo of one name are told apart by the identifiers in them, if both have one.
The rules only ever join files that stand beside each other:

- a RAW photo and the finished picture that the camera wrote with it: ``IMG_1.CR2`` and ``IMG_1.JPG``;
- sidecars, with the name of the photo or its stem: ``IMG_1.xmp``, ``IMG_1.CR2.xmp``, ``IMG_1.AAE``, ``IMG_1.THM``;
- the film of a Live Photo or a motion photo: ``IMG_1.HEIC`` and ``IMG_1.MOV``, ``PXL_1.MP.jpg`` and ``PXL_1.MP``;
- Google's metadata, whose names are cut off and numbered in ways of their own: ``IMG_1.jpg(1).json`` is of
  ``IMG_1(1).jpg``;
- Google's pairs: ``PXL_1.RAW-01.COVER.jpg`` and ``PXL_1.RAW-02.ORIGINAL.dng``, ``PXL_1.PORTRAIT-01.COVER.jpg`` and
  ``PXL_1.PORTRAIT-02.ORIGINAL.jpg``, of which the one with a blurred background counts as an edit;
- edits: ``IMG_E1234.JPG`` of ``IMG_1234.HEIC``, ``IMG_1-edited.jpg`` of ``IMG_1.jpg`` where
  Google's metadata are beside.

Two finished pictures of one stem, such as ``a.jpg`` and ``a.png``, are no unit: one is often a copy of the other.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final, TypeAlias

from py_image_dedup.media.formats import FILM_SUFFIXES, FORMATS, RAW_SUFFIXES
from py_image_dedup.model.unit import Part, PartKind, Unit

Identify: TypeAlias = Callable[[str], str | None]
"""``name -> identifier``: what a phone wrote into both files of a Live Photo; ``None`` if there is none."""

SIDECAR_SUFFIXES: Final = frozenset(
    {".xmp", ".aae", ".thm", ".wav", ".pp3", ".dop", ".cos", ".arp", ".nksc", ".vrd", ".dr4", ".on1", ".json"}
)
"""Endings of files that belong to the photo of the same name: of Adobe and darktable, Apple, cameras, RawTherapee, DxO,
Capture One, RawTherapee's older versions, Nikon, Canon, ON1 and Google."""

_PICTURES: Final = frozenset(suffix for each in FORMATS for suffix in each.suffixes) - RAW_SUFFIXES
_CAMERA_PICTURES: Final = (".heic", ".heif", ".hif", ".jpg", ".jpeg", ".jpe")
"""Endings of finished pictures that cameras write, the one that other files belong to first."""
_MOTION: Final = ".mp"
"""The ending of Google's films without a container's name."""
_FILMS: Final = frozenset({*FILM_SUFFIXES, _MOTION})
_LIVE_PICTURES: Final = frozenset(_CAMERA_PICTURES)

_APPLE_NUMBER: Final = re.compile(r"img_[eo]?(\d{4,})", re.IGNORECASE)
_APPLE_EDIT: Final = re.compile(r"(img_)[eo](\d{4,})", re.IGNORECASE)
_EDITED: Final = re.compile(
    r"(.+)-(?:edited|bearbeitet|bewerkt|editado|editada|modifi[eé]|modificato|redigerad|redigeret|edytowane"
    r"|muokattu|upraveno|編集済み|已修改)(\(\d+\))?",
    re.IGNORECASE,
)
_PIXEL_RAW: Final = re.compile(r"(pxl_\d{8}_\d{9}.*?)\.raw-\d\d(?:\.mp)?\.(?:cover|original)", re.IGNORECASE)
"""The two files of a shot with a RAW photo, as Google's camera calls them: equal up to here."""
_PIXEL_PORTRAIT: Final = re.compile(r"(pxl_\d{8}_\d{9}.*?\.portrait)-01\.cover", re.IGNORECASE)
"""The picture with a blurred background, beside the one without."""
_NUMBERED: Final = re.compile(r"(.+)(\(\d+\))")
_GOOGLE: Final = ".json"
_GOOGLE_LENGTH: Final = 46
_GOOGLE_MARK: Final = ".supplemental-metadata"


def is_picture(name: str) -> bool:
    """Return whether a file has the name of a picture, finished or RAW."""
    return _KINDS.get(PurePath(name).suffix.lower()) in {"picture", "raw"}


@dataclass(slots=True)
class _Draft:
    """A unit that is being put together; ``names`` are by role in it, the leading file first."""

    lead: str
    parts: dict[str, PartKind] = field(default_factory=dict)


def recognise(folder: Path, names: Iterable[str], identify: Identify = lambda _: None) -> tuple[Unit, ...]:
    """Return the units of more than one file in a folder.

    Args:
        folder: The folder.
        names: The names of its files.
        identify: Called for a film and the photo of its name.
    """
    return tuple(
        Unit(tuple(Part(folder / name, kind) for name, kind in draft.parts.items()), PurePath(draft.lead).stem)
        for draft in _Folder(names, identify).drafts()
        if len(draft.parts) > 1
    )


class _Folder:
    """The names of a folder by what they are.

    Args:
        names: The names.
        identify: Returns the identifier in a file.
    """

    def __init__(self, names: Iterable[str], identify: Identify) -> None:
        self._identify = identify
        self._by_name: dict[str, str] = {}
        self._by_stem: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._sidecars: set[str] = set()
        self._has_long_names = False  # those that may have the whole name of a photo, or a part of it, as their stem
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a folder may have a hundred thousand names
            what = _KINDS.get(suffix.lower())
            if what is not None:
                self._by_name.setdefault(name.casefold(), name)
                self._by_stem[_common(stem)][what].append(name)
                if what == "sidecar":
                    self._sidecars.add(suffix.lower())
                self._has_long_names |= what == "sidecar" or suffix.lower() == _MOTION
        self._taken: set[str] = set()

    def drafts(self) -> Iterator[_Draft]:
        """Yield every photo with what belongs to it."""
        edits = dict(self._edits())
        leads = [name for stem in self._stems(edits.values()) for name in self._leads(stem)]
        drafts = {name: _Draft(name) for name in leads if name not in edits}
        for draft in drafts.values():
            self._add_shot(draft)
        for edit, original in sorted(edits.items()):
            if original in drafts:
                self._take(drafts[original], edit, PartKind.EDIT)
                for film in self._by_stem[_common(PurePath(edit).stem)]["film"]:
                    self._take(drafts[original], film, PartKind.FILM)
        if self._sidecars:
            for draft in drafts.values():
                for name in tuple(draft.parts):
                    self._add_beside(draft, name)
        yield from drafts.values()

    def _stems(self, originals: Iterable[str]) -> list[str]:
        """Return the stems of which a photo may have something beside it; in most folders there are few."""
        if self._has_long_names:
            return sorted(self._by_stem)
        several = {stem for stem, kinds in self._by_stem.items() if sum(map(len, kinds.values())) > 1}
        return sorted(several | {_common(PurePath(name).stem) for name in originals})

    def _leads(self, stem: str) -> list[str]:
        """Return the photos of a stem that other files may belong to, without RAW photos that have a picture."""
        kinds = self._by_stem[stem]
        pictures = kinds["picture"] if len(kinds["picture"]) < 2 else sorted(kinds["picture"], key=_preference)
        if kinds["raw"] and (not pictures or PurePath(pictures[0]).suffix.lower() not in _LIVE_PICTURES):
            return [kinds["raw"][0], *pictures]
        return pictures

    def _add_shot(self, draft: _Draft) -> None:
        """Add what the camera wrote at once; of several pictures of one stem the first one gets it."""
        path = PurePath(draft.lead)
        kinds = self._by_stem[_common(path.stem)]
        suffix = path.suffix.lower()
        is_raw = suffix in RAW_SUFFIXES
        self._take(draft, draft.lead, PartKind.RAW if is_raw else PartKind.PICTURE)
        if is_raw or suffix in _LIVE_PICTURES:
            for name in kinds["raw"]:
                self._take(draft, name, PartKind.RAW)
            for name in kinds["film"]:
                if not self._are_apart(draft.lead, name):
                    self._take(draft, name, PartKind.FILM)
        motion = self._by_name.get(path.stem.casefold())
        if motion is not None and PurePath(motion).suffix.lower() == _MOTION:
            self._take(draft, motion, PartKind.FILM)

    def _add_beside(self, draft: _Draft, name: str) -> None:
        """Add the sidecars of one file of a unit."""
        path = PurePath(name)
        own = [f"{name}{suffix}" for suffix in sorted(self._sidecars)]
        for wanted in (*own, *(_google_names(path) if _GOOGLE in self._sidecars else ())):
            found = self._by_name.get(wanted.casefold())
            if found is not None:
                self._take(draft, found, PartKind.SIDECAR)
        for found in self._by_stem[_common(path.stem)]["sidecar"]:
            self._take(draft, found, PartKind.SIDECAR)
        apple = _APPLE_NUMBER.fullmatch(path.stem)
        for found in self._by_stem.get(f"img_o{apple[1]}", {}).get("sidecar", ()) if apple else ():
            self._take(draft, found, PartKind.SIDECAR)

    def _edits(self) -> Iterator[tuple[str, str]]:
        """Yield edited versions with their originals, as far as these are there."""
        for name in self._photos():
            path = PurePath(name)
            apple = _APPLE_EDIT.fullmatch(path.stem)
            portrait = _PIXEL_PORTRAIT.fullmatch(path.stem)
            google = _EDITED.fullmatch(path.stem) if "-" in name else None
            stem = ""
            if apple is not None:
                stem = f"{apple[1]}{apple[2]}"
            elif portrait is not None:
                stem = f"{portrait[1]}-02.ORIGINAL"
            elif google is not None:
                stem = f"{google[1]}{google[2] or ''}"
            originals = self._leads(stem.casefold()) if stem.casefold() in self._by_stem else []
            # Programs and people name their edits so, too, and those are copies: Google writes metadata beside.
            if originals and (apple or portrait or self._is_of_google(originals[0])):
                yield name, originals[0]

    def _is_of_google(self, name: str) -> bool:
        """Whether the metadata that Google writes is beside a photo."""
        path = PurePath(name)
        wanted = (f"{name}{_GOOGLE}", f"{path.stem}{_GOOGLE}", *_google_names(path))
        return _GOOGLE in self._sidecars and any(each.casefold() in self._by_name for each in wanted)

    def _photos(self) -> Iterator[str]:
        for kinds in tuple(self._by_stem.values()):
            yield from kinds.get("picture", ())

    def _are_apart(self, photo: str, film: str) -> bool:
        """Return whether the identifiers of a photo and a film say that they are not one shot."""
        mine = self._identify(film)
        other = None if mine is None else self._identify(photo)
        return mine is not None and other is not None and mine != other

    def _take(self, draft: _Draft, name: str, kind: PartKind) -> None:
        if name not in self._taken:
            self._taken.add(name)
            draft.parts[name] = kind


_KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_PICTURES, "picture"),
    **dict.fromkeys(RAW_SUFFIXES, "raw"),
    **dict.fromkeys(_FILMS, "film"),
    **dict.fromkeys(SIDECAR_SUFFIXES, "sidecar"),
}
"""What a file may be in a unit, by its ending."""


def _common(stem: str) -> str:
    """Return the part of a stem that all files of a shot have, in lower case."""
    raw = _PIXEL_RAW.fullmatch(stem)
    return (stem if raw is None else raw[1]).casefold()


def _preference(name: str) -> tuple[int, str]:
    suffix = PurePath(name).suffix.lower()
    place = _CAMERA_PICTURES.index(suffix) if suffix in _CAMERA_PICTURES else len(_CAMERA_PICTURES)
    return place, name


def _google_names(photo: PurePath) -> Iterator[str]:
    """Yield the names that the metadata of a photo may have in an export of Google Photos.

    A name has 46 characters at most before ``.json``, and the number of a second photo of one name stands behind its
    ending: ``IMG_1.jpg(1).json``, ``IMG_1.jpg.supplemental-metadata(1).json``.
    """
    found = _NUMBERED.fullmatch(photo.stem)
    plain, number = (f"{found[1]}{photo.suffix}", found[2]) if found else (photo.name, "")
    yield f"{photo.name[:_GOOGLE_LENGTH]}.json"
    yield f"{plain[:_GOOGLE_LENGTH]}{number}.json"
    yield f"{f'{plain}{_GOOGLE_MARK}'[:_GOOGLE_LENGTH]}{number}.json"
    yield f"{f'{photo.name}{_GOOGLE_MARK}'[:_GOOGLE_LENGTH]}.json"
