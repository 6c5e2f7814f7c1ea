"""Measures whole first runs over copies of phone photos that differ in everything but the picture.

    python benchmarks/same_pixels.py [PHOTOS]

PHOTOS is a folder with JPEG photos of a phone (12 megapixels and more); without it, ``phone`` of the development
photographs, whose folder PY_IMAGE_DEDUP_PHOTOS names. Of each photo of 11 megapixels or more ten copies are made, in
three libraries: with other bytes behind the end; with other EXIF, as a photo manager that writes tags leaves them; and
as reduced PNG files at three compression levels, of which only decoding tells that the pixels are equal.

Printed are wall and CPU seconds by stage, and the files that got a pixel digest: none but in the last library, where
one file of each compression level is decoded. Inspection is left out.
"""

from __future__ import annotations

import io
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import ExifTags, Image

from benchmarks.analyse import photos
from py_image_dedup.api import INDEX_NAME, Deduplicator, Options
from py_image_dedup.model.events import Event, PhaseFinished, PhaseStarted
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass
from py_image_dedup.store.sqlite.store import SqliteStore

COPIES = 10
MIN_PIXELS = 11_000_000
GOAL_CPU_SECONDS = 10.0
"""CPU seconds of the first two libraries per 110 photos: 5 s on two cores."""


def main() -> int:
    source = photos()
    if source is None:
        print("No photos: name a folder (benchmarks/same_pixels.py FOLDER), or set PY_IMAGE_DEDUP_PHOTOS.")
        return 0
    # The workers are processes: start them as they are installed, with their modules compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    originals = [photo.read_bytes() for photo in sorted(source.rglob("*.jpg")) if pixels_of(photo) >= MIN_PIXELS]
    if not originals:
        print(f"No JPEG photos of {MIN_PIXELS / 1e6:.0f} megapixels in {source}.")
        return 2
    reached = True
    ways: dict[str, Callable[[bytes, int], bytes]] = {"other end": other_end, "other EXIF": other_exif, "PNG": as_png}
    with tempfile.TemporaryDirectory(prefix="py-image-dedup-") as name:
        for number, (what, copy) in enumerate(ways.items()):
            library = Path(name) / str(number)
            library.mkdir()
            for photo, data in enumerate(originals):
                for each in range(COPIES):
                    (library / f"{photo}-{each}").with_suffix(".jpg").write_bytes(copy(data, each))
            seconds = measure(what, library, len(originals) * COPIES)
            goal = GOAL_CPU_SECONDS * len(originals) * COPIES / 110
            reached = reached and (copy is as_png or seconds <= goal)
    print(f"goal: {GOAL_CPU_SECONDS:g} s of CPU for 110 photos with other ends or EXIF")
    return 0 if reached else 1


def pixels_of(path: Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height


def other_end(jpeg: bytes, number: int) -> bytes:
    return jpeg + f"copy {number}".encode()


def other_exif(jpeg: bytes, number: int) -> bytes:
    """Return a JPEG file with the EXIF of its own and a description; its image data is copied."""
    with Image.open(io.BytesIO(jpeg)) as image:
        exif = image.getexif()
    exif[ExifTags.Base.ImageDescription] = f"copy {number}"
    block = exif.tobytes()
    parts = [jpeg[:2], b"\xff\xe1", (len(block) + 2).to_bytes(2, "big"), block]
    at = 2
    while jpeg[at + 1] != 0xDA:  # the header of the first scan
        length = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] != 0xE1:
            parts.append(jpeg[at : at + length])
        at += length
    return b"".join([*parts, jpeg[at:]])


def as_png(jpeg: bytes, number: int) -> bytes:
    """Return a picture of a ninth of the pixels as PNG, at one of three compression levels."""
    with Image.open(io.BytesIO(jpeg)) as image:
        small = image.convert("RGB").reduce(3)
    stream = io.BytesIO()
    small.save(stream, "PNG", compress_level=number % 3 + 1)
    return stream.getvalue() + str(number).encode()


def measure(what: str, library: Path, files: int) -> float:
    """Print the seconds of each stage; return the CPU seconds of all."""
    stages: dict[str, list[float]] = {}

    def observe(event: Event) -> None:
        now = [time.perf_counter(), cpu_seconds()]
        if isinstance(event, PhaseStarted):
            stages[event.phase.value] = now
        elif isinstance(event, PhaseFinished):
            begin = stages[event.summary.phase.value]
            stages[event.summary.phase.value] = [end - start for end, start in zip(now, begin, strict=True)]

    begin, used = time.perf_counter(), cpu_seconds()
    with tempfile.TemporaryDirectory() as state, SqliteStore(Path(state) / INDEX_NAME) as store:
        options = Options(state_directory=Path(state), inspect=False)
        result = Deduplicator(store, options, observer=observe).deduplicate([Root(library)], dry_run=True)
        decoded = sum(entry.pixel_digest is not None for entry in store.entries(None))
    wall, cpu = time.perf_counter() - begin, cpu_seconds() - used
    assert result.error is None, result.error
    same = sum(each.match.match_class is MatchClass.SAME_PIXELS for group in result.groups for each in group.redundant)
    print(f"{what}: {files} files, {same} with the pixels of their keeper, {decoded} with a pixel digest")
    for stage in ("analyse", "find"):
        print(f"    {stage:10}{stages[stage][0]:8.2f} s wall{stages[stage][1]:8.2f} s CPU")
    print(f"    {'whole run':10}{wall:8.2f} s wall{cpu:8.2f} s CPU")
    return cpu


def cpu_seconds() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


if __name__ == "__main__":
    sys.exit(main())
