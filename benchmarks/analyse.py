"""Compares the first analysis of phone photos with merely decoding them.

    python benchmarks/analyse.py [PHOTOS]

PHOTOS is a folder with JPEG photos of a phone (12 megapixels and more); without it, ``phone`` of the development
photographs, whose folder PY_IMAGE_DEDUP_PHOTOS names. Each photo is copied ten times with other bytes behind its end,
so that no two files are identical. Compared are

- the limit: Pillow opens each file and decodes it at 1/8 DCT scale, in colour and in grey, with as many threads;
- the analysis: read, BLAKE3, format, EXIF, decode, image data digest, canonical image, signature, and an entry in an
  SQLite index; the start of the decoder workers included;
- the same with local features, the default.

They take turns, each round in another order, and medians are printed. Ratios within a round cancel other load on the
machine; CPU time is printed besides. The goals are 1.3 times the colour limit and memory under 200 MB without
features, and 2.6 times the colour limit with them.

The CPU time of one photo in a decoder worker is printed as well, for the same photos at 0.2, 2 and 12 megapixels.
"""

from __future__ import annotations

import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from py_image_dedup.features import describe
from py_image_dedup.media.limits import Limits
from py_image_dedup.media.worker.decode import decode
from py_image_dedup.media.worker.image_data import image_data_digest
from py_image_dedup.media.worker.open import open_picture
from py_image_dedup.model.events import ignore
from py_image_dedup.model.file import FileStat
from py_image_dedup.pipeline.analyse import AnalyseOptions, analyse
from py_image_dedup.signature.blas import single_threaded_blas
from py_image_dedup.store.sqlite.store import SqliteStore

COPIES = 10
ROUNDS = 7
MEGAPIXELS = (0.2, 2, 12)
ONCE = "--once"
CPU = "--cpu"
GOAL_RATIO = 1.3
GOAL_WITH_FEATURES = 2.6
WITH_FEATURES = "with features"
GOAL_PEAK_MB = 200


def main() -> int:
    if sys.argv[1:2] == [ONCE]:
        return analyse_once(Path(sys.argv[2]))
    if sys.argv[1:2] == [CPU]:
        return print_cpu_by_size(Path(sys.argv[2]))
    source = photos()
    if source is None:
        print("No photos: name a folder (benchmarks/analyse.py FOLDER), or set PY_IMAGE_DEDUP_PHOTOS.")
        return 0
    # The workers are processes: start them as they are installed, with their modules compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    threads = AnalyseOptions().threads
    with tempfile.TemporaryDirectory(prefix="py-image-dedup-") as name:
        files = phone_set(source, Path(name) / "photos")
        if not files:
            print(f"No JPEG photos in {source}.")
            return 2
        stale = [stat_of(file) for file in files]
        size = sum(stat.size for stat in stale)
        print(f"{len(files)} files of {source}, {size / 1e6:.0f} MB, {threads} threads, {ROUNDS} rounds")
        contestants: dict[str, Callable[[], None]] = {
            "limit, colour": lambda: decode_all(files, "RGB", threads),
            "limit, grey": lambda: decode_all(files, "L", threads),
            "first analysis": lambda: analyse_all(stale, Path(name), features=False),
            WITH_FEATURES: lambda: analyse_all(stale, Path(name), features=True),
        }
        peak, peak_with = (peak_of_analysis(Path(name), *more) for more in ((), (WITH_FEATURES,)))
        wall, cpu = race(contestants)
    print(f"{'':16}{'wall s':>8}{'CPU s':>8}{'/ colour':>10}{'/ grey':>8}")
    for contestant in contestants:
        print(
            f"{contestant:16}{statistics.median(wall[contestant]):8.3f}{statistics.median(cpu[contestant]):8.3f}"
            f"{ratio(wall, contestant, 'limit, colour'):10.2f}{ratio(wall, contestant, 'limit, grey'):8.2f}"
        )
    print(cpu_by_size(source), end="")
    reached = ratio(wall, "first analysis", "limit, colour")
    reached_with = ratio(wall, WITH_FEATURES, "limit, colour")
    print(f"peak memory of the analysis: {peak:.0f} MB (goal: under {GOAL_PEAK_MB}); with features {peak_with:.0f} MB")
    print(f"first analysis / limit: {reached:.2f} (goal: at most {GOAL_RATIO})")
    print(f"the same with features: {reached_with:.2f} (goal: at most {GOAL_WITH_FEATURES})")
    return 0 if reached <= GOAL_RATIO and peak < GOAL_PEAK_MB and reached_with <= GOAL_WITH_FEATURES else 1


