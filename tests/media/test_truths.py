"""What is known about the development photographs, as far as it concerns decoding."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.model.failure import FailureReason

pytestmark = pytest.mark.photos


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


@pytest.mark.parametrize("name", ["Landscape", "Portrait"])
def test_a_photo_is_the_same_in_all_orientations(name: str, photos: Path, decoder: Decoder) -> None:
    greys = []
    for file in sorted((photos / "orientation").glob(f"{name}_*.jpg")):
        with read_file(file) as opened:
            decoded = decoder.decode(opened)
        assert (decoded.facts.width > decoded.facts.height) == (name == "Landscape")
        greys.append(decoded.canonical.astype(float))
    assert len(greys) == 9
    for grey in greys[1:]:
        assert grey.shape == greys[0].shape
        # Each file was compressed anew, and has its own number drawn into it.
        apart = np.abs(grey - greys[0])
        assert np.median(apart) <= 1
        assert np.mean(apart > 20) < 0.01


def test_every_format_of_the_corpus_has_its_verdict(photos: Path, decoder: Decoder) -> None:
    broken, none = [], []
    for file in sorted((photos / "lene").rglob("*")):
        if file.is_file():
            try:
                with read_file(file) as opened:
                    decoder.decode(opened)
            except MediaError as error:
                (broken if error.reason is FailureReason.TRUNCATED else none).append(file.name)
    assert broken == ["47ff(1).jpg", "47ff(2).jpg"]
    assert none == ["equal_but_binary_different.json", "garbage.txt", "test.mp3", "test.ogg", "test.txt"]


def test_one_picture_in_many_formats_has_one_grey(photos: Path, decoder: Decoder) -> None:
    greys = {}
    for file in sorted((photos / "lene" / "is_image_file" / "is_image").iterdir()):
        with read_file(file) as opened:
            decoded = decoder.decode(opened)
        assert decoded.facts.frames == 1, "the thumbnail page of the TIFF file is no frame"
        greys[decoded.facts.format] = decoded.canonical.astype(float)
    assert greys.keys() == {"HEIF", "JPEG", "PNG", "TIFF", "WEBP"}
    assert np.array_equal(greys["PNG"], greys["TIFF"])
    for grey in greys.values():
        assert np.sqrt(np.mean((grey - greys["PNG"]) ** 2)) < 3


def test_same_pixels_in_other_bytes_are_known(photos: Path, decoder: Decoder) -> None:
    folder = photos / "lene" / "is_image_file" / "is_image"
    assert decoder.pixel_digest(folder / "test.png") == decoder.pixel_digest(folder / "test.tiff")
    assert decoder.pixel_digest(folder / "test.png") != decoder.pixel_digest(folder / "test.jpg")


HOSTILE_FOLDER = """
import json, resource, sys, tempfile
from collections import Counter
from pathlib import Path
from py_image_dedup.media.limits import Limits
from py_image_dedup.model.events import ignore
from py_image_dedup.model.file import FileStat
from py_image_dedup.pipeline.analyse import AnalyseOptions, analyse
from py_image_dedup.store.sqlite.store import SqliteStore

def stat(path):
    seen = path.lstat()
    return FileStat(path, seen.st_size, seen.st_mtime_ns, seen.st_dev, seen.st_ino)

stale = [stat(path) for path in sorted(Path(sys.argv[1]).iterdir())]
with tempfile.TemporaryDirectory() as folder, SqliteStore(Path(folder) / "index.sqlite3") as store:
    options = AnalyseOptions(threads=2, limits=Limits(timeout_seconds=10))
    done = analyse(stale, store, options, observer=ignore, should_stop=lambda: False)
    entries = list(store.entries(None))
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({
    "files": len(stale), "entries": len(entries), "peak": peak,
    "reasons": Counter(failure.reason for failure in done.failures),
    "wordless": [str(f.path) for f in done.failures if not f.message],
}))
"""


def test_all_hostile_files_are_listed_within_a_bounded_memory(photos: Path) -> None:
    run = subprocess.run(
        (sys.executable, "-c", HOSTILE_FOLDER, str(photos / "malformed")),
        capture_output=True, text=True, timeout=200, check=True,
    )  # fmt: skip
    assert run.stderr == ""
    found = json.loads(run.stdout)
    assert found["files"] == found["entries"] == 232
    assert found["peak"] < 1 << 20, "one gigabyte, in kilobytes"
    assert not found["wordless"]
    assert sum(found["reasons"].values()) >= 150
    # Older decoders hang on some of these; that is what the time limit is for.
    assert not found["reasons"].keys() & {"io-error", "vanished", "changed", "no-permission"}
