"""How other programs do on the same copies and the same different pictures as ``accuracy.py``.

    python benchmarks/peers.py [FOLDER ...] [--photos N] [--rows] [--imagededup PYTHON] [--czkawka PROGRAM]

image-match needs nothing more. The others are installed apart from the project, and left out where they are not:

    python -m venv PEERS && PEERS/bin/pip install imagededup    # --imagededup PEERS/bin/python
    cargo install czkawka_cli                                   # --czkawka PROGRAM, if not on the path

Each copy is compared with its original alone, never by way of another copy. "Best" settings allow the largest distance
at which no two different pictures of the folders match; it is only known afterwards, so it is nothing to rely on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from accuracy import LOOK_ALIKES, PHONES
from ladder import LADDER
from measures import album, peer_czkawka, peer_image_match, peer_imagededup
from measures.peer_setting import Bools, Peer, Setting, written

Found = Mapping[str, Bools]
"""By kind of photo: settings by photos by copies."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="photos to copy, no two of them the same")
    parser.add_argument("--photos", type=int, default=24, help="how many photos to copy")
    parser.add_argument("--rows", action="store_true", help="also print the share of every edit")
    parser.add_argument("--imagededup", metavar="PYTHON", default=os.environ.get("PEER_IMAGEDEDUP"))
    parser.add_argument("--czkawka", metavar="PROGRAM", default=os.environ.get("PEER_CZKAWKA", "czkawka_cli"))
    arguments = parser.parse_args()
    if arguments.folders:
        strangers = {folder.name: folder for folder in arguments.folders}
        photos = [photo for folder in arguments.folders for photo in album.photos_in(folder)]
        sources = {"photos": _some(photos, arguments.photos)}
    else:
        strangers, sources = _development_photos(album.photos_folder(), arguments.photos)
    with ExitStack() as stack:
        peers = _peers(arguments.imagededup, arguments.czkawka)
        for peer in peers:
            stack.callback(peer.close)
        settings = {peer.name: peer.settle(strangers) for peer in peers}
        found = {kind: _found(peers, paths) for kind, paths in sources.items()}
    counts = ", ".join(f"{len(paths)} of {kind}" for kind, paths in sources.items())
    print(f"\n{len(LADDER)} copies of each photo, {counts}\n")
    _print_table(settings, found, list(strangers))
    if arguments.rows:
        _print_rows(settings, found)


def _peers(python: str | None, program: str) -> list[Peer]:
    """Start the peers that are installed, and say which are not."""
    peers: list[Peer] = [peer_image_match.ImageMatch()]
    print(f"image-match: {peer_image_match.VERSION}")
    if python and peer_imagededup.installed(python):
        imagededup = peer_imagededup.ImageDedup(python)
        print(f"imagededup: {imagededup.version}")
        peers.append(imagededup)
    else:
        print(f"imagededup: NOT INSTALLED, not measured. To install it: {peer_imagededup.INSTALL}")
    if shutil.which(program):
        czkawka = peer_czkawka.Czkawka(program)
        print(f"czkawka: {czkawka.version}")
        peers.append(czkawka)
    else:
        print(f"czkawka: NOT INSTALLED, not measured. To install it: {peer_czkawka.INSTALL}")
    return peers


def _development_photos(root: Path, count: int) -> tuple[dict[str, Path], dict[str, list[Path]]]:
    """Return the folders of strangers and the photos to copy: those of ``accuracy.py``."""
    strangers = {"ordinary": root / "bsds500"} | {Path(name).name: root / name for name in LOOK_ALIKES}
    untrained = album.photos_in(root / "bsds500" / "test") + album.photos_in(root / "bsds500" / "val")[50:]
    ordinary = _some(untrained, count) + [root / "phone" / name for name in PHONES]
    receipts = _some(album.photos_in(strangers["receipts"]), max(2, count // 5))
    return strangers, {"ordinary photos": ordinary, "receipts": receipts}


def _some(paths: Sequence[Path], count: int) -> list[Path]:
    """Return so many, spread evenly."""
    return list(paths[:: max(1, len(paths) // count)][:count])


def _found(peers: Sequence[Peer], photos: Sequence[Path]) -> Bools:
    each = []
    for number, photo in enumerate(photos, 1):
        print(f"{number} of {len(photos)}", file=sys.stderr)
        with written(photo) as files:
            each.append(np.concatenate([peer.found(files) for peer in peers]))
    return np.stack(each, axis=1)


def _print_table(settings: Mapping[str, Sequence[Setting]], found: Found, folders: Sequence[str]) -> None:
    required = np.array([edit.required for edit in LADDER])
    first, *others = found
    columns = ["mean recall", "without extreme rows", *others, f"false pairs {' / '.join(folders)}"]
    print(f"| peer | setting | {' | '.join(columns)} |\n| --- | --- |" + " --- |" * len(columns))
    row = 0
    for peer, some in settings.items():
        for setting in some:
            shares = [_percent(found[first][row]), _percent(found[first][row][:, required])]
            shares += [_percent(found[kind][row]) for kind in others]
            false = " / ".join(str(setting.false[folder]) for folder in folders)
            print(f"| {peer} | {setting.name} | {' | '.join(shares)} | {false} |")
            row += 1


def _print_rows(settings: Mapping[str, Sequence[Setting]], found: Found) -> None:
    names = [f"{peer}: {setting.name}" for peer, some in settings.items() for setting in some]
    for kind, shares in found.items():
        print(f"\n{kind}\n\n| copy | {' | '.join(names)} |\n| --- |" + " --- |" * len(names))
        for number, edit in enumerate(LADDER):
            mark = "" if edit.required else " (extreme)"
            print(f"| {edit.name}{mark} | {' | '.join(_percent(row[:, number]) for row in shares)} |")


def _percent(found: Bools) -> str:
    return f"{100 * found.mean():.1f} %"


if __name__ == "__main__":
    main()