def photos() -> Path | None:
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    given = os.environ.get("PY_IMAGE_DEDUP_PHOTOS")
    folder = (Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "photos") / "phone"
    return folder if folder.is_dir() else None


def phone_set(source: Path, target: Path) -> list[Path]:
    target.mkdir()
    files = []
    for number, photo in enumerate(sorted(source.rglob("*.jpg"))):
        data = photo.read_bytes()
        for copy in range(COPIES):
            file = target / f"{number}-{copy}.jpg"
            file.write_bytes(data + f"copy {copy}".encode())
            files.append(file)
    return files


def stat_of(path: Path) -> FileStat:
    seen = path.lstat()
    return FileStat(path, seen.st_size, seen.st_mtime_ns, seen.st_dev, seen.st_ino)


def decode_all(files: list[Path], mode: str, threads: int) -> None:
    def decode(file: Path) -> None:
        with Image.open(file) as image:
            image.draft(mode, (image.width // 8, image.height // 8))
            image.load()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, files))


def analyse_all(stale: list[FileStat], folder: Path, *, features: bool) -> None:
    index = folder / "index.sqlite3"
    with SqliteStore(index) as store:
        done = analyse(stale, store, AnalyseOptions(features=features), observer=ignore, should_stop=lambda: False)
        assert done.summary.counts["analysed"] == len(stale), done.failures
    for left in folder.glob("index.sqlite3*"):
        left.unlink()


def peak_of_analysis(folder: Path, *more: str) -> float:
    """Return the peak memory, MB, of an analysis in a process of its own and of its workers."""
    run = subprocess.run(
        (sys.executable, __file__, ONCE, str(folder), *more), check=True, capture_output=True, text=True
    )
    return float(run.stdout)


def analyse_once(folder: Path) -> int:
    files = sorted((folder / "photos").iterdir())
    analyse_all([stat_of(file) for file in files], folder, features=WITH_FEATURES in sys.argv)
    own, decoder = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print((own + AnalyseOptions().threads * decoder) / (1e6 if sys.platform == "darwin" else 1e3))
    return 0


def cpu_by_size(source: Path) -> str:
    """Return the table of ``print_cpu_by_size``, from a process that allocates memory as a decoder worker does."""
    memory = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 20)}
    command = (sys.executable, __file__, CPU, str(source))
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | memory).stdout


def print_cpu_by_size(source: Path) -> int:
    """Print the CPU time of a photo in a decoder worker, in milliseconds, at several sizes."""
    print(f"{'megapixels':16}{'decode ms':>10}{'features':>10}{'both':>8}")
    with single_threaded_blas:
        for megapixels in MEGAPIXELS:
            files = [resized(photo, megapixels) for photo in sorted(source.rglob("*.jpg"))]
            rounds = [[sum(times) for times in zip(*map(cpu_of_photo, files), strict=True)] for _ in range(ROUNDS + 1)]
            # The first round loads modules and the codebook.
            spent = [statistics.median(times) * 1e3 / len(files) for times in zip(*rounds[1:], strict=True)]
            print(f"{megapixels:<16}{spent[0]:10.1f}{spent[1]:10.1f}{sum(spent):8.1f}")
    return 0


def cpu_of_photo(file: bytes) -> tuple[float, float]:
    """Return the CPU seconds of decoding a JPEG file with its digest, and of its signature, features and words."""
    started = time.process_time()
    stream = io.BytesIO(file)
    with open_picture(stream, "JPEG") as picture:
        decoded = decode(picture, "JPEG", Limits(), lambda _: None, partial(open_picture, io.BytesIO(file), "JPEG"))
        image_data_digest(stream, picture, "JPEG")
    between = time.process_time()
    describe.make(decoded)
    return between - started, time.process_time() - between


def resized(photo: Path, megapixels: float) -> bytes:
    with Image.open(photo) as image, io.BytesIO() as file:
        scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
        size = (round(image.width * scale), round(image.height * scale))
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        return file.getvalue()


def race(contestants: dict[str, Callable[[], None]]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    cpu: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(ROUNDS + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            before, used = time.perf_counter(), cpu_seconds()
            contestants[name]()
            if turn:  # the first round warms the cache of the disk
                wall[name].append(time.perf_counter() - before)
                cpu[name].append(cpu_seconds() - used)
    return wall, cpu


def cpu_seconds() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def ratio(times: dict[str, list[float]], name: str, to: str) -> float:
    return statistics.median(a / b for a, b in zip(times[name], times[to], strict=True))


if __name__ == "__main__":
    sys.exit(main())
