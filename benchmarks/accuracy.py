"""Measure recall on edited copies, and false pairs among different pictures.

    PYTHONPATH=. python benchmarks/accuracy.py [FOLDER ...] [--matching distance|verified] [--photos N] [--exhaustive]

Every photo gets every copy of the ladder (``ladder.py``). ``distance``: for each edit, the share of copies whose
signature is within a distance of their original's, and for each folder of different pictures, the pairs within it.
``verified``: the share of copies that are verified as such, with their class, and the false pairs. Copies are compared
with their originals directly, never by way of other copies; the index holds all photos of all folders.

Without folders: the photos of BSDS500 that the codebook was not trained with are copied, and some phone photos and
receipts; all development photographs are in the index.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ladder import LADDER
from measures import album, by_distance, by_proof

from py_image_dedup.matching.criteria import MAX_DISTANCE, Matching

LOOK_ALIKES = ("look-alikes/clothing", "look-alikes/receipts", "same-scene/street", "same-scene/turntable")
PHONES = ("building/IMG_20190903_193508.jpg", "clouds/IMG_20190903_193537.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="photos to copy, no two of them the same")
    parser.add_argument("--matching", choices=("distance", "verified"), default="verified")
    parser.add_argument("--photos", type=int, default=24, help="how many photos to copy")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--max-distance", type=float, default=MAX_DISTANCE[Matching.VERIFIED], help="of candidates")
    parser.add_argument("--missed", action="store_true", help="name every copy that is not found")
    parser.add_argument("--faint", type=int, default=0, help="how many skies and dark frames to generate, as strangers")
    parser.add_argument("--exhaustive", action="store_true", help="verify all pairs, not only the candidates")
    arguments = parser.parse_args()
    if arguments.folders:
        everything = {folder.name: album.photos_in(folder) for folder in arguments.folders}
        sources = {"photos": _some([path for paths in everything.values() for path in paths], arguments.photos)}
    else:
        everything, sources = _development_photos(album.photos_folder(), arguments.photos)
    strangers = {name: album.read_photos(paths, arguments.processes) for name, paths in everything.items()}
    if arguments.faint:
        strangers["skies and dark frames"] = album.make_faint(arguments.faint, arguments.processes)
    albums = {name: album.make_albums(paths, arguments.processes) for name, paths in sources.items()}
    print(f"{len(LADDER)} copies of each photo")
    if arguments.matching == "distance":
        by_distance.report(next(iter(albums.values())), strangers)
    else:
        by_proof.report(
            albums,
            strangers,
            arguments.max_distance,
            arguments.processes,
            exhaustive=arguments.exhaustive,
            missed=arguments.missed,
        )


def _development_photos(root: Path, count: int) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    everything = {"ordinary photos": album.photos_in(root / "bsds500")}
    everything |= {Path(folder).name: album.photos_in(root / folder) for folder in LOOK_ALIKES}
    untrained = album.photos_in(root / "bsds500" / "test") + album.photos_in(root / "bsds500" / "val")[50:]
    phones = [root / "phone" / name for name in PHONES]
    everything["phone photos"] = phones
    receipts = _some(everything["receipts"], max(2, count // 5))
    return everything, {"ordinary photos": _some(untrained, count) + phones, "receipts": receipts}


def _some(paths: Sequence[Path], count: int) -> list[Path]:
    """Return so many, spread evenly."""
    return list(paths[:: max(1, len(paths) // count)][:count])


if __name__ == "__main__":
    main()
