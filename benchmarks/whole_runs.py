"""Compares whole first runs of this program with those of czkawka, on the same libraries.

    PYTHONPATH=. python benchmarks/whole_runs.py [LIBRARY ...] [--rounds N] [--czkawka PROGRAM] [--keep FOLDER]

All run as a user starts them, as processes, with an empty index and without a cache, and take turns: this program whole
(``deduplicate --dry-run``); this program without the comparison in full (``--no-inspect``), which czkawka does not have
either; and czkawka. Printed are the CPU seconds of each with its child processes, user and system, which
hardly depend on what else the machine does but for a factor that all share; the wall time; the ratios within a round,
in the median; and how many copies are in a group with their photo, and how many groups have several photos.
The libraries:

- ``screenshots``: 450 of one chat app, ``invoices``: 120 of one shop; one in ten is a copy of the one before.
- ``phone``: ten copies of each phone photo, with other bytes behind its end.
- ``small``: photos of 500 pixels, each with one edited copy, every kind of the accuracy ladder in turn.
- ``garments``: photos of clothing; none is a copy.

The development photographs are those that PY_IMAGE_DEDUP_PHOTOS names; libraries without their photographs are left
out. czkawka is optional (``cargo install czkawka_cli``). It runs with small files included and turned copies found, as
this program does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from analyse import phone_set
from find import make_library
from ladder import LADDER, Original
from measures.album import photos_folder, photos_in

SMALL = 200
GARMENTS = 300

Command = Sequence[str | Path]
Run = Callable[[Path], tuple[Command, Path]]
"""From a folder for the program's own files to its command and the result file that it writes."""


