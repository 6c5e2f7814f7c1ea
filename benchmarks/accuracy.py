"""How many copies are found, and how many pictures are taken for copies that are none.

    python benchmarks/accuracy.py [FOLDER ...] [--photos N] [--processes N]

Every photo gets every copy of the ladder (``ladder.py``). The tables say, for each edit, which share of the copies is
within a distance of its original; and for each folder of pictures of which no two are the same, how many pairs are.
Without folders: BSDS500 photos that the codebook was not trained with, against all development photographs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ladder import LADDER
from measures import album, by_distance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="photos to copy, no two of them the same")
    parser.add_argument("--photos", type=int, default=100, help="how many photos to copy")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.folders:
        everything = {folder.name: album.photos_in(folder) for folder in arguments.folders}
        sources = [path for paths in everything.values() for path in paths]
    else:
        root = album.photos_folder()
        ordinary = album.photos_in(root / "bsds500")
        sources = album.photos_in(root / "bsds500" / "test") + album.photos_in(root / "bsds500" / "val")[50:]
        everything = {"ordinary photos": ordinary}
        for folder in ("look-alikes/clothing", "look-alikes/receipts", "same-scene/street", "same-scene/turntable"):
            everything[Path(folder).name] = album.photos_in(root / folder)
    step = max(1, len(sources) // arguments.photos)
    chosen = sources[::step][: arguments.photos]
    print(f"{len(chosen)} photos, {len(LADDER)} copies of each\n")
    albums = album.make_albums(chosen, arguments.processes)
    strangers = {name: album.read_photos(paths, arguments.processes) for name, paths in everything.items()}
    by_distance.report(albums, strangers)


if __name__ == "__main__":
    main()
