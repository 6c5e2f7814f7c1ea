"""Measure how often the original of a photo is recognised among its copies.

    python benchmarks/originals.py [FOLDER ...] [--photos N] [--groups N] [--metadata] [--tune]

Every photo is compared in full with each of its copies (``edits/copies.py``), and the evidence about the original is
counted as right, wrong or missing; "sure" evidence decides without the rules of the user. Half of the originals are the
files as they are, half are made anew with tables, chroma and formats chosen by seed. Metadata are stripped, or with
``--metadata`` are what cameras, editors and messengers leave. A group is an original and four of its copies.

Photos are divided by a hash of their names: a development set (``--tune``), and those that the tables are about.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pillow_heif
from edits.copies import COPIES, Copy, encode
from measures import album
from PIL import Image, ImageOps

from py_image_dedup.features.extract import unpack
from py_image_dedup.inspection.inspect import inspect
from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.worker.inspect import read_full
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.inspection import Inspection, Original, Outcome, Side
from py_image_dedup.model.match import WHOLE
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.pipeline.options import Options
from py_image_dedup.ranking.ranker import Ranker
from py_image_dedup.signature.blas import single_threaded_blas
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.verify import locate, verify

pillow_heif.register_heif_opener()

KINDS = ("bsds500", "look-alikes/clothing", "same-scene/street", "phone")
MAX_PIXELS = 200_000_000
GROUP = 4
LOSSLESS = {"PNG", "TIFF", "BMP"}
SAME_PHOTO = {Outcome.COVERED, Outcome.EDITED, Outcome.MORE, Outcome.BOTH_HAVE_MORE, Outcome.PARTIAL}


@dataclass(frozen=True, slots=True)
class File:
    """A photo as the program sees it: decoded in full, and its entry in the index."""

    path: Path
    seen: album.Seen
    data: bytes


@dataclass(slots=True)
class Tally:
    """How the evidence was for one kind of copy."""

    pairs: int = 0
    right: int = 0
    wrong: int = 0
    sure: int = 0
    sure_wrong: int = 0
    stays: int = 0

    def add(self, found: Original, *, stays: bool) -> None:
        """Count one pair whose left file is the original."""
        self.pairs += 1
        self.right += found.side is Side.LEFT
        self.wrong += found.side is Side.RIGHT
        self.sure += found.sure and found.side is not Side.UNKNOWN
        self.sure_wrong += found.sure and found.side is Side.RIGHT
        self.stays += stays


def is_held_out(path: Path) -> bool:
    """Whether the tables are about this photo; the others may be looked at while rules are made."""
    return hashlib.sha256(path.name.encode()).digest()[0] % 2 == 1


def chosen(folders: Sequence[Path], count: int, *, tune: bool) -> list[Path]:
    """Return photos of each folder in turn, in an order that their names do not have."""
    kinds = []
    for folder in folders:
        paths = [path for path in album.photos_in(folder) if is_held_out(path) is not tune and _is_untouched(path)]
        kinds.append(sorted(paths, key=lambda path: hashlib.sha256(b"order" + path.name.encode()).digest()))
    found: list[Path] = []
    while len(found) < count and any(kinds):
        found += [kind.pop() for kind in kinds if kind]
    return found[:count]


def _is_untouched(path: Path) -> bool:
    return not any(word in path.stem for word in ("edited", "grayscale", "compression"))


def originals(path: Path, *, metadata: bool, as_is: bool, longest: int) -> tuple[bytes, str]:
    """Return the bytes of an original and the suffix of its file.

    Args:
        path: The photo.
        metadata: With metadata as of a camera, or without any.
        as_is: The compressed data as they are; otherwise a reduced picture saved as cameras do.
        longest: A longer photo is made smaller.
    """
    data = path.read_bytes()
    stored = Image.open(io.BytesIO(data))
    rng = np.random.default_rng(list(hashlib.sha256(path.name.encode()).digest()[:4]))
    exif = camera_data(rng) if metadata else None
    if as_is and stored.format == "JPEG" and max(stored.size) <= longest and stored.getexif().get(274, 1) == 1:
        return with_metadata(data, exif), ".jpg"
    image = ImageOps.exif_transpose(stored).convert("RGB")
    factor = min(float(rng.uniform(0.8, 0.95)), longest / max(image.size))
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)
    if rng.random() < 0.15 and not metadata:
        return encode(image, "PNG", compress_level=1), ".png"
    kept: object = int(rng.integers(70, 98))
    if rng.random() < 0.25:
        kept = str(rng.choice(["web_high", "web_very_high", "web_maximum", "high", "maximum"]))
        return encode(image, "JPEG", exif=exif, quality=kept), ".jpg"
    return encode(image, "JPEG", exif=exif, quality=kept, subsampling=int(rng.integers(0, 3))), ".jpg"


def camera_data(rng: np.random.Generator) -> Image.Exif:
    """Return metadata as a camera writes them."""
    exif = Image.Exif()
    moment = f"2021:{rng.integers(1, 13):02}:{rng.integers(1, 29):02} {rng.integers(0, 24):02}:17:05"
    exif[0x010F], exif[0x0110], exif[0x0131], exif[0x0132] = "Maker", "Model 7", "Firmware 1.02", moment
    taken = exif.get_ifd(0x8769)
    taken[0x9003], taken[0x9004] = moment, moment
    taken[0x829A], taken[0x829D], taken[0x8827], taken[0x920A] = 0.01, 2.8, 200, 35.0
    taken[0x927C] = rng.bytes(120)
    exif.get_ifd(0x8825)[1] = "N"
    return exif


def left_data(kept: Image.Exif, copy: Copy, rng: np.random.Generator) -> Image.Exif | None:
    """Return what a copy keeps of the metadata: nothing after a messenger, an editor's own beside the camera's."""
    if copy.family in {"chain", "saved twice", "damage"} or rng.random() < 0.4:
        return None
    exif = Image.Exif()
    exif.load(kept.tobytes())
    if copy.family in {"saved again", "reduced"} and rng.random() < 0.5:
        return exif  # a converter that copies them unchanged
    exif[0x0131], exif[0x0132] = "GIMP 2.10", "2023:05:06 07:08:09"
    if rng.random() < 0.5:
        exif.get_ifd(0x8769).pop(0x927C, None)
    return exif


def with_metadata(data: bytes, exif: Image.Exif | None) -> bytes:
    """Return a JPEG file with these metadata and no others, its compressed data as they are."""
    kept, place = [data[:2]], 2
    if exif is not None:
        block = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
        kept.append(b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block)
    while data[place + 1] != 0xDA:
        length = 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if not (0xE1 <= data[place + 1] <= 0xEF or data[place + 1] == 0xFE):
            kept.append(data[place : place + length])
        place += length
    return b"".join([*kept, data[place:]])


class Desk:
    """Where files are written, read and compared as a run does it."""

    def __init__(self, folder: Path, decoder: Decoder) -> None:
        self._folder = folder
        self._decoder = decoder

    def read(self, data: bytes, suffix: str) -> File:
        """Write a file and read it."""
        path = self._folder / f"{hashlib.sha256(data).hexdigest()[:12]}{suffix}"
        path.write_bytes(data)
        return File(path, album.see(path, self._decoder), data)

    def compare(self, keeper: File, other: File) -> Inspection:
        """Compare two files in full, with the geometry that verification finds."""
        one, two = (Picture(unpack(file.seen.features)) for file in (keeper, other))
        verdict = verify(one, two)
        turn = transform = None
        if verdict is not None:
            turn = verdict.orientation
            seen = verdict.evidence
            if seen is not None and min(seen.coverage_left, seen.coverage_right) < WHOLE:
                found = locate(one, two)
                if found is not None:
                    back = _to_pixels(one.size, keeper.seen)
                    transform = _to_pixels(two.size, other.seen) @ found @ np.linalg.inv(back)
        return inspect(_full(keeper), _full(other), transform, turn)


def _full(file: File):  # type: ignore[no-untyped-def]
    return read_full(io.BytesIO(file.data), MAX_PIXELS)


def _to_pixels(size: tuple[float, float], seen: album.Seen) -> np.ndarray:
    across, down = seen.facts.width / size[0], seen.facts.height / size[1]
    return np.array([[across, 0, -0.5], [0, down, -0.5], [0, 0, 1]], dtype=np.float64)


def entry_of(file: File) -> IndexEntry:
    """Return the entry of a file, whose name and dates say nothing."""
    digest = hashlib.sha256(file.data).digest()
    stat = FileStat(Path("/album") / f"{digest.hex()[:8]}.img", len(file.data), digest[0], 1, digest[1])
    return IndexEntry(stat, Versions(1, 1, 1), digest, file.seen.facts)


def first_of(files: Sequence[File], found: dict[tuple[int, int], Original]) -> int:
    """Return which file stays of a group by the default rules."""
    entries = [entry_of(file) for file in files]
    numbers = {entry.digest: number for number, entry in enumerate(entries)}

    def origin(left: IndexEntry, right: IndexEntry) -> Original | None:
        one, two = numbers[left.digest], numbers[right.digest]
        return found.get((one, two)) or (found[two, one].reversed() if (two, one) in found else None)

    ranker = Ranker(Options().rules, lambda _: False, 0.2, origin=origin)
    return numbers[ranker.rank(entries).entries[0].digest]


def is_equal(one: bytes, two: bytes) -> bool:
    """Whether two files without loss show the same pixels, so that neither is better."""
    left, right = Image.open(io.BytesIO(one)), Image.open(io.BytesIO(two))
    if left.format not in LOSSLESS or right.format not in LOSSLESS or left.size != right.size:
        return False
    return left.convert("RGB").tobytes() == right.convert("RGB").tobytes()


def evidence(found: Inspection) -> Original:
    """Return what the program makes use of: another shot is not derived from this one."""
    return found.original if found.outcome in SAME_PHOTO else Original()


@dataclass(slots=True)
class Session:
    """The measuring of some photos."""

    desk: Desk
    arguments: argparse.Namespace
    rows: defaultdict[str, Tally]
    reasons: defaultdict[str, Counter[str]]

    def measure(self, path: Path, *, as_is: bool) -> int:
        """Compare a photo with its copies, and return how many groups of it there were and are right."""
        arguments = self.arguments
        data, suffix = originals(path, metadata=arguments.metadata, as_is=as_is, longest=arguments.longest)
        first = self.desk.read(data, suffix)
        image = Image.open(io.BytesIO(data)).convert("RGB")
        rng = np.random.default_rng(list(hashlib.sha256(path.name.encode()).digest()[:5]))
        files: dict[str, File] = {}
        answers: dict[str, Original] = {}
        for copy in COPIES:
            if arguments.only and arguments.only not in f"{copy.family}: {copy.name}":
                continue
            exif = left_data(camera_data_of(data), copy, rng) if arguments.metadata else None
            made = copy.make(image, exif)
            if is_equal(data, made):
                continue
            other = self.desk.read(made, f".{copy.form.lower()}")
            swapped = bool(rng.random() < 0.5)
            found = self.desk.compare(other, first) if swapped else self.desk.compare(first, other)
            answer = evidence(found).reversed() if swapped else evidence(found)
            stays = first_of([first, other], {(0, 1): answer}) == 0
            self._count(copy, path, answer, found, stays=stays, as_is=as_is)
            files[copy.name], answers[copy.name] = other, answer
        return self._groups(path, first, files, answers, rng)

    def _count(self, copy: Copy, path: Path, answer: Original, found: Inspection, *, stays: bool, as_is: bool) -> None:
        for row in (copy.name, f"= {copy.family}", "= as they are" if as_is else "= made anew", "= all"):
            self.rows[row].add(answer, stays=stays)
        kind = "right" if answer.side is Side.LEFT else "wrong" if answer.side is Side.RIGHT else "open"
        words = "".join(letter for letter in answer.reason if not letter.isdigit())
        self.reasons[f"{'sure' if answer.sure else 'likely'}: {words}"][kind] += 1
        if self.arguments.missed and (kind != "right" or (self.arguments.metadata and not stays)):
            sure = "SURE " if answer.sure else ""
            print(f"{sure}{kind}: {copy.name} of {path.name}: {found.outcome}: {answer.reason}", flush=True)

    def _groups(
        self, path: Path, first: File, files: dict[str, File], answers: dict[str, Original], rng: np.random.Generator
    ) -> int:
        names = [copy.name for copy in COPIES if copy.name in files and not copy.is_part]
        right = 0
        for _ in range(self.arguments.groups if len(names) >= GROUP else 0):
            some = [str(name) for name in rng.choice(names, GROUP, replace=False)]
            group = [first, *(files[name] for name in some)]
            found = {(0, number + 1): answers[name] for number, name in enumerate(some)}
            for one, two in combinations(range(1, len(group)), 2):
                found[one, two] = evidence(self.desk.compare(group[one], group[two]))
            best = first_of(group, found)
            right += best == 0
            if best and self.arguments.missed:
                print(f"group of {path.name}: {some}: {some[best - 1]} stays", flush=True)
        return right


def camera_data_of(data: bytes) -> Image.Exif:
    """Return the metadata of a file."""
    return Image.open(io.BytesIO(data)).getexif()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="photos of which none is a copy of another one")
    parser.add_argument("--photos", type=int, default=16, help="how many photos")
    parser.add_argument("--skip", type=int, default=0, help="photos to leave out, as a run before used them")
    parser.add_argument("--groups", type=int, default=0, help="groups of five of each photo")
    parser.add_argument("--longest", type=int, default=1600, help="longer photos are made smaller first, pixels")
    parser.add_argument("--metadata", action="store_true", help="leave metadata as cameras and messengers do")
    parser.add_argument("--tune", action="store_true", help="the development set instead of the held-out one")
    parser.add_argument("--only", default="", help="copies whose name or family has this in it")
    parser.add_argument("--missed", action="store_true", help="name every pair that is not right")
    arguments = parser.parse_args()
    folders = arguments.folders or [album.photos_folder() / kind for kind in KINDS]
    photos = chosen(folders, arguments.photos + arguments.skip, tune=arguments.tune)[arguments.skip :]
    session = Session(None, arguments, defaultdict(Tally), defaultdict(Counter))  # type: ignore[arg-type]
    right = 0
    with tempfile.TemporaryDirectory() as name, Decoder() as decoder, single_threaded_blas:
        session.desk = Desk(Path(name), decoder)
        for number, path in enumerate(photos, arguments.skip):
            right += session.measure(path, as_is=number // len(folders) % 2 == 0)
    report(session, len(photos))
    if arguments.groups:
        count = arguments.groups * len(photos)
        print(f"\ngroups of five: the original stays in {right} of {count}, {100 * right / count:.1f} %")


def report(session: Session, photos: int) -> None:
    """Print the tables, in Markdown."""
    print(f"{photos} photos, {len(COPIES)} kinds of copies\n")
    print("| copy | pairs | right | wrong | cannot tell | decided unasked | of these wrong | stays by all rules |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, tally in session.rows.items():
        print(
            f"| {name} | {tally.pairs} | {share(tally.right, tally)} | {share(tally.wrong, tally)} | "
            f"{share(tally.pairs - tally.right - tally.wrong, tally)} | {share(tally.sure, tally)} | "
            f"{tally.sure_wrong} | {share(tally.stays, tally)} |"
        )
    print("\n| evidence | right | wrong |\n| --- | --- | --- |")
    for reason, counts in sorted(session.reasons.items(), key=lambda item: -item[1].total()):
        print(f"| {reason} | {counts['right']} | {counts['wrong']} |")


def share(count: int, tally: Tally) -> str:
    """Return a count as a share of the pairs."""
    return f"{100 * count / tally.pairs:.1f} %"


if __name__ == "__main__":
    main()