@dataclass(frozen=True, slots=True)
class Used:
    """What one run took and found.

    Attributes:
        cpu: CPU seconds, user and system, children included.
        wall: Seconds.
        found: Number of copies that are in a group with their photo or another copy of it.
        wrong: Number of groups with files of several photos.
    """

    cpu: float
    wall: float
    found: int
    wrong: int


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=", ".join(LIBRARIES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--czkawka", default=shutil.which("czkawka_cli"), help="the program, if it is not on the path")
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    if unknown := set(chosen.libraries) - LIBRARIES.keys():
        parser.error(f"no such library: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="py-image-dedup-") as temporary:
        top = chosen.keep or Path(temporary)
        for name in chosen.libraries or LIBRARIES:
            folder = top / name
            if not folder.is_dir():
                folder.mkdir(parents=True)
                LIBRARIES[name](folder)
            if any(folder.iterdir()):
                race(folder, chosen.czkawka, chosen.rounds)
            else:
                print(f"{name}: left out, no photographs")
    return 0


def race(folder: Path, czkawka: str | None, rounds: int) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    copies = len(files) - len({photo_of(folder, path) for path in files})
    print(f"{folder.name}: {len(files):,} files, {copies} copies; load {os.getloadavg()[0]:.0f}", flush=True)
    contestants: dict[str, Run] = {"whole": partial(whole, folder), "found only": partial(found_only, folder)}
    if czkawka is not None:
        contestants["czkawka"] = partial(peer, czkawka, folder)
    used: dict[str, list[Used]] = {name: [] for name in contestants}
    for turn in range(rounds):
        for name in sorted(contestants, reverse=turn % 2 == 1):
            used[name].append(measured(contestants[name], folder))
    for name, runs in used.items():
        ratios = ""
        if czkawka is not None and name != "czkawka":
            pairs = list(zip(runs, used["czkawka"], strict=True))
            cpu = statistics.median(our.cpu / their.cpu for our, their in pairs)
            wall = statistics.median(our.wall / their.wall for our, their in pairs)
            ratios = f"; {cpu:.1f} and {wall:.1f} times czkawka"
        print(
            f"  {name:12}{statistics.median(run.cpu for run in runs):7.2f} s CPU,"
            f"{statistics.median(run.wall for run in runs):7.2f} s wall, {runs[-1].found} of {copies} copies, "
            f"{runs[-1].wrong} groups of several photos{ratios}",
            flush=True,
        )


def measured(run: Run, folder: Path) -> Used:
    with tempfile.TemporaryDirectory(prefix="py-image-dedup-") as temporary:
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command, result = run(Path(temporary))
        # As it is installed: with its modules compiled, which some machines keep their interpreters from writing down.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        groups = list(groups_in(json.loads(result.read_text())))
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Used(cpu, wall, *score(folder, groups))


def groups_in(result: Any) -> Iterator[set[Path]]:
    """Yield the groups and the reported pairs of a result file of either program."""
    if isinstance(result, list):
        yield from ({Path(file["path"]) for file in group} for group in result)
        return
    for group in result["groups"]:
        yield {Path(file["path"]) for file in (group["keeper"], *group["redundant"])}
    for match in result["reported"]:
        yield {Path(match[side]["path"]) for side in ("left", "right")}


def score(folder: Path, groups: Sequence[set[Path]]) -> tuple[int, int]:
    """Return the number of copies that are joined with their photo, and of groups with files of several photos."""
    joined: dict[Path, set[Path]] = {}
    wrong = 0
    for group in groups:
        shown = {photo_of(folder, path) for path in group}
        wrong += len(shown) > 1
        for photo in shown:
            together = set().union(*(joined.get(path, {path}) for path in group if photo_of(folder, path) == photo))
            joined.update(dict.fromkeys(together, together))
    distinct = {id(together): len(together) - 1 for together in joined.values()}
    return sum(distinct.values()), wrong


def photo_of(folder: Path, path: Path) -> str:
    """Return the photo that a file shows; in libraries of documents every tenth is a copy of the one before."""
    if folder.name in DOCUMENTS:
        number = int(path.stem)
        return str(number - (number % 10 == 9))
    return path.stem.partition("-")[0] if folder.name in COPIED else path.stem


def whole(folder: Path, out: Path) -> tuple[Command, Path]:
    program, result = Path(sys.executable).with_name("py-image-dedup"), out / "result.json"
    return (program, "--state-directory", out, "-q", "deduplicate", "--dry-run", "--report", result, folder), result


def found_only(folder: Path, out: Path) -> tuple[Command, Path]:
    command, result = whole(folder, out)
    return (*command, "--no-inspect"), result


def peer(program: str, folder: Path, out: Path) -> tuple[Command, Path]:
    found = out / "found.json"
    turned = ("--geometric-invariance", "mirror-flip-rotate90")
    saved = (
        "--disable-cache",
        "--do-not-print-results",
        "--ignore-error-code-on-found",
        "--compact-file-to-save",
        found,
    )
    return (program, "image", "--directories", folder, "--minimal-file-size", "1", *turned, *saved), found


def make_documents(folder: Path, kind: str, count: int) -> None:
    made = folder.with_name(f"{folder.name} in parts")
    make_library(made, kind, count, [], one_template=True)
    for path in sorted(made.rglob("*.jpg")):
        path.rename(folder / path.name)
    shutil.rmtree(made)


def make_phone(folder: Path) -> None:
    folder.rmdir()
    phone_set(photos_folder() / "phone", folder)


def make_small(folder: Path) -> None:
    edits = [edit for edit in LADDER if edit.required]
    for number, path in enumerate(evenly(photos_in(photos_folder() / "bsds500"), SMALL)):
        original = Original.read(path)
        edit = edits[number * 7 % len(edits)]
        (folder / f"{number}-original.jpg").write_bytes(original.data)
        (folder / f"{number}-copy{edit.suffix}").write_bytes(edit.make(original))


def make_garments(folder: Path) -> None:
    for number, path in enumerate(evenly(photos_in(photos_folder() / "look-alikes" / "clothing"), GARMENTS)):
        shutil.copyfile(path, folder / f"{number}{path.suffix}")


def evenly(paths: Sequence[Path], count: int) -> Sequence[Path]:
    return [paths[number * len(paths) // count] for number in range(count)] if len(paths) > count else paths


DOCUMENTS = ("screenshots", "invoices")
COPIED = ("phone", "small")
LIBRARIES: Mapping[str, Callable[[Path], None]] = {
    "screenshots": lambda folder: make_documents(folder, "screenshots", 450),
    "invoices": lambda folder: make_documents(folder, "invoices", 120),
    "phone": make_phone,
    "small": make_small,
    "garments": make_garments,
}


if __name__ == "__main__":
    sys.exit(main())
