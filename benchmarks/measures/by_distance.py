"""Accuracy of the signature alone: a pair is a match when its distance is small enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from ladder import LADDER

from measures.album import Album, Seen
from py_image_dedup.signature.distance import distances

Floats = npt.NDArray[np.float64]

BOUNDS = (0.10, 0.30)


def report(albums: Sequence[Album], strangers: Mapping[str, Sequence[Seen]]) -> None:
    """Print the tables, in Markdown."""
    false = {name: _unrelated_distances(seen) for name, seen in strangers.items()}
    nearest = {name: float(found.min(initial=1.0)) for name, found in false.items()}
    first = next(iter(nearest))
    print("| different pictures | pairs | nearest two | " + " | ".join(f"pairs <= {b:.2f}" for b in BOUNDS) + " |")
    print("| --- | --- | --- |" + " --- |" * len(BOUNDS))
    for name, found in false.items():
        counts = " | ".join(str(int((found <= bound).sum())) for bound in BOUNDS)
        print(f"| {name} | {len(found)} | {nearest[name]:.3f} | {counts} |")
    columns = {f"<= {bound:.2f}": bound for bound in BOUNDS}
    columns[f"no false pair, {first} (< {nearest[first]:.3f})"] = np.nextafter(nearest[first], 0)
    everywhere = min(nearest.values())
    columns[f"no false pair anywhere (< {everywhere:.3f})"] = np.nextafter(everywhere, 0)
    copied = np.stack([_copy_distances(album) for album in albums])
    print("\n| copy | " + " | ".join(columns) + " |")
    print("| --- |" + " --- |" * len(columns))
    for number, edit in enumerate(LADDER):
        print(f"| {edit.name} | " + " | ".join(_percent(copied[:, number] <= b) for b in columns.values()) + " |")
    print("| **mean** | " + " | ".join(f"**{_percent(copied <= b)}**" for b in columns.values()) + " |")


def _copy_distances(album: Album) -> Floats:
    copies = np.stack([copy.signature for copy in album.copies])
    return distances(album.original.signature, copies)[0]


def _unrelated_distances(seen: Sequence[Seen]) -> Floats:
    signatures = np.stack([one.signature for one in seen])
    found = [distances(one, signatures[row + 1 :])[0] for row, one in enumerate(signatures[:-1])]
    return np.concatenate(found) if found else np.zeros(0)


def _percent(found: npt.NDArray[np.bool_]) -> str:
    return f"{100 * found.mean():.1f} %"
